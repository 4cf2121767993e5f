"""One epoch of training, and the measures of validation."""

import math
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from seepseg.dataset import Batch, TileLoader
from seepseg.deep_supervision import Level, loss_of_levels
from seepseg.errors import InputError
from seepseg.files import write_csv
from seepseg.heads import Head, class_probs, decide
from seepseg.inference import Predicted
from seepseg.inputs import InputMaker
from seepseg.losses import Loss
from seepseg.metrics import scores
from seepseg.parallel import World
from seepseg.sampling import Samples, crop
from seepseg.transforms import AugmentParams, Draws, augment, augment_intensity

# In training, pixels are counted in one batch of so many: random tiles all the same, and counting them costs as much
# as a tenth of the step.
PIXELS_EVERY = 4


@dataclass
class Monitor:
    """Running means of the loss and of binary cross-entropy, and counts of right and wrong pixels.

    Attributes:
        loss: what is minimised.
        head: what the channels of the logits mean.
        class_names: names of the K classes.
        tiles: seen so far.
        loss_sum: of the tiles' losses, where a tile's loss is that of its batch.
        bce_sum: of `binary_cross_entropy` over the valid pixels.
        confusion: int64 (K + 1, K + 1), rows actual, columns predicted, over the valid pixels.
    """

    loss: Loss
    head: Head
    class_names: list[str]
    tiles: int = 0
    loss_sum: float = 0.0
    bce_sum: float = 0.0
    confusion: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        num_classes = len(self.class_names) + 1
        self.confusion = np.zeros((num_classes, num_classes), dtype=np.int64)

    def add_loss(self, loss: float, tiles: int) -> None:
        """Count the loss of one batch."""
        self.tiles += tiles
        self.loss_sum += tiles * loss

    def add_pixels(self, logits: Tensor, batch: Batch) -> None:
        """Count the pixels of one batch."""
        with torch.no_grad():
            self.bce_sum += (binary_cross_entropy(logits, batch.target, self.head) * batch.valid).sum().item()
            self.confusion += self._confusion(decide(logits, self.head, batch.valid), batch)

    def pool(self, world: World) -> "Monitor":
        """Add up what all processes have counted, in each of them; to be called once, at the end."""
        sums = world.sum(np.array([self.tiles, self.loss_sum, self.bce_sum]))
        self.tiles, self.loss_sum, self.bce_sum = int(sums[0]), float(sums[1]), float(sums[2])
        self.confusion = world.sum(self.confusion)
        return self

    def _confusion(self, pred: Tensor, batch: Batch) -> npt.NDArray[np.int64]:
        """The table of one batch, counted on its device; `seepseg.metrics.confusion_counts` is its checked kin."""
        num_classes = len(self.confusion)
        cells = torch.where(batch.valid, pred + num_classes * batch.target, num_classes**2)
        counts = torch.bincount(cells.flatten(), minlength=num_classes**2 + 1)[: num_classes**2]
        table: npt.NDArray[np.int64] = counts.cpu().numpy().reshape(num_classes, num_classes)
        return table

    def __iadd__(self, other: "Monitor") -> Self:
        """Count what another monitor has counted, too."""
        self.tiles += other.tiles
        self.loss_sum += other.loss_sum
        self.bce_sum += other.bce_sum
        self.confusion = self.confusion + other.confusion
        return self

    @property
    def mean_loss(self) -> float:
        """Mean loss per tile so far."""
        return self.loss_sum / self.tiles

    def row(self, prefix: str) -> dict[str, float | None]:
        """The measures as columns of the history: `<prefix>_loss`, `_bce`, `_dice` (binary), `_macro_dice`."""
        measured = scores(self.confusion, self.class_names)
        return {
            f"{prefix}_loss": self.mean_loss,
            f"{prefix}_bce": self.bce_sum / max(int(self.confusion.sum()), 1),
            f"{prefix}_dice": measured["binary_dice"],
            f"{prefix}_macro_dice": measured["macro_dice"],
        }

    def class_dice(self) -> dict[str, float | None]:
        """Dice per class; `None` where a class is absent."""
        dice: dict[str, float | None] = scores(self.confusion, self.class_names)["dice"]
        return dice


def binary_cross_entropy(logits: Tensor, target: Tensor, head: Head) -> Tensor:
    """Binary cross-entropy of each pixel, mean over the classes: a measure that runs share whatever their loss is.

    -(1/K) sum_k (g_k log p_k + (1 - g_k) log(1 - p_k)), with probabilities kept 1e-7 away from 0 and 1. A softmax
    head is read one class against the rest.

    Args:
        logits: float32 (N, C, H, W).
        target: integer (N, H, W), 0..K.
        head: what the channels mean.

    Returns:
        float32 (N, H, W).
    """
    probs = class_probs(logits, head)
    index = (target.long() - 1).clamp_(min=0)[:, None]
    is_slick = target[:, None] > 0
    # What was given to the truth of each yes or no; one logarithm of their product replaces K of them.
    given = (1 - probs).clamp_(min=1e-7)
    of_target = torch.where(is_slick, probs.gather(1, index).clamp_(min=1e-7), given.gather(1, index))
    return given.scatter_(1, index, of_target).prod(1).log_() / -given.shape[1]


