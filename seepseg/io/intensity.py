"""How bright an image is."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seepseg.base.conventions import NODATA


@dataclass(frozen=True, slots=True)
class Intensity:
    """Exact sums over the valid pixels of an image: integers, so that no order of adding can change a bit.

    Attributes:
        valid: number of valid pixels.
        total: sum of their intensities.
        squares: sum of the squares of their intensities.
        low: smallest of their intensities; None without valid pixels.
        high: largest of their intensities; None without valid pixels.
    """

    valid: int = 0
    total: int = 0
    squares: int = 0
    low: int | None = None
    high: int | None = None

    @property
    def mean(self) -> float | None:
        """Mean over the valid pixels; None without any."""
        return self.total / self.valid if self.valid else None

    @property
    def std(self) -> float | None:
        """Standard deviation over the valid pixels, sqrt(n·Σx² - (Σx)²) / n; None without any."""
        if not self.valid:
            return None
        return math.sqrt(self.valid * self.squares - self.total**2) / self.valid

    def __add__(self, other: "Intensity") -> "Intensity":
        """The valid pixels of both."""
        return Intensity(
            self.valid + other.valid,
            self.total + other.total,
            self.squares + other.squares,
            min((low for low in (self.low, other.low) if low is not None), default=None),
            max((high for high in (self.high, other.high) if high is not None), default=None),
        )


def measure(image: npt.NDArray[np.uint16]) -> Intensity:
    """Sum up the valid pixels of an image.

    Args:
        image: uint16 (H, W), not empty; `NODATA` pixels are left out.
    """
    valid = image if image.min() > NODATA else image[image != NODATA]  # most tiles have no pixel to leave out
    if not valid.size:
        return Intensity()
    squares = np.square(valid, dtype=np.uint32)  # at most 65535^2, which is below 2^32
    total, of_squares = (int(values.sum(dtype=np.uint64)) for values in (valid, squares))
    return Intensity(valid.size, total, of_squares, int(valid.min()), int(valid.max()))
