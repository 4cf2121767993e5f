"""Compare slicks with an annotation: for training and evaluation only, as features never need one."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.base.conventions import NODATA
from seepseg.data.packed import PIXELS
from seepseg.detection.candidates import CONNECTIVITY
from seepseg.evaluation.objects import Labels, label_objects, overlapping_pairs


def annotated_slicks(image: npt.NDArray[np.uint16], target: npt.NDArray[np.uint8]) -> tuple[Labels, int]:
    """Number the annotated slicks of a scene; what lies on no-data does not count.

    Args:
        image: uint16 (H, W).
        target: uint8 (H, W), 0 is background, 1..K are the classes.

    Returns:
        int32 (H, W), 1..n on the slicks, and n.
    """
    return label_objects((target > 0) & (image != NODATA), CONNECTIVITY)


def match_slicks(
    labels: Labels, n: int, annotated: Labels, target: npt.NDArray[np.uint8], class_names: Sequence[str]
) -> pd.DataFrame:
    """Say of slicks what is annotated at their place.

    Args:
        labels: int32 (H, W), 1..n on the slicks.
        n: number of slicks.
        annotated: int32 (H, W), the annotated slicks, see `annotated_slicks`.
        target: uint8 (H, W), their classes.
        class_names: the K classes.

    Returns:
        A row per slick: `slick` (1..n), `pixels_<class>` (how many of its pixels are annotated as that), `match` (the
        annotated slick with which it overlaps most, 0 for none) and `iou` with that.
    """
    num_classes = len(class_names) + 1
    on_slick = labels > 0
    classes = np.where(annotated > 0, target, 0)[on_slick]
    cells = labels[on_slick].astype(np.int64) * num_classes + classes
    pixels = np.bincount(cells, minlength=(n + 1) * num_classes).reshape(n + 1, num_classes)[1:]
    match, iou = np.zeros(n, dtype=np.int64), np.zeros(n)
    ours, theirs, overlap = overlapping_pairs(labels, annotated)
    order = np.argsort(overlap, kind="stable")  # the last one written is the largest
    match[ours[order] - 1], iou[ours[order] - 1] = theirs[order], overlap[order]
    table = pd.DataFrame({"slick": np.arange(1, n + 1)})
    table[[PIXELS + name for name in class_names]] = pixels[:, 1:]
    return table.assign(match=match, iou=iou)
