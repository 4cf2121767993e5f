"""What is detected in a scene: its slicks, as labels and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.data.block_array import BlockArray
from seepseg.data.pixels import ScenePixels
from seepseg.detection.marked_slicks import MarkedSlicks
from seepseg.detection.postprocessing import ScoredCandidates

COLUMNS = (
    "scene",
    "slick",
    "class",
    "area",
    "top",
    "left",
    "bottom",
    "right",
    "p_slick",
    "p_class",
)
MEASURED = ("intensity", "sea_near")  # features that are handed on with each slick
P_CLASS = "p_of_"  # prefix of the columns with the probability of each class, none of which is p_slick or p_class

FOREGROUND_STEPS = 200  # of a probability in 8 bits
UNSEEN = 255  # in 8 bits, where there is no data


@dataclass(frozen=True)
class Detection:
    """The slicks of a scene.

    Attributes:
        scene: gives the pixels.
        labels: int32 (H, W), 1..n on the slicks, 0 elsewhere.
        classes: uint8 (H, W), the predicted mask: 1..K on the slicks, 0 elsewhere.
        foreground: uint8 (H, W), probability of any class in `FOREGROUND_STEPS`, `UNSEEN` where there is no data.
        slicks: a row for each slick, in the order of its number: `COLUMNS`, the name of its class among them, and the
            box around it in pixels, bottom and right being the first behind it; the probability that it is a slick, by
            the classifier, or by its surest pixel where that is not asked; that of its class, if it is one, and of
            each class; and the features `MEASURED`.
    """

    scene: ScenePixels
    labels: BlockArray[np.int32]
    classes: BlockArray[np.uint8]
    foreground: BlockArray[np.uint8]
    slicks: pd.DataFrame


@dataclass(frozen=True)
class Slicks:
    """Classified candidates, a row per candidate in the order of their table.

    Attributes:
        candidates: with their probabilities.
        accepted: bool (n,), whether it is a slick.
        classes: uint8 (n,), 1..K.
    """

    candidates: ScoredCandidates
    accepted: npt.NDArray[np.bool_]
    classes: npt.NDArray[np.uint8]


def slick_columns(class_names: Sequence[str]) -> list[str]:
    """Columns of `Detection.slicks`."""
    return [*COLUMNS, *(P_CLASS + name for name in class_names), *MEASURED]


def slick_rows(found: MarkedSlicks, slicks: Slicks, class_names: Sequence[str]) -> pd.DataFrame:
    """A row for each accepted candidate, with `slick_columns`."""
    candidates, classes, boxes = slicks.candidates, slicks.classes, found.boxes
    if candidates.probs is None:
        shares = candidates.mean_probability
        p_class = shares / shares.sum(axis=1, keepdims=True)
        p_slick = candidates.table["prob_peak"].to_numpy(np.float64)
    else:
        p_class, p_slick = candidates.probs.classes, candidates.probs.p_slick
    rows = pd.DataFrame(
        {
            "scene": found.scene.name,
            "class": [class_names[number - 1] for number in classes],
            "area": boxes.area,
            "top": boxes.first[0],
            "left": boxes.first[1],
            "bottom": boxes.end[0],
            "right": boxes.end[1],
            "p_slick": p_slick,
            "p_class": p_class[np.arange(len(classes)), classes - 1],
            **{P_CLASS + name: p for name, p in zip(class_names, p_class.T, strict=True)},
            **{name: candidates.table[name].to_numpy() for name in MEASURED},
        }
    )[slicks.accepted]
    return rows.assign(slick=np.arange(1, len(rows) + 1))[slick_columns(class_names)].reset_index(drop=True)
