"""Read and check images, to train on or to predict on."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from seepseg.base.conventions import NODATA
from seepseg.base.scaling import Scaling
from seepseg.io.faults import (
    CLIPPED_IMAGE,
    CONSTANT_IMAGE,
    DECLARED_NODATA,
    NODATA_IMAGE,
    UNDECLARED_NODATA,
    WRONG_LAYERS,
    WRONG_SIZE,
)
from seepseg.io.image_set import ImageSet
from seepseg.io.image_values import PACKED_TYPES, PackedImage, ValueRange, pack_image, stored_value, value_range
from seepseg.io.intensity import Intensity, measure
from seepseg.io.pixels import format_shape, one_if_equal
from seepseg.io.raster import Raster, read_raster
from seepseg.io.report import Report
from seepseg.io.tile_files import Tile

CLIPPED = 0.01  # of an image's pixels outside of the scaling that are worth a warning
WRAPPED_LOW, WRAPPED_HIGH = 2**14, 3 * 2**14  # numbers that wrapped by astype(uint16) are rarely in between


@dataclass(frozen=True, slots=True)
class ImageContent:
    """What was read of an image.

    Attributes:
        raster: as it is in the file.
        values: the range of its numbers with data; None without any.
        packed: as it is packed; None where its type can't be.
        intensity: sums over the valid pixels of that.
    """

    raster: Raster
    values: ValueRange | None
    packed: PackedImage | None
    intensity: Intensity


class ImageReader:
    """Reads images, and notes in a report what is wrong with their content."""

    to_train_on = False

    def __init__(self, report: Report, scaling: Scaling | None = None) -> None:
        """Start without having seen an image.

        Args:
            report: takes the faults.
            scaling: how numbers become the packed ones.
        """
        self.report = report
        self.scaling = scaling or []
        self._images = ImageSet(self.scaling, self.to_train_on)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._unequal = False  # whether image and target of a tile differ in size

    @property
    def has_faults(self) -> bool:
        """Whether there are errors, also of those that `finish` notes only when all files are known."""
        return self.report.has_errors or self._images.has_unsuitable

    def read_image(self, tile: Tile) -> tuple[npt.NDArray[np.uint16], Intensity] | None:
        """Read and check the image of a tile.

        Returns:
            uint16 (H, W), and the sums over its valid pixels; None where there is no sound image.
        """
        image = self._load_image(tile.image) if tile.image else None
        if not image or not tile.image:
            return None
        self._note_image(tile.image, image)
        return (image.packed.pixels, image.intensity) if image.packed else None

    def finish(self) -> tuple[int, ...]:
        """Note what only the whole set shows; to be called after the last file.

        Returns:
            The most common height and width; empty where no file could be read.
        """
        self._images.judge(self.report)
        return self._check_sizes()

    def _check_sizes(self) -> tuple[int, ...]:
        """Note the files whose size is not the most common one, which is returned."""
        sizes = Counter(self._shapes.values())
        if not sizes:
            return ()
        common, count = sizes.most_common(1)[0]
        expected = f"{format_shape(common)} pixels, the size of {count} of {sizes.total()} files"
        kind = replace(WRONG_SIZE, expected=expected)
        if not self._unequal and all(
            side <= whole for shape in sizes for side, whole in zip(shape, common, strict=True)
        ):
            kind = replace(
                kind, remedy=f"pad what is smaller, as at the edge of a scene, with 0 to {format_shape(common)}"
            )
        for path, shape in self._shapes.items():
            if shape != common:
                self.report.add(kind, path, format_shape(shape))
        return common

    def _read(self, path: str) -> Raster | None:
        raster = read_raster(path)
        if isinstance(raster, Raster):
            return raster
        for kind, found in raster:
            self.report.add(kind, path, found)
        return None

    def _load_image(self, path: str) -> ImageContent | None:
        raster = self._read(path)
        if raster is None:
            return None
        raster = replace(raster, pixels=one_if_equal(raster.pixels))
        pixels, nodata = raster.pixels, raster.nodata
        if pixels.ndim != 2:
            self.report.add(WRONG_LAYERS, path, f"pixels of shape {format_shape(pixels.shape)}")
            return None
        self._shapes[path] = pixels.shape
        if not self.scaling and pixels.dtype not in PACKED_TYPES:
            return ImageContent(raster, value_range(pixels, nodata), None, Intensity())
        packed = pack_image(pixels, nodata, self.scaling)
        intensity = measure(packed.pixels)
        if self.scaling:
            values = value_range(pixels, nodata)
        else:
            low, high = intensity.low, intensity.high
            values = None if low is None or high is None else ValueRange(low, high)
        return ImageContent(raster, values, packed, intensity)

    def _note_image(self, path: str, image: ImageContent) -> None:
        """Note what is odd about an image that could be read."""
        for kind, found in image.raster.warnings:
            self.report.add(kind, path, found)
        wrapped = bool(image.packed) and not self.scaling and _looks_wrapped(image)
        self._images.add(path, image.raster.pixels.dtype, image.values, wrapped)
        if not image.packed:
            return
        intensity = image.intensity
        if not intensity.valid:
            self.report.add(NODATA_IMAGE, path)
        elif intensity.low == intensity.high:
            self.report.add(CONSTANT_IMAGE, path, f"only {intensity.low}")
        if odd := _odd_nodata(image, self.scaling):
            self.report.add(DECLARED_NODATA, path, odd)
        if self.scaling:
            self._note_clipped(path, image.packed, image)
            if image.values and image.values.fill is not None:
                self.report.add(UNDECLARED_NODATA, path, f"{image.values.fill:.6g}")

    def _note_clipped(self, path: str, packed: PackedImage, image: ImageContent) -> None:
        valid = image.intensity.valid
        self._images.add_clipped(valid, packed.clipped)
        if packed.clipped > CLIPPED * valid and image.values:
            low, high = self.scaling
            kind = replace(CLIPPED_IMAGE, expected=f"numbers from {low:g} to {high:g}, but for 1 % of the pixels")
            share = f"{100 * packed.clipped / valid:.0f} % of the pixels outside"
            self.report.add(kind, path, f"{image.values}, {share}")


def _looks_wrapped(image: ImageContent) -> bool:
    """Whether numbers are near the highest one, and none is where negative numbers and small ones do not wrap to."""
    if image.packed is None or (image.intensity.mean or 0) < WRAPPED_HIGH:
        return False
    pixels = image.packed.pixels
    return not np.any((pixels >= WRAPPED_LOW) & (pixels < WRAPPED_HIGH))


def _odd_nodata(image: ImageContent, scaling: Scaling) -> list[str]:
    """What to tell of pixels without data that are not simply 0."""
    packed, declared = image.packed, stored_value(image.raster.nodata, image.raster.pixels.dtype)
    if packed is None:
        return []
    found, is_other = [], declared not in (None, NODATA)
    if packed.declared:
        pixels = image.raster.pixels
        kinds = [f"{declared:g}"] if is_other and (pixels == declared).any() else []
        kinds += [] if np.isfinite(pixels).all() else ["NaN or infinity"]
        found.append(f"{', '.join(kinds)} in {packed.declared:,} px")
    zero_is_inside = bool(scaling) and scaling[0] < 0 < scaling[1]
    if packed.zeros and (is_other or zero_is_inside):
        found.append(f"0 in {packed.zeros:,} px, which were taken for no data, too")
    return found
