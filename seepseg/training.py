"""One epoch of training, and the measures of validation."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from seepseg.dataset import Batch
from seepseg.errors import InputError
from seepseg.files import write_csv
from seepseg.heads import Head, decide
from seepseg.inference import Predicted
from seepseg.losses import Loss
from seepseg.metrics import confusion_counts, scores


@dataclass
class Monitor:
    """Running means of the loss and of binary cross-entropy, and counts of right and wrong pixels.

    Attributes:
        loss: what is minimised.
        bce: binary cross-entropy over the classes, comparable between runs whatever their loss is.
        head: what the channels of the logits mean.
        class_names: names of the K classes.
    """

    loss: Loss
    bce: Loss
    head: Head
    class_names: list[str]
    tiles: int = 0
    loss_sum: float = 0.0
    bce_sum: float = 0.0
    confusion: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        num_classes = len(self.class_names) + 1
        self.confusion = np.zeros((num_classes, num_classes), dtype=np.int64)

    def add(self, logits: Tensor, batch: Batch, loss: Tensor | None = None) -> None:
        """Count one batch; `loss` saves computing it again where it is known."""
        with torch.no_grad():
            tiles = len(batch.target)
            loss = self.loss(logits, batch.target, batch.valid) if loss is None else loss
            self.tiles += tiles
            self.loss_sum += tiles * loss.item()
            self.bce_sum += tiles * self.bce(logits, batch.target, batch.valid).item()
            classes = decide(logits, self.head, batch.valid)
            target, pred, valid = (each.cpu().numpy() for each in (batch.target, classes, batch.valid))
            self.confusion += confusion_counts(target, pred, valid, len(self.class_names) + 1)

    @property
    def mean_loss(self) -> float:
        """Mean loss per tile so far."""
        return self.loss_sum / self.tiles

    def row(self, prefix: str) -> dict[str, float | None]:
        """The measures as columns of the history: `<prefix>_loss`, `_bce`, `_dice` (binary), `_macro_dice`."""
        measured = scores(self.confusion, self.class_names)
        return {
            f"{prefix}_loss": self.mean_loss,
            f"{prefix}_bce": self.bce_sum / self.tiles,
            f"{prefix}_dice": measured["binary_dice"],
            f"{prefix}_macro_dice": measured["macro_dice"],
        }

    def class_dice(self) -> dict[str, float | None]:
        """Dice per class; `None` where a class is absent."""
        dice: dict[str, float | None] = scores(self.confusion, self.class_names)["dice"]
        return dice


@dataclass(frozen=True)
class Optimization:
    """All that changes weights, stepped together once per batch.

    Attributes:
        model: in training.
        optimizer: of its weights.
        schedule: of the optimiser's learning rate, per step.
        average: of the weights, over steps.
        grad_clip: largest norm of the gradient, 0 for any.
        dtype: reduced precision to compute in, `None` for float32.
        device: where to compute.
    """

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
            logits = self.model(batch.images)
        value = loss(logits.float(), batch.target, batch.valid)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        if self.grad_clip:
            clip_grad_norm_(self.model.parameters(), self.grad_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        self.average.update_parameters(self.model)
        return logits.detach().float(), value.detach()


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
    for batch in batches:
        logits, loss = optimization.step(batch, monitor.loss)
        if not math.isfinite(loss.item()):
            raise InputError(
                f"training diverged: the loss became {loss.item()} after {monitor.tiles} tiles of this epoch; "
                "lower train.lr, set train.grad_clip, or start with a gentler loss by loss.schedule"
            )
        monitor.add(logits, batch, loss)
        yield monitor


def validate(predictions: Iterable[Predicted], monitor: Monitor) -> Monitor:
    """Measure predictions on tiles that are not trained on."""
    for prediction in predictions:
        monitor.add(prediction.logits, prediction.batch)
    return monitor


def is_better(value: float | None, best: float | None) -> bool:
    """Whether a validation score beats the best so far; anything beats none, and a tie keeps the earlier one."""
    return best is None or (value is not None and value > best)


class History:
    """What was measured after each epoch, as two tables.

    Attributes:
        epochs: a row per epoch: epoch, loss_name, lr, then loss, bce, dice and macro_dice of train and val, and
            val_dice_<class> of each class.
        classes: the same Dice with a row per epoch and class: epoch, class, val_dice; for plots, which don't know the
            classes' names.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, Any]] = []
        self.classes: list[dict[str, Any]] = []

    def add(self, epoch: int, loss_name: str, lr: float, train: Monitor, val: Monitor) -> dict[str, Any]:
        """Note one epoch; return its row."""
        per_class = val.class_dice()
        row = {"epoch": epoch, "loss_name": loss_name, "lr": lr, **train.row("train"), **val.row("val")}
        row |= {f"val_dice_{name}": dice for name, dice in per_class.items()}
        self.epochs.append(row)
        self.classes += [{"epoch": epoch, "class": name, "val_dice": dice} for name, dice in per_class.items()]
        return row

    def write(self, epochs: Path, classes: Path) -> None:
        """Write both tables as CSV."""
        write_csv(epochs, pd.DataFrame(self.epochs))
        write_csv(classes, pd.DataFrame(self.classes).astype({"val_dice": float}))
