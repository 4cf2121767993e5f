"""The kinds of faults that raw tiles can have, and the report that collects them.

Faults are collected, not raised: one `Report` names every offender of every kind, so that a raw data set is mended in
one round instead of one file at a time.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

MAX_PIXELS = 2**26  # of one tile, 8192 x 8192: a header that claims more is taken for damaged


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        title: heads the list of offenders.
        expected: what was expected of each of them.
        remedy: what to do.
        metric: under which name a warning is counted; an error has none.
    """

    title: str
    expected: str
    remedy: str
    metric: str = ""


# Of any images, also of those to predict on: what to do must be true without targets and without training.
IMAGE_FOLDER = FaultKind(
    "folders that can't be used", "a folder that holds one TIFF file per tile", "name a folder with such files"
)
BAD_NAME = FaultKind("wrong names", "", "rename the files, move them elsewhere, or change data.name_pattern")
NOT_A_FILE = FaultKind("tiles that are not files", "a file", "remove them or put the files in their place")
TWO_NAMES = FaultKind("several files for one tile", "one file per scene and tile", "keep one of them")
UNREADABLE = FaultKind("unreadable files", "a file that may be read", "check permissions and the disk")
NOT_TIFF = FaultKind("files that are not TIFF", "a TIFF file, whatever its name says", "convert them to TIFF")
DAMAGED = FaultKind("truncated or damaged files", "a whole TIFF file", "copy them again from their source")
TOO_LARGE = FaultKind(
    "files that claim too many pixels",
    f"1 to {MAX_PIXELS:,} pixels",
    "copy them again from their source if damaged, or cut them into tiles",
)
WRONG_LAYERS = FaultKind(
    "several pages or channels",
    "one page of one channel",
    "write the one band that counts, without overviews, alpha channel or thumbnail",
)
WRONG_IMAGE_TYPE = FaultKind("wrong type of image", "uint16", "write images as 16-bit unsigned integers")
WRONG_SIZE = FaultKind("wrong sizes", "", "cut all tiles to one size")
NODATA_IMAGE = FaultKind(
    "images without data", "a valid pixel, one above 0", "leave them out, there is nothing to see", "nodata_images"
)
CONSTANT_IMAGE = FaultKind(
    "constant images", "more than one intensity among the valid pixels", "check the export", "constant_images"
)
NO_COLUMNS = FaultKind(
    "scenes of unknown width",
    "a start of the scene's name in data.grid_columns (in quotes: YAML takes 0455 for an octal number)",
    "add it with its number of columns; without it nobody knows which tiles are neighbours",
    "scenes_without_columns",
)
NUMBERED_ZERO = FaultKind(
    "tiles with number 0",
    "numbers from 1, row by row",
    "number the scene's tiles from 1; from 0, the last column is taken for the first of the next row",
    "tiles_numbered_zero",
)

# Of a raw data set alone.
RAW_FOLDER = replace(
    IMAGE_FOLDER,
    remedy="set data.root, data.images and data.targets in params.yaml; `dvc repro sample` writes the sample data",
)
NO_TARGET = FaultKind(
    "images without a target",
    "a file of the same scene and tile in the folder data.targets",
    "add the targets or remove the images; a tile without slicks needs a target of zeros",
)
NO_IMAGE = FaultKind(
    "targets without an image",
    "a file of the same scene and tile in the folder data.images",
    "add the images or remove the targets",
)
WRONG_TARGET_TYPE = FaultKind("wrong type of target", "uint8", "write targets as 8-bit unsigned integers")
WRONG_VALUES = FaultKind(
    "wrong values in targets",
    "",
    "map the values to classes, or name all classes in data.class_names; 255 is often what an image editor makes of 1",
)
DUPLICATE_IMAGE = FaultKind(
    "duplicate images",
    "pixels that no other tile has",
    "keep one: copies leak between splits",
    "duplicate_images",
)
SLICK_ON_NODATA = FaultKind(
    "slicks on no-data",
    "background where the image is 0",
    "check whether target and image belong together; these pixels are not used",
    "slick_on_nodata_tiles",
)
WARNINGS = (NODATA_IMAGE, CONSTANT_IMAGE, DUPLICATE_IMAGE, SLICK_ON_NODATA, NO_COLUMNS, NUMBERED_ZERO)


@dataclass
class Report:
    """Everything wrong with a raw data set or a folder of images, by kind, in the order of discovery."""

    offenders: dict[FaultKind, list[str]] = field(default_factory=dict)

    def add(self, kind: FaultKind, where: Path | str, found: str = "") -> None:
        """Note one offender; `found` says what is there instead of what was expected."""
        text = str(where)
        text = text if text.isprintable() else ascii(text)  # a line break in a name must not forge a line
        self.offenders.setdefault(kind, []).append(f"{text}: found {found}" if found else text)

    @property
    def has_errors(self) -> bool:
        """Whether anything is noted that forbids to use the files."""
        return any(not kind.metric for kind in self.offenders)

    def warning_counts(self) -> dict[str, int]:
        """Number of offenders of every kind of warning, also of those that did not occur."""
        return {kind.metric: len(self.offenders.get(kind, [])) for kind in WARNINGS}

    def __str__(self) -> str:
        """Every kind with its count, what was expected, what to do, every offender: errors, then warnings."""
        blocks = []
        for kind, offenders in sorted(self.offenders.items(), key=lambda item: bool(item[0].metric)):
            head = [f"{'warning' if kind.metric else 'error'}: {kind.title}: {len(offenders)}"]
            head += [f"  expected: {kind.expected}", f"  what to do: {kind.remedy}"]
            blocks.append("\n".join(head + [f"    {line}" for line in offenders]))
        return "\n".join(blocks)
