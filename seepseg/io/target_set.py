"""What the targets of a set look like as a whole: a fault that all of them share is said once."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from seepseg.io.faults import (
    INTERPOLATED_TARGETS,
    MOSTLY_SLICK,
    NO_BACKGROUND,
    NOTHING_STORED,
    PALETTE_CLASH,
    TARGET_NOT_STORED,
    TWO_MARKS,
    WRONG_VALUES,
    FaultKind,
)
from seepseg.io.mask_values import MARKED, MaskValues, TargetValues
from seepseg.io.report import Report

MASK_VALUES = 256  # more are hardly those of a mask, however it was treated
LIKE_IMAGES, LIKE_MASKS = "they look like images: check data.targets. Or they", "they look like masks that"
INTERPOLATED = (
    "were scaled or turned with interpolation, or compressed with loss: make them anew, by nearest neighbour, without "
    "loss"
)
MANY_MORE = 8  # values than data.mask_values knows: few are forgotten ones
MAX_MIXED = 50  # targets of several classes that are looked at closely: what is wrong with some is wrong with all
BETWEEN = 0.02  # of the slick pixels of these
REMEMBERED_VALUES = 10_000  # of all targets with wrong ones; masks of floats may have millions


@dataclass
class TargetSet:
    """What is known of the targets that could be read.

    Attributes:
        num_classes: K + 1.
        mapping: data.mask_values; None without.
    """

    num_classes: int
    mapping: MaskValues | None
    _wrong: list[tuple[str, list[str]]] = field(default_factory=list)
    _not_stored: list[tuple[str, str]] = field(default_factory=list)
    _values: set[float] = field(default_factory=set)
    _sound: int = 0
    _colours: dict[int, tuple[str, str]] = field(default_factory=dict)
    _clashes: dict[str, str] = field(default_factory=dict)
    _mixed: int = 0
    _mixed_pixels: int = 0
    _pixels_between: int = 0
    _pixels: int = 0
    _slick_pixels: int = 0
    _wholly_stored: bool = False
    _background: bool = False
    _with_one: str = ""
    _with_mark: str = ""

    @property
    def has_faults(self) -> bool:
        """Whether there are values without a class."""
        return bool(self._wrong)

    def add(self, path: str, counts: npt.NDArray[np.int64], values: TargetValues) -> None:
        """Note a sound target.

        Args:
            path: its file.
            counts: int64 (K + 1,), its pixels by class.
            values: what was found in it.
        """
        found = set(counts.nonzero()[0].tolist())
        self._sound += 1
        self._pixels += int(counts.sum())
        self._slick_pixels += int(counts[1:].sum())
        self._background |= 0 in found
        if 1 in found:
            self._with_mark, self._with_one = (path, self._with_one) if values.marked else (self._with_mark, path)
        self._values |= found
        if len(found - {0}) > 1 and values.classes is not None and self._mixed < MAX_MIXED:
            self._mixed += 1
            self._mixed_pixels += int(counts[1:].sum())
            self._pixels_between += count_between(values.classes)

    def add_palette(self, path: str, numbers: npt.NDArray[Any], palette: npt.NDArray[np.uint8]) -> None:
        """Note the colours that the numbers in a target have in its palette, uint8 (256, 3)."""
        for number in numbers.tolist():
            colour = "#" + palette[number].tobytes().hex()
            known, first = self._colours.setdefault(number, (colour, path))
            if colour != known:
                self._clashes.setdefault(path, f"{colour} for {number}, which is {known} in {PurePath(first).name}")

    def add_wrong(self, path: str, values: Iterable[float], found: list[str]) -> None:
        """Note a target with values that have no class: all values in it, and what is to be told of the wrong ones."""
        self._wrong.append((path, found))
        if len(self._values) < REMEMBERED_VALUES:
            self._values.update(values)

    def add_not_stored(self, path: str, found: str) -> None:
        """Note a target whose file stores no pixel."""
        self._not_stored.append((path, found))

    def add_wholly_stored(self) -> None:
        """Note a target whose file stores all pixels: its writer does not leave out empty parts."""
        self._wholly_stored = True

    def judge(self, report: Report) -> None:
        """Note what all targets together look like."""
        for path, found in self._not_stored:
            report.add(TARGET_NOT_STORED if self._wholly_stored else NOTHING_STORED, path, found)
        count = self._sound + len(self._wrong)
        if self._wrong:
            kind = self._kind_of_wrong()
            for path, wrong in self._wrong:
                report.add(kind, path, wrong)
        elif self._sound and not self._background:
            remedy = f"if 1 is background, set data.mask_values={_listed(range(1, self.num_classes + 1))}"
            if self.mapping:
                remedy = "check data.mask_values: its first entry is background"
            kind = replace(NO_BACKGROUND, remedy=remedy)
            report.add(kind, f"all {count:,} targets", f"classes {_listed(sorted(self._values))} alone")
        elif 2 * self._slick_pixels > self._pixels:
            share = 100 * self._slick_pixels // self._pixels
            report.add(MOSTLY_SLICK, f"all {count:,} targets", f"slicks on {share} % of the pixels")
        if self._pixels_between > BETWEEN * self._mixed_pixels:
            share = 100 * self._pixels_between // self._mixed_pixels
            found = f"classes between a lower and a higher one, one pixel wide, on {share} % of the slick pixels"
            report.add(INTERPOLATED_TARGETS, f"{self._mixed:,} targets of several classes", found)
        for path, found in self._clashes.items():
            report.add(PALETTE_CLASH, path, found)
        if self._with_one and self._with_mark:
            report.add(TWO_MARKS, self._with_mark, f"{MARKED}, but 1 in {self._with_one}")

    def _kind_of_wrong(self) -> FaultKind:
        """What to expect and to do, by the values of all targets."""
        if not self.mapping:
            expected = f"0 for background, 1 to {self.num_classes - 1} for classes"
            remedy = explain_values(sorted(self._values), self.num_classes)
        else:
            expected = "the values in data.mask_values"
            remedy = "add these to the entries of background or of a class there"
            if len(self._values) > len(self.mapping.classes) + MANY_MORE:
                remedy = f"{LIKE_MASKS} {INTERPOLATED}"
        return replace(WRONG_VALUES, expected=expected, remedy=remedy)


def count_between(classes: npt.NDArray[np.uint8]) -> int:
    """Count pixels of slicks that lie between a lower and a higher class, as interpolation leaves them."""
    between = np.zeros(classes.shape, bool)
    for lines, found in ((classes, between), (classes.T, between.T)):
        before, here, after = lines[:-2], lines[1:-1], lines[2:]
        found[1:-1] |= ((before < here) & (here < after)) | ((before > here) & (here > after))
    return int(np.count_nonzero(between))


def explain_values(values: list[float], num_classes: int) -> str:
    """What wrong values look like, and what to do about them.

    Args:
        values: all that occur in targets, ascending.
        num_classes: K + 1.
    """
    wrong = {value for value in values if not (0 <= value < num_classes and float(value).is_integer())}
    if any(math.isnan(value) for value in wrong):
        return "write 0 in place of NaN, if nothing is annotated there"
    if wrong == {MARKED}:
        return _explain_mark(values, num_classes)
    if 0 not in values and values[0] == 1 and values[-1] == num_classes:
        return f"if 1 is background, set data.mask_values={_listed(range(1, num_classes + 1))}"
    if steps := stretched_values(values, num_classes - 1):
        return f"they look stretched, as for display: set data.mask_values={_listed(steps)}"
    few = 3 if num_classes == 2 else 3 * num_classes
    if len(values) > few or not all(float(value).is_integer() for value in values):
        return f"{LIKE_IMAGES if len(values) > MASK_VALUES else LIKE_MASKS} {INTERPOLATED}"
    return (
        "say what the values mean: background, then each class, as in data.mask_values=[0,10,20]; or name all classes "
        "in data.class_names"
    )


def _explain_mark(values: list[float], num_classes: int) -> str:
    """As `explain_values`, where `MARKED` alone is wrong."""
    if set(values) <= {0, MARKED}:
        return "255 is often an editor's mark of the only class: set data.mask_values=[0,slick:255], which names it"
    return f"255 is often no data, or an editor's mark of class 1; {as_background(MARKED, num_classes)}"


def as_background(value: float, num_classes: int) -> str:
    """What to do about a whole number that may mean background, beside classes that mean themselves."""
    meaning = _listed([[0, round(value)], *(number for number in range(1, num_classes) if number != value)])
    return f"if it is background, set data.mask_values={meaning}"


def _listed(items: Iterable[float | list[int]]) -> str:
    """Values as -S takes them."""
    return str(list(items)).replace(" ", "")


def stretched_values(values: list[float], classes: int) -> list[int]:
    """The values of all classes, if those that were found look like class numbers times a factor.

    Args:
        values: that were found, ascending.
        classes: how many there are.

    Returns:
        The values of background and of classes 1, 2, ...; empty where they don't look so.
    """
    if any(value % 1 or value < 0 for value in values):
        return []
    found = {int(value) for value in values if value}
    if classes == 1 and len(found) == 1:
        return [0, *found]
    step = math.gcd(*found)
    candidates = [[number * step for number in range(classes + 1)]]
    candidates += [[rounded(number * MARKED / classes) for number in range(classes + 1)] for rounded in (round, int)]
    return next((steps for steps in candidates if len(found) > 1 and found <= set(steps)), [])
