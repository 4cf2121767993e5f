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
    FaultKind,
    Report,
)
from seepseg.io.tiff import Pixels, format_shape, read_tiff
from seepseg.io.tile_files import Tile

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
    slick = target[target != 0]  # little of most tiles: to count the rest by subtraction is many times faster
    counts: Counts = np.bincount(slick, minlength=num_classes)
    counts[0] = target.size - slick.size
    return counts


def measure(image: npt.NDArray[np.uint16]) -> Intensity:
    """Sum up the valid pixels of an image.

    Args:
        image: uint16 (H, W), not empty; `NODATA` pixels are left out.
    """
    valid = image[image != NODATA]
    if not valid.size:
        return Intensity()
    squares = np.square(valid, dtype=np.uint32)  # at most 65535^2, which is below 2^32
    total, of_squares = (int(values.sum(dtype=np.uint64)) for values in (valid, squares))
    return Intensity(valid.size, total, of_squares, int(valid.min()), int(valid.max()))


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


class ImageReader:
    """Reads images, and notes in a report what is wrong with their content."""

    def __init__(self, report: Report) -> None:
        """Start without having seen an image.

        Args:
            report: takes the faults.
        """
        self.report = report
        self._shapes: dict[str, tuple[int, ...]] = {}

    def read_image(self, tile: Tile) -> tuple[npt.NDArray[np.uint16], Intensity] | None:
        """Read and check the image of a tile.

        Returns:
            uint16 (H, W), and the sums over its valid pixels; None where there is no sound image.
        """
        if not tile.image or (image := self._read_pixels(tile.image, np.uint16, WRONG_IMAGE_TYPE)) is None:
            return None
        intensity = measure(image)
        if not intensity.valid:
            self.report.add(NODATA_IMAGE, tile.image)
        elif intensity.low == intensity.high:
            self.report.add(CONSTANT_IMAGE, tile.image, f"only {intensity.low}")
        return image, intensity

    def check_sizes(self) -> None:
        """Note the files whose size is not the most common one; to be called after the last of them."""
        sizes = Counter(self._shapes.values())
        if len(sizes) < 2:
            return
        common, count = sizes.most_common(1)[0]
        expected = f"{format_shape(common)} pixels, the size of {count} of {sizes.total()} files"
        for path, shape in self._shapes.items():
            if shape != common:
                self.report.add(replace(WRONG_SIZE, expected=expected), path, format_shape(shape))

    def _read_pixels(self, path: str, dtype: npt.DTypeLike, wrong_type: FaultKind) -> Pixels | None:
        pixels = read_tiff(path, dtype, wrong_type)
        if isinstance(pixels, np.ndarray):
            self._shapes[path] = pixels.shape
            return pixels
        for kind, found in pixels:
            self.report.add(kind, path, found)
        return None


class TileReader(ImageReader):
    """Reads tiles to train on, images with their targets, and notes in a report what is wrong with their content."""

    def __init__(self, num_classes: int, report: Report) -> None:
        """Start without having seen a tile.

        Args:
            num_classes: K + 1; target values are 0..K.
            report: takes the faults.
        """
        super().__init__(report)
        self.num_classes = num_classes
        self._first_with: dict[tuple[tuple[int, ...], bytes], str] = {}

    def read(self, tiles: Sequence[Tile]) -> Iterator[TileContent | None]:
        """Read and check tiles, in their order; None where the files of one don't make a sound pair."""
        for tile in tiles:
            yield self._read_tile(tile)

    def _read_tile(self, tile: Tile) -> TileContent | None:
        image = self.read_image(tile)
        if image and tile.image:
            self._note_copy(tile.image, *image)
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

    def _read_target(self, path: str) -> tuple[npt.NDArray[np.uint8], Counts] | None:
        """A target with its pixel counts by value."""
        target = self._read_pixels(path, np.uint8, WRONG_TARGET_TYPE)
        if target is None:
            return None
        counts = count_values(target, self.num_classes)
        if len(counts) <= self.num_classes:
            return target, counts
        wrong = [value for value in counts.nonzero()[0] if value >= self.num_classes]
        kind = replace(WRONG_VALUES, expected=f"0 for background, 1 to {self.num_classes - 1} for classes")
        self.report.add(kind, path, ", ".join(f"{value} ({counts[value]} px)" for value in wrong))
        return None

    def _note_copy(self, path: str, image: npt.NDArray[np.uint16], intensity: Intensity) -> None:
        """Note an image with the pixels of an earlier one; those without data all look alike and are listed anyway."""
        if intensity.valid:
            digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
            first = self._first_with.setdefault((image.shape, digest), path)
            if first != path:
                self.report.add(DUPLICATE_IMAGE, path, f"the pixels of {PurePath(first).name}")
