"""Curves over thresholds of probability."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.evaluation.confusion import Counts, divide

ANY_CLASS = "any"  # name of the precision-recall curve of all classes against background


# A power of two, so that every threshold is exact in binary and none needs more than six decimals.
THRESHOLDS = 64


class PrHistogram:
    """Precision-recall curves of each class, from counts of pixels by probability.

    A pixel counts in bin floor(64 p); precision and recall at the threshold t = b/64, where a pixel is
    predicted if p >= t, are therefore exact, and memory doesn't grow with the number of pixels.

    One more curve, `any`, is of all classes against background, by the sum of the classes' probabilities:
    that is 1 - p(background) for a softmax head; for a sigmoid head it is an upper bound, and cut off at 1.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.names = (*class_names, ANY_CLASS)
        self.counts: Counts = np.zeros((len(self.names), 2, THRESHOLDS), dtype=np.int64)

    def update(
        self,
        probs: npt.NDArray[np.floating[Any]],
        target: npt.NDArray[np.integer[Any]],
        valid: npt.NDArray[np.bool_],
    ) -> None:
        """Count the pixels of a batch.

        Args:
            probs: (N, K, H, W), probability of each class, without background.
            target: integers (N, H, W), 0 is background, 1..K are the classes.
            valid: bool (N, H, W); False where a pixel doesn't count.
        """
        sizes = np.bincount(target[valid], minlength=len(self.names))
        self._count(len(self.names) - 1, probs.sum(axis=1), target > 0, valid, int(sizes[1:].sum()))
        for number in range(probs.shape[1]):
            self._count(number, probs[:, number], target == number + 1, valid, int(sizes[number + 1]))

    def curve(self) -> pd.DataFrame:
        """Precision and recall at each threshold.

        Returns:
            Columns `class`, `threshold` (0, 1/64, .. 63/64), `precision`, `recall`; at most 64 rows per
            class, as thresholds that no pixel reaches are left out (precision would be 0 / 0). A class
            without a pixel in the target has no rows (recall would be 0 / 0).
        """
        tables = []
        for name, counts in zip(self.names, self.counts, strict=True):
            # Predicted at threshold b is whatever lies in bin b or above.
            fp, tp = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
            table = pd.DataFrame(
                {
                    "class": name,
                    "threshold": np.arange(THRESHOLDS) / THRESHOLDS,
                    "precision": divide(tp, tp + fp),
                    "recall": divide(tp, tp[0]),
                }
            )
            tables.append(table.dropna())
        return pd.concat(tables, ignore_index=True)

    def _count(
        self,
        row: int,
        probs: npt.NDArray[np.floating[Any]],
        positive: npt.NDArray[np.bool_],
        valid: npt.NDArray[np.bool_],
        n_positive: int,
    ) -> None:
        # Nearly all pixels lie in the first bin: what the others leave of the total is many times faster to know.
        beyond_first = (probs * THRESHOLDS >= 1) & valid
        bins = np.minimum((probs[beyond_first] * THRESHOLDS).astype(np.int64), THRESHOLDS - 1)
        cells = np.bincount(positive[beyond_first] * THRESHOLDS + bins, minlength=2 * THRESHOLDS)
        counts = cells.reshape(2, THRESHOLDS)
        counts[:, 0] += (int(valid.sum()) - n_positive, n_positive) - counts.sum(axis=1)
        self.counts[row] += counts
