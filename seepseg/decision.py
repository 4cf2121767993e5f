"""From probabilities to named slicks: outline by two thresholds, then one class for each connected slick.

A slick is a connected object whose pixels all reach a low threshold of the probability of any class, with at least one
that reaches a high one (hysteresis), and that is not too small. Its class is the one with the largest

    p_c  v_c^g  w_c

where p_c is what the namer says of the slick's properties, v_c the share of class c in the network's probabilities
over the slick, g the weight of that vote, and w_c a weight of the class. Objects and properties are those of whole
scenes. All numbers of the rule are fitted on validation scenes.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from pydantic import TypeAdapter, ValidationError

from seepseg.errors import InputError
from seepseg.inference import Flips, SceneProbs
from seepseg.metrics import confusion_counts, object_scores, scores
from seepseg.naming import Namer
from seepseg.objects import Labels, label_objects, overlapping_pairs, pair_off
from seepseg.packed import NODATA
from seepseg.params import param_block
from seepseg.slick_features import CONNECTIVITY, measure_slicks

Naming = Literal["properties", "vote", "pixel"]
Share = Annotated[float, Ge(0), Le(1)]

LOWS = (0.2, 0.3, 0.4, 0.5, 0.6)
HIGHS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97)
MIN_AREAS = (1, 10, 20, 30)  # not more: some rare classes have small slicks
# Small ones: a stronger vote hardly ever lets the rare classes win.
VOTE_WEIGHTS = (0.0, 0.1, 0.25)
CLASS_POWERS = (0.0, 0.15, 0.3)
TINY = 1e-4  # a class that the network rules out may still be the right one


@param_block
class DecisionRule:
    """How classes are decided.

    Attributes:
        flips: mirrored and turned copies of each tile over which the network's answers are averaged.
        low: probability of any class that all pixels of a slick reach.
        high: probability that one of them reaches.
        min_area: pixels of the smallest slick.
        naming: properties names a slick by its properties and the network's vote, vote by that vote alone; pixel
            takes the network's most probable class for each pixel.
        vote_weight: the exponent g of the vote beside the properties.
        class_weights: w_c of the K classes.
    """

    flips: Flips
    low: Share
    high: Share
    min_area: Annotated[int, Ge(1)]
    naming: Naming
    vote_weight: Annotated[float, Ge(0)]
    class_weights: list[float]


@dataclass(frozen=True)
class Slicks:
    """The slicks of a scene, before they are named.

    Attributes:
        labels: int32 (H, W), 1..n on the slicks.
        n: how many there are.
        votes: float64 (n, K), share of each class in the network's probabilities over each slick.
        probs: float64 (n, K), what the namer says; all ones where there is none.
    """

    labels: Labels
    n: int
    votes: npt.NDArray[np.float64]
    probs: npt.NDArray[np.float64]

    def name(self, vote_weight: float, class_weights: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """The class of each slick, uint8 (n,), 1..K."""
        chosen = (self.probs * np.maximum(self.votes, TINY) ** vote_weight * np.asarray(class_weights)).argmax(axis=1)
        classes: npt.NDArray[np.uint8] = (chosen + 1).astype(np.uint8)
        return classes


def load_rule(path: Path, num_classes: int) -> DecisionRule:
    """Read a rule.

    Args:
        path: the JSON file that the stage decide wrote.
        num_classes: K, which it must have weights for.

    Raises:
        InputError: the file is missing, damaged or for another number of classes.
    """
    remedy = "write it anew with `dvc repro decide`"
    if not path.is_file():
        raise InputError(f"{path} is missing: {remedy}")
    try:
        rule = TypeAdapter(DecisionRule).validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        raise InputError(f"{path}: {where} is not as expected: {fault['msg']}; {remedy}") from None
    if len(rule.class_weights) != num_classes:
        raise InputError(
            f"{path}: expected weights of {num_classes} classes, found {len(rule.class_weights)}; {remedy}"
        )
    return rule


def decide_scene(probs: SceneProbs, rule: DecisionRule, namer: Namer | None) -> npt.NDArray[np.uint8]:
    """Outline and name the slicks of a scene.

    Args:
        probs: of the scene.
        rule: see `DecisionRule`.
        namer: needed for naming by properties.

    Returns:
        uint8 (N, h, w), the classes of its tiles; 0 is background, and wherever nothing was seen.
    """
    labels, n = find_slicks(probs.foreground, rule.low, rule.high, rule.min_area)
    if rule.naming == "pixel":
        weighted = probs.class_probs * np.asarray(rule.class_weights, np.float32)[:, None, None]
        classes: npt.NDArray[np.uint8] = np.where(probs.scene.cut(labels) > 0, weighted.argmax(axis=1) + 1, 0).astype(
            np.uint8
        )
        return classes
    slicks = describe_slicks(probs, labels, n, namer if rule.naming == "properties" else None)
    return probs.scene.cut(paint(labels, slicks.name(rule.vote_weight, rule.class_weights)))


def find_slicks(foreground: npt.NDArray[np.float32], low: float, high: float, min_area: int) -> tuple[Labels, int]:
    """Outline slicks by hysteresis.

    Args:
        foreground: float32 (H, W), probability of any class.
        low: which all pixels of a slick reach.
        high: which at least one of them reaches.
        min_area: pixels of the smallest slick.

    Returns:
        int32 (H, W), 1..n on the slicks, and n.
    """
    labels, n = label_objects((foreground >= low) & (foreground > 0), CONNECTIVITY)
    peaks, areas = _peaks(foreground, labels, n), np.bincount(labels.ravel(), minlength=n + 1)[1:]
    return _renumber(labels, (peaks >= high) & (areas >= min_area))


def describe_slicks(probs: SceneProbs, labels: Labels, n: int, namer: Namer | None) -> Slicks:
    """Collect what the names of slicks depend on."""
    in_tiles = probs.scene.cut(labels)
    on_slick = in_tiles > 0
    number = in_tiles[on_slick] - 1
    votes = np.stack(
        [np.bincount(number, weights=tile[on_slick], minlength=n) for tile in probs.class_probs.swapaxes(0, 1)], axis=1
    )
    votes = votes / np.maximum(votes.sum(axis=1, keepdims=True), TINY)
    known = np.ones(votes.shape)
    if namer is not None and n:
        known = namer.probs(measure_slicks(probs.image, labels, n)).astype(np.float64)
    return Slicks(labels, n, votes, known)


def paint(labels: Labels, classes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Give each slick's pixels its class: labels (H, W) and classes (n,) -> uint8 (H, W)."""
    painted: npt.NDArray[np.uint8] = np.concatenate([np.zeros(1, np.uint8), classes])[labels]
    return painted


