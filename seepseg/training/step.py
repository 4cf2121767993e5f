"""Training step by step."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from seepseg.base.device import autocast
from seepseg.base.distributed import ProcessGroup
from seepseg.base.errors import InputError
from seepseg.data.channels import InputMaker
from seepseg.data.loading import Batch, TileLoader, Tiles
from seepseg.losses import Loss
from seepseg.training.augmentation import AugmentParams, BatchRandom, RandomSource, augment, augment_intensity
from seepseg.training.monitoring import Monitor
from seepseg.training.optimisation import WeightAverage
from seepseg.training.sampling import Samples, crop
from seepseg.training.validation import Predicted

# In training, pixels are counted in one batch of so many: random tiles all the same, and counting them costs as much
# as a tenth of the step.
PIXELS_EVERY = 4
# A GPU is asked for the losses of so many steps at once, as it stands still while it is asked.
LOSSES_EVERY = {"cuda": 32}


class StepInputs(NamedTuple):
    """What one step trains on, as far as the host decides it.

    Attributes:
        tiles: this process's share of the batch, on the device.
        classes: int64 (N,), on the CPU; see `Samples`.
        random: the random numbers of the tiles.
    """

    tiles: Tiles
    classes: Tensor
    random: RandomSource


class StepResult(NamedTuple):
    """What came of one step; with captured steps the next one overwrites `logits` and `batch`.

    Attributes:
        loss: float32 ().
        logits: float32 (N, C, H, W), before the step.
        batch: what the network was given, augmented and normalised.
    """

    loss: Tensor
    logits: Tensor
    batch: Batch


# Takes one step on its inputs with a loss.
Step = Callable[[StepInputs, Loss], StepResult]


@dataclass(frozen=True)
class Optimization:
    """All that changes weights, stepped together once per batch.

    Attributes:
        network: in training.
        model: what runs it in training: itself, or what `seepseg.training.data_parallel.distribute` made of it for
            several processes.
        optimizer: of its weights.
        schedule: of the optimiser's learning rate, per step.
        average: of the weights, over steps.
        grad_clip: largest norm of the gradient, 0 for any.
        dtype: reduced precision to compute in, `None` for float32.
        device: where to compute.
    """

    network: nn.Module
    model: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    average: WeightAverage
    grad_clip: float
    dtype: torch.dtype | None
    device: torch.device
    scaler: torch.amp.GradScaler = field(init=False)

    def __post_init__(self) -> None:
        # float16 alone underflows without a scaled loss; a disabled scaler passes everything through.
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)
        object.__setattr__(self, "scaler", scaler)

    def step(self, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Take one step on one batch of normalised tiles.

        Returns:
            The logits (N, C, H, W) before the step and their loss, both detached.
        """
        found = self.update_weights(batch, loss)
        self.schedule.step()
        self.average.update_parameters(self.network)
        return found

    def update_weights(self, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Take one step, but for the learning rate of the next and the average; nothing here waits for a GPU."""
        with autocast(self.device, self.dtype):
            logits: Tensor = self.model(batch.images)
        logits = logits.float()
        value = loss(logits, batch.target, batch.valid)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        if self.grad_clip:
            clip_grad_norm_(self.model.parameters(), self.grad_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return logits.detach(), value.detach()

    @property
    def state(self) -> dict[str, Any]:
        """All that steps change, as nested dicts and lists of tensors and numbers."""
        return {name: part.state_dict() for name, part in self._stateful().items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Be as it was when this was the state."""
        for name, part in self._stateful().items():
            part.load_state_dict(state[name])

    def _stateful(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "average": self.average,
            "scaler": self.scaler,
        }


@dataclass(frozen=True)
class BatchMaker:
    """Makes what a network is trained on of recorded tiles.

    Attributes:
        make_input: of whole tiles.
        side: of the crops in pixels, 0 for whole tiles.
        params: section `augment`.
    """

    make_input: InputMaker
    side: int
    params: AugmentParams

    def __call__(self, recorded: Batch, classes: Tensor, random: RandomSource) -> Batch:
        """Augment, normalise and crop a batch.

        Args:
            recorded: whole tiles of N samples.
            classes: int64 (N,), see `Samples`.
            random: the random numbers of these tiles.
        """
        images, target, valid = recorded
        images = self.make_input(augment_intensity(images, valid, self.params, random), valid)
        if self.side:
            images, target, valid = crop(images, target, valid, classes, self.side, random.uniform(3))
        return Batch(*augment(images, target, valid, self.params, random))


@dataclass(frozen=True)
class EagerStep:
    """Takes steps one kernel after the other, on any device.

    Attributes:
        optimization: model, optimiser and the rest.
        make_batch: of recorded tiles.
    """

    optimization: Optimization
    make_batch: BatchMaker

    def __call__(self, inputs: StepInputs, loss: Loss) -> StepResult:
        """Take one step."""
        batch = self.make_batch(inputs.tiles.to_batch(), inputs.classes, inputs.random)
        logits, value = self.optimization.step(batch, loss)
        return StepResult(value, logits, batch)


def draw_inputs(
    loader: TileLoader, order: list[Samples], generator: torch.Generator, group: ProcessGroup
) -> Iterator[StepInputs]:
    """This process's share of each batch of training tiles, and its random numbers.

    Args:
        loader: of the training tiles.
        order: the samples of each whole batch.
        generator: of the random numbers, in the same state in every process.
        group: whose share.
    """
    shares = loader.tiles(group.share(samples.indices) for samples in order)
    for samples, tiles in zip(order, shares, strict=True):
        random = BatchRandom(generator, len(samples.indices), group.rank, group.size)
        yield StepInputs(tiles, torch.from_numpy(group.share(samples.classes)), random)


def train_epoch(step: Step, inputs: Iterable[StepInputs], monitor: Monitor, first: int = 0) -> Iterator[int]:
    """Train on every batch once.

    Args:
        step: what takes a step; the model is in training mode.
        inputs: of each batch.
        monitor: of this epoch so far; its loss is the one that is minimised.
        first: number of the first batch, where some of the epoch are done already.

    Yields:
        How many batches are done, each time that the monitor knows them all: on a CPU after each, on a GPU after some.

    Raises:
        InputError: the loss is no longer a number.
    """
    losses: list[tuple[Tensor, int]] = []
    number = first
    for number, given in enumerate(inputs, start=first):
        value, logits, batch = step(given, monitor.loss)
        losses.append((value, len(batch.target)))
        if number % PIXELS_EVERY == 0:
            monitor.add_pixels(logits, batch)
        if len(losses) >= LOSSES_EVERY.get(value.device.type, 1):
            _add_losses(losses, monitor)
            yield number + 1
    if losses:
        _add_losses(losses, monitor)
        yield number + 1


def _add_losses(losses: list[tuple[Tensor, int]], monitor: Monitor) -> None:
    """Count the losses of steps, with their numbers of tiles, and forget them."""
    values = torch.stack([value for value, _ in losses]).tolist()
    for value, (_, tiles) in zip(values, losses, strict=True):
        if not math.isfinite(value):
            raise InputError(
                f"training diverged: the loss became {value} after {monitor.tiles} tiles of this epoch; "
                "lower train.lr, set train.grad_clip, or start with a gentler loss by loss.schedule"
            )
        monitor.add_loss(value, tiles)
    losses.clear()


def validate(predictions: Iterable[Predicted], monitor: Monitor) -> Monitor:
    """Measure predictions on tiles that are not trained on."""
    for _, batch, logits in predictions:
        with torch.no_grad():
            monitor.add_loss(monitor.loss(logits, batch.target, batch.valid).item(), len(batch.target))
        monitor.add_pixels(logits, batch)
    return monitor
