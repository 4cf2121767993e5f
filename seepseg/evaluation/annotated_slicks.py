"""Scores of the slick classifier alone: annotated slicks, outlined as annotated, and then classified."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.data.packed import PIXELS
from seepseg.evaluation.confusion import Counts, scores

# Columns of the classes that annotated slicks are given: by all that is known, and as if no other pass had been seen.
PREDICTED, ALONE = "predicted", "predicted_alone"


def annotated_slick_tables(pixels: Counts, pred: npt.NDArray[np.integer[Any]]) -> tuple[Counts, Counts]:
    """Count how annotated slicks are classified; tables of several scenes add up.

    Args:
        pixels: int64 (n, K), annotated pixels of each class in each slick.
        pred: integers (n,), 0..K-1, the predicted class of each slick.

    Returns:
        int64 (K, K) each, rows actual, columns predicted: pixels, and slicks, each as what most of it is.
    """
    num_classes = pixels.shape[1]
    by_pixel, by_slick = np.zeros((2, num_classes, num_classes), dtype=np.int64)
    np.add.at(by_pixel.T, pred, pixels)
    np.add.at(by_slick, (pixels.argmax(axis=1), pred), 1)
    return by_pixel, by_slick


def given_classes_tables(slicks: pd.DataFrame, column: str, class_names: Sequence[str]) -> tuple[Counts, Counts]:
    """`annotated_slick_tables` of a table of slicks.

    Args:
        slicks: a row for each, with `pixels_<class>` of all classes.
        column: with the names of the classes given.
        class_names: the K classes.
    """
    pixels = slicks[[PIXELS + name for name in class_names]].to_numpy(np.int64)
    return annotated_slick_tables(pixels, pd.Index(class_names).get_indexer(slicks[column]))


def annotated_slick_scores(by_pixel: Counts, by_slick: Counts, class_names: Sequence[str]) -> dict[str, Any]:
    """How well slicks are classified that are outlined as annotated.

    Args:
        by_pixel: int64 (K, K), see `annotated_slick_tables`.
        by_slick: likewise.
        class_names: the K classes.

    Returns:
        `dice` by class and `macro_dice`, of pixels, as in `scores`; `slick_f1` by class and `macro_slick_f1`, which
        count slicks instead. None for a class that no slick has.
    """
    of_pixels, of_slicks = (scores(np.pad(table, ((1, 0), (1, 0))), class_names) for table in (by_pixel, by_slick))
    return {
        "dice": of_pixels["dice"],
        "macro_dice": of_pixels["macro_dice"],
        "slick_f1": of_slicks["dice"],
        "macro_slick_f1": of_slicks["macro_dice"],
    }


def scores_by_split(classes: pd.DataFrame, column: str, class_names: Sequence[str]) -> dict[str, Any]:
    """`annotated_slick_scores` of a table of slicks, by its column `split`.

    Args:
        classes: a row for each slick, see `seepseg.detection.fitting.annotated_classes`.
        column: with the names of the classes given.
        class_names: the K classes.
    """
    return {
        split: annotated_slick_scores(*given_classes_tables(slicks, column, class_names), class_names)
        for split, slicks in classes.groupby("split", sort=False)
    }


def confusion_of(classes: pd.DataFrame, class_names: Sequence[str]) -> pd.DataFrame:
    """Count slicks by split, annotated and predicted class.

    Args:
        classes: a row for each slick, see `seepseg.detection.fitting.annotated_classes`.
        class_names: the K classes.

    Returns:
        `split`, `actual`, `predicted`, names of classes; `count` of pixels, and `slicks`.
    """
    rows = []
    for split, slicks in classes.groupby("split", sort=False):
        by_pixel, by_slick = given_classes_tables(slicks, PREDICTED, class_names)
        rows += [
            (split, actual, predicted, by_pixel[i, j], by_slick[i, j])
            for i, actual in enumerate(class_names)
            for j, predicted in enumerate(class_names)
        ]
    return pd.DataFrame(rows, columns=["split", "actual", "predicted", "count", "slicks"])