def fit_rule(
    scenes: list[SceneProbs],
    targets: list[npt.NDArray[np.uint8]],
    namer: Namer | None,
    class_sizes: npt.NDArray[np.int64],
    *,
    flips: Flips,
    naming: Naming,
    min_iou: float,
) -> DecisionRule:
    """Find the rule that scores best on scenes that were not trained on.

    First the outlines: of all thresholds and areas on a grid, those with the highest mean of binary Dice and F1 of
    objects. Then the names: the weight of the vote, and class weights w_c = size_c^-t for one t, with the highest
    macro Dice. Few numbers are fitted because few scenes are there to fit them on. The first of several wins.

    Args:
        scenes: what the network says of them.
        targets: uint8 (H, W) of each, stitched.
        namer: for naming by properties.
        class_sizes: int64 (K,), pixels of each class in training.
        flips: noted in the rule.
        naming: noted in the rule.
        min_iou: of objects that count as found.
    """
    grids = [_OutlineGrid(probs, target > 0, min_iou) for probs, target in zip(scenes, targets, strict=True)]
    candidates = [
        (low, high, min_area) for low, high, min_area in itertools.product(LOWS, HIGHS, MIN_AREAS) if high >= low
    ]
    low, high, min_area = max(candidates, key=lambda candidate: _outline_score(grids, *candidate))
    slicks = [describe_slicks(probs, *find_slicks(probs.foreground, low, high, min_area), namer) for probs in scenes]
    relative = np.maximum(class_sizes, 1) / max(class_sizes.sum(), 1)

    def macro_dice(vote_weight: float, power: float) -> float:
        weights = relative**-power
        tables = [
            confusion_counts(
                target,
                paint(found.labels, found.name(vote_weight, weights)),
                probs.image != NODATA,
                len(class_sizes) + 1,
            )
            for probs, target, found in zip(scenes, targets, slicks, strict=True)
        ]
        value: float | None = scores(np.sum(tables, axis=0), [str(number) for number in range(len(class_sizes))])[
            "macro_dice"
        ]
        return value or 0.0

    if naming == "pixel":
        vote_weight, power = 1.0, 0.0
    else:
        choices = itertools.product(VOTE_WEIGHTS if naming == "properties" else (1.0,), CLASS_POWERS)
        vote_weight, power = max(choices, key=lambda choice: macro_dice(*choice))
    weights = relative**-power
    return DecisionRule(
        flips=flips,
        low=low,
        high=high,
        min_area=min_area,
        naming=naming,
        vote_weight=vote_weight,
        class_weights=[round(float(weight), 4) for weight in weights / weights.min()],
    )


