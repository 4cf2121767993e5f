"""How well slicks are found and classified, pixel by pixel and slick by slick: counts of scenes, and their scores."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seepseg.evaluation.confusion import confusion_counts, scores
from seepseg.evaluation.objects import match_objects, object_scores

Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class NamedCounts(NamedTuple):
    """Counts of one scene; those of several scenes add up.

    Attributes:
        confusion: int64 (K+1, K+1), valid pixels, rows actual, columns predicted, background first.
        objects: int64 (K, 3), matched, predicted and annotated objects of each class.
    """

    confusion: Counts
    objects: Counts

    def to_json(self) -> dict[str, list[list[int]]]:
        """As plain values."""
        return {"confusion": self.confusion.tolist(), "objects": self.objects.tolist()}


def count_named(
    pred: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8], valid: Mask, num_classes: int, min_iou: float
) -> NamedCounts:
    """Compare the prediction of a stitched scene with its target.

    Args:
        pred: uint8 (H, W).
        target: uint8 (H, W).
        valid: bool (H, W); elsewhere nothing counts.
        num_classes: K + 1.
        min_iou: objects that overlap at least this much match, see `match_objects`.
    """
    pred, target = np.where(valid, pred, 0), np.where(valid, target, 0)
    objects = [match_objects(pred == number, target == number, min_iou) for number in range(1, num_classes)]
    return NamedCounts(confusion_counts(target, pred, valid, num_classes), np.array(objects, dtype=np.int64))


def named_scores(counts: Sequence[NamedCounts], class_names: Sequence[str]) -> dict[str, float | None]:
    """`macro_dice` and `macro_object_f1` of scenes, see `seepseg.evaluation.scene_counts.pooled_scores`."""
    confusion, objects = (np.sum(each, axis=0) for each in zip(*counts, strict=True))
    return {
        "macro_dice": scores(confusion, class_names)["macro_dice"],
        "macro_object_f1": mean_of_known(class_object_f1(objects, class_names)),
    }


def class_object_f1(objects: Counts, class_names: Sequence[str]) -> dict[str, float | None]:
    """F1 of the objects of each class, from counts (K, 3); None of a class without an annotated object."""
    return {
        name: object_scores(*map(int, found))["object_f1"] if found[2] else None
        for name, found in zip(class_names, objects, strict=True)
    }


def mean_of_known(of_classes: Mapping[str, float | None]) -> float | None:
    """The mean over the classes present; None without any."""
    known = [value for value in of_classes.values() if value is not None]
    return float(np.mean(known)) if known else None
