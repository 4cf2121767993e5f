"""What is measured of a training: losses and scores by epoch."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from seepseg.base.distributed import ProcessGroup
from seepseg.base.files import write_csv
from seepseg.data.loading import Batch
from seepseg.evaluation.confusion import scores
from seepseg.losses import Loss
from seepseg.models.heads import Head, class_probs, predicted_classes

KEY_COLUMNS = ("epoch", "loss_name", "lr")


@dataclass
class Monitor:
    """Running means of the loss and of binary cross-entropy, and counts of right and wrong pixels.

    Attributes:
        loss: what is minimised.
        head: what the channels of the logits mean.
        class_names: names of the K classes.
        tiles: seen so far.
        loss_sum: of the tiles' losses, where a tile's loss is that of its batch.
    """

    loss: Loss
    head: Head
    class_names: list[str]
    tiles: int = 0
    loss_sum: float = 0.0
    _bce_sum: float = field(init=False, default=0.0)
    _confusion: npt.NDArray[np.int64] = field(init=False)
    # Sums and tables that are still on the device, which would stand still if each were asked for.
    _uncounted: tuple[tuple[Tensor, Tensor], ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        num_classes = len(self.class_names) + 1
        self._confusion = np.zeros((num_classes, num_classes), dtype=np.int64)

    def add_loss(self, loss: float, tiles: int) -> None:
        """Count the loss of one batch."""
        self.tiles += tiles
        self.loss_sum += tiles * loss

    def add_pixels(self, logits: Tensor, batch: Batch) -> None:
        """Count the pixels of one batch."""
        with torch.no_grad():
            bce = (binary_cross_entropy(logits, batch.target, self.head) * batch.valid).sum()
            pred = predicted_classes(logits, self.head, batch.valid)
            table = count_pairs(batch.target, pred, batch.valid, len(self.class_names) + 1)
            self._uncounted += ((bce, table),)  # no list, which a copy would share

    @property
    def bce_sum(self) -> float:
        """Sum of `binary_cross_entropy` over the valid pixels."""
        self._count()
        return self._bce_sum

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Pixels, int64 (K + 1, K + 1), rows actual, columns predicted, over the valid ones."""
        self._count()
        return self._confusion

    def _count(self) -> None:
        for bce, table in self._uncounted:
            self._bce_sum += bce.item()
            self._confusion = self._confusion + table.cpu().numpy()
        self._uncounted = ()

    @property
    def counts(self) -> npt.NDArray[np.float64]:
        """All that was counted, float64 (3 + (K + 1)^2,): tiles, loss_sum, bce_sum, confusion; exact up to 2^53."""
        return np.array([self.tiles, self.loss_sum, self.bce_sum, *self.confusion.flat], dtype=np.float64)

    @counts.setter
    def counts(self, counts: npt.NDArray[np.float64]) -> None:
        self._uncounted = ()
        self.tiles, self.loss_sum, self._bce_sum = int(counts[0]), float(counts[1]), float(counts[2])
        self._confusion = counts[3:].astype(np.int64).reshape(self._confusion.shape)

    def pool(self, group: ProcessGroup) -> "Monitor":
        """Add up what all processes have counted, in each of them; to be called once, at the end."""
        self.counts = group.sum(self.counts)
        return self

    def __iadd__(self, other: "Monitor") -> Self:
        """Count what another monitor has counted, too."""
        self.counts = self.counts + other.counts
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


def count_pairs(target: Tensor, pred: Tensor, valid: Tensor, num_classes: int) -> Tensor:
    """Count how often each class was predicted as each class, without waiting for the device.

    `seepseg.evaluation.confusion.confusion_counts` counts arrays, and checks them.

    Args:
        target: integer (N, H, W), 0..K.
        pred: likewise.
        valid: bool (N, H, W); elsewhere nothing counts.
        num_classes: K + 1.

    Returns:
        int64 (K + 1, K + 1), rows actual, columns predicted, on the device.
    """
    count = _count_by_bins if target.device.type == "cpu" else _count_by_products
    return count(target, pred, valid, num_classes)


def _count_by_bins(target: Tensor, pred: Tensor, valid: Tensor, num_classes: int) -> Tensor:
    cells = torch.where(valid, pred + num_classes * target.long(), num_classes**2)  # uint8 would overflow
    counts = torch.bincount(cells.flatten(), minlength=num_classes**2 + 1)[: num_classes**2]
    return counts.view(num_classes, num_classes)


def _count_by_products(target: Tensor, pred: Tensor, valid: Tensor, num_classes: int) -> Tensor:
    """On a GPU, where bins make the host wait for the largest; exact in tiles of up to 2^24 pixels."""
    classes = torch.arange(num_classes, device=target.device)[:, None]
    actual = ((target.flatten(1)[:, None] == classes) & valid.flatten(1)[:, None]).float()  # (N, K + 1, H * W)
    predicted = (pred.flatten(1)[:, None] == classes).float()
    return (actual @ predicted.mT).long().sum(0)


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
        self._rows: dict[int, dict[str, Any]] = {}  # by epoch, with all measures
        self._counted: dict[int, tuple[Monitor, Monitor]] = {}

    def add(self, epoch: int, loss_name: str, lr: float, train: Monitor, val: Monitor) -> dict[str, Any]:
        """Note one epoch of one network; return the row of that network alone."""
        row = dict(zip(KEY_COLUMNS, (epoch, loss_name, lr), strict=True))
        alone = row | _measures(train, val)
        if epoch in self._counted:
            of_train, of_val = self._counted[epoch]
            of_train += train
            of_val += val
        else:
            self._counted[epoch] = copy(train), copy(val)
        self._rows[epoch] = row | _measures(*self._counted[epoch])
        return alone

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The rows of the first table."""
        return list(self._rows.values())

    @property
    def classes(self) -> list[dict[str, Any]]:
        """The rows of the second table."""
        return [
            {"epoch": epoch, "class": name, "val_dice": dice}
            for epoch, (_, val) in self._counted.items()
            for name, dice in val.class_dice().items()
        ]

    @property
    def state(self) -> list[dict[str, Any]]:
        """All that is needed to go on, as numbers, texts and tensors."""
        return [
            {
                **{key: row[key] for key in KEY_COLUMNS},
                "train": torch.from_numpy(self._counted[epoch][0].counts),
                "val": torch.from_numpy(self._counted[epoch][1].counts),
            }
            for epoch, row in self._rows.items()
        ]

    def restore(self, state: list[dict[str, Any]], monitor: Callable[[], Monitor]) -> None:
        """Be as the history was whose state this is.

        Args:
            state: see there.
            monitor: makes an empty one.
        """
        self._rows.clear()
        self._counted.clear()
        for saved in state:
            train, val = monitor(), monitor()
            train.counts, val.counts = saved["train"].numpy(), saved["val"].numpy()
            self.add(saved["epoch"], saved["loss_name"], saved["lr"], train, val)

    def write(self, epochs: Path, classes: Path) -> None:
        """Write both tables as CSV."""
        write_csv(epochs, pd.DataFrame(self.epochs))
        write_csv(classes, pd.DataFrame(self.classes).astype({"val_dice": float}))


def _measures(train: Monitor, val: Monitor) -> dict[str, float | None]:
    per_class = {f"val_dice_{name}": dice for name, dice in val.class_dice().items()}
    return {**train.row("train"), **val.row("val"), **per_class}
