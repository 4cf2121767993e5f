"""seepseg's own loop as a subject of the benchmark: what stages.train does each step, and each part of it by itself."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from benchmarks.reference import BATCH_SIZE, EXPONENT, FALSE_NEGATIVES, FALSE_POSITIVES, LEARNING_RATE, SMOOTH, WIDTHS
from seepseg.base.device import choose_device, make_deterministic
from seepseg.base.distributed import ProcessGroup
from seepseg.base.files import read_json
from seepseg.base.params import load_params
from seepseg.data.channels import InputMaker, InputParams
from seepseg.data.loading import Batch, TileLoader, in_order
from seepseg.data.packed import Indices, open_packed, read_split
from seepseg.losses import LossParams, loss_name_at
from seepseg.models import ModelParams, build_model
from seepseg.models.heads import predicted_classes
from seepseg.training.augmentation import AugmentParams
from seepseg.training.captured_step import make_step
from seepseg.training.monitoring import Monitor
from seepseg.training.recipe import TrainParams, build_losses, build_optimization, build_sampler
from seepseg.training.sampling import SamplingParams
from seepseg.training.step import PIXELS_EVERY, BatchMaker, Step, StepInputs, draw_inputs, train_epoch
from seepseg.training.validation import predict
from stages.train import CLASS_WEIGHTS, PACKED, SPLIT

PARTS = ("data", "forward", "loss", "backward", "optimiser", "monitoring")

# The reference, as far as params.yaml says it.
SAME_ARCHITECTURE: dict[str, dict[str, Any]] = {
    "model": {
        "name": "unet",
        "head": "sigmoid",
        "unet": {"width": WIDTHS[0], "depth": len(WIDTHS), "stem": 1, "norm": "none", "upsampling": "bilinear"},
    },
    "loss": {
        "name": "focal_tversky",
        "reduction": "flattened",
        "class_weights": "none",
        "binary_dice_weight": 0.0,
        "schedule": [],
        "focal_tversky": {
            "alpha": FALSE_POSITIVES,
            "beta": FALSE_NEGATIVES,
            "exponent": EXPONENT,
            "smooth": SMOOTH,
        },
    },
    "augment": {
        "rot180": True,
        "hflip": True,
        "dihedral": False,
        "resize": 0.0,
        "gain": 0.0,
        "speckle": 0.0,
    },
    "train": {
        "batch_size": BATCH_SIZE,
        "optimizer": "adam",
        "lr": LEARNING_RATE,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup_epochs": 0,
        "grad_clip": 0.0,
        "ema_decay": 0.0,
    },
}


class OurLoop:
    """Training and prediction as the stages do them.

    Args:
        params_file: a params.yaml.
        root: where the stages before train have run.

    Attributes:
        batch_size: of training and of prediction here.
        device: where it runs.
        dtype: reduced precision in use, `None` for float32.
        model: in training.
    """

    def __init__(self, params_file: Path, root: Path) -> None:
        params = load_params(TrainParams, "train", params_file)
        model_params = load_params(ModelParams, "model", params_file)
        loss_params = load_params(LossParams, "loss", params_file)
        self.batch_size = params.batch_size
        self.device = choose_device(params.device, "train.device")
        self.group = ProcessGroup(rank=0, size=1, device=self.device)
        make_deterministic(params.seed, params.threads, self.device)

        packed = open_packed(root / PACKED)
        self.train_tiles = read_split(packed, root / SPLIT)["train"]
        self.all_tiles: Indices = np.arange(len(packed.manifest), dtype=np.int64)
        input_params = load_params(InputParams, "input", params_file)
        self.make_input = InputMaker(input_params)
        weights = read_json(root / CLASS_WEIGHTS)
        losses = build_losses(loss_params, model_params.head, packed.class_names, weights, self.device)
        self.head = model_params.head
        self.new_monitor: Callable[[], Monitor] = partial(
            Monitor, losses[loss_name_at(loss_params, 0)], self.head, packed.class_names
        )
        network = build_model(model_params, len(input_params.channels), num_classes=len(packed.class_names) + 1)
        self.model: nn.Module = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.sampling = load_params(SamplingParams, "sampling", params_file)
        augment_params = load_params(AugmentParams, "augment", params_file)
        self.make_batch = BatchMaker(self.make_input, self.sampling.crop, augment_params)
        self.packed = packed
        sampler = build_sampler(self.sampling, packed, self.train_tiles, params.batch_size)
        self.optimization = build_optimization(params, self.model, sampler.num_batches, self.group)
        self.dtype = self.optimization.dtype
        self.loader = TileLoader(packed, self.all_tiles, self.device)
        self.generator = torch.Generator().manual_seed(params.seed)
        self._steps: dict[int, Step] = {}

    def train(self, batch_size: int) -> Iterator[int]:
        """Train without end; yield the number of tiles after each step, on a GPU after several."""
        # A captured step is for batches of one size, and the warm-up takes smaller ones.
        step = self._steps.setdefault(batch_size, make_step(self.optimization, self.make_batch, batch_size, self.group))
        while True:
            self.model.train()
            monitor = self.new_monitor()
            before = 0
            for _ in train_epoch(step, self._inputs(batch_size), monitor):
                yield monitor.tiles - before
                before = monitor.tiles

    def predict(self, batch_size: int) -> Iterator[int]:
        """Predict all tiles again and again; yield the number of tiles of each batch after its classes are known."""
        batches = in_order(self.all_tiles, batch_size)
        while True:
            for predicted in predict(
                self.optimization.average.module,
                self.loader,
                batches,
                make_input=self.make_input,
                dtype=self.dtype,
            ):
                predicted_classes(predicted.logits, self.head, predicted.batch.valid)
                yield len(predicted.indices)

    def train_in_parts(self, batch_size: int) -> Iterator[tuple[int, dict[str, float]]]:
        """Train without end by eager steps; yield the tiles of each batch and the seconds of each of `PARTS`.

        data: waiting for the next batch, augmenting and normalising it. loss: also its gradient to the logits.
        backward: from there to the weights. optimiser: also clipping and the average of the weights. monitoring: the
        running mean of the loss, and the counts of pixels.
        """
        clock = Laps(self.device)
        while True:
            self.model.train()
            monitor = self.new_monitor()
            clock.start()
            for number, inputs in enumerate(self._inputs(batch_size)):
                batch = self.make_batch(inputs.tiles.to_batch(), inputs.classes, inputs.random)
                clock.lap("data")
                logits, value = self.step_in_parts(batch, monitor, clock)
                monitor.add_loss(value.item(), len(batch.target))
                if number % PIXELS_EVERY == 0:
                    monitor.add_pixels(logits, batch)
                clock.lap("monitoring")
                yield len(batch.target), clock.seconds
                clock.start()

    def step_in_parts(self, batch: Batch, monitor: Monitor, clock: "Laps") -> tuple[Tensor, Tensor]:
        """Do what `Optimization.step` does, with a lap after each part."""
        o = self.optimization
        with torch.autocast(self.device.type, dtype=o.dtype, enabled=o.dtype is not None):
            logits = o.model(batch.images)
        logits = logits.float()
        clock.lap("forward")
        value = monitor.loss(logits, batch.target, batch.valid)
        (gradient,) = torch.autograd.grad(o.scaler.scale(value), logits)
        clock.lap("loss")
        o.optimizer.zero_grad(set_to_none=True)
        logits.backward(gradient)
        clock.lap("backward")
        o.scaler.unscale_(o.optimizer)
        if o.grad_clip:
            clip_grad_norm_(o.model.parameters(), o.grad_clip)
        o.scaler.step(o.optimizer)
        o.scaler.update()
        o.schedule.step()
        o.average.update_parameters(o.network)
        clock.lap("optimiser")
        return logits.detach(), value.detach()

    def _inputs(self, batch_size: int) -> Iterator[StepInputs]:
        sampler = build_sampler(self.sampling, self.packed, self.train_tiles, batch_size)
        return draw_inputs(self.loader, sampler.epoch(self.generator), self.generator, self.group)


class Laps:
    """A clock that says what each part took, once the device has finished it."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self._last = 0.0

    def start(self) -> None:
        """Begin anew."""
        self.seconds = {}
        self._last = self._now()

    def lap(self, part: str) -> None:
        """Note what has passed since the lap before as the time of a part."""
        now = self._now()
        self.seconds[part] = now - self._last
        self._last = now

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
