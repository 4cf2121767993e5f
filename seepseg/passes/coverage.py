"""Which of many footprints hold which places: as exact as the polygons, at the speed of a raster."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.features import rasterize

CELLS = 512  # along the longer side of the ground; memory for 1,000 footprints: 65 MB
AT_ONCE = 1 << 26  # answers, one byte each

Bits = npt.NDArray[np.uint8]


class Coverage:
    """The footprints of P passes on a common raster of coarse cells.

    Most cells lie within a footprint or outside of it, which answers for all places in them. In cells that its edge
    touches, and in those beside them, the polygon is asked.

    Args:
        footprints: (P,) polygons on a plane.
    """

    def __init__(self, footprints: Sequence[shapely.Geometry]) -> None:
        self.footprints = footprints
        shapely.prepare(footprints)
        left, bottom, right, top = shapely.total_bounds(footprints)
        self._cell = max(right - left, top - bottom) / CELLS
        self._left, self._top = left, top
        self._shape = tuple(int(side // self._cell) + 1 for side in (top - bottom, right - left))
        size = -(-len(footprints) // 8), self._shape[0] * self._shape[1]
        self._inside, self._edge = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        for number, footprint in enumerate(footprints):
            plane, bit = number // 8, 128 >> number % 8
            edge = _with_neighbours(self._rasterise(footprint.boundary))
            self._inside[plane][(self._rasterise(footprint) & ~edge).ravel()] |= bit
            self._edge[plane][edge.ravel()] |= bit

    def _rasterise(self, geometry: shapely.Geometry) -> npt.NDArray[np.bool_]:
        """The cells that a geometry touches, bool (H, W)."""
        transform = Affine(self._cell, 0, self._left, 0, -self._cell, self._top)
        touched: Bits = rasterize([geometry], self._shape, transform=transform, all_touched=True, dtype=np.uint8)
        return touched.view(np.bool_)

    def holds(self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Which footprints hold which places.

        Args:
            x: float64 (n,); NaN is nowhere.
            y: likewise.

        Returns:
            bool (n, P).
        """
        result = np.zeros((len(x), len(self.footprints)), np.bool_)
        step = max(AT_ONCE // len(self.footprints), 1)
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            self._fill(result[part], x[part], y[part])
        return result

    def _fill(self, result: npt.NDArray[np.bool_], x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> None:
        with np.errstate(invalid="ignore"):
            row, column = (self._top - y) // self._cell, (x - self._left) // self._cell
        height, width = self._shape
        within = np.flatnonzero((row >= 0) & (row < height) & (column >= 0) & (column < width))
        cell = (row[within] * width + column[within]).astype(np.int64)
        result[within] = self._unpack(self._inside, cell)
        asked = self._unpack(self._edge, cell)
        for number in np.flatnonzero(asked.any(axis=0)).tolist():
            places = within[asked[:, number]]
            result[places, number] = shapely.contains_xy(self.footprints[number], x[places], y[places])

    def _unpack(self, planes: Bits, cell: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        bits: Bits = np.unpackbits(planes[:, cell].T, axis=1, count=len(self.footprints))
        return bits.view(np.bool_)


def _with_neighbours(cells: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Cells and the eight around each, in place: a line may meet more cells than are burnt, in the last bit."""
    for each in (cells, cells.T):
        each[1:] |= each[:-1].copy()
        each[:-1] |= each[1:].copy()
    return cells
