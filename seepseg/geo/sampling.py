"""Windows that stand for a scene: few enough to be read at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from seepseg.data.pixels import Window
from seepseg.geo.raster_band import RasterBand

WHOLE = 2**20  # pixels of scenes whose mean is taken over all of them
SAMPLE_SIDE = 64  # of the squares sampled from larger ones, which lie in one block of most files, in pixels
SAMPLE_GRIDS = (12, 48)  # squares along a side: the second where the first sees too little
ENOUGH = 4096  # sampled pixels with data


def sample_windows(shape: tuple[int, int], read: Callable[[Window], npt.NDArray[Any]]) -> list[Window]:
    """Windows that stand for a scene, the same at every time: squares on a grid, or all of a small scene.

    Args:
        shape: of the scene.
        read: gives a window's pixels, 0 where there is no data.
    """
    height, width = shape
    if height * width <= WHOLE:
        return [Window(0, 0, height, width)]
    for grid in SAMPLE_GRIDS:
        windows = [
            Window(top, left, min(SAMPLE_SIDE, height), min(SAMPLE_SIDE, width))
            for top in _places(height, grid)
            for left in _places(width, grid)
        ]
        if sum(int(np.count_nonzero(read(window))) for window in windows) >= ENOUGH:
            break
    return windows


def sampled(band: RasterBand) -> npt.NDArray[Any]:
    """Numbers of a band at these windows, where they are data by what the file says, (N,)."""
    windows = sample_windows(band.shape, lambda window: band.read(window)[1])
    return np.concatenate([values[valid] for values, valid in map(band.read, windows)])


def _places(length: int, count: int) -> list[int]:
    """Where squares begin along a side: evenly spread, at whole squares, so that each lies in one block of the file."""
    last = max(0, length - SAMPLE_SIDE)
    middles = (np.arange(count) + 0.5) / count * length - SAMPLE_SIDE / 2
    return sorted({int(min(last, max(0, middle // SAMPLE_SIDE * SAMPLE_SIDE))) for middle in middles})
