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
    """Precision-recall curves over the probability of any class, from counts of pixels by probability.

    A pixel counts in bin floor(64 p); precision and recall at the threshold t = b/64, where a pixel is predicted to be
    of its most probable class if p >= t, are therefore exact, and memory doesn't grow with the number of pixels.

    One more curve, `any`, is of all classes against background. That of a class ends below a recall of 1 where another
    class is more probable on some of its pixels.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.names = (*class_names, ANY_CLASS)
        # Of each curve, wrong and right pixels by probability, and pixels that are annotated.
        self.counts: Counts = np.zeros((len(self.names), 2, THRESHOLDS), dtype=np.int64)
        self.annotated: Counts = np.zeros(len(self.names), dtype=np.int64)

    def update(
        self,
        foreground: npt.NDArray[np.floating[Any]],
        classes: npt.NDArray[np.integer[Any]],
        target: npt.NDArray[np.integer[Any]],
        valid: npt.NDArray[np.bool_],
    ) -> None:
        """Count the pixels of a scene; all arrays are of one shape.

        Args:
            foreground: probability of any class.
            classes: the most probable class, 1..K.
            target: 0 is background, 1..K are the classes.
            valid: bool; False where a pixel doesn't count.
        """
        bins = np.minimum((foreground[valid] * THRESHOLDS).astype(np.int64), THRESHOLDS - 1)
        predicted, actual = classes[valid].astype(np.int64), target[valid].astype(np.int64)
        num_classes = len(self.names)
        cells = ((predicted - 1) * 2 + (actual == predicted)) * THRESHOLDS + bins
        by_class = np.bincount(cells, minlength=2 * THRESHOLDS * (num_classes - 1))
        self.counts[:-1] += by_class.reshape(num_classes - 1, 2, THRESHOLDS)
        of_any = np.bincount((actual > 0) * THRESHOLDS + bins, minlength=2 * THRESHOLDS)
        self.counts[-1] += of_any.reshape(2, THRESHOLDS)
        sizes = np.bincount(actual, minlength=num_classes)[1:]
        self.annotated += [*sizes, sizes.sum()]

    def curve(self) -> pd.DataFrame:
        """Precision and recall at each threshold.

        Returns:
            Columns `class`, `threshold` (0, 1/64, .. 63/64), `precision`, `recall`; at most 64 rows per
            class, as thresholds that no pixel reaches are left out (precision would be 0 / 0). A class
            without a pixel in the target has no rows (recall would be 0 / 0).
        """
        tables = []
        for name, counts, annotated in zip(self.names, self.counts, self.annotated, strict=True):
            # Predicted at threshold b is whatever lies in bin b or above.
            fp, tp = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
            table = pd.DataFrame(
                {
                    "class": name,
                    "threshold": np.arange(THRESHOLDS) / THRESHOLDS,
                    "precision": divide(tp, tp + fp),
                    "recall": divide(tp, annotated),
                }
            )
            tables.append(table.dropna())
        return pd.concat(tables, ignore_index=True)
