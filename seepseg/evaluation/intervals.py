"""Confidence intervals of scores, by a bootstrap over scenes."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from seepseg.evaluation.confusion import Counts, Floats, binary_table, class_counts, divide, or_none, ratios
from seepseg.evaluation.surface import surface_dice

Table = TypeVar("Table", Counts, Floats)

INTERVAL = (2.5, 97.5)  # percentiles that enclose 95 %


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
    dice = dice_scores(_resample(per_scene, samples, seed))
    return _intervals(names, (dice[:, 0], mean_of_classes(dice)))


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
    f1 = object_f1_scores(_resample(per_scene, samples, seed))
    return _intervals(names, (f1[:, 0], mean_of_classes(f1)))


def surface_intervals(per_scene: Floats, samples: int, seed: int) -> Floats:
    """95 % intervals of the surface Dice, as in `bootstrap_intervals`.

    Args:
        per_scene: float64 (S, K+1, T, 2, 2), see `edge_counts`; NaN where edges weren't counted.
        samples: number of resamples.
        seed: of the draws.

    Returns:
        float64 (2, K+2, T), the lower and the upper ends for what `surface_dice` gives; NaN for fewer than two scenes,
        and where no resample has the score.
    """
    if len(per_scene) < 2:
        return np.full_like(surface_dice(per_scene.sum(axis=0)), np.nan)[np.newaxis].repeat(2, axis=0)
    ends: Floats = np.apply_along_axis(_ends, 0, surface_dice(_resample(per_scene, samples, seed)))
    return ends


def dice_scores(confusion: Counts) -> Floats:
    """Dice of slicks of any class, then of each.

    Args:
        confusion: int64 (..., K+1, K+1), rows actual, columns predicted, background first.

    Returns:
        float64 (..., K+1), NaN of a class without an annotated pixel.
    """
    of_classes = ratios(*class_counts(confusion))["dice"]
    of_classes[confusion[..., 1:, :].sum(axis=-1) == 0] = np.nan
    return np.concatenate([ratios(*class_counts(binary_table(confusion)))["dice"], of_classes], axis=-1)


def object_f1_scores(objects: Counts) -> Floats:
    """F1 of objects of any class, then of each: 2 matched / (predicted + annotated).

    Args:
        objects: int64 (..., K+1, 3), matched, predicted and annotated objects; first of any class, then of each.

    Returns:
        float64 (..., K+1), NaN of a class without an annotated object.
    """
    matched, predicted, annotated = np.moveaxis(objects, -1, 0)
    f1 = divide(2 * matched, predicted + annotated)
    f1[..., 1:][annotated[..., 1:] == 0] = np.nan
    return f1


def mean_of_classes(scores: Floats) -> Floats:
    """Mean over the classes that have a score, (..., K+1), any class first -> (...); NaN without one."""
    known = ~np.isnan(scores[..., 1:])
    return divide(np.where(known, scores[..., 1:], 0).sum(axis=-1), known.sum(axis=-1))


def draw_scenes(n_scenes: int, samples: int, seed: int) -> Counts:
    """How often each scene is drawn, of as many draws with replacement as there are scenes: int64 (samples, S)."""
    return np.random.default_rng(seed).multinomial(n_scenes, np.full(n_scenes, 1 / n_scenes), size=samples)


def _resample(per_scene: Table, samples: int, seed: int) -> Table:
    """Sums over scenes drawn with replacement: (S, ...) -> (samples, ...)."""
    draws = draw_scenes(len(per_scene), samples, seed)
    sums: Table = (draws @ per_scene.reshape(len(per_scene), -1)).reshape(samples, *per_scene.shape[1:])
    return sums


def _intervals(names: Sequence[str], scores: Sequence[Floats]) -> dict[str, float | None]:
    """`<name>_low` and `<name>_high` of each score, (samples,), leaving out resamples without it."""
    intervals: dict[str, float | None] = {}
    for name, values in zip(names, scores, strict=True):
        low, high = _ends(values)
        intervals |= {f"{name}_low": or_none(low), f"{name}_high": or_none(high)}
    return intervals


def _ends(values: Floats) -> Floats:
    """The lower and the upper end of the interval of a score, (2,), from that of resamples, (samples,)."""
    known = values[~np.isnan(values)]
    return np.percentile(known, INTERVAL) if known.size else np.full(2, np.nan)
