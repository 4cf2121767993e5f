"""Post-processing: which candidates are accepted as slicks, and one class for each.

A candidate is accepted where that is expected to raise the mean of F1 of objects and binary Dice. With p the
probability that it matches an annotated slick, q the expected share of its pixels that are annotated (its pixel
precision) and A its area, that is where

    (2 p - f) + (2 q - d) A / a >= 0

where a is the mean area of annotated slicks. For f and d the F1 and Dice that are reached, each term is what accepting
it adds to one of the two scores; both are fitted as thresholds, as p and q are not perfect. Its class is the one with
the largest p_c w_c, where p_c is the probability of the class and w_c = size_c^-t with the class's number of annotated
pixels, as a pixel of a rare class adds more to macro Dice; t is a parameter. All other numbers are fitted on training
scenes, out of fold.

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
from seepseg.detection.classifier import SlickClassifier, SlickProbs, average_probs
from seepseg.detection.slick_table import LOG_SHARE, SLICK
from seepseg.evaluation.objects import Labels, object_scores

Accept = Literal["classifier", "peak"]
ClassFrom = Literal["classifier", "mean_probability", "pixel"]
Share = Annotated[float, Ge(0), Le(1)]

THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)  # of f and of d
PEAKS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97)
MIN_AREAS = (1, 10, 20, 30)  # not more: some rare classes have small slicks


@param_block
class PostprocessingParams:
    """From candidates to classified slicks; thresholds are fitted on training scenes, out of fold."""

    accept: Accept = "classifier"
    """which candidates are slicks: by the classifier's probabilities | peak: with a pixel of high probability"""
    class_from: ClassFrom = "classifier"
    """classifier (by features of the slick) | mean_probability (of the networks) | pixel (the networks', by pixel)"""
    inverse_frequency_exponent: Annotated[float, Ge(0), Le(1)] = 0.3
    """a class weighs its pixels to minus this power: with the classifier's 0.7, 1 in all, as in macro Dice"""


@param_block
class Postprocessing:
    """Fitted post-processing: which candidates are accepted, and how classes are decided.

    Attributes:
        accept: see `PostprocessingParams`.
        min_area: pixels of the smallest slick that is accepted.
        object_threshold: f, for classifier.
        pixel_threshold: d, for classifier.
        mean_area: a in pixels, for classifier.
        peak: the least probability of the surest pixel, for peak.
        class_from: see `PostprocessingParams`.
        class_weights: w_c of the K classes.
    """

    accept: Accept
    min_area: Annotated[int, Ge(1)]
    object_threshold: Share
    pixel_threshold: Share
    mean_area: Annotated[float, Gt(0)]
    peak: Share
    class_from: ClassFrom
    class_weights: list[float]

    @property
    def needs_classifier(self) -> bool:
        """Whether the slick classifier is asked."""
        return "classifier" in (self.accept, self.class_from)


@dataclass(frozen=True)
class ScoredCandidates:
    """Candidates and their probabilities.

    Attributes:
        table: a row per candidate, with its features as the mean over the networks.
        probs: by the slick classifier; None where it is not asked.
    """

    table: pd.DataFrame
    probs: SlickProbs | None

    @property
    def mean_probability(self) -> npt.NDArray[np.float64]:
        """Share of each class in the networks' probabilities over each candidate, float64 (n, K)."""
        shares: npt.NDArray[np.float64] = np.exp(self.table.filter(regex=f"^{LOG_SHARE}").to_numpy(np.float64))
        return shares

    @property
    def classifier_probs(self) -> SlickProbs:
        """The probabilities by the slick classifier, where there are any."""
        assert self.probs is not None, "this post-processing asks the classifier"
        return self.probs


def score_candidates(
    table: pd.DataFrame, classifiers: Sequence[SlickClassifier], postprocessing: Postprocessing
) -> ScoredCandidates:
    """Give candidates their probabilities, where post-processing asks for them.

    Args:
        table: rows of features, with a column `scene`, sorted by slick; see `seepseg.detection.slick_table`.
        classifiers: one for each network.
        postprocessing: fitted or not.
    """
    merged = table.groupby(SLICK, sort=False).mean().reset_index()
    return ScoredCandidates(merged, average_probs(classifiers, table) if postprocessing.needs_classifier else None)


def accepted(candidates: ScoredCandidates, settings: Postprocessing) -> npt.NDArray[np.bool_]:
    """Which candidates are slicks, bool (n,)."""
    area = candidates.table["area"].to_numpy(np.float64)
    if settings.accept == "peak":
        gain = candidates.table["prob_peak"].to_numpy(np.float64) - settings.peak
    else:
        probs = candidates.classifier_probs
        of_objects, of_pixels = 2 * probs.p_slick - settings.object_threshold, 2 * probs.pixel_precision
        gain = of_objects + (of_pixels - settings.pixel_threshold) * area / settings.mean_area
    is_slick: npt.NDArray[np.bool_] = (gain >= 0) & (area >= settings.min_area)
    return is_slick


