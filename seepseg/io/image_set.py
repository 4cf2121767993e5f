"""What the images of a set look like as a whole: a fault that all of them share is said once."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from seepseg.base.scaling import Scaling
from seepseg.io.faults import EIGHT_BIT_SET, IMAGES_LIKE_MASKS, WRAPPED_SET, WRONG_IMAGE_TYPE, WRONG_SCALING, FaultKind
from seepseg.io.image_values import HIGHEST, PACKED_TYPES, ValueRange
from seepseg.io.report import Report

MASK_LIKE = 16  # numbers below this are of classes
SOME = 0.1  # of the images
TOO_MUCH_CLIPPED = 0.5  # of the pixels: the scaling is of another unit
DO_NOT_CAST = "don't cast them to unsigned integers, which makes large numbers of negative ones"


@dataclass
class ImageSet:
    """What is known of the images that could be read.

    Attributes:
        scaling: of the whole set.
        to_train_on: whether there is a data.scaling that can be changed; else it is that of a model.
    """

    scaling: Scaling
    to_train_on: bool
    _of_type: dict[np.dtype[Any], list[tuple[str, ValueRange | None]]] = field(default_factory=dict)
    _count: int = 0
    _varied: int = 0
    _wrapped: int = 0
    _valid_pixels: int = 0
    _clipped_pixels: int = 0

    @property
    def has_unsuitable(self) -> bool:
        """Whether there are images that can't be packed without a scaling."""
        return not self.scaling and not self._of_type.keys() <= set(PACKED_TYPES)

    def add(self, path: str, dtype: np.dtype[Any], values: ValueRange | None, wrapped: bool) -> None:
        """Note an image.

        Args:
            path: its file.
            dtype: the type of its pixels.
            values: the range of its numbers with data; None without any.
            wrapped: whether it looks like negative numbers that were taken for positive ones.
        """
        self._count += 1
        if values:
            self._varied += values.low < values.high
            self._wrapped += wrapped
        self._of_type.setdefault(dtype, []).append((path, values))

    def add_clipped(self, valid: int, clipped: int) -> None:
        """Count the pixels of an image that have data, and those outside of the scaling."""
        self._valid_pixels += valid
        self._clipped_pixels += clipped

    def judge(self, report: Report) -> None:
        """Note what all images together look like."""
        self._judge_types(report)
        all_images = f"all {self._count:,} images" if self._count > 1 else "the only image"
        values = self._range(self._of_type)
        if self._varied and values and not self.scaling and not self.has_unsuitable:
            if values.high < MASK_LIKE:
                report.add(IMAGES_LIKE_MASKS, all_images, str(values))
            elif values.high <= 255:
                report.add(EIGHT_BIT_SET, all_images, str(values))
            if self._wrapped > SOME * self._varied:
                report.add(WRAPPED_SET, all_images, f"{self._wrapped:,} with numbers near 65,536 and none in between")
        if self._clipped_pixels > TOO_MUCH_CLIPPED * self._valid_pixels:
            low, high = self.scaling
            share = math.floor(100 * self._clipped_pixels / self._valid_pixels)
            remedy = self._remedy(self._of_type)
            kind = replace(WRONG_SCALING, expected=f"numbers from {low:g} to {high:g}", remedy=remedy)
            report.add(kind, all_images, f"{values}, {share} % of the pixels outside")

    def _judge_types(self, report: Report) -> None:
        """All images must have one type, or be floating-point numbers: the same number must mean the same in each."""
        if not self._of_type:
            return
        most = max(self._of_type, key=lambda dtype: (len(self._of_type[dtype]), dtype in PACKED_TYPES))
        like_most = [dtype for dtype in self._of_type if dtype == most or dtype.kind == most.kind == "f"]
        count = sum(len(self._of_type[dtype]) for dtype in like_most)
        expected = f"{most}, the type of {count:,} of {self._count:,} images"
        remedy = f"export them again from their source like the others; {DO_NOT_CAST}"
        others = [dtype for dtype in self._of_type if dtype not in like_most]
        self._refuse(others, replace(WRONG_IMAGE_TYPE, expected=expected, remedy=remedy), report)
        if not self.scaling and most not in PACKED_TYPES:
            expected = "uint16" + (", or one other type and data.scaling" if self.to_train_on else "")
            kind = replace(WRONG_IMAGE_TYPE, expected=expected, remedy=self._remedy(like_most))
            self._refuse(like_most, kind, report)

    def _refuse(self, dtypes: Iterable[np.dtype[Any]], kind: FaultKind, report: Report) -> None:
        for dtype in dtypes:
            for path, values in self._of_type[dtype]:
                report.add(kind, path, f"{dtype}, {values}" if values else str(dtype))

    def _range(self, dtypes: Iterable[np.dtype[Any]]) -> ValueRange | None:
        """The range of all images of some types."""
        ranges = [values for dtype in dtypes for _, values in self._of_type[dtype] if values]
        if not ranges:
            return None
        fill = next((values.fill for values in ranges if values.fill is not None), None)
        return ValueRange(min(values.low for values in ranges), max(values.high for values in ranges), fill)

    def _remedy(self, dtypes: Collection[np.dtype[Any]]) -> str:
        """What to do about images of some types, by the numbers in them."""
        if not self.to_train_on:
            return f"give images of the type and the unit that the model was trained on; {DO_NOT_CAST}"
        values, said = self._range(dtypes), ""
        if values and values.low >= 1 and values.high <= HIGHEST and all(dtype.kind in "iu" for dtype in dtypes):
            return "set data.scaling=[1,65535], which takes the numbers as they are"
        if values and values.low < values.high:
            said = f", say data.scaling={round_range(values.low, values.high)}"
        if values and values.fill is not None:
            fill = f"{values.fill:.9g}"
            said += f"; if {fill} is no data, let the files say so: gdal_edit.py -a_nodata {fill} FILE"
        return f"set data.scaling to the range of numbers that matters, the same for all images{said}; {DO_NOT_CAST}"


def round_range(low: float, high: float) -> str:
    """A range with few digits that holds another one, as -S takes it."""
    width = min(max(high - low, 1e-300), 1e300)
    step = 10.0 ** (math.floor(math.log10(width)) - 1)
    ends = math.floor(low / step) * step, math.ceil(high / step) * step
    return f"[{ends[0]:.6g},{ends[1]:.6g}]"
