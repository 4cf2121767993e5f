"""A block of a scene on a device, with the windows in which networks see it."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from seepseg.base.conventions import NODATA
from seepseg.data.pixels import ScenePixels, Window

Corner = tuple[int, int]
"""Row and column of the first pixel of a window of a tile's size, in a padded block."""


class PaddedBlock:
    """A block of a scene on a device, with as much around it as the shifted windows need.

    Windows side by side are cut and added as one, as a GPU takes as long for the smallest of operations as the host
    needs to ask for it.

    Args:
        scene: gives the pixels.
        block: a part of it that begins where a tile begins.
        tile_shape: height and width of a tile, in pixels.
        device: where its pixels are to be.

    Attributes:
        shape: height H and width W of whole tiles, with what is around them.
        tiles: the corner of each tile with a valid pixel.
    """

    def __init__(self, scene: ScenePixels, block: Window, tile_shape: tuple[int, int], device: torch.device) -> None:
        self.tile_shape = tile_shape
        self._block = block
        # Of each axis, where the windows of the grid of tiles begin in the scene, and those of the shifted grid.
        axes = list(zip(scene.shape, tile_shape, block[:2], block[2:], strict=True))
        starts = [[window_starts(*axis, back) for back in (0, axis[1] // 2)] for axis in axes]
        self._first = [min(itertools.chain(*grids)) for grids in starts]
        ends = [max(itertools.chain(*grids)) + side for grids, side in zip(starts, tile_shape, strict=True)]
        # Whole tiles, also at the end of a scene.
        tiles = [range(start, start + length, side) for _, side, start, length in axes]
        ends = [max(end, grid[-1] + side) for end, grid, side in zip(ends, tiles, tile_shape, strict=True)]
        self._starts = starts
        self.shape = ends[0] - self._first[0], ends[1] - self._first[1]
        self._recorded = scene.read(Window(self._first[0], self._first[1], *self.shape))
        # The bits of uint16, which few operations of torch take.
        self._on_device = torch.from_numpy(self._recorded.view(np.int16)).to(device)
        self.tiles = self._seen(tiles[0], tiles[1])

    @property
    def is_empty(self) -> bool:
        """Whether the block, without what is around it, has no valid pixel."""
        return not self.tiles

    def corners(self, shift: tuple[int, int]) -> list[Corner]:
        """Windows that overlap the block and have a valid pixel.

        Args:
            shift: so many half tiles lies their grid above and left of that of the tiles.
        """
        rows, columns = (grids[half] for grids, half in zip(self._starts, shift, strict=True))
        return self._seen(rows, columns)

    def _seen(self, rows: Sequence[int], columns: Sequence[int]) -> list[Corner]:
        """Windows with a valid pixel, of those that begin in these rows and columns of the scene."""
        height, width = self.tile_shape
        corners = [(row - self._first[0], column - self._first[1]) for row, column in itertools.product(rows, columns)]
        return [(y, x) for y, x in corners if (self._recorded[y : y + height, x : x + width] != NODATA).any()]

    def cut_recorded(self, corners: list[Corner]) -> Tensor:
        """Intensity as it was recorded, float32 (N, 1, h, w), of windows."""
        return recorded_intensity(self.cut(self._on_device, corners))

    def cut(self, canvas: Tensor, corners: list[Corner]) -> Tensor:
        """Windows of a canvas, (..., H, W) -> (N, ..., h, w)."""
        return torch.cat([view for _, view in self._side_by_side(canvas, corners)])

    def add(self, canvas: Tensor, corners: list[Corner], values: Tensor) -> None:
        """Add to a canvas (..., H, W), on any device, in windows that don't overlap; values (N, ..., h, w) or 1."""
        values = values.to(canvas.device)
        for which, view in self._side_by_side(canvas, corners):
            view.add_(values[which])

    def crop(self, canvas: Tensor) -> Tensor:
        """A canvas without what is around the block."""
        top, left, height, width = self._block
        y, x = top - self._first[0], left - self._first[1]
        return canvas[..., y : y + height, x : x + width]

    def _side_by_side(self, canvas: Tensor, corners: list[Corner]) -> Iterator[tuple[slice, Tensor]]:
        """For each run of windows side by side, which they are, and the view (N, ..., h, w) of them."""
        height, width = self.tile_shape
        starts = [n for n, (y, x) in enumerate(corners) if not n or corners[n - 1] != (y, x - width)]
        for start, stop in itertools.pairwise([*starts, len(corners)]):
            (y, x), count = corners[start], stop - start
            run = canvas[..., y : y + height, x : x + count * width]
            yield slice(start, stop), run.view(*run.shape[:-1], count, width).movedim(-2, 0)


def window_starts(length: int, side: int, first: int, extent: int, back: int) -> list[int]:
    """Where the windows begin that overlap a part of an axis.

    Args:
        length: of the scene.
        side: of a window.
        first: where the part begins.
        extent: of the part.
        back: so far before the scene the grid of windows begins.

    Returns:
        Ascending, from below 0 for a grid that begins before the scene. A last window of which less than half would lie
        in the scene is moved back to its end, as a network sees little in a narrow strip.
    """
    starts = list(range(-back, length, side))
    if length >= side and length - starts[-1] < side // 2:
        starts[-1] = length - side
    return [start for start in starts if start < first + extent and start + side > first]


def recorded_intensity(bits: Tensor) -> Tensor:
    """The bits of uint16, int16 (N, h, w), as float32 (N, 1, h, w)."""
    return (bits.int() & 0xFFFF).to(torch.float32).unsqueeze(1)
