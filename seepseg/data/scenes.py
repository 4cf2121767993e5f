"""Tiles put together again to the scenes they were cut from, so that a slick is seen whole, with its surroundings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.base.conventions import NODATA
from seepseg.data.packed import Indices
from seepseg.data.pixels import Window

Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True)
class Scene:
    """Where the tiles of a scene lie in it.

    Attributes:
        name: of the scene; a tile without a place in its grid is a scene of its own with the same name.
        indices: int64 (N,), the tiles' rows in the packed arrays.
        top: int64 (N,), row of each tile's first pixel in the stitched scene.
        left: int64 (N,), its column.
        tile_shape: height and width of a tile, in pixels.
        origin: row and column of the stitched scene's first pixel in the grid of the whole scene; None for a tile
            without a place in it.
    """

    name: str
    indices: Indices
    top: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    tile_shape: tuple[int, int]
    origin: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the stitched scene, in pixels; just as large as its tiles need."""
        height, width = self.tile_shape
        return int(self.top.max()) + height, int(self.left.max()) + width

    def stitch(self, tiles: npt.NDArray[Pixel]) -> npt.NDArray[Pixel]:
        """Lay tiles where they belong.

        Args:
            tiles: (N, ..., H, W), in the order of `indices`.

        Returns:
            (..., height, width) of `shape`, 0 where there is no tile.
        """
        whole = np.zeros((*tiles.shape[1:-2], *self.shape), dtype=tiles.dtype)
        for tile, place in zip(tiles, self._places(), strict=True):
            whole[..., *place] = tile
        return whole

    def cut(self, whole: npt.NDArray[Pixel]) -> npt.NDArray[Pixel]:
        """Undo `stitch`: (..., height, width) -> (N, ..., H, W)."""
        return np.stack([whole[..., *place] for place in self._places()])

    def _places(self) -> Iterator[tuple[slice, slice]]:
        height, width = self.tile_shape
        for top, left in zip(self.top.tolist(), self.left.tolist(), strict=True):
            yield slice(top, top + height), slice(left, left + width)


class TiledScene:
    """A scene of tiles that gives its pixels by window; see `seepseg.data.pixels.ScenePixels`.

    Args:
        scene: where its N tiles lie.
        images: uint16 (N, h, w), the tiles.
    """

    def __init__(self, scene: Scene, images: npt.NDArray[np.uint16]) -> None:
        self.name = scene.name
        self.shape = scene.shape
        self._image = scene.stitch(images)

    def read(self, window: Window) -> npt.NDArray[np.uint16]:
        """Read a window."""
        return read_padded(self._image, window)


def read_padded(image: npt.NDArray[np.uint16], window: Window) -> npt.NDArray[np.uint16]:
    """A window of an image (H, W), `NODATA` outside of it."""
    top, left, height, width = window
    pixels = np.full((height, width), NODATA, image.dtype)
    part = image[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    pixels[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]] = part
    return pixels


def find_scenes(manifest: pd.DataFrame, indices: Indices, tile_shape: tuple[int, int]) -> list[Scene]:
    """Group tiles by scene.

    Args:
        manifest: of all tiles, see `seepseg.data.packed.read_manifest`; for their `scene`, `row` and `col`.
        indices: int64 (N,), rows of the manifest to group.
        tile_shape: height and width of a tile, in pixels.

    Returns:
        The scenes in the order of their names, each with its tiles in the order of `indices`. A tile without a place
        in its scene's grid, or whose place another tile has already, makes a scene of its own, after those of its name.
    """
    height, width = tile_shape
    scenes: list[Scene] = []
    for name, group in manifest.loc[indices].groupby("scene", sort=True):
        placed = group[["row", "col"]].notna().all(axis=1) & ~group.duplicated(["row", "col"])
        grid, alone = group[placed], group[~placed]
        if len(grid):
            row, col = (grid[axis].to_numpy(dtype=np.int64) for axis in ("row", "col"))
            top, left = row * height, col * width
            origin = int(top.min()), int(left.min())
            scenes.append(Scene(str(name), _rows(grid), top - origin[0], left - origin[1], tile_shape, origin))
        zero = np.zeros(1, dtype=np.int64)
        scenes += [Scene(str(name), np.array([index]), zero, zero, tile_shape) for index in _rows(alone)]
    return scenes


def _rows(group: Any) -> Indices:
    rows: Indices = group.index.to_numpy(dtype=np.int64)
    return rows
