"""Scores of a segmentation, all from counts that were pooled over a split.

A confusion table is int64 (K+1, K+1) over valid pixels: rows actual, columns predicted, background first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ANY_CLASS = "any"  # name of the precision-recall curve of all classes against background

INTERVAL = (2.5, 97.5)  # percentiles that enclose 95 %

# A power of two, so that every threshold is exact in binary and none needs more than six decimals.
THRESHOLDS = 64


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
    per_class = _ratios(*_class_counts(confusion))
    binary = _ratios(*_class_counts(_binary(confusion)))
    absent = confusion[1:].sum(axis=1) == 0
    document: dict[str, Any] = {f"binary_{name}": _or_none(value[0]) for name, value in binary.items()}
    for name, values in per_class.items():
        known = np.where(absent, np.nan, values)
        document[name] = {label: _or_none(value) for label, value in zip(class_names, known, strict=True)}
    for name in ("dice", "iou"):
        document[f"macro_{name}"] = _or_none(_macro(confusion, per_class[name]))
    document["pixel_accuracy"] = _or_none(_divide(np.trace(confusion), confusion.sum()))
    return document


def bootstrap_intervals(per_scene: Counts, samples: int, seed: int) -> dict[str, float | None]:
    """95 % intervals of the binary and the macro Dice, by drawing scenes with replacement.

    Pixels and tiles of one scene are alike, so only scenes count as independent. Each resample pools the
    tables of as many scenes as there are, and the interval runs from the 2.5th to the 97.5th percentile of
    the resamples' scores. A class that a resample lacks is left out of that resample's macro mean.

    Args:
        per_scene: int64 (S, K+1, K+1), a confusion table per scene.
        samples: number of resamples.
        seed: of the draws.

    Returns:
        `binary_dice_low`, `binary_dice_high`, `macro_dice_low` and `macro_dice_high`; None for fewer than two
        scenes, and where no resample has the score.

    References:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile intervals).
    """
    names = ("binary_dice", "macro_dice")
    if len(per_scene) < 2:
        return {f"{name}_{end}": None for name in names for end in ("low", "high")}
    pooled = _resample(per_scene, samples, seed)
    binary = _ratios(*_class_counts(_binary(pooled)))["dice"][:, 0]
    macro = _macro(pooled, _ratios(*_class_counts(pooled))["dice"])
    return _intervals(names, (binary, macro))


def object_intervals(per_scene: Counts, samples: int, seed: int) -> dict[str, float | None]:
    """95 % intervals of the F1 of objects and of its mean over classes, as in `bootstrap_intervals`.

    Args:
        per_scene: int64 (S, K+1, 3), matched, predicted and annotated objects; first of any class, then of each.
        samples: number of resamples.
        seed: of the draws.

    Returns:
        `object_f1_low`, `object_f1_high`, `macro_object_f1_low` and `macro_object_f1_high`.
    """
    names = ("object_f1", "macro_object_f1")
    if len(per_scene) < 2:
        return {f"{name}_{end}": None for name in names for end in ("low", "high")}
    tp, n_pred, n_target = np.moveaxis(_resample(per_scene, samples, seed), -1, 0)  # (samples, K+1) each
    f1, present = _divide(2 * tp, n_pred + n_target), n_target[:, 1:] > 0
    macro = _divide(np.where(present, f1[:, 1:], 0).sum(axis=1), present.sum(axis=1))
    return _intervals(names, (f1[:, 0], macro))


def _resample(per_scene: Counts, samples: int, seed: int) -> Counts:
    """Sums over scenes drawn with replacement, as many as there are: (S, ...) -> (samples, ...)."""
    n_scenes = len(per_scene)
    draws = np.random.default_rng(seed).multinomial(n_scenes, np.full(n_scenes, 1 / n_scenes), size=samples)
    sums: Counts = (draws @ per_scene.reshape(n_scenes, -1)).reshape(samples, *per_scene.shape[1:])
    return sums


def _intervals(names: Sequence[str], scores: Sequence[Floats]) -> dict[str, float | None]:
    """`<name>_low` and `<name>_high` of each score, (samples,), leaving out resamples without it."""
    intervals: dict[str, float | None] = {}
    for name, values in zip(names, scores, strict=True):
        known = values[~np.isnan(values)]
        low, high = np.percentile(known, INTERVAL) if known.size else (np.nan, np.nan)
        intervals |= {f"{name}_low": _or_none(low), f"{name}_high": _or_none(high)}
    return intervals


def object_scores(tp: int, n_pred: int, n_target: int) -> dict[str, float | None]:
    """Precision, recall and F1 of objects, from the sums of what `seepseg.objects.match_objects` counts.

    Args:
        tp: matched pairs.
        n_pred: predicted objects.
        n_target: annotated objects.

    Returns:
        `object_precision` = tp / n_pred, `object_recall` = tp / n_target and `object_f1` =
        2 tp / (n_pred + n_target); None where 0 is divided by 0.
    """
    ratios = {"precision": (tp, n_pred), "recall": (tp, n_target), "f1": (2 * tp, n_pred + n_target)}
    return {f"object_{name}": _or_none(_divide(np.int64(a), np.int64(b))) for name, (a, b) in ratios.items()}


def name_tables(pixels: Counts, pred: npt.NDArray[np.integer[Any]]) -> tuple[Counts, Counts]:
    """Count what slicks with given outlines are called; tables of several scenes add up.

    Args:
        pixels: int64 (n, K), annotated pixels of each class in each slick.
        pred: integers (n,), 0..K-1, what each slick is called.

    Returns:
        int64 (K, K) each, rows actual, columns predicted: pixels, and slicks, each as what most of it is.
    """
    num_classes = pixels.shape[1]
    by_pixel, by_slick = np.zeros((2, num_classes, num_classes), dtype=np.int64)
    np.add.at(by_pixel.T, pred, pixels)
    np.add.at(by_slick, (pixels.argmax(axis=1), pred), 1)
    return by_pixel, by_slick


def named_slick_scores(by_pixel: Counts, by_slick: Counts, class_names: Sequence[str]) -> dict[str, Any]:
    """How good names are on slicks whose outlines are given.

    Args:
        by_pixel: int64 (K, K), see `name_tables`.
        by_slick: likewise.
        class_names: the K classes.

    Returns:
        `dice` by class and `macro_dice`, of pixels, as in `scores`; `slick_f1` by class and `macro_slick_f1`, which
        count slicks instead. None for a class that no slick has.
    """
    of_pixels, of_slicks = (scores(np.pad(table, ((1, 0), (1, 0))), class_names) for table in (by_pixel, by_slick))
    return {
        "dice": of_pixels["dice"],
        "macro_dice": of_pixels["macro_dice"],
        "slick_f1": of_slicks["dice"],
        "macro_slick_f1": of_slicks["macro_dice"],
    }


def baseline_scores(confusion: Counts, class_names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """What two predictors that know nothing of the classes would score on the same target.

    Args:
        confusion: int64 (K+1, K+1); only the sums of its rows are used.
        class_names: the K classes, without background.

    Returns:
        `pixel_accuracy`, `binary_dice` and `macro_dice` under `all_background`, which finds nothing, and
        under `perfect_outline_<first class>`, which finds every pixel and calls each the first class.
    """
    counts = confusion.sum(axis=1)
    nothing, first = np.zeros_like(confusion), np.zeros_like(confusion)
    nothing[:, 0] = counts
    first[0, 0] = counts[0]
    first[1:, 1] = counts[1:]
    shown = ("pixel_accuracy", "binary_dice", "macro_dice")
    baselines = {"all_background": nothing, f"perfect_outline_{class_names[0]}": first}
    measured = {name: scores(table, class_names) for name, table in baselines.items()}
    return {name: {key: document[key] for key in shown} for name, document in measured.items()}


class PrHistogram:
    """Precision-recall curves of each class, from counts of pixels by probability.

    A pixel counts in bin floor(64 p); precision and recall at the threshold t = b/64, where a pixel is
    predicted if p >= t, are therefore exact, and memory doesn't grow with the number of pixels.

    One more curve, `any`, is of all classes against background, by the sum of the classes' probabilities:
    that is 1 - p(background) for a softmax head; for a sigmoid head it is an upper bound, and cut off at 1.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.names = (*class_names, ANY_CLASS)
        self.counts: Counts = np.zeros((len(self.names), 2, THRESHOLDS), dtype=np.int64)

    def update(
        self,
        probs: npt.NDArray[np.floating[Any]],
        target: npt.NDArray[np.integer[Any]],
        valid: npt.NDArray[np.bool_],
    ) -> None:
        """Count the pixels of a batch.

        Args:
            probs: (N, K, H, W), probability of each class, without background.
            target: integers (N, H, W), 0 is background, 1..K are the classes.
            valid: bool (N, H, W); False where a pixel doesn't count.
        """
        sizes = np.bincount(target[valid], minlength=len(self.names))
        self._count(len(self.names) - 1, probs.sum(axis=1), target > 0, valid, int(sizes[1:].sum()))
        for number in range(probs.shape[1]):
            self._count(number, probs[:, number], target == number + 1, valid, int(sizes[number + 1]))

    def curve(self) -> pd.DataFrame:
        """Precision and recall at each threshold.

        Returns:
            Columns `class`, `threshold` (0, 1/64, .. 63/64), `precision`, `recall`; at most 64 rows per
            class, as thresholds that no pixel reaches are left out (precision would be 0 / 0). A class
            without a pixel in the target has no rows (recall would be 0 / 0).
        """
        tables = []
        for name, counts in zip(self.names, self.counts, strict=True):
            # Predicted at threshold b is whatever lies in bin b or above.
            fp, tp = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
            table = pd.DataFrame(
                {
                    "class": name,
                    "threshold": np.arange(THRESHOLDS) / THRESHOLDS,
                    "precision": _divide(tp, tp + fp),
                    "recall": _divide(tp, tp[0]),
                }
            )
            tables.append(table.dropna())
        return pd.concat(tables, ignore_index=True)

    def _count(
        self,
        row: int,
        probs: npt.NDArray[np.floating[Any]],
        positive: npt.NDArray[np.bool_],
        valid: npt.NDArray[np.bool_],
        n_positive: int,
    ) -> None:
        # Nearly all pixels lie in the first bin: what the others leave of the total is many times faster to know.
        beyond_first = (probs * THRESHOLDS >= 1) & valid
        bins = np.minimum((probs[beyond_first] * THRESHOLDS).astype(np.int64), THRESHOLDS - 1)
        cells = np.bincount(positive[beyond_first] * THRESHOLDS + bins, minlength=2 * THRESHOLDS)
        counts = cells.reshape(2, THRESHOLDS)
        counts[:, 0] += (int(valid.sum()) - n_positive, n_positive) - counts.sum(axis=1)
        self.counts[row] += counts


