"""What the numbers of an image mean: which of them are no data, and how they become the packed ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seepseg.base.conventions import NODATA
from seepseg.base.scaling import Scaling
from seepseg.io.pixels import Pixels

PACKED_TYPES = (np.dtype(np.uint16), np.dtype(np.uint8))  # of images whose numbers are packed as they are
# What people write where there is no data.
FILLS = (-9999, -99999, -32768, float(np.finfo(np.float32).min), float(np.finfo(np.float64).min))
HIGHEST = 2**16 - 1
BLOCK = 2**20  # pixels that are worked on at once, so that a large tile takes little more memory than its own


@dataclass(frozen=True, slots=True)
class PackedImage:
    """An image as it is packed.

    Attributes:
        pixels: uint16 (H, W); `NODATA` where there is none.
        zeros: number of pixels that are 0 in the file.
        declared: number of pixels other than 0 that have no data, as they hold the declared value or no finite number.
        clipped: number of pixels outside the range of the scaling.
    """

    pixels: npt.NDArray[np.uint16]
    zeros: int = 0
    declared: int = 0
    clipped: int = 0


def pack_image(pixels: Pixels, nodata: float | None, scaling: Scaling) -> PackedImage:
    """Bring an image into the packed form.

    No data are 0, in every image, the declared value, and numbers that are not finite.

    Args:
        pixels: (H, W), not empty; of one of `PACKED_TYPES`, or with a scaling any integers or floating-point numbers.
        nodata: the value that the file declares for pixels without data, if any.
        scaling: of the whole set.
    """
    if scaling:
        return _scale(pixels, nodata, scaling)
    packed = pixels.astype(np.uint16, copy=False)
    value = stored_value(nodata, pixels.dtype)
    if value is None or value == NODATA:
        return PackedImage(packed)
    where = packed == value
    declared = int(np.count_nonzero(where))
    return PackedImage(
        np.where(where, np.uint16(NODATA), packed) if declared else packed,
        zeros=pixels.size - int(np.count_nonzero(pixels)),
        declared=declared,
    )


def stored_value(number: float | None, dtype: np.dtype[Any]) -> float | None:
    """A declared number as pixels of a type hold it; None where there is none or the type can't hold it."""
    if number is None:
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return float(dtype.type(number))
    if dtype.kind not in "iu" or not float(number).is_integer():
        return None
    limits = np.iinfo(dtype)
    return int(number) if limits.min <= number <= limits.max else None


def row_blocks(pixels: Pixels) -> Iterator[slice]:
    """Slices of rows that have no more than `BLOCK` pixels each, if one row has not."""
    step = max(1, BLOCK // pixels.shape[1])
    for start in range(0, len(pixels), step):
        yield slice(start, start + step)


class ValueRange(NamedTuple):
    """What the numbers of an image with data are like.

    Attributes:
        low: the lowest.
        high: the highest.
        fill: one of `FILLS` that is among them, and left out of these two, as it hardly is a measurement.
    """

    low: float
    high: float
    fill: float | None = None

    def __str__(self) -> str:
        """As a report tells it."""
        told = f"numbers from {self.low:.6g} to {self.high:.6g}"
        return told if self.fill is None else f"{told} and {self.fill:.6g}"


def value_range(pixels: Pixels, nodata: float | None) -> ValueRange | None:
    """Range of the numbers that have data; None where none has."""
    value = stored_value(nodata, pixels.dtype)
    valid = pixels[_has_data(pixels, value)]
    if not valid.size:
        return None
    low = valid.min().item()
    others = valid[valid != low] if low in FILLS else valid
    if not others.size or others is valid:
        return ValueRange(low, valid.max().item())
    return ValueRange(others.min().item(), others.max().item(), low)


def _has_data(pixels: Pixels, nodata: float | None) -> npt.NDArray[np.bool_]:
    valid: npt.NDArray[np.bool_] = np.isfinite(pixels) & (pixels != NODATA)
    return valid if nodata is None else valid & (pixels != nodata)


def _scale(pixels: Pixels, nodata: float | None, scaling: Scaling) -> PackedImage:
    """Packed are round((number - low) / (high - low) · 65534) + 1, from 1 to 65535."""
    low, high = scaling
    value = stored_value(nodata, pixels.dtype)
    packed = np.empty(pixels.shape, np.uint16)
    valid_pixels = clipped = 0
    for rows in row_blocks(pixels):
        block = pixels[rows]
        valid = _has_data(block, value)
        with np.errstate(over="ignore"):
            numbers = np.where(valid, block, low).astype(np.float64)
            numbers = (numbers - low) / (high - low) * (HIGHEST - 1)
        valid_pixels += int(np.count_nonzero(valid))
        clipped += int(np.count_nonzero((numbers < 0) | (numbers > HIGHEST - 1)))
        packed[rows] = np.where(valid, np.rint(numbers.clip(0, HIGHEST - 1)) + 1, NODATA)
    zeros = pixels.size - int(np.count_nonzero(pixels))
    return PackedImage(packed, zeros, pixels.size - valid_pixels - zeros, clipped)