@dataclass(frozen=True)
class Optimization:
    """All that changes weights, stepped together once per batch.

    Attributes:
        network: in training.
        model: what runs it in training: itself, `seepseg.deep_supervision.DeeplySupervised` around it, and of several
            processes what `seepseg.parallel.distribute` made of that.
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
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            outputs: Tensor | list[Level] = self.model(batch.images)
        if isinstance(outputs, Tensor):
            logits = outputs
            value = loss(logits.float(), batch.target, batch.valid)
        else:
            logits = outputs[0].logits
            value = loss_of_levels(loss, outputs, batch.target, batch.valid)
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


def prepare_batches(
    loader: TileLoader,
    order: list[Samples],
    make_input: InputMaker,
    side: int,
    params: AugmentParams,
    generator: torch.Generator,
    world: World,
) -> Iterator[Batch]:
    """This process's share of each batch of training tiles or crops, augmented and normalised.

    Args:
        loader: of the training tiles.
        order: the samples of each whole batch.
        make_input: of whole tiles.
        side: of the crops in pixels, 0 for whole tiles.
        params: section `augment`.
        generator: of the random numbers, in the same state in every process.
        world: whose share.
    """
    shares = loader.batches(world.share(samples.indices) for samples in order)
    for samples, (recorded, targets, seen) in zip(order, shares, strict=True):
        target, valid = targets, seen
        draws = Draws(generator, len(samples.indices), world.rank, world.size)
        images = make_input(augment_intensity(recorded, valid, params, draws), valid, world.share(samples.indices))
        if side:
            images, target, valid = crop(
                images, target, valid, world.share(samples.classes), side, draws.uniform(3).cpu()
            )
        yield Batch(*augment(images, target, valid, params, draws))


def train_epoch(optimization: Optimization, batches: Iterable[Batch], monitor: Monitor) -> Iterator[Monitor]:
    """Train on every batch once.

    Args:
        optimization: model, optimiser and the rest.
        batches: augmented, normalised tiles.
        monitor: fresh; its loss is the one that is minimised.

    Yields:
        The monitor after each batch, for a progress bar.

    Raises:
        InputError: the loss is no longer a number.
    """
    optimization.model.train()
    for number, batch in enumerate(batches):
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


def is_better(value: float | None, best: float | None) -> bool:
    """Whether a validation score beats the best so far; anything beats none, and a tie keeps the earlier one."""
    return best is None or (value is not None and value > best)


class History:
    """What was measured after each epoch, over all networks together, as two tables.

    The first has a row per epoch: epoch, loss_name, lr, then loss, bce, dice and macro_dice of train and val, and
    val_dice_<class> of each class. Those of train are of the tiles as augmented and of the networks on their way; its
    bce and dice of one batch in four. The second has the same Dice with a row per epoch and class: epoch, class,
    val_dice; for plots, which don't know the classes' names.
    """

    def __init__(self) -> None:
        self._rows: dict[int, dict[str, Any]] = {}
        self._counted: dict[int, tuple[Monitor, Monitor]] = {}

    def add(self, epoch: int, loss_name: str, lr: float, train: Monitor, val: Monitor) -> dict[str, Any]:
        """Note one epoch of one network; return the row of that network alone."""
        row = {"epoch": epoch, "loss_name": loss_name, "lr": lr}
        alone = row | _measures(train, val)
        if epoch in self._counted:
            of_train, of_val = self._counted[epoch]
            of_train += train
            of_val += val
        else:
            self._counted[epoch] = copy(train), copy(val)
        self._rows[epoch] = row
        return alone

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The rows of the first table."""
        return [row | _measures(*self._counted[epoch]) for epoch, row in self._rows.items()]

    @property
    def classes(self) -> list[dict[str, Any]]:
        """The rows of the second table."""
        return [
            {"epoch": epoch, "class": name, "val_dice": dice}
            for epoch, (_, val) in self._counted.items()
            for name, dice in val.class_dice().items()
        ]

    def write(self, epochs: Path, classes: Path) -> None:
        """Write both tables as CSV."""
        write_csv(epochs, pd.DataFrame(self.epochs))
        write_csv(classes, pd.DataFrame(self.classes).astype({"val_dice": float}))


def _measures(train: Monitor, val: Monitor) -> dict[str, float | None]:
    per_class = {f"val_dice_{name}": dice for name, dice in val.class_dice().items()}
    return {**train.row("train"), **val.row("val"), **per_class}
