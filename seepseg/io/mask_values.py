"""Which values or colours of a target mean which class: `data.mask_values`, and classes made by it."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seepseg.base.conventions import BACKGROUND
from seepseg.io.image_values import row_blocks
from seepseg.io.pixels import Pixels, one_if_equal

Entry = int | str | list[int | str]

MARKED = 255  # what an image editor makes of the only class
OPAQUE = 255
MAX_RANGE = 2**16
MAX_VALUES = 2**16  # that are counted: floating-point numbers may all be different
NAME = r"(?:(?P<name>[A-Za-z][A-Za-z0-9_]*):)?"
VALUE = re.compile(r"(?P<low>-?\d+)(?:-(?P<high>-?\d+))?|#(?P<colour>[0-9A-Fa-f]{6}(?:[0-9A-Fa-f]{2})?)")
EXPECTED = (
    "the values of background, then those of each class: numbers, ranges such as 1-7, colours such as '#ff0000', or "
    "lists of these; an entry such as slick:1-7 also names its class"
)


@dataclass(frozen=True, slots=True)
class MaskValues:
    """Parsed `data.mask_values`.

    Attributes:
        classes: class by value, or by colour as a number 0xRRGGBBAA.
        names: of classes 1, 2, ...; None where an entry has none.
        colours: whether these are colours.
    """

    classes: dict[int, int]
    names: tuple[str | None, ...]
    colours: bool

    @classmethod
    def parse(cls, entries: list[Entry]) -> "MaskValues":
        """Read the entries: background, then each class.

        Raises:
            ValueError: there is no class, an entry says nothing, or a value means two classes.
        """
        if len(entries) < 2:
            raise ValueError(EXPECTED)
        classes: dict[int, int] = {}
        names: list[str | None] = []
        kinds = set()
        for number, entry in enumerate(entries):
            name, values = _parse_entry(entry)
            names.append(name)
            for is_colour, value in values:
                kinds.add(is_colour)
                if classes.setdefault(value, number) != number:
                    raise ValueError(f"one class for each value, {entry} is in two")
        if len(kinds) > 1:
            raise ValueError("either values or colours")
        named = [name for name in names[1:] if name]
        if names[0] or (named and len(named) < len(names) - 1) or len({*named, BACKGROUND}) <= len(named):
            raise ValueError("a name, each another, for every class and none for background; or no names")
        return cls(classes, tuple(names[1:]), kinds == {True})

    def class_of(self, value: float) -> int | None:
        """The class that a value or colour means; None where it means none."""
        return self.classes.get(int(value)) if float(value).is_integer() else None


def _parse_entry(entry: Entry) -> tuple[str | None, list[tuple[bool, int]]]:
    """The name and the values of an entry; a value comes with whether it is a colour."""
    name, parts = None, entry
    if isinstance(entry, str):
        match = re.match(NAME, entry)
        name = match["name"] if match else None
        parts = [part.strip() for part in entry[match.end() if match else 0 :].split(",")]
    return name, [value for part in (parts if isinstance(parts, list) else [parts]) for value in _parse_part(part)]


def _parse_part(part: Any) -> Iterator[tuple[bool, int]]:
    if isinstance(part, int) and not isinstance(part, bool):
        yield False, part
        return
    match = VALUE.fullmatch(part) if isinstance(part, str) else None
    if not match:
        raise ValueError(EXPECTED)
    if match["colour"]:
        yield True, int(match["colour"].ljust(8, "f"), 16)
        return
    low = int(match["low"])
    high = low if match["high"] is None else int(match["high"])
    if not 0 <= high - low < MAX_RANGE:
        raise ValueError(f"ranges from the lower to the higher number, of at most {MAX_RANGE:,} values")
    for value in range(low, high + 1):
        yield False, value


def without_opacity(pixels: Pixels) -> Pixels:
    """Leave out a channel of opacity that says nothing: the second or fourth of uint8, where all of it is opaque."""
    has_opacity = pixels.ndim == 3 and pixels.shape[2] in (2, 4) and pixels.dtype == np.uint8
    if not has_opacity or (pixels[..., -1] != OPAQUE).any():
        return pixels
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]


def colour_text(code: int) -> str:
    """A colour as people write it: #ff0000, or #ff000080 where it is not opaque."""
    return f"#{code >> 8:06x}" if code & 0xFF == OPAQUE else f"#{code:08x}"