def _binary(confusion: Counts) -> Counts:
    """(..., 2, 2): all classes merged into one."""
    columns = np.stack([confusion[..., 0], confusion[..., 1:].sum(axis=-1)], axis=-1)
    return np.stack([columns[..., 0, :], columns[..., 1:, :].sum(axis=-2)], axis=-2)


def _class_counts(confusion: Counts) -> tuple[Counts, Counts, Counts]:
    """(..., K) each: tp, fp and fn of every class but background."""
    tp = np.diagonal(confusion, axis1=-2, axis2=-1)
    fp, fn = confusion.sum(axis=-2) - tp, confusion.sum(axis=-1) - tp
    return tp[..., 1:], fp[..., 1:], fn[..., 1:]


def _ratios(tp: Counts, fp: Counts, fn: Counts) -> dict[str, Floats]:
    return {
        "dice": _divide(2 * tp, 2 * tp + fp + fn),
        "iou": _divide(tp, tp + fp + fn),
        "precision": _divide(tp, tp + fp),
        "recall": _divide(tp, tp + fn),
    }


def _macro(confusion: Counts, values: Floats) -> Floats:
    """Mean over the classes that the target holds, (..., K) -> (...)."""
    present = confusion[..., 1:, :].sum(axis=-1) > 0
    return _divide(np.where(present, values, 0).sum(axis=-1), present.sum(axis=-1))


def _divide(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Floats:
    """Quotient, NaN where the denominator is 0."""
    over, under = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    quotient: Floats = np.full(np.broadcast(over, under).shape, np.nan)
    return np.divide(over, under, out=quotient, where=under != 0)


def _or_none(value: float | Floats) -> float | None:
    return None if np.isnan(value) else float(value)
