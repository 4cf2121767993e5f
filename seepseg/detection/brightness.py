"""How bright the brightest pixel near a place is against what is around: platforms and ships outshine the sea."""

import numpy as np
import numpy.typing as npt

from seepseg.base.conventions import NODATA
from seepseg.data.block_array import blocks_of
from seepseg.data.pixels import ScenePixels, Window

NEAR = 6  # pixels from a place, where the brightest pixel counts
AROUND = 16  # likewise, whose median it is compared with
AT_ONCE = 2048  # places whose surroundings are looked at at once


def brightness(
    scene: ScenePixels, x: npt.ArrayLike, y: npt.ArrayLike, block: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """The brightest pixel near each place over the median of the valid pixels around it.

    Args:
        scene: gives the pixels.
        x: float (n,), along columns; the centre of the first pixel of the scene is 0.5.
        y: likewise, along rows.
        block: height and width of the parts of the scene that are read, each once.

    Returns:
        float64 (n,), NaN where there is no valid pixel around.
    """
    column, row = (np.floor(np.asarray(at, np.float64)).astype(np.int64) for at in (x, y))
    ratio = np.full(len(row), np.nan)
    for window in blocks_of(scene.shape, block):
        down, across = row - window.top, column - window.left
        chosen = np.flatnonzero((down >= 0) & (down < window.height) & (across >= 0) & (across < window.width))
        if len(chosen):
            (top, left), (height, width) = window[:2], window[2:]
            image = scene.read(Window(top - AROUND, left - AROUND, height + 2 * AROUND, width + 2 * AROUND))
            for places in np.split(chosen, range(AT_ONCE, len(chosen), AT_ONCE)):
                ratio[places] = _ratios(image, down[places] + AROUND, across[places] + AROUND)
    return ratio


def _ratios(
    image: npt.NDArray[np.uint16], row: npt.NDArray[np.int64], column: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Brightest near over median around, of pixels whose surroundings lie in the image."""
    brightest = _disks(image, row, column, NEAR).max(axis=1)
    around = _disks(image, row, column, AROUND)
    valid = around != NODATA
    around[~valid] = np.iinfo(np.uint16).max  # sorted behind all valid ones
    around.sort(axis=1)
    count = np.count_nonzero(valid, axis=1)
    number = np.arange(len(around))
    median = (around[number, (count - 1) // 2].astype(np.float64) + around[number, count // 2]) / 2
    return np.where(count > 0, brightest / median, np.nan)


def _disks(
    image: npt.NDArray[np.uint16], row: npt.NDArray[np.int64], column: npt.NDArray[np.int64], radius: int
) -> npt.NDArray[np.uint16]:
    """The pixels within a radius of each place, (n, pixels of the disk)."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    inside = y**2 + x**2 <= radius**2
    offsets = y[inside] * image.shape[1] + x[inside]
    pixels: npt.NDArray[np.uint16] = image.ravel()[(row * image.shape[1] + column)[:, None] + offsets]
    return pixels