@dataclass(frozen=True, slots=True)
class TargetValues:
    """What was found in a target.

    Attributes:
        classes: uint8 (H, W); None where a value has no class.
        values: every value in it and its number of pixels, ascending in each block of rows, or at least `MAX_VALUES` of
            them; only where one has no class.
        in_colours: whether these are colours, as numbers 0xRRGGBBAA; all that can't be seen are 0.
        marked: whether `MARKED` was taken for the only class.
    """

    classes: npt.NDArray[np.uint8] | None
    values: dict[float, int] = field(default_factory=dict)
    in_colours: bool = False
    marked: bool = False


def to_classes(pixels: Pixels, num_classes: int, mapping: MaskValues | None) -> TargetValues:
    """Make classes of the values or colours of a target.

    Args:
        pixels: (H, W), numbers of any type; or uint8 (H, W, 3 or 4): red, green, blue, and opacity if it is there.
        num_classes: K + 1.
        mapping: what the values mean; None where they are the classes, or 0 and `MARKED` with one class.
    """
    if mapping and mapping.colours:
        return _from_colours(pixels, mapping)
    pixels = one_if_equal(pixels)
    if pixels.ndim == 3:
        return _from_colours(pixels, None)
    # Nearly all wider masks hold small whole numbers.
    narrow = pixels if pixels.dtype == np.uint8 else _as_bytes(pixels)
    return _from_numbers(pixels, mapping) if narrow is None else _from_bytes(narrow, num_classes, mapping)


def _from_colours(pixels: Pixels, mapping: MaskValues | None) -> TargetValues:
    if pixels.ndim == 2:
        if pixels.dtype != np.uint8:
            return _from_numbers(pixels, None)
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    codes = np.empty(pixels.shape[:2], np.uint32)
    for rows in row_blocks(pixels):
        red, green, blue = (pixels[rows, :, channel].astype(np.uint32) for channel in range(3))
        opacity = pixels[rows, :, 3] if pixels.shape[2] == 4 else np.full_like(pixels[rows, :, 0], OPAQUE)
        codes[rows] = np.where(opacity, (red << 24) | (green << 16) | (blue << 8) | opacity, np.uint32(0))
    return replace(_from_numbers(codes, mapping), in_colours=True)


def _from_numbers(pixels: Pixels, mapping: MaskValues | None) -> TargetValues:
    """Make classes of numbers of any size."""
    classes, counts = np.zeros(pixels.shape, np.uint8), Counter[float]()
    is_known = mapping is not None
    for rows in row_blocks(pixels):
        values, places, found = np.unique(pixels[rows], return_inverse=True, return_counts=True)
        meant = [mapping.class_of(value) if mapping else None for value in values.tolist()]
        if None in meant:
            is_known = False
        if is_known:
            classes[rows] = np.array(meant, np.uint8)[places.reshape(-1, pixels.shape[1])]
        if len(counts) < MAX_VALUES:
            counts.update(dict(zip(map(_one_nan, values.tolist()), found.tolist(), strict=True)))
    return TargetValues(classes) if is_known else TargetValues(None, dict(counts))


def _one_nan(value: float) -> float:
    """The same NaN each time, so that they are counted together."""
    return math.nan if math.isnan(value) else value


def _as_bytes(pixels: Pixels) -> npt.NDArray[np.uint8] | None:
    """The same values as uint8; None where one of them is none."""
    if not (pixels.min() >= 0 and pixels.max() <= 255):  # false for NaN, too
        return None
    narrow: npt.NDArray[np.uint8] = pixels.astype(np.uint8)
    return narrow if np.array_equal(narrow, pixels) else None


def _from_bytes(pixels: npt.NDArray[np.uint8], num_classes: int, mapping: MaskValues | None) -> TargetValues:
    if mapping is None and pixels.max() < num_classes:
        return TargetValues(pixels)
    counts = np.zeros(256, np.int64)
    for rows in row_blocks(pixels):
        counts += np.bincount(pixels[rows].ravel(), minlength=256)
    values = counts.nonzero()[0].tolist()
    if mapping is None:
        if num_classes == 2 and set(values) <= {0, MARKED}:
            return TargetValues((pixels == MARKED).astype(np.uint8), marked=True)
    elif all(value in mapping.classes for value in values):
        table = np.array([mapping.classes.get(value, 0) for value in range(256)], np.uint8)
        return TargetValues(table[pixels])
    return TargetValues(None, {value: int(counts[value]) for value in values})
