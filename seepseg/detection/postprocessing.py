"""From judged outlines to named slicks: which to keep, and one class for each.

An outline is kept where that is expected to raise the mean of F1 of objects and binary Dice. With p the probability
that it matches an annotated slick, q the share of its pixels expected to be annotated and A its area, that is where

    (2 p - f) + (2 q - d) A / a >= 0

where a is the mean area of annotated slicks. For f and d the F1 and Dice that are reached, each term is what keeping
it adds to one of the two scores; both are fitted, as p and q are not perfect. Its class is the one with the largest
p_c w_c, where p_c is the probability of the class by the namers, or in the networks' votes, and w_c = size_c^-t with
the class's number of annotated pixels, as a pixel of a rare class adds more to macro Dice; t is a parameter. All other
numbers of the rule are fitted on training scenes that the networks and the namers, each in turn, never saw.

References:
    Lipton et al. 2014, "Thresholding classifiers to maximize F1 score", arXiv 1402.1892: the best threshold is half of
    the F1 that it reaches.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from annotated_types import Ge, Gt, Le

from seepseg.base.params import param_block
from seepseg.data.packed import PIXELS
from seepseg.detection.candidates import VOTE
from seepseg.detection.classifier import SLICK, Judgement, Namer, judge_all
from seepseg.detection.tta import Looks
from seepseg.evaluation.objects import Labels, object_scores

Keep = Literal["judged", "peak"]
Naming = Literal["properties", "vote", "pixel"]
Share = Annotated[float, Ge(0), Le(1)]

CUTS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)  # of f and of d
PEAKS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97)
MIN_AREAS = (1, 10, 20, 30)  # not more: some rare classes have small slicks


@param_block
class DecisionRule:
    """What is kept, and how classes are decided.

    Attributes:
        looks: at each pixel, over which a network's answers are averaged; see `seepseg.detection.tta`.
        adapt_tiles: see there.
        threshold: probability of any class that all pixels of an outline reach.
        outline_area: pixels of the smallest outline that is looked at.
        min_area: of the smallest that stays.
        keep: judged keeps what the namers take for slicks, peak what has a pixel that a network is sure of.
        object_cut: f, for judged.
        pixel_cut: d, for judged.
        mean_area: a in pixels, for judged.
        peak: the least probability of the surest pixel, for peak.
        naming: properties asks the namers, vote the networks; pixel takes the networks' most probable class of each
            pixel.
        class_weights: w_c of the K classes.
    """

    looks: Looks
    adapt_tiles: Annotated[int, Ge(0)]
    threshold: Share
    outline_area: Annotated[int, Ge(1)]
    min_area: Annotated[int, Ge(1)]
    keep: Keep
    object_cut: Share
    pixel_cut: Share
    mean_area: Annotated[float, Gt(0)]
    peak: Share
    naming: Naming
    class_weights: list[float]

    @property
    def needs_namers(self) -> bool:
        """Whether the namers have a say."""
        return self.keep == "judged" or self.naming == "properties"


@dataclass(frozen=True)
class Outlined:
    """Outlined slicks, and what is thought of them.

    Attributes:
        table: a row per slick: `scene`, `slick`, `area`, `match`, `iou`, `pixels_<class>` as in
            `seepseg.detection.candidates.slick_table`; features are the mean over the networks that look.
        judgement: of each; None without namers.
    """

    table: pd.DataFrame
    judgement: Judgement | None

    @property
    def votes(self) -> npt.NDArray[np.float64]:
        """Share of each class in the networks' probabilities over each slick, float64 (n, K)."""
        shares: npt.NDArray[np.float64] = np.exp(self.table.filter(regex=f"^{VOTE}").to_numpy(np.float64))
        return shares


def judge_outlines(table: pd.DataFrame, namers: Sequence[Namer] | None) -> Outlined:
    """Ask the namers, if there are any, about the rows of a slick table, with a column `scene`."""
    merged = table.groupby(SLICK, sort=False).mean().reset_index()
    return Outlined(merged, judge_all(namers, table) if namers else None)


