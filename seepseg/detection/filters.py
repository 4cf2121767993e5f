"""Filters of images that are asked for at few pixels: Gaussian means over a mask, and steepness."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

COARSE_FROM = 16.0  # blurs of at least this are computed on means of blocks of pixels
TRUNCATED = 4  # standard deviations after which a Gaussian ends
BLOCK = 256  # pixels; blurs are not computed in blocks where nobody looks at them


class MaskedMean:
    """Gaussian means over the masked pixels around each pixel.

    Args:
        mask: bool (H, W).
    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self._weights: dict[float, Floats] = {}  # by scale

    def __call__(self, values: Floats, scale: float, wanted: Mask | None = None) -> Floats:
        """Compute the means.

        Args:
            values: float32 (H, W).
            scale: standard deviation in pixels.
            wanted: bool (H, W), the pixels that are asked for, the same for each scale; all of them by default.
        """
        if scale not in self._weights:
            self._weights[scale] = gaussian(self.mask.astype(np.float32), scale, wanted).clip(min=1e-3)
        mean: Floats = gaussian(np.where(self.mask, values, np.float32(0)), scale, wanted) / self._weights[scale]
        return mean


def gaussian(values: Floats, scale: float, wanted: Mask | None = None) -> Floats:
    """Gaussian filter; a wide one of block means, which takes a small part of the time and differs little."""
    if scale < COARSE_FROM:
        blurs = partial(ndimage.gaussian_filter, sigma=scale, mode="constant", truncate=TRUNCATED)
        return _in_blocks(blurs, values, scale, wanted)
    block = 8 if scale >= 4 * COARSE_FROM else 4
    height, width = values.shape
    padded = np.pad(values, ((0, -height % block), (0, -width % block)))
    means = padded.reshape(padded.shape[0] // block, block, padded.shape[1] // block, block).mean(axis=(1, 3))
    coarse: Floats = ndimage.gaussian_filter(means, scale / block, mode="constant", truncate=TRUNCATED)
    return np.repeat(np.repeat(coarse, block, axis=0), block, axis=1)[:height, :width]


def steepness(values: Floats, scale: float, wanted: Mask) -> Floats:
    """Length of the gradient of the smoothed values."""
    lengths = partial(ndimage.gaussian_gradient_magnitude, sigma=scale, truncate=TRUNCATED)
    return _in_blocks(lengths, values, scale, wanted)


def _in_blocks(filtered: Callable[[Floats], Floats], values: Floats, scale: float, wanted: Mask | None) -> Floats:
    """What a Gaussian filter gives, in the blocks that have wanted pixels; 0 elsewhere."""
    if wanted is None:
        return filtered(values)
    reach = math.ceil(TRUNCATED * scale)
    result = np.zeros_like(values)
    for top, left in itertools.product(range(0, values.shape[0], BLOCK), range(0, values.shape[1], BLOCK)):
        block = slice(top, top + BLOCK), slice(left, left + BLOCK)
        if wanted[block].any():
            first_row, first_column = max(top - reach, 0), max(left - reach, 0)
            around = values[first_row : top + BLOCK + reach, first_column : left + BLOCK + reach]
            result[block] = filtered(around)[top - first_row :, left - first_column :][:BLOCK, :BLOCK]
    return result


def near(wanted: Mask, reach: float) -> Mask:
    """Pixels within a distance of those that are wanted, and some more: whole blocks, bool (H, W)."""
    height, width = wanted.shape
    padded = np.pad(wanted, ((0, -height % BLOCK), (0, -width % BLOCK)))
    has = padded.reshape(padded.shape[0] // BLOCK, BLOCK, -1, BLOCK).any(axis=(1, 3))
    there = ndimage.maximum_filter(has, 2 * math.ceil(reach / BLOCK) + 1, mode="constant")
    return np.repeat(np.repeat(there, BLOCK, axis=0), BLOCK, axis=1)[:height, :width]
