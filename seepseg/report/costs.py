"""What each slick costs the score: what would come of it if the annotation said what is predicted there."""

import numpy as np
import numpy.typing as npt

from seepseg.evaluation.confusion import Counts, Floats, class_counts, macro_mean, ratios


def count_slicks(
    labels: npt.NDArray[np.int32],
    n: int,
    target: npt.NDArray[np.uint8],
    pred: npt.NDArray[np.uint8],
    num_classes: int,
) -> Counts:
    """Count on each slick how often each class was predicted as each class.

    Args:
        labels: int32 (H, W), 1..n on the slicks, 0 elsewhere.
        n: number of slicks.
        target: uint8 (H, W), 0..K.
        pred: likewise.
        num_classes: K + 1.

    Returns:
        int64 (n, K+1, K+1), actual, predicted.
    """
    on = labels > 0
    cells = ((labels[on].astype(np.int64) - 1) * num_classes + target[on]) * num_classes + pred[on]
    counts = np.bincount(cells, minlength=n * num_classes**2).astype(np.int64)
    return counts.reshape(n, num_classes, num_classes)


def costs(slicks: Counts, pooled: Counts) -> Floats:
    """What macro Dice would gain if the annotation said what is predicted on a slick, and all else stayed.

    Args:
        slicks: int64 (n, K+1, K+1), see `count_slicks`.
        pooled: int64 (K+1, K+1), confusion of the whole split.

    Returns:
        float64 (n,); 0 where no macro Dice would be left, as nothing else is annotated.
    """
    agreed = slicks.sum(axis=1)[:, :, None] * np.eye(len(pooled), dtype=np.int64)
    gain = _macro_dice(pooled - slicks + agreed) - _macro_dice(pooled)
    return np.nan_to_num(gain)


def _macro_dice(confusion: Counts) -> Floats:
    return macro_mean(confusion, ratios(*class_counts(confusion))["dice"])
