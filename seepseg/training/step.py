"""Training step by step."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from seepseg.base.device import autocast
from seepseg.base.distributed import ProcessGroup
from seepseg.base.errors import InputError
from seepseg.data.channels import InputMaker
from seepseg.data.loading import Batch, TileLoader
from seepseg.losses import Loss
from seepseg.training.augmentation import AugmentParams, BatchRandom, augment, augment_intensity
from seepseg.training.monitoring import Monitor
from seepseg.training.sampling import Samples, crop
from seepseg.training.validation import Predicted

# In training, pixels are counted in one batch of so many: random tiles all the same, and counting them costs as much
# as a tenth of the step.
PIXELS_EVERY = 4


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
    average: AveragedModel
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
        with autocast(self.device, self.dtype):
            logits: Tensor = self.model(batch.images)
        value = loss(logits.float(), batch.target, batch.valid)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        if self.grad_clip:
            clip_grad_norm_(self.model.parameters(), self.grad_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        self.average.update_parameters(self.network)
        return logits.detach().float(), value.detach()

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


def prepare_batches(
    loader: TileLoader,
    order: list[Samples],
    make_input: InputMaker,
    side: int,
    params: AugmentParams,
    generator: torch.Generator,
    group: ProcessGroup,
) -> Iterator[Batch]:
    """This process's share of each batch of training tiles or crops, augmented and normalised.

    Args:
        loader: of the training tiles.
        order: the samples of each whole batch.
        make_input: of whole tiles.
        side: of the crops in pixels, 0 for whole tiles.
        params: section `augment`.
        generator: of the random numbers, in the same state in every process.
        group: whose share.
    """
    shares = loader.batches(group.share(samples.indices) for samples in order)
    for samples, (recorded, target, valid) in zip(order, shares, strict=True):
        random = BatchRandom(generator, len(samples.indices), group.rank, group.size)
        images = make_input(augment_intensity(recorded, valid, params, random), valid)
        tiles = images, target, valid
        if side:
            tiles = crop(*tiles, group.share(samples.classes), side, random.uniform(3))
        yield Batch(*augment(*tiles, params, random))


def train_epoch(
    optimization: Optimization, batches: Iterable[Batch], monitor: Monitor, first: int = 0
) -> Iterator[Monitor]:
    """Train on every batch once.

    Args:
        optimization: model, optimiser and the rest.
        batches: augmented, normalised tiles.
        monitor: of this epoch so far; its loss is the one that is minimised.
        first: number of the first batch, where some of the epoch are done already.

    Yields:
        The monitor after each batch, for a progress bar.

    Raises:
        InputError: the loss is no longer a number.
    """
    optimization.model.train()
    for number, batch in enumerate(batches, start=first):
        logits, value = optimization.step(batch, monitor.loss)
        loss = value.item()
        if not math.isfinite(loss):
            raise InputError(
                f"training diverged: the loss became {loss} after {monitor.tiles} tiles of this epoch; "
                "lower train.lr, set train.grad_clip, or start with a gentler loss by loss.schedule"
            )
        monitor.add_loss(loss, len(batch.target))
        if number % PIXELS_EVERY == 0:
            monitor.add_pixels(logits, batch)
        yield monitor


def validate(predictions: Iterable[Predicted], monitor: Monitor) -> Monitor:
    """Measure predictions on tiles that are not trained on."""
    for _, batch, logits in predictions:
        with torch.no_grad():
            monitor.add_loss(monitor.loss(logits, batch.target, batch.valid).item(), len(batch.target))
        monitor.add_pixels(logits, batch)
    return monitor
