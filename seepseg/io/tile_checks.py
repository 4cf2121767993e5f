"""Read and check the content of raw tiles."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from seepseg.base.conventions import NODATA
from seepseg.base.scaling import Scaling
from seepseg.io.faults import (
    COLOUR_TARGET,
    DUPLICATE_IMAGE,
    LOSSY_IMAGE,
    LOSSY_TARGET,
    NODATA_TARGET,
    NOTHING_STORED,
    PARTLY_STORED,
    SLICK_ON_NODATA,
    SWAPPED,
    WRONG_LAYERS,
)
from seepseg.io.image_checks import ImageContent, ImageReader
from seepseg.io.image_values import stored_value
from seepseg.io.intensity import Intensity
from seepseg.io.mask_values import (
    MARKED,
    MAX_VALUES,
    MaskValues,
    TargetValues,
    colour_text,
    to_classes,
    without_opacity,
)
from seepseg.io.pixels import Pixels, format_shape
from seepseg.io.raster import Raster
from seepseg.io.report import Report
from seepseg.io.target_set import TargetSet, as_background
from seepseg.io.tile_files import Tile

Counts = npt.NDArray[np.int64]

LISTED_VALUES = 256  # of a target; more are told as a range


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


@dataclass(frozen=True, slots=True)
class TargetContent:
    """What was read of a target.

    Attributes:
        raster: as it is in the file.
        values: the classes, or the values that have none.
        counts: pixels by class; None without classes.
    """

    raster: Raster
    values: TargetValues
    counts: Counts | None


class TileReader(ImageReader):
    """Reads tiles to train on, images with their targets, and notes in a report what is wrong with their content."""

    to_train_on = True

    def __init__(
        self,
        num_classes: int,
        report: Report,
        mask_values: MaskValues | None = None,
        scaling: Scaling | None = None,
    ) -> None:
        """Start without having seen a tile.

        Args:
            num_classes: K + 1; classes are 0..K.
            report: takes the faults.
            mask_values: what the values of targets mean; None where they are the classes.
            scaling: how numbers of images become the packed ones.
        """
        super().__init__(report, scaling)
        self.num_classes = num_classes
        self.mask_values = mask_values
        self._targets = TargetSet(num_classes, mask_values)
        self._swapped: list[str] = []
        self._pairs = 0
        self._first_with: dict[tuple[tuple[int, ...], bytes], str] = {}

    @property
    def has_faults(self) -> bool:
        """Whether there are errors, also of those that `finish` notes only when all files are known."""
        return super().has_faults or self._targets.has_faults or bool(self._swapped)

    def read(self, tiles: Sequence[Tile]) -> Iterator[TileContent | None]:
        """Read and check tiles, in their order; None where the files of one don't make a sound pair."""
        for tile in tiles:
            yield self._read_tile(tile)

    def finish(self) -> tuple[int, ...]:
        """As for images alone, and what only all targets show."""
        if 2 * len(self._swapped) > self._pairs:
            kind = replace(SWAPPED, remedy="exchange data.images and data.targets in params.yaml")
            found = "few small numbers in the images and many different ones in the targets"
            self.report.add(kind, f"{len(self._swapped):,} of {self._pairs:,} tiles", found)
        else:
            for name in self._swapped:
                self.report.add(SWAPPED, name)
        self._targets.judge(self.report)
        return super().finish()

    def _read_tile(self, tile: Tile) -> TileContent | None:
        image = self._load_image(tile.image) if tile.image else None
        target = self._load_target(tile.target) if tile.target else None
        if image and target:
            self._pairs += 1
            if self._look_swapped(image, target):
                self._swapped.append(tile.name)
                return None
        if image and tile.image:
            self._note_image(tile.image, image)
            if image.packed:
                self._note_copy(tile.image, image.packed.pixels, image.intensity)
        is_sound = bool(target and tile.target and self._note_target(tile.target, target))
        return self._pair(tile, image, target) if is_sound and image and target else None

    def _pair(self, tile: Tile, image: ImageContent, target: TargetContent) -> TileContent | None:
        self._unequal |= image.raster.pixels.shape[:2] != target.raster.pixels.shape[:2]
        values, counts = target.values.classes, target.counts
        if image.packed is None or values is None or counts is None or image.packed.pixels.shape != values.shape:
            return None
        pixels, intensity = image.packed.pixels, image.intensity
        class_pixels, slick_on_nodata = counts, 0
        if intensity.valid < pixels.size:
            class_pixels = np.bincount(values[pixels != NODATA], minlength=self.num_classes)
            slick_on_nodata = int((counts - class_pixels)[1:].sum())
        if slick_on_nodata and tile.target:
            self.report.add(SLICK_ON_NODATA, tile.target, f"{slick_on_nodata} px")
        return TileContent(pixels, values, intensity, class_pixels, slick_on_nodata)

    def _load_target(self, path: str) -> TargetContent | None:
        raster = self._read(path)
        if raster is None:
            return None
        pixels = without_opacity(raster.pixels)
        if pixels.ndim != 2 and not (pixels.shape[2] in (3, 4) and pixels.dtype == np.uint8):
            self.report.add(WRONG_LAYERS, path, f"pixels of shape {format_shape(pixels.shape)}")
            return None
        self._shapes[path] = pixels.shape[:2]
        if raster.palette is not None and self.mask_values and self.mask_values.colours:
            pixels = raster.palette[pixels]
        values = to_classes(pixels, self.num_classes, self.mask_values)
        counts = None if values.classes is None else count_values(values.classes, self.num_classes)
        return TargetContent(raster, values, counts)

    def _look_swapped(self, image: ImageContent, target: TargetContent) -> bool:
        """Whether the image looks like a mask, and the target like an image."""
        if len(target.values.values) <= 2 * self.num_classes or target.values.in_colours:
            return False
        pixels = image.raster.pixels
        if image.values is None:  # as an empty mask; a target of 8 bits may be one with soft edges
            return target.raster.pixels.dtype.itemsize > 1
        low, high = image.values.low, image.values.high
        is_few = low >= 0 and (high < self.num_classes or low == high == MARKED)
        return is_few and (pixels.dtype.kind != "f" or not (pixels % 1).any())

    def _note_target(self, path: str, target: TargetContent) -> bool:
        """Note what is odd about a target that could be read; say whether it can be used."""
        warnings = target.raster.warnings
        kinds = [kind for kind, _ in warnings]
        for kind, found in warnings:
            if kind == LOSSY_IMAGE:
                self.report.add(LOSSY_TARGET, path, found)
            elif kind == NOTHING_STORED:
                self._targets.add_not_stored(path, found)
            else:
                self.report.add(kind, path, found)
        if NOTHING_STORED not in kinds and PARTLY_STORED not in kinds:
            self._targets.add_wholly_stored()
        if LOSSY_IMAGE in kinds:  # whatever values it has are no longer those that were written
            return False
        if (nodata := self._undefined_nodata(target)) is not None:
            self._note_nodata(path, target.raster.pixels, nodata)
            return False
        values, counts = target.values, target.counts
        if counts is not None:
            self._targets.add(path, counts, values)
            if target.raster.palette is not None and not (self.mask_values and self.mask_values.colours):
                self._targets.add_palette(path, np.unique(target.raster.pixels), target.raster.palette)
            return True
        if values.in_colours and not self.mask_values:
            self.report.add(COLOUR_TARGET, path, _listed(values.values, colour_text))
            return False
        wrong = {value: count for value, count in values.values.items() if not self._has_class(value)}
        tell = colour_text if values.in_colours else _number_text
        self._targets.add_wrong(path, values.values, _listed(wrong, tell))
        return False

    def _has_class(self, value: float) -> bool:
        if self.mask_values:
            return self.mask_values.class_of(value) is not None
        return float(value).is_integer() and 0 <= value < self.num_classes

    def _undefined_nodata(self, target: TargetContent) -> float | None:
        """A value of pixels that the file declares as no-data and nobody has given a meaning; None without any."""
        pixels = target.raster.pixels
        declared = stored_value(target.raster.nodata, pixels.dtype)
        if not declared or pixels.ndim != 2 or (self.mask_values and self._has_class(declared)):
            return None
        return declared if _where(pixels, declared).any() else None

    def _note_nodata(self, path: str, pixels: Pixels, nodata: float) -> None:
        remedy = "write 0 there; where nothing was seen, the image must be 0"
        if not math.isnan(nodata) and not self.mask_values:
            remedy = f"{as_background(nodata, self.num_classes)}; or {remedy}"
        found = f"{_number_text(nodata)} in {np.count_nonzero(_where(pixels, nodata)):,} px"
        self.report.add(replace(NODATA_TARGET, remedy=remedy), path, found)

    def _note_copy(self, path: str, image: npt.NDArray[np.uint16], intensity: Intensity) -> None:
        """Note an image with the pixels of an earlier one; those without data all look alike and are listed anyway."""
        if intensity.valid:
            digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
            first = self._first_with.setdefault((image.shape, digest), path)
            if first != path:
                self.report.add(DUPLICATE_IMAGE, path, f"the pixels of {PurePath(first).name}")


def _where(pixels: Pixels, value: float) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = np.isnan(pixels) if math.isnan(value) else pixels == value
    return found


def _number_text(value: float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _listed(values: dict[float, int], tell: Callable[[Any], str]) -> list[str]:
    """Values with their numbers of pixels, each an item; many of them in one."""
    if len(values) > LISTED_VALUES:
        at_least = "at least " if len(values) >= MAX_VALUES else ""
        return [f"{at_least}{len(values):,} values from {tell(min(values))} to {tell(max(values))}"]
    return [f"{tell(value)} ({count} px)" for value, count in sorted(values.items())]
