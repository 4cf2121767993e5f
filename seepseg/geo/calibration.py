"""Sentinel-1's table from DN to sigma0."""

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from seepseg.data.pixels import Window
from seepseg.geo.scale import CALIBRATED, Amplitude

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """The table of A_sigma: sigma0 = (DN / A_sigma)^2.

    Attributes:
        lines: float64 (K,), numbers of the lines that have a vector, rising.
        pixels: of each line, the numbers of samples.
        gains: of each line, A_sigma at these samples.
    """

    lines: Floats
    pixels: tuple[Floats, ...]
    gains: tuple[Floats, ...]

    def amplitude(self, values: npt.NDArray[Any], window: Window) -> Amplitude:
        """Calibrate a window: packed amplitude sqrt(sigma0) = DN / A_sigma, A_sigma interpolated in both directions.

        Args:
            values: DN (height, width); 0 is no data.
            window: where they are from.

        Returns:
            float32 (height, width), and bool, where there are data.
        """
        top, left, height, width = window
        columns, lines = np.arange(left, left + width), np.arange(top, top + height)
        last = len(self.lines) - 1
        before = np.clip(np.searchsorted(self.lines, lines, side="right") - 1, 0, max(0, last - 1))
        packed = values.astype(np.float32)
        for vector in range(before[0], before[-1] + 1):
            rows = slice(*np.searchsorted(before, [vector, vector + 1]))
            upper, lower = (
                np.interp(columns, self.pixels[at], self.gains[at]).astype(np.float32)
                for at in (vector, min(vector + 1, last))
            )
            span = self.lines[min(vector + 1, last)] - self.lines[vector]
            share = np.clip((lines[rows] - self.lines[vector]) / (span or 1), 0, 1).astype(np.float32)
            gains = share[:, None] * (lower - upper)
            gains += upper
            packed[rows] /= gains
        packed *= np.float32(CALIBRATED)
        return packed, values > 0


def read_calibration(root: ElementTree.Element) -> Calibration:
    """Read the table from a calibration file.

    Raises:
        ValueError: it has no vector, or a wrong one.
        LookupError: a vector lacks a part.
    """
    vectors = sorted(
        (float(text_of(vector, "line")), _numbers(vector, "pixel"), _numbers(vector, "sigmaNought"))
        for vector in root.iter("calibrationVector")
    )
    if not vectors:
        raise ValueError("no calibration vector")
    for line, pixels, gains in vectors:
        if not 0 < len(pixels) == len(gains) or not min(gains) > 0:
            raise ValueError(f"a vector at line {line:g} that has not one value above 0 for each pixel")
    lines, pixels, gains = zip(*vectors, strict=True)
    return Calibration(np.array(lines), tuple(map(np.array, pixels)), tuple(map(np.array, gains)))


def text_of(element: ElementTree.Element, key: str) -> str:
    """Text of a part of an element, by its path.

    Raises:
        LookupError: it is not there or empty.
    """
    found = element.findtext(key)
    if not found:
        raise LookupError(f"no {key.rpartition('/')[2]}")
    return found


def _numbers(vector: ElementTree.Element, key: str) -> tuple[float, ...]:
    return tuple(map(float, text_of(vector, key).split()))
