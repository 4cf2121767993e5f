"""What a reader gives of an image file: its pixels, or the faults that forbid to use them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seepseg.io.faults import MAX_BYTES, MAX_PIXELS, NO_PIXELS, TOO_LARGE, FaultKind

Fault = tuple[FaultKind, str]
Pixels = npt.NDArray[Any]


class DecodeError(ValueError):
    """Pixels can't be decoded; its text says what was found."""


@dataclass(frozen=True, slots=True)
class Raster:
    """What was read of a file.

    Attributes:
        pixels: (H, W), or (H, W, C) with several channels, of the type in the file, native byte order; bool for
            one bit, uint8 for 2 to 7 bits, uint16 for 9 to 15 bits. Numbers of a palette, not its colours.
        palette: uint8 (256, 3), the colours of its numbers; None where it has none.
        nodata: the value that the file declares for pixels without data (may be NaN, or a value that the type can't
            hold); None where it declares none.
        warnings: what is odd about the file, though it can be read, each with what was found. Kinds:
            `LOSSY_IMAGE`: its compression changes pixels (for a target to be reported as `LOSSY_TARGET`, an error),
            `NOTHING_STORED`: no pixel is stored, all are the declared no-data value or 0 (for a target among targets
            that are stored, to be reported as `TARGET_NOT_STORED`, an error),
            `PARTLY_STORED`: some strips or tiles are not stored,
            `HIDDEN_PIXELS`: a transparency mask in the file hides pixels, which became no-data or 0,
            `MIN_IS_WHITE`: the file says that 0 is white.
    """

    pixels: Pixels
    nodata: float | None = None
    warnings: tuple[Fault, ...] = ()
    palette: npt.NDArray[np.uint8] | None = None


def size_fault(height: int, width: int, bytes_per_pixel: int, what: str = "") -> Fault | None:
    """What forbids to make room for pixels that a header claims.

    Args:
        height: rows.
        width: columns.
        bytes_per_pixel: of all channels together.
        what: claims them, where it is not the image itself: "a tile of".
    """
    if height < 1 or width < 1:
        return NO_PIXELS, f"{height} x {width} pixels"
    if height * width > MAX_PIXELS or height * width * bytes_per_pixel > MAX_BYTES:
        of = f" of {bytes_per_pixel} bytes each" if height * width <= MAX_PIXELS else ""
        return TOO_LARGE, f"{what} {height} x {width} pixels{of}".lstrip()
    return None


def empty_value(nodata: float | None, dtype: np.dtype[Any]) -> Any:
    """The value of pixels that a file doesn't have: what it declares for no-data if its type holds that, else 0."""
    if nodata is None or (dtype.kind != "f" and not _holds(dtype, nodata)):
        return dtype.type(0)
    with np.errstate(over="ignore"):  # the lowest float64, as some programs declare, is -inf in a float32
        return dtype.type(nodata)


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    """Whether a type of integers, or bool, has a value."""
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return low <= value <= high and value == int(value)


def one_if_equal(pixels: Pixels) -> Pixels:
    """One of three channels, (H, W), where they are equal; else the pixels as they are."""
    is_grey = pixels.ndim == 3 and pixels.shape[2] == 3 and not (pixels != pixels[..., :1]).any()
    return pixels[..., 0] if is_grey else pixels


def format_shape(shape: Iterable[int]) -> str:
    """A shape as people write it: 256 x 256."""
    return " x ".join(map(str, shape))
