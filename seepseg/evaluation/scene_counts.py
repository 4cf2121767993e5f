"""What is counted of a prediction in each scene, and the scores of any number of scenes together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.evaluation.confusion import or_none, scores
from seepseg.evaluation.curves import ANY_CLASS, THRESHOLDS
from seepseg.evaluation.intervals import bootstrap_intervals, object_intervals, surface_intervals
from seepseg.evaluation.named_scores import class_object_f1, count_named, mean_of_known
from seepseg.evaluation.objects import match_objects, object_scores
from seepseg.evaluation.surface import TOLERANCES, edge_counts, surface_dice

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SceneCounts:
    """Counts of one scene; those of several scenes add up.

    Attributes:
        scene: its name.
        confusion: int64 (K+1, K+1), valid pixels, rows actual, columns predicted, background first.
        objects: int64 (K+1, 3), matched, predicted and annotated objects; first of any class, then of each.
        reliability: float64 (64, 3), by probability of any class from b/64 to (b+1)/64: valid pixels, those that are of
            a class, and the sum of the probabilities.
        edges: float64 (K+1, T, 2, 2), edge pixels of any class, then of each, see `edge_counts`; NaN where they weren't
            counted when the scene was recorded.
    """

    scene: str
    confusion: Counts
    objects: Counts
    reliability: Floats
    edges: Floats

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        unknown = np.isnan(self.edges)
        return {
            "scene": self.scene,
            "confusion": self.confusion.tolist(),
            "objects": self.objects.tolist(),
            "reliability": self.reliability.tolist(),
            "edges": np.where(unknown, np.array(None), np.nan_to_num(self.edges).astype(np.int64)).tolist(),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "SceneCounts":
        """Undo `to_json`, see also `read_edges`."""
        return cls(
            document["scene"],
            np.array(document["confusion"], dtype=np.int64),
            np.array(document["objects"], dtype=np.int64),
            np.array(document["reliability"], dtype=np.float64),
            read_edges(document),
        )


def read_edges(document: dict[str, Any]) -> Floats:
    """The edges of a scene, of what `SceneCounts.to_json` gave.

    Older documents have none, or (2, 2), those of any class at a tolerance of 1 pixel.
    """
    edges = np.array(document.get("edges"), dtype=np.float64)
    if edges.ndim == 4:
        return edges
    known: Floats = np.full((len(document["confusion"]), len(TOLERANCES), 2, 2), np.nan)
    known[0, 0] = edges
    return known


def count_scene(
    name: str,
    pred: npt.NDArray[np.uint8],
    target: npt.NDArray[np.uint8],
    valid: npt.NDArray[np.bool_],
    foreground: npt.NDArray[np.float32],
    num_classes: int,
    min_iou: float,
) -> SceneCounts:
    """Compare the prediction of a stitched scene with its target.

    Args:
        name: of the scene.
        pred: uint8 (H, W).
        target: uint8 (H, W).
        valid: bool (H, W); elsewhere nothing counts.
        foreground: float32 (H, W), probability of any class.
        num_classes: K + 1.
        min_iou: objects that overlap at least this much match, see `match_objects`.
    """
    pred, target = np.where(valid, pred, 0), np.where(valid, target, 0)
    confusion, objects = count_named(pred, target, valid, num_classes, min_iou)
    any_class = match_objects(pred > 0, target > 0, min_iou)
    probs, is_slick = foreground[valid].astype(np.float64), target[valid] > 0
    bins = np.minimum((probs * THRESHOLDS).astype(np.int64), THRESHOLDS - 1)
    reliability = [np.bincount(bins, weights=each, minlength=THRESHOLDS) for each in (None, is_slick, probs)]
    return SceneCounts(
        name,
        confusion,
        np.vstack([np.array(any_class, dtype=np.int64), objects]),
        np.stack(reliability, axis=1).astype(np.float64),
        edge_counts(pred, target, valid, num_classes).astype(np.float64),
    )


def pooled_scores(counts: Sequence[SceneCounts], class_names: Sequence[str], samples: int, seed: int) -> dict[str, Any]:
    """The scores of scenes, from their counts added up, with 95 % intervals from a bootstrap over scenes.

    Args:
        counts: of at least one scene.
        class_names: the K classes.
        samples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        What `scores`, `bootstrap_intervals`, `object_scores` and `baseline_scores` give; besides
        `class_object_f1` by class, objects that match in outline and class, `macro_object_f1`, their mean over the
        classes present; `calibration_error`, the expected calibration error of the probability of any class: the mean
        over pixels of the distance between the probability and the share of slick in its bin; and what
        `surface_scores` gives.
    """
    tables = np.stack([each.confusion for each in counts])
    objects = np.stack([each.objects for each in counts])
    confusion, found_objects = tables.sum(axis=0), objects.sum(axis=0)
    class_f1 = class_object_f1(found_objects[1:], class_names)
    return {
        **scores(confusion, class_names),
        **bootstrap_intervals(tables, samples, seed),
        **surface_scores(counts, class_names, samples, seed),
        **object_scores(*map(int, found_objects[0])),
        **object_intervals(objects, samples, seed),
        "class_object_f1": class_f1,
        "macro_object_f1": mean_of_known(class_f1),
        "calibration_error": calibration_error(counts),
        "baseline": baseline_scores(confusion, class_names),
    }


def surface_scores(
    counts: Sequence[SceneCounts], class_names: Sequence[str], samples: int, seed: int
) -> dict[str, Any]:
    """Surface Dice at each tolerance t, with 95 % intervals from a bootstrap over scenes.

    Returns:
        `surface_dice_<t>`, of slicks of any class; `class_surface_dice_<t>` by class; `macro_surface_dice_<t>`, the
        mean over the classes present; and the ends of their intervals, `surface_dice_<t>_low`, `surface_dice_<t>_high`
        and so on. None without an edge, of a class without an annotated edge, and where a scene's edges weren't
        counted.
    """
    per_scene = np.stack([each.edges for each in counts])
    found = surface_dice(per_scene.sum(axis=0)), *surface_intervals(per_scene, samples, seed)
    document: dict[str, Any] = {}
    for end, table in zip(("", "_low", "_high"), found, strict=True):
        for tolerance, (any_class, *by_class, macro) in zip(TOLERANCES, table.T, strict=True):
            name = f"surface_dice_{tolerance}{end}"
            document[name], document[f"macro_{name}"] = or_none(any_class), or_none(macro)
            document[f"class_{name}"] = dict(zip(class_names, map(or_none, by_class), strict=True))
    return document


def calibration_error(counts: Sequence[SceneCounts]) -> float | None:
    """Expected calibration error: sum over bins of |slick pixels - sum of probabilities| / pixels; None without pixels.

    References:
        Guo et al. 2017, "On calibration of modern neural networks", arXiv 1706.04599, eq. (3).
    """
    pixels, slick, probs = np.sum([each.reliability for each in counts], axis=0).T
    return float(np.abs(slick - probs).sum() / pixels.sum()) if pixels.sum() else None


def reliability_curve(counts: Sequence[SceneCounts]) -> pd.DataFrame:
    """Share of slick by probability of any class: columns `probability` (mean of the bin), `slick_share`, `pixels`."""
    pixels, slick, probs = np.sum([each.reliability for each in counts], axis=0).T
    filled = pixels > 0
    return pd.DataFrame(
        {
            "probability": probs[filled] / pixels[filled],
            "slick_share": slick[filled] / pixels[filled],
            "pixels": pixels[filled].astype(np.int64),
        }
    )


def confusion_rows(table: Counts, names: Sequence[str]) -> pd.DataFrame:
    """A table of counts, rows actual and columns predicted, as rows of `actual`, `predicted` and `count`."""
    cells = [(a, p, table[i, j]) for i, a in enumerate(names) for j, p in enumerate(names)]
    return pd.DataFrame(cells, columns=["actual", "predicted", "count"])


def operating_point(counts: Sequence[SceneCounts]) -> dict[str, Any]:
    """Precision and recall of any class as decided, for the curve of `ANY_CLASS`."""
    confusion = np.sum([each.confusion for each in counts], axis=0)
    tp, predicted, actual = confusion[1:, 1:].sum(), confusion[:, 1:].sum(), confusion[1:].sum()
    return {"class": ANY_CLASS, "precision": tp / max(predicted, 1), "recall": tp / max(actual, 1)}


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
