"""Whether one prediction of scenes is better than another: differences of scores, with intervals over scenes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from seepseg.evaluation.confusion import Counts, Floats
from seepseg.evaluation.intervals import INTERVAL, dice_scores, draw_scenes, mean_of_classes, object_f1_scores
from seepseg.evaluation.scene_counts import SceneCounts
from seepseg.evaluation.surface import surface_dice


@dataclass(frozen=True)
class Difference:
    """How much more one has of a score than another; all None where one of both doesn't have the score.

    Attributes:
        value: on all scenes.
        low: lower end of its interval.
        high: upper end.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, ours: Floats, theirs: Floats, percentiles: tuple[float, float] = INTERVAL) -> "Difference":
        """From a score of both, (1 + samples,) each: of all scenes, then of each draw of scenes; NaN for none.

        A draw for both at once: what makes a scene hard for both cancels. Draws in which one of both has no score are
        left out.

        References:
            Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile intervals).
        """
        whole, *drawn = ours - theirs
        return cls() if np.isnan(whole) else cls(*map(float, (whole, *np.nanpercentile(drawn, percentiles))))


def times_drawn(n_scenes: int, samples: int, seed: int) -> Counts:
    """How often each scene counts, int64 (1 + samples, S): once, then as often as each resample draws it."""
    return np.concatenate([np.ones((1, n_scenes), np.int64), draw_scenes(n_scenes, samples, seed)])


def class_scores(scenes: Sequence[SceneCounts], times: Counts) -> dict[str, Floats]:
    """Scores of slicks of any class, then of each, of S scenes that count several times.

    Args:
        scenes: counts of each.
        times: int64 (D, S), how often a scene counts.

    Returns:
        `dice`, `object_f1` and `surface_dice_1`, float64 (D, K+1) each; NaN of a class that isn't annotated, and where
        edges weren't counted.
    """
    confusion, objects, edges = (
        np.tensordot(times, np.stack([getattr(each, name) for each in scenes]), 1)
        for name in ("confusion", "objects", "edges")
    )
    return {
        "dice": dice_scores(confusion),
        "object_f1": object_f1_scores(objects),
        "surface_dice_1": surface_dice(edges)[:, :-1, 0],
    }


def headlines(of_classes: Mapping[str, Floats]) -> dict[str, Floats]:
    """The scores that tell most, (D,) each, of those of `class_scores`; NaN for none."""
    dice, object_f1 = of_classes["dice"], of_classes["object_f1"]
    return {
        "binary_dice": dice[:, 0],
        "macro_dice": mean_of_classes(dice),
        "object_f1": object_f1[:, 0],
        "macro_object_f1": mean_of_classes(object_f1),
        "surface_dice_1": of_classes["surface_dice_1"][:, 0],
    }


def expanded_percentiles(n_scenes: int) -> tuple[float, float]:
    """Percentiles whose interval encloses 95 % for few scenes, too, where those of 2.5 and 97.5 enclose less.

    Args:
        n_scenes: n, at least 2; the lower one is 100 Phi(-sqrt(n / (n-1)) t), t the 97.5 % quantile of n-1 degrees of
            freedom.

    References:
        Hesterberg 2015, "What teachers should know about the bootstrap", The American Statistician 69(4), arXiv
        1411.5279 (expanded percentile interval).
    """
    quantile = stats.t.ppf(INTERVAL[1] / 100, n_scenes - 1)
    low = 100 * float(stats.norm.cdf(-np.sqrt(n_scenes / (n_scenes - 1)) * quantile))
    return low, 100 - low