class _OutlineGrid:
    """What all thresholds would outline in a scene: each low threshold's objects are found only once."""

    def __init__(self, probs: SceneProbs, target: npt.NDArray[np.bool_], min_iou: float) -> None:
        self.min_iou = min_iou
        target = target & (probs.image != NODATA)
        self.target_pixels = int(target.sum())
        target_labels, self.n_target = label_objects(target, CONNECTIVITY)
        self.objects = {}
        for low in LOWS:
            labels, n = label_objects(probs.foreground >= low, CONNECTIVITY)
            areas = np.bincount(labels.ravel(), minlength=n + 1)[1:]
            hits = np.bincount(labels[target], minlength=n + 1)[1:]
            pairs = overlapping_pairs(labels, target_labels)
            self.objects[low] = (_peaks(probs.foreground, labels, n), areas, hits, pairs)

    def count(self, low: float, high: float, min_area: int) -> npt.NDArray[np.int64]:
        """Pixels: hits, predicted, annotated; objects: matched, predicted, annotated."""
        peaks, areas, hits, (pred_ids, target_ids, ious) = self.objects[low]
        kept = (peaks >= high) & (areas >= min_area)
        chosen = kept[pred_ids - 1]
        matched = pair_off(pred_ids[chosen], target_ids[chosen], ious[chosen], self.min_iou)
        return np.array([hits[kept].sum(), areas[kept].sum(), self.target_pixels, matched, kept.sum(), self.n_target])


def _outline_score(grids: list[_OutlineGrid], low: float, high: float, min_area: int) -> float:
    hits, predicted, annotated, *objects = np.sum([grid.count(low, high, min_area) for grid in grids], axis=0)
    dice = 2 * hits / max(predicted + annotated, 1)
    f1 = object_scores(*(int(count) for count in objects))["object_f1"] or 0.0
    return float(dice + f1) / 2


def _peaks(foreground: npt.NDArray[np.float32], labels: Labels, n: int) -> npt.NDArray[np.float32]:
    peaks = np.zeros(n + 1, np.float32)
    np.maximum.at(peaks, labels[labels > 0], foreground[labels > 0])
    return peaks[1:]


def _renumber(labels: Labels, kept: npt.NDArray[np.bool_]) -> tuple[Labels, int]:
    """Leave out objects, and number the others from 1 in the same order."""
    numbers = np.concatenate([[0], np.where(kept, kept.cumsum(), 0)]).astype(np.int32)
    return numbers[labels], int(kept.sum())
