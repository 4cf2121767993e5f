"""Footprints of passes: what a scene has data of, as polygons in its pixel coordinates, made of coarse cells."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from seepseg.data.block_array import BlockArray
from seepseg.data.pixels import Window
from seepseg.detection.detection import UNSEEN

CELL = 16  # pixels, the side of a cell; of which at least half hold data, or it is not seen


def footprint(valid: npt.NDArray[np.bool_], origin: tuple[int, int] = (0, 0)) -> shapely.Geometry:
    """What a scene has data of.

    Args:
        valid: bool (H, W), where it has.
        origin: row and column of its first pixel in the whole grid of the scene.

    Returns:
        (Multi)polygon of whole cells, x along columns and y along rows, in pixels; empty without data.
    """
    height, width = valid.shape
    return _of_windows((height, width), [(Window(0, 0, height, width), valid)], origin)


def footprint_of_blocks(foreground: BlockArray[np.uint8]) -> shapely.Geometry:
    """The same, of a scene in blocks, of any size.

    Args:
        foreground: uint8 (H, W), `UNSEEN` where there is no data; see `seepseg.detection.detection.Detection`.
    """
    windows = ((window, foreground.read(window) != UNSEEN) for window in foreground.windows())
    return _of_windows(foreground.shape, windows, (0, 0))


def footprint_table(parts: Mapping[str, Sequence[shapely.Geometry]]) -> pd.DataFrame:
    """Footprints as they are written to disk.

    Args:
        parts: of each scene, by its name, the footprints of its parts; those of several touch or overlap or do not.

    Returns:
        `scene` and `wkt`, a row per scene that has data, in the order of their names.
    """
    whole = {name: _tidy(shapely.union_all(parts[name])) for name in sorted(parts)}
    rows = [(name, shapely.to_wkt(each, rounding_precision=0)) for name, each in whole.items() if not each.is_empty]
    return pd.DataFrame(rows, columns=["scene", "wkt"])


def _of_windows(
    shape: tuple[int, int], windows: Iterable[tuple[Window, npt.NDArray[np.bool_]]], origin: tuple[int, int]
) -> shapely.Geometry:
    """The footprint of a scene (H, W) from windows that tile it, and where there is data in each."""
    count = np.zeros([-(-side // CELL) for side in shape], np.int64)
    for window, valid in windows:
        (down, first_row), (across, first_column) = (_cells(*side) for side in zip(window[:2], window[2:], strict=True))
        in_cells = np.add.reduceat(np.add.reduceat(valid, down, axis=0, dtype=np.int64), across, axis=1)
        rows, columns = in_cells.shape
        count[first_row : first_row + rows, first_column : first_column + columns] += in_cells
    top, left = (np.minimum(np.arange(0, side + CELL, CELL), side) for side in shape)  # the last may end earlier
    top, left = (np.unique(edges) for edges in (top, left))
    seen = 2 * count >= np.diff(top)[:, None] * np.diff(left)
    step = np.diff(np.pad(seen, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (row, first), (_, behind) = (np.nonzero(step == edge) for edge in (1, -1))
    y, x = top + origin[0], left + origin[1]
    return _tidy(shapely.union_all(shapely.box(x[first], y[row], x[behind], y[row + 1])))


def _cells(start: int, length: int) -> tuple[npt.NDArray[np.int64], int]:
    """Where the cells begin within a part of an axis, from its start, and the number of the first of them."""
    first = start // CELL
    begins = np.arange(first * CELL, start + length, CELL) - start
    return begins.clip(min=0), first


def _tidy(geometry: shapely.Geometry) -> shapely.Geometry:
    """The same, with corners alone, in an order that does not depend on how it came about."""
    return shapely.normalize(shapely.simplify(geometry, 0))
