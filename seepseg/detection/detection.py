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
from seepseg.detection.slick_table import ENDS

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
        candidates: a row for each candidate, accepted or not: `scene`, `candidate` (1..m), `slick` (its number among
            the slicks, 0 if it is none), `area`, `ENDS` (see `seepseg.detection.slick_table`, pixels of this scene),
            and the probabilities `p_slick` and of each class, as above.
        paths: of each candidate, float64 (k, 2), x and y of its centreline from end 1 to end 2, k >= 2.
        features: by which candidates are classified, see `seepseg.detection.marked_slicks.MarkedSlicks.measure`; None
            without candidates.
    """

    scene: ScenePixels
    labels: BlockArray[np.int32]
    classes: BlockArray[np.uint8]
    foreground: BlockArray[np.uint8]
    slicks: pd.DataFrame
    candidates: pd.DataFrame
    paths: Sequence[npt.NDArray[np.float64]]
    features: pd.DataFrame | None


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

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """The number of each candidate among the slicks, int64 (n,), 0 if it is none."""
        return np.where(self.accepted, self.accepted.cumsum(), 0).astype(np.int64)

    def probabilities(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Of each candidate: that it is a slick, (n,), and of each class, if it is one, (n, K)."""
        if (probs := self.candidates.probs) is not None:
            return probs.p_slick, probs.classes
        shares = self.candidates.mean_probability
        return self.candidates.table["prob_peak"].to_numpy(np.float64), shares / shares.sum(axis=1, keepdims=True)


def slick_columns(class_names: Sequence[str]) -> list[str]:
    """Columns of `Detection.slicks`."""
    return [*COLUMNS, *(P_CLASS + name for name in class_names), *MEASURED]


def candidate_columns(class_names: Sequence[str]) -> list[str]:
    """Columns of `Detection.candidates`."""
    return ["scene", "candidate", "slick", "area", *ENDS, "p_slick", *(P_CLASS + name for name in class_names)]


def slick_rows(found: MarkedSlicks, slicks: Slicks, class_names: Sequence[str]) -> pd.DataFrame:
    """A row for each accepted candidate, with `slick_columns`."""
    candidates, classes, boxes = slicks.candidates, slicks.classes, found.boxes
    p_slick, p_class = slicks.probabilities()
    rows = pd.DataFrame(
        {
            "scene": found.scene.name,
            "slick": slicks.numbers,
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
    )
    return rows.loc[slicks.accepted, slick_columns(class_names)].reset_index(drop=True)


def candidate_rows(found: MarkedSlicks, slicks: Slicks, class_names: Sequence[str]) -> pd.DataFrame:
    """A row for each candidate, with `candidate_columns`."""
    p_slick, p_class = slicks.probabilities()
    rows = pd.DataFrame(
        {
            "scene": found.scene.name,
            "candidate": np.arange(1, len(found) + 1),
            "slick": slicks.numbers,
            "area": found.boxes.area,
            **{name: slicks.candidates.table[name].to_numpy() for name in ENDS},
            "p_slick": p_slick,
            **{P_CLASS + name: p for name, p in zip(class_names, p_class.T, strict=True)},
        }
    )
    return rows[candidate_columns(class_names)]