def kept(outlined: Outlined, rule: DecisionRule) -> npt.NDArray[np.bool_]:
    """Which slicks stay, bool (n,)."""
    area = outlined.table["area"].to_numpy(np.float64)
    if rule.keep == "peak":
        gain = outlined.table["prob_peak"].to_numpy(np.float64) - rule.peak
    else:
        assert outlined.judgement is not None, "the rule needs namers"
        found, share = outlined.judgement.found, outlined.judgement.share
        gain = (2 * found - rule.object_cut) + (2 * share - rule.pixel_cut) * area / rule.mean_area
    stay: npt.NDArray[np.bool_] = (gain >= 0) & (area >= rule.min_area)
    return stay


def named(outlined: Outlined, rule: DecisionRule) -> npt.NDArray[np.uint8]:
    """The class of each slick, uint8 (n,), 1..K, whether it stays or not."""
    probs = outlined.votes
    if rule.naming == "properties":
        assert outlined.judgement is not None, "the rule needs namers"
        probs = outlined.judgement.classes
    classes: npt.NDArray[np.uint8] = (1 + (probs * np.asarray(rule.class_weights)).argmax(axis=1)).astype(np.uint8)
    return classes


def paint(
    labels: Labels, stay: npt.NDArray[np.bool_], classes: npt.NDArray[np.uint8], by_pixel: npt.NDArray[np.uint8] | None
) -> npt.NDArray[np.uint8]:
    """Draw a scene's slicks.

    Args:
        labels: int32 (H, W), 1..n on the outlines.
        stay: bool (n,).
        classes: uint8 (n,), 1..K.
        by_pixel: uint8 (H, W), the class of each pixel instead of each slick.

    Returns:
        uint8 (H, W), 0 is background.
    """
    numbers = np.concatenate([np.zeros(1, np.uint8), np.where(stay, classes, 0).astype(np.uint8)])
    painted: npt.NDArray[np.uint8] = numbers[labels]
    return painted if by_pixel is None else np.where(painted > 0, by_pixel, 0).astype(np.uint8)


def fit_rule(
    outlined: Outlined, annotated: pd.DataFrame, start: DecisionRule, min_iou: float, class_power: float
) -> DecisionRule:
    """Find the rule that scores best on scenes that were not trained on.

    What to keep: of all cuts, or peaks and areas, on a grid, those with the highest mean of binary Dice and F1 of
    objects; the first of several wins. Class weights follow from the sizes of the classes.

    Args:
        outlined: in those scenes.
        annotated: the slicks annotated there, a row each.
        start: holds what is not fitted.
        min_iou: of objects that count as found.
        class_power: t; a class weighs its number of pixels to minus this power.
    """
    sizes = annotated.filter(regex=f"^{PIXELS}").to_numpy(np.float64).sum(axis=0)
    smallest = sizes[sizes > 0].min(initial=max(sizes.max(), 1.0))  # a class without pixels weighs no more than that
    weights = np.maximum(sizes, smallest) ** -class_power
    start = replace(
        start,
        mean_area=float(round(sizes.sum() / max(len(annotated), 1), 1)) or 1.0,
        class_weights=[round(float(weight), 4) for weight in weights / weights.min()],
    )
    if start.keep == "judged":
        candidates = [replace(start, object_cut=f, pixel_cut=d) for f, d in itertools.product(CUTS, CUTS)]
    else:
        candidates = [
            replace(start, peak=peak, min_area=max(area, start.min_area))
            for peak, area in itertools.product(PEAKS, MIN_AREAS)
        ]
    return max(candidates, key=lambda candidate: _outline_score(outlined, annotated, sizes.sum(), candidate, min_iou))


def _outline_score(
    outlined: Outlined, annotated: pd.DataFrame, annotated_pixels: float, rule: DecisionRule, min_iou: float
) -> float:
    table = outlined.table[kept(outlined, rule)]
    hits, area = table.filter(regex=f"^{PIXELS}").to_numpy().sum(), table["area"].sum()
    # Of several outlines that match one annotated slick, one counts.
    matched = len(table.loc[table["iou"] >= min_iou, ["scene", "match"]].drop_duplicates())
    f1 = object_scores(matched, len(table), len(annotated))["object_f1"] or 0.0
    return float(2 * hits / max(area + annotated_pixels, 1) + f1) / 2
