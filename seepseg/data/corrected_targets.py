"""Targets as corrections make them.

Rows of `seepseg.data.corrections` are applied in their order; where there is no data, nothing ever changes.

| kind | decision | |
| --- | --- | --- |
| annotated | right | nothing changes |
| annotated | wrong | annotated pixels within become background |
| annotated | other_class | annotated pixels within become class_name |
| predicted | right, other_class | all pixels within become class_name |
| predicted | wrong | nothing changes |
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from affine import Affine
from rasterio.features import rasterize

from seepseg.base.conventions import NODATA
from seepseg.data.corrections import ANNOTATED, DECISIONS, PREDICTED, RIGHT, WRONG, are_correctable, refuse_rows

# What agrees with the target as it is.
WITHOUT_CHANGE = {(ANNOTATED, RIGHT), (PREDICTED, WRONG)}

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Correction:
    """A decision about a slick.

    Attributes:
        kind: of `KINDS`, what slick was judged.
        decision: of `DECISIONS`.
        value: of the target where it is changed: 0, or 1..K.
        outline: a valid polygon or multipolygon in pixels of the scene's grid, (0, 0) is the upper left corner of the
            first; a pixel is within if its centre is.
    """

    kind: str
    decision: str
    value: int
    outline: shapely.Geometry


def correct(
    target: npt.NDArray[np.uint8], image: npt.NDArray[np.uint16], corner: tuple[int, int], rows: Iterable[Correction]
) -> tuple[npt.NDArray[np.uint8], Counts, Counts]:
    """Apply corrections to the target of a tile, in their order.

    Args:
        target: uint8 (H, W); stays as it is.
        image: uint16 (H, W), its pixels, `NODATA` where nothing changes.
        corner: row and column of the tile's first pixel in the grid of the scene.
        rows: n of its scene.

    Returns:
        The corrected target, uint8 (H, W); of each row the pixels of the tile that lie within its outline, and those
        whose value it changed, int64 (n,) both.
    """
    corrected, has_data = target.copy(), image != NODATA
    top, left = corner
    within, changed = [], []
    for row in rows:
        drawn = rasterize([row.outline], target.shape, transform=Affine.translation(left, top), dtype="uint8")
        concerned = drawn.astype(bool)
        within.append(np.count_nonzero(concerned))
        concerned &= has_data & (corrected != row.value)
        if row.kind == ANNOTATED:
            concerned &= corrected != 0
        if (row.kind, row.decision) in WITHOUT_CHANGE:
            concerned[:] = False
        changed.append(np.count_nonzero(concerned))
        corrected[concerned] = row.value
    return corrected, np.array(within, np.int64), np.array(changed, np.int64)


class Corrector:
    """Applies corrections to the tiles of a data set, one after the other.

    Attributes:
        table: see `read_corrections`.
        within: int64 (n,), of each row the pixels of all tiles so far that lie within its outline.
        changed: likewise, those whose value it changed.
        changed_pixels: those of all tiles so far whose value isn't what it was.
    """

    def __init__(self, table: pd.DataFrame, class_names: Sequence[str]) -> None:
        """Start without a tile.

        Args:
            table: n rows, see `read_corrections`.
            class_names: of the K classes.
        """
        self.table = table
        self.within, self.changed = np.zeros((2, len(table)), np.int64)
        self.changed_pixels = 0
        outlines = shapely.from_wkt(table["outline"].to_numpy(dtype=object))
        values = [list(class_names).index(name) + 1 if name else 0 for name in table["class_name"]]
        self._rows = [Correction(*row) for row in zip(table["kind"], table["decision"], values, outlines, strict=True)]
        self._bounds = shapely.bounds(outlines).reshape(-1, 4)
        self._of_scene: dict[str, Counts] = table.groupby("scene").indices
        self._corners: dict[int, tuple[int, int]] = {}  # of tiles, by index
        self._shape = (0, 0)
        self._scenes: set[str] = set()
        self._ambiguous: set[str] = set()

    def place(self, scenes: Sequence[str], cells: Sequence[tuple[Any, Any]], tile_shape: tuple[int, int]) -> None:
        """Tell where tiles lie, before the first is corrected; see `seepseg.data.scenes.find_scenes`.

        Args:
            scenes: name of the scene of each tile of the data set.
            cells: row and column of each in the grid of its scene; None and None where they are unknown.
            tile_shape: height and width of a tile, in pixels.
        """
        self._shape, self._scenes = tile_shape, set(scenes)
        height, width = tile_shape
        tiles = pd.DataFrame(list(cells), columns=["row", "col"], dtype="Int64").assign(scene=scenes)
        for scene, group in tiles[tiles["scene"].isin(self._of_scene.keys())].groupby("scene"):
            places = group[["row", "col"]]
            if not are_correctable(places):
                self._ambiguous.add(str(scene))
                continue
            cells_of = places.fillna(0).itertuples(name=None)  # a tile without a place is a scene of its own
            self._corners |= {index: (row * height, col * width) for index, row, col in cells_of}

    def correct(
        self, index: int, scene: str, target: npt.NDArray[np.uint8], image: npt.NDArray[np.uint16]
    ) -> npt.NDArray[np.uint8]:
        """The corrected target of a tile, see the function `correct`; itself where nothing is to be done.

        Args:
            index: of the tile, as in `place`.
            scene: its name.
            target: uint8 (H, W).
            image: uint16 (H, W).
        """
        if index not in self._corners:
            return target
        (top, left), (height, width) = self._corners[index], self._shape
        rows = self._of_scene[scene]
        west, north, east, south = self._bounds[rows].T
        rows = rows[(west < left + width) & (east > left) & (north < top + height) & (south > top)]
        corrected, within, changed = correct(target, image, (top, left), [self._rows[row] for row in rows])
        self.within[rows] += within
        self.changed[rows] += changed
        self.changed_pixels += int(np.count_nonzero(corrected != target))
        return corrected

    def check(self, path: Path) -> None:
        """After all tiles: refuse rows that belong to none of them.

        Args:
            path: of the corrections.

        Raises:
            InputError: lists them all.
        """
        faults = []
        for number, scene, within in zip(self.table.index, self.table["scene"], self.within, strict=True):
            if scene not in self._scenes:
                faults.append(f"row {number}: expected a scene of the data set, found {scene}")
            elif scene in self._ambiguous:
                places = f"scene {scene} with each tile at a place of its own (data.grid_columns)"
                faults.append(f"row {number}: expected {places}, found others")
            elif not within:
                faults.append(f"row {number}: expected an outline on tiles of scene {scene}, found one beside them")
        refuse_rows(path, faults, "name the corrections of this data set in data.corrections, or remove these rows")

    def summary(self) -> dict[str, Any]:
        """The metrics: how many decisions there are, and what they did."""
        return {
            "rows": {decision: int((self.table["decision"] == decision).sum()) for decision in DECISIONS},
            "rows_with_effect": int(np.count_nonzero(self.changed)),
            "changed_pixels": self.changed_pixels,
        }
