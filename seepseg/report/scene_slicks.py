"""The slicks of a scene, annotated and predicted, as the page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from seepseg.base.conventions import NODATA
from seepseg.data.block_array import BlockArray
from seepseg.detection.matching import annotated_slicks
from seepseg.evaluation.confusion import Counts
from seepseg.evaluation.objects import Labels, overlapping_pairs
from seepseg.geo.georeference import Georeference
from seepseg.geo.polygons import Polygons, trace
from seepseg.report.contents import SLICK_COLUMNS
from seepseg.report.costs import costs, count_slicks

Kind = Literal["annotated", "predicted"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StitchedScene:
    """What the page needs of a scene, or of the part of it that is of one split and inner fold.

    Attributes:
        name: of the scene.
        split: oof or test.
        tile: name of the one tile that it is, where that has no place in the scene's grid; else empty.
        date: when it was acquired, empty where that is not known.
        origin: row and column of its first pixel in the grid of the whole scene.
        image: uint16 (H, W).
        target: uint8 (H, W), what is annotated, 0..K.
        pred: uint8 (H, W), what is predicted, 0..K.
        candidates: int32 (H, W), numbers of the candidates in the scene, 0 elsewhere.
        first: how many annotated slicks earlier parts of the scene have.
        georeference: of the whole grid, if there is one.
        spacing: of pixels, in metres; None where it is not known.
        shift: how far to the right and down its grid lies on the common grid of tiles; None where it does not.
    """

    name: str
    split: Literal["oof", "test"]
    tile: str
    date: str
    origin: tuple[int, int]
    image: npt.NDArray[np.uint16]
    target: npt.NDArray[np.uint8]
    pred: npt.NDArray[np.uint8]
    candidates: Labels
    first: int
    georeference: Georeference | None
    spacing: float | None
    shift: tuple[int, int] | None

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels of the grid."""
        (top, left), (height, width) = self.origin, self.image.shape
        return left, top, left + width, top + height


@dataclass(frozen=True)
class NumberedSlicks:
    """Slicks of one kind.

    Attributes:
        kind: annotated | predicted.
        numbers: int64 (n,), in the scene.
        labels: int32 (H, W), 1..n on the slicks.
    """

    kind: Kind
    numbers: npt.NDArray[np.int64]
    labels: Labels

    @property
    def ids(self) -> npt.NDArray[np.object_]:
        """The `slick_id` of each."""
        return np.array([f"{self.kind[0]}{number}" for number in self.numbers], dtype=object)


def scene_slicks(
    scene: StitchedScene, probabilities: tuple[Floats, Floats], class_names: Sequence[str], pooled: Counts
) -> tuple[pd.DataFrame, list[shapely.Geometry]]:
    """The slicks of a scene: first the annotated ones, then the predicted ones, by their numbers.

    Args:
        scene: the scene.
        probabilities: of all its candidates, in the order of their numbers: float64 (m,), that each is a slick, and
            (m, K), of each class, if it is one.
        class_names: the K classes.
        pooled: int64 (K+1, K+1), confusion of its split.

    Returns:
        A row for each, with `SLICK_COLUMNS`, and their outlines in pixels of the grid; decisions are empty.
    """
    valid = scene.image != NODATA
    target, pred = np.where(valid, scene.target, 0), np.where(valid, scene.pred, 0)
    labels, n = annotated_slicks(scene.image, scene.target)
    annotated = NumberedSlicks("annotated", scene.first + np.arange(1, n + 1), labels)
    predicted = NumberedSlicks("predicted", *_number_anew(np.where(pred > 0, scene.candidates, 0)))
    of_predicted, of_annotated, overlap = overlapping_pairs(predicted.labels, annotated.labels)
    tables, outlines = [], list[shapely.Geometry]()
    for marked, own, other, others in (
        (annotated, of_annotated, of_predicted, predicted),
        (predicted, of_predicted, of_annotated, annotated),
    ):
        count = len(marked.numbers)
        counts = count_slicks(marked.labels, count, target, pred, len(class_names) + 1)
        table = _describe(marked, counts, class_names)
        best, other_id = np.zeros(count), np.full(count, "", dtype=object)
        order = np.argsort(overlap, kind="stable")  # the last one written is the largest
        best[own[order] - 1], other_id[own[order] - 1] = overlap[order], others.ids[other[order] - 1]
        if marked.kind == "predicted":
            table["p_slick"] = probabilities[0][marked.numbers - 1]
            of_class = pd.Index(class_names).get_indexer(table["class_name"])
            table["p_class"] = probabilities[1][marked.numbers - 1, of_class]
        tables.append(table.assign(other_id=other_id, overlap=best, cost=costs(counts, pooled)))
        outlines += list(_outlines(marked, scene.origin))
    whole = pd.concat(tables, ignore_index=True)
    return _placed(whole, outlines, scene).astype(SLICK_COLUMNS)[list(SLICK_COLUMNS)], outlines


def _number_anew(labels: Labels) -> tuple[npt.NDArray[np.int64], Labels]:
    """The numbers that occur, ascending, and labels with 1..n instead of them."""
    on = labels > 0
    numbers, of = np.unique(labels[on], return_inverse=True)
    anew = np.zeros_like(labels)
    anew[on] = of + 1
    return numbers.astype(np.int64), anew


def _describe(marked: NumberedSlicks, counts: Counts, class_names: Sequence[str]) -> pd.DataFrame:
    """What the pixels of slicks tell: the class of most of them on this side, and on the other one."""
    names = np.array(["", *class_names], dtype=object)
    sides = [counts.sum(axis=2)[:, 1:], counts.sum(axis=1)[:, 1:]]  # annotated, predicted pixels of each class
    own, other = sides if marked.kind == "annotated" else sides[::-1]
    return pd.DataFrame(
        {
            "slick_id": marked.ids,
            "kind": marked.kind,
            "class_name": names[own.argmax(axis=1) + 1],
            "other_class": names[np.where(other.any(axis=1), other.argmax(axis=1) + 1, 0)],
            "p_slick": np.nan,
            "p_class": np.nan,
            "area_px": counts.sum(axis=(1, 2)),
            "decision": "",
        }
    )


def _outlines(marked: NumberedSlicks, origin: tuple[int, int]) -> Polygons:
    """Outlines in pixels of the grid, along the edges of pixels."""
    height, width = marked.labels.shape
    whole = trace(BlockArray.of(marked.labels, (height, width)), len(marked.numbers))
    shifted: Polygons = shapely.transform(whole, lambda xy: xy + origin[::-1])
    return shifted


def _placed(table: pd.DataFrame, outlines: Sequence[shapely.Geometry], scene: StitchedScene) -> pd.DataFrame:
    """The table with areas and places on earth."""
    lon = lat = np.full(len(table), np.nan)
    if scene.georeference is not None and len(table):
        within = shapely.point_on_surface(np.array(outlines, dtype=np.object_))
        lon, lat = scene.georeference.to_lonlat(shapely.get_x(within), shapely.get_y(within))
    km2 = np.nan if scene.spacing is None else scene.spacing**2 / 1e6
    return table.assign(area_km2=table["area_px"] * km2, lon=lon, lat=lat)
