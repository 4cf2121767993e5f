"""Write the tiles of scenes: images and targets on the scene's grid, and the table that names them."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from seepseg.base.conventions import NODATA
from seepseg.geo.scene_records import SceneRecord, part_profile
from seepseg.io.tile_table import TABLE_COLUMNS

IMAGES, TARGETS = "images", "targets"


class TileWriter:
    """Cuts bands of rows into tiles.

    Attributes:
        rows: of the table, one for each tile.
        empty: tiles without any data, which are left out.
    """

    def __init__(self, folder: Path, side: int) -> None:
        """Make the folders.

        Args:
            folder: to write into.
            side: of a tile, in pixels.
        """
        self.rows: list[tuple[str, int, int, str, str, int, int]] = []
        self.empty = 0
        self._folder, self._side = folder, side
        self._valid = self._sum = 0
        for name in (IMAGES, TARGETS):
            (folder / name).mkdir()

    @property
    def mean(self) -> float:
        """Of all pixels with data so far."""
        return self._sum / self._valid if self._valid else 0.0

    def write_band(
        self, scene: SceneRecord, top: int, image: npt.NDArray[np.uint16], target: npt.NDArray[np.uint8]
    ) -> bool:
        """Write the tiles of a band.

        Args:
            scene: that the band belongs to.
            top: its first row in the scene, a multiple of the side.
            image: uint16 (H, W), H at most the side.
            target: uint8 (H, W).

        Returns:
            Whether there is any data.
        """
        side, before = self._side, len(self.rows)
        row = top // side
        for col, left in enumerate(range(0, scene.shape[1], side)):
            part = image[:, left : left + side]
            valid = int(np.count_nonzero(part != NODATA))
            if not valid:
                self.empty += 1
                continue
            self._valid += valid
            self._sum += int(part.sum(dtype=np.int64))
            name = f"{scene.name}_{row:03d}_{col:03d}.tif"
            place = part_profile(scene.georeference, top, left)
            self._write(f"{IMAGES}/{name}", part, place | {"nodata": NODATA})
            self._write(f"{TARGETS}/{name}", target[:, left : left + side], place | {"compress": "deflate"})
            self.rows.append((scene.name, row, col, f"{IMAGES}/{name}", f"{TARGETS}/{name}", top, left))
        return len(self.rows) > before

    def _write(self, name: str, part: npt.NDArray[Any], profile: dict[str, Any]) -> None:
        side = self._side
        tile = np.zeros((side, side), part.dtype)  # the last of a row or column is filled up with no-data
        tile[: part.shape[0], : part.shape[1]] = part
        size = {"driver": "GTiff", "height": side, "width": side, "count": 1, "dtype": part.dtype.name}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # of scenes without a place
            with rasterio.open(self._folder / name, "w", **size, **profile) as file:
                file.write(tile, 1)

    def table(self) -> pd.DataFrame:
        """The table of tiles, see `seepseg.io.tile_table.read_table`."""
        return pd.DataFrame(self.rows, columns=list(TABLE_COLUMNS))
