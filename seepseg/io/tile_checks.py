"""Read and check the content of raw tiles."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from seepseg.base.conventions import NODATA
from seepseg.io.report import (
    CONSTANT_IMAGE,
    DUPLICATE_IMAGE,
    NODATA_IMAGE,
    SLICK_ON_NODATA,
    WRONG_IMAGE_TYPE,
    WRONG_SIZE,
    WRONG_TARGET_TYPE,
    WRONG_VALUES,
    Report,
)
from seepseg.io.tiff import Pixels, TiffReader, format_shape
from seepseg.io.tile_files import Tile

# Pixels whose copies as float64 stay in the processor's cache, and whose squares add up to far less than 2^53, where
# the gapless integers of float64 end.
MEASURED_AT_ONCE = 2**16
# They go to the same memory again and again: new memory would cost as much time as the sums.
_wide = np.empty(MEASURED_AT_ONCE)

Counts = npt.NDArray[np.int64]


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


def count_values(target: npt.NDArray[np.uint8], num_classes: int) -> Counts:
    """Count the pixels of each value.

    Args:
        target: uint8 (H, W).
        num_classes: K + 1; the counts are no fewer.

    Returns:
        int64, the number of pixels with value 0, 1, ...; more than K + 1 counts where there are values above K.
    """
    counts = np.zeros(num_classes, np.int64)
    slick = np.count_nonzero(target)
    counts[0] = target.size - slick
    # Most tiles hold one class or two: to count value by value until all are found is several times faster.
    for value in range(1, num_classes):
        if not slick:
            return counts
        counts[value] = np.count_nonzero(target == value)
        slick -= counts[value]
    return counts if not slick else np.bincount(target.ravel())


def measure(image: npt.NDArray[np.uint16]) -> Intensity:
    """Sum up the valid pixels of an image.

    Args:
        image: uint16 (H, W), not empty; `NODATA` pixels are left out.
    """
    columns = image.shape[1]
    if columns > MEASURED_AT_ONCE:
        return measure(image[:, : columns // 2]) + measure(image[:, columns // 2 :])
    valid, low, high = image.size, int(image.min()), int(image.max())
    if low == NODATA:
        valid = int(np.count_nonzero(image))
        if not valid:
            return Intensity()
        low = int(image[image != NODATA].min())
    total = squares = 0
    step = MEASURED_AT_ONCE // columns
    for start in range(0, len(image), step):
        rows = image[start : start + step]
        # float64 has the fastest products. No-data is 0 and so adds nothing to either sum. vecdot multiplies row by
        # row, too little at once for the BLAS to start threads of its own.
        wide = _wide[: rows.size].reshape(rows.shape)
        np.copyto(wide, rows)
        total += int(np.einsum("ij->", wide))
        squares += int(np.vecdot(wide, wide).sum())
    return Intensity(valid, total, squares, low, high)


@dataclass(frozen=True, slots=True)
class TileContent:
    """What was read of a sound tile.

    Attributes:
        image: uint16 (H, W).
        target: uint8 (H, W), values 0..K.
        intensity: sums over the image's valid pixels.
        class_pixels: int64 (K + 1,), valid pixels by class, background first.
        slick_on_nodata: number of slick pixels where the image has no data.
    """

    image: npt.NDArray[np.uint16]
    target: npt.NDArray[np.uint8]
    intensity: Intensity
    class_pixels: Counts
    slick_on_nodata: int


class TileReader:
    """Reads tiles, and notes in a report what is wrong with their content."""

    def __init__(self, num_classes: int, report: Report) -> None:
        """Start without having seen a tile.

        Args:
            num_classes: K + 1; target values are 0..K.
            report: takes the faults.
        """
        self.num_classes = num_classes
        self.report = report
        self._images = TiffReader(np.uint16, WRONG_IMAGE_TYPE)
        self._targets = TiffReader(np.uint8, WRONG_TARGET_TYPE)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._first_measured: dict[tuple[tuple[int, ...], Intensity], str] = {}
        self._first_with: dict[tuple[tuple[int, ...], bytes], str] = {}
        self._hashed: set[str] = set()

    def read(self, tiles: Sequence[Tile]) -> Iterator[TileContent | None]:
        """Read and check tiles, in their order; None where the files of one don't make a sound pair."""
        for tile in tiles:
            yield self._read_tile(tile)

    def read_image(self, tile: Tile) -> tuple[npt.NDArray[np.uint16], Intensity] | None:
        """Read and check the image of a tile, without a target.

        Returns:
            uint16 (H, W), and the sums over its valid pixels; None where there is no sound image.
        """
        return self._read_image(tile.image) if tile.image else None

    def check_sizes(self) -> None:
        """Note the files whose size is not the most common one; to be called after the last tile."""
        sizes = Counter(self._shapes.values())
        if len(sizes) < 2:
            return
        common, count = sizes.most_common(1)[0]
        expected = f"{format_shape(common)} pixels, the size of {count} of {sizes.total()} files"
        for path, shape in self._shapes.items():
            if shape != common:
                self.report.add(replace(WRONG_SIZE, expected=expected), path, format_shape(shape))

    def _read_tile(self, tile: Tile) -> TileContent | None:
        image = self._read_image(tile.image) if tile.image else None
        target = self._read_target(tile.target) if tile.target else None
        if image is None or target is None or image[0].shape != target[0].shape:
            return None
        (pixels, intensity), (values, counts) = image, target
        class_pixels, slick_on_nodata = counts, 0
        if intensity.valid < pixels.size:
            class_pixels = np.bincount(values[pixels != NODATA], minlength=self.num_classes)
            slick_on_nodata = int((counts - class_pixels)[1:].sum())
        if slick_on_nodata and tile.target:
            self.report.add(SLICK_ON_NODATA, tile.target, f"{slick_on_nodata} px")
        return TileContent(pixels, values, intensity, class_pixels, slick_on_nodata)

    def _read_image(self, path: str) -> tuple[npt.NDArray[np.uint16], Intensity] | None:
        image = self._read_pixels(path, self._images)
        if image is None:
            return None
        intensity = measure(image)
        if not intensity.valid:
            self.report.add(NODATA_IMAGE, path)  # these all look alike and are listed anyway
            return image, intensity
        if intensity.low == intensity.high:
            self.report.add(CONSTANT_IMAGE, path, f"only {intensity.low}")
        if first := self._first_like(path, image, intensity):
            self.report.add(DUPLICATE_IMAGE, path, f"the pixels of {PurePath(first).name}")
        return image, intensity

    def _read_target(self, path: str) -> tuple[npt.NDArray[np.uint8], Counts] | None:
        """A target with its pixel counts by value."""
        target = self._read_pixels(path, self._targets)
        if target is None:
            return None
        counts = count_values(target, self.num_classes)
        if len(counts) <= self.num_classes:
            return target, counts
        wrong = [value for value in counts.nonzero()[0] if value >= self.num_classes]
        kind = replace(WRONG_VALUES, expected=f"0 for background, 1 to {self.num_classes - 1} for classes")
        self.report.add(kind, path, ", ".join(f"{value} ({counts[value]} px)" for value in wrong))
        return None

    def _read_pixels(self, path: str, reader: TiffReader) -> Pixels | None:
        pixels = reader.read(path)
        if isinstance(pixels, np.ndarray):
            self._shapes[path] = pixels.shape
            return pixels
        for kind, found in pixels:
            self.report.add(kind, path, found)
        return None

    def _first_like(self, path: str, pixels: npt.NDArray[np.uint16], intensity: Intensity) -> str | None:
        """The first image with the same pixels; None if this is the first.

        Equal pixels have equal sums: only images whose sums an earlier one had, too, are worth a hash, and only
        then the earlier one is read again for its own.
        """
        first = self._first_measured.setdefault((pixels.shape, intensity), path)
        if first is path:
            return None
        if first not in self._hashed:
            self._hashed.add(first)
            again = self._read_pixels(first, self._images)
            if again is not None:
                self._first_with[again.shape, _digest(again)] = first
        same = self._first_with.setdefault((pixels.shape, _digest(pixels)), path)
        return None if same is path else same


def _digest(image: npt.NDArray[np.uint16]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
