"""Connected objects: label them, and match predicted objects to annotated ones."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from seepseg.evaluation.confusion import divide, or_none

Connectivity = Literal[4, 8]
Labels = npt.NDArray[np.int32]


def label_objects(mask: npt.NDArray[np.bool_], connectivity: Connectivity) -> tuple[Labels, int]:
    """Number the connected objects of a mask.

    Args:
        mask: bool (H, W).
        connectivity: 4 joins pixels that share an edge, 8 also those that share a corner.

    Returns:
        int32 (H, W), 0 off the mask, 1..n on the objects, in the order of their first pixels by row and
        column; and n.
    """
    structure = ndimage.generate_binary_structure(2, 1 if connectivity == 4 else 2)
    labels = np.empty(mask.shape, dtype=np.int32)
    return labels, int(ndimage.label(mask, structure, output=labels))


def count_objects(
    target: npt.NDArray[np.uint8], num_classes: int, connectivity: Connectivity
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count the pixels and the connected objects of each class.

    Args:
        target: uint8 (H, W), 0 is background, 1..K are the classes.
        num_classes: K + 1.
        connectivity: 4 or 8, see `label_objects`.

    Returns:
        Pixels and objects, int64 (K + 1,) each; background's stay uncounted, at 0.
    """
    pixels, objects = np.zeros((2, num_classes), dtype=np.int64)
    if target.any():
        # A slick covers little of its tile: to look only at each class's part of it is many times faster.
        for number, box in enumerate(ndimage.find_objects(target, num_classes - 1), start=1):
            if box is not None:
                mask = target[box] == number
                pixels[number] = np.count_nonzero(mask)
                objects[number] = label_objects(mask, connectivity)[1]
    return pixels, objects


def match_objects(
    pred: npt.NDArray[np.bool_], target: npt.NDArray[np.bool_], min_iou: float, connectivity: Connectivity = 8
) -> tuple[int, int, int]:
    """Match the objects of two masks one to one, the best overlapping pairs first.

    Pairs are taken in order of descending IoU, |A and B| / |A or B|, as long as both are free; of pairs with
    the same IoU, those of the first predicted and then of the first annotated object. Above an IoU of 0.5 no
    object has more than one possible partner, and the order has no influence.

    Args:
        pred: bool (H, W), pixels predicted to be an object.
        target: bool (H, W), pixels annotated as an object.
        min_iou: a pair must overlap at least this much, above 0 and up to 1.
        connectivity: 4 or 8, see `label_objects`.

    Returns:
        Matched pairs (true positives), predicted objects, annotated objects; add them up over tiles for
        `seepseg.evaluation.objects.object_scores`. A mask without objects contributes none.

    References:
        Kirillov et al. 2019, Panoptic Segmentation, section 4.1, arXiv 1801.00868: why 0.5 is unique.
    """
    pred_labels, n_pred = label_objects(pred, connectivity)
    target_labels, n_target = label_objects(target, connectivity)
    return pair_off(*overlapping_pairs(pred_labels, target_labels), min_iou), n_pred, n_target


def pair_off(
    pred_ids: npt.NDArray[np.int64],
    target_ids: npt.NDArray[np.int64],
    ious: npt.NDArray[np.float64],
    min_iou: float,
) -> int:
    """Match pairs of objects one to one, as `match_objects` says, and count the matches.

    Args:
        pred_ids: of each pair, as `overlapping_pairs` gives them; any selection of the pairs will do.
        target_ids: likewise.
        ious: likewise.
        min_iou: a pair must overlap at least this much.
    """
    taken_pred, taken_target = set[int](), set[int]()
    for pair in np.argsort(-ious, kind="stable"):
        if ious[pair] < min_iou:
            break
        pred, target = int(pred_ids[pair]), int(target_ids[pair])
        if pred not in taken_pred and target not in taken_target:
            taken_pred.add(pred)
            taken_target.add(target)
    return len(taken_pred)


def overlapping_pairs(
    pred_labels: Labels, target_labels: Labels
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Predicted object, annotated object and IoU, (P,) each, of each pair that shares a pixel, ordered by number."""
    both = (pred_labels > 0) & (target_labels > 0)
    base = int(target_labels.max(initial=0)) + 1
    codes = pred_labels[both].astype(np.int64) * base + target_labels[both]
    pairs, shared = np.unique(codes, return_counts=True)
    pred_ids, target_ids = np.divmod(pairs, base)
    pred_areas, target_areas = np.bincount(pred_labels.ravel()), np.bincount(target_labels.ravel())
    return pred_ids, target_ids, shared / (pred_areas[pred_ids] + target_areas[target_ids] - shared)


def object_scores(tp: int, n_pred: int, n_target: int) -> dict[str, float | None]:
    """Precision, recall and F1 of objects, from the sums of what `seepseg.evaluation.objects.match_objects` counts.

    Args:
        tp: matched pairs.
        n_pred: predicted objects.
        n_target: annotated objects.

    Returns:
        `object_precision` = tp / n_pred, `object_recall` = tp / n_target and `object_f1` =
        2 tp / (n_pred + n_target); None where 0 is divided by 0.
    """
    ratios = {"precision": (tp, n_pred), "recall": (tp, n_target), "f1": (2 * tp, n_pred + n_target)}
    return {f"object_{name}": or_none(divide(np.int64(a), np.int64(b))) for name, (a, b) in ratios.items()}
