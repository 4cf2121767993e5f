"""Scores of a segmentation, all from counts that were pooled over a split.

A confusion table is int64 (K+1, K+1) over valid pixels: rows actual, columns predicted, background first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def confusion_counts(
    target: npt.NDArray[np.integer[Any]],
    pred: npt.NDArray[np.integer[Any]],
    valid: npt.NDArray[np.bool_],
    num_classes: int,
) -> Counts:
    """Count how often each class was predicted as each class; tables of several batches add up.

    Args:
        target: integers 0 .. num_classes-1, any shape.
        pred: likewise, same shape.
        valid: bool, same shape; False where a pixel doesn't count.
        num_classes: K + 1, with background.

    Returns:
        int64 (K+1, K+1), rows actual, columns predicted.

    Raises:
        ValueError: shapes differ, or a valid pixel is of no class.
    """
    if not target.shape == pred.shape == valid.shape:
        raise ValueError(f"expected one shape, found {target.shape}, {pred.shape} and {valid.shape}")
    actual, predicted = target[valid].astype(np.int64), pred[valid].astype(np.int64)
    for name, values in (("target", actual), ("pred", predicted)):
        # Unchecked, a number too large would count in the next row.
        if values.size and not 0 <= values.min() <= values.max() < num_classes:
            raise ValueError(f"{name}: expected classes 0..{num_classes - 1}, found {values.min()}..{values.max()}")
    cells = np.bincount(actual * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64)


def scores(confusion: Counts, class_names: Sequence[str]) -> dict[str, Any]:
    """Dice, IoU, precision and recall of foreground against background, and of each class.

    With tp, fp, fn of a class: Dice = 2 tp / (2 tp + fp + fn), IoU = tp / (tp + fp + fn), precision = tp /
    (tp + fp), recall = tp / (tp + fn).

    A class without a pixel in the target is absent: all its scores are None, and the macro means leave it
    out. Any value would mislead, as 0 punishes a model for what it couldn't find and 1 rewards it for
    nothing. False alarms of an absent class aren't lost: they stand in its column of the table, and lower the
    binary scores where they hit background and the recall, Dice and IoU of other classes where they hit
    those.

    Args:
        confusion: int64 (K+1, K+1), rows actual, columns predicted.
        class_names: the K classes, without background.

    Returns:
        `binary_dice`, `binary_iou`, `binary_precision` and `binary_recall`, all classes merged;
        `dice`, `iou`, `precision` and `recall`, each a dict by class; `macro_dice` and `macro_iou`, the means
        over the classes present, without background; `pixel_accuracy`, background included. None where 0 is
        divided by 0, such as the precision of a class that was never predicted.
    """
    per_class = ratios(*class_counts(confusion))
    binary = ratios(*class_counts(binary_table(confusion)))
    absent = confusion[1:].sum(axis=1) == 0
    document: dict[str, Any] = {f"binary_{name}": or_none(value[0]) for name, value in binary.items()}
    for name, values in per_class.items():
        known = np.where(absent, np.nan, values)
        document[name] = {label: or_none(value) for label, value in zip(class_names, known, strict=True)}
    for name in ("dice", "iou"):
        document[f"macro_{name}"] = or_none(macro_mean(confusion, per_class[name]))
    document["pixel_accuracy"] = or_none(divide(np.trace(confusion), confusion.sum()))
    return document


def binary_table(confusion: Counts) -> Counts:
    """(..., 2, 2): all classes merged into one."""
    columns = np.stack([confusion[..., 0], confusion[..., 1:].sum(axis=-1)], axis=-1)
    return np.stack([columns[..., 0, :], columns[..., 1:, :].sum(axis=-2)], axis=-2)


def class_counts(confusion: Counts) -> tuple[Counts, Counts, Counts]:
    """(..., K) each: tp, fp and fn of every class but background."""
    tp = np.diagonal(confusion, axis1=-2, axis2=-1)
    fp, fn = confusion.sum(axis=-2) - tp, confusion.sum(axis=-1) - tp
    return tp[..., 1:], fp[..., 1:], fn[..., 1:]


def ratios(tp: Counts, fp: Counts, fn: Counts) -> dict[str, Floats]:
    """Dice, IoU, precision and recall from counts of one shape; NaN where 0 is divided by 0."""
    return {
        "dice": divide(2 * tp, 2 * tp + fp + fn),
        "iou": divide(tp, tp + fp + fn),
        "precision": divide(tp, tp + fp),
        "recall": divide(tp, tp + fn),
    }


def macro_mean(confusion: Counts, values: Floats) -> Floats:
    """Mean over the classes that the target holds, (..., K) -> (...)."""
    present = confusion[..., 1:, :].sum(axis=-1) > 0
    return divide(np.where(present, values, 0).sum(axis=-1), present.sum(axis=-1))


def divide(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Floats:
    """Quotient, NaN where the denominator is 0."""
    over, under = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    quotient: Floats = np.full(np.broadcast(over, under).shape, np.nan)
    return np.divide(over, under, out=quotient, where=under != 0)


def or_none(value: float | Floats) -> float | None:
    """None for NaN, as in JSON."""
    return None if np.isnan(value) else float(value)