def slick_classes(candidates: ScoredCandidates, settings: Postprocessing) -> npt.NDArray[np.uint8]:
    """The class of each candidate, uint8 (n,), 1..K, whether it is accepted or not."""
    by_classifier = settings.class_from == "classifier"
    probs = candidates.classifier_probs.classes if by_classifier else candidates.mean_probability
    classes: npt.NDArray[np.uint8] = (1 + (probs * np.asarray(settings.class_weights)).argmax(axis=1)).astype(np.uint8)
    return classes


def draw_slicks(
    labels: Labels,
    is_slick: npt.NDArray[np.bool_],
    classes: npt.NDArray[np.uint8],
    by_pixel: npt.NDArray[np.uint8] | None,
) -> npt.NDArray[np.uint8]:
    """The predicted mask of a scene.

    Args:
        labels: int32, of any shape, 1..n on the candidates.
        is_slick: bool (n,), see `accepted`.
        classes: uint8 (n,), 1..K.
        by_pixel: uint8, shaped as `labels`, the class of each pixel instead of each slick.

    Returns:
        uint8, shaped as `labels`, 0 is background.
    """
    numbers = np.concatenate([np.zeros(1, np.uint8), np.where(is_slick, classes, 0).astype(np.uint8)])
    pred: npt.NDArray[np.uint8] = numbers[labels]
    return pred if by_pixel is None else np.where(pred > 0, by_pixel, 0).astype(np.uint8)


def unfitted(params: PostprocessingParams, class_names: list[str], min_area: int) -> Postprocessing:
    """Post-processing before `fit_postprocessing` has found its numbers."""
    return Postprocessing(
        accept=params.accept,
        min_area=min_area,
        object_threshold=0.0,
        pixel_threshold=0.0,
        mean_area=1.0,
        peak=0.0,
        class_from=params.class_from,
        class_weights=[1.0] * len(class_names),
    )


def fit_postprocessing(
    candidates: ScoredCandidates,
    annotated: pd.DataFrame,
    start: Postprocessing,
    min_iou: float,
    inverse_frequency_exponent: float,
) -> Postprocessing:
    """Find the post-processing that scores best on scenes that were not trained on.

    What to accept: of all thresholds, or peaks and areas, on a grid, those with the highest mean of binary Dice and F1
    of objects; the first of several wins. Class weights follow from the sizes of the classes.

    Args:
        candidates: in those scenes, with the columns of `seepseg.detection.matching.match_slicks`.
        annotated: the slicks annotated there, a row each.
        start: holds what is not fitted.
        min_iou: of objects that count as detected.
        inverse_frequency_exponent: t; a class weighs its number of pixels to minus this power.
    """
    sizes = annotated.filter(regex=f"^{PIXELS}").to_numpy(np.float64).sum(axis=0)
    smallest = sizes[sizes > 0].min(initial=max(sizes.max(), 1.0))  # a class without pixels weighs no more than that
    weights = np.maximum(sizes, smallest) ** -inverse_frequency_exponent
    start = replace(
        start,
        mean_area=float(round(sizes.sum() / max(len(annotated), 1), 1)) or 1.0,
        class_weights=[round(float(weight), 4) for weight in weights / weights.min()],
    )
    if start.accept == "classifier":
        tried = [
            replace(start, object_threshold=f, pixel_threshold=d) for f, d in itertools.product(THRESHOLDS, THRESHOLDS)
        ]
    else:
        tried = [
            replace(start, peak=peak, min_area=max(area, start.min_area))
            for peak, area in itertools.product(PEAKS, MIN_AREAS)
        ]
    return max(tried, key=lambda settings: _binary_score(candidates, annotated, sizes.sum(), settings, min_iou))


def _binary_score(
    candidates: ScoredCandidates,
    annotated: pd.DataFrame,
    annotated_pixels: float,
    settings: Postprocessing,
    min_iou: float,
) -> float:
    """Mean of binary Dice and F1 of objects."""
    table = candidates.table[accepted(candidates, settings)]
    tp, area = table.filter(regex=f"^{PIXELS}").to_numpy().sum(), table["area"].sum()
    # Of several candidates that match one annotated slick, one counts.
    matched = len(table.loc[table["iou"] >= min_iou, ["scene", "match"]].drop_duplicates())
    f1 = object_scores(matched, len(table), len(annotated))["object_f1"] or 0.0
    return float(2 * tp / max(area + annotated_pixels, 1) + f1) / 2
