"""Find, read and check raw tiles: TIFF images with their TIFF targets, in two folders of a delivery."""

import hashlib
import logging
import math
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from seepseg.errors import InputError
from seepseg.faults import (
    BAD_NAME,
    CONSTANT_IMAGE,
    DAMAGED,
    DUPLICATE_IMAGE,
    FOLDER,
    MAX_PIXELS,
    NO_IMAGE,
    NO_TARGET,
    NODATA_IMAGE,
    NOT_A_FILE,
    NOT_TIFF,
    SLICK_ON_NODATA,
    TOO_LARGE,
    TWO_NAMES,
    UNREADABLE,
    WRONG_IMAGE_TYPE,
    WRONG_LAYERS,
    WRONG_SIZE,
    WRONG_TARGET_TYPE,
    WRONG_VALUES,
    Kind,
    Report,
)
from seepseg.packed import NODATA

# The report is to be the only output about a broken file.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNCOMPRESSED = 1  # value of the TIFF tag Compression


@dataclass(frozen=True)
class Tile:
    """The files of one tile; one of them is None where it is missing or no file.

    Attributes:
        name: file name without suffix.
        scene: name of the scene.
        position: number of the tile in the scene's grid, row by row from 1.
        image: its image.
        target: its target.
    """

    name: str
    scene: str
    position: int
    image: Path | None
    target: Path | None


def compile_name_pattern(pattern: str) -> re.Pattern[str]:
    """Compile the pattern of file names.

    Args:
        pattern: a regular expression of the whole name with the named groups scene and tile.

    Raises:
        ValueError: it is no regular expression or lacks a group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    if absent := [name for name in ("scene", "tile") if name not in compiled.groupindex]:
        raise ValueError(f"a regular expression with the group {' and '.join(f'(?P<{g}>...)' for g in absent)}")
    return compiled


def find_tiles(images: Path, targets: Path, pattern: re.Pattern[str], report: Report) -> list[Tile]:
    """Find the tiles of a delivery; names that start with a dot are passed over.

    Args:
        images: folder of images.
        targets: folder of targets; a tile's files share scene and tile number.
        pattern: see `compile_name_pattern`.
        report: takes what is wrong with folders, names and pairs.

    Returns:
        Tiles sorted by scene and position. With errors in the report these include tiles of which only one
        file can be used, so that all content can be checked nevertheless.

    Raises:
        InputError: the pattern takes something that is no number for a tile's number.
    """
    image_files = _list_folder(images, pattern, report)
    target_files = _list_folder(targets, pattern, report)
    if image_files and target_files:  # otherwise the folder is the fault, not each file
        for key in sorted(image_files.keys() - target_files.keys()):
            _add_all(report, NO_TARGET, image_files[key])
        for key in sorted(target_files.keys() - image_files.keys()):
            _add_all(report, NO_IMAGE, target_files[key])
    tiles = []
    for scene, position in sorted(image_files.keys() | target_files.keys()):
        of_tile = image_files.get((scene, position), []), target_files.get((scene, position), [])
        for index in range(max(map(len, of_tile))):
            image, target = (files[index] if index < len(files) else None for files in of_tile)
            name = next(path.stem for path in (image, target) if path)
            tiles.append(Tile(name, scene, position, image, target))
    return tiles


def _list_folder(folder: Path, pattern: re.Pattern[str], report: Report) -> dict[tuple[str, int], list[Path]]:
    """Files by scene and position; an empty list where something that is no file has a tile's name."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        report.add(FOLDER, folder, error.strerror or "an error")
        return {}
    if not paths:
        report.add(FOLDER, folder, "an empty folder")
    bad_name = replace(BAD_NAME, expected=f"data.name_pattern, {pattern.pattern}")
    files: dict[tuple[str, int], list[Path]] = {}
    spellings: dict[tuple[str, int], list[Path]] = {}
    for path in paths:
        match = pattern.fullmatch(path.name)
        if not match or not path.name.isprintable():
            report.add(bad_name, path)
            continue
        scene, position = _tile_key(match)
        of_tile = files.setdefault((scene, position), [])
        spellings.setdefault((scene.casefold(), position), []).append(path)
        if oddity := _oddity(path):
            report.add(NOT_A_FILE, path, oddity)
        else:
            of_tile.append(path)
    for same in spellings.values():
        if len(same) > 1:
            report.add(TWO_NAMES, same[0], f"also {', '.join(path.name for path in same[1:])}")
    return files


def _tile_key(match: re.Match[str]) -> tuple[str, int]:
    scene, number = match["scene"], match["tile"]
    if not scene:
        raise InputError(f"data.name_pattern: group scene must match text, matched {scene!r} in {match.string}")
    if not number or not number.isdecimal() or len(number) > 18:  # more digits than an int64 holds
        expected = "group tile must match a number of at most 18 digits"
        raise InputError(f"data.name_pattern: {expected}, matched {number!r} in {match.string}")
    return scene, int(number)


def _oddity(path: Path) -> str:
    """What a path is if it is no file, else an empty text; to open a pipe would wait for ever."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "a dangling link" if path.is_symlink() else error.strerror or "an error"
    if stat.S_ISREG(mode):
        return ""
    return "a folder" if stat.S_ISDIR(mode) else "something that is neither file nor folder"


def _add_all(report: Report, kind: Kind, paths: list[Path]) -> None:
    for path in paths:
        report.add(kind, path)


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
    class_pixels: npt.NDArray[np.int64]
    slick_on_nodata: int


class TileReader:
    """Reads tiles, each file once, and notes in a report what is wrong with their content."""

    def __init__(self, num_classes: int, report: Report) -> None:
        """Start without having seen a tile.

        Args:
            num_classes: K + 1; target values are 0..K.
            report: takes the faults.
        """
        self.num_classes = num_classes
        self.report = report
        self._shapes: dict[Path, tuple[int, ...]] = {}
        self._first_with: dict[tuple[tuple[int, ...], bytes], Path] = {}

    def read(self, tile: Tile) -> TileContent | None:
        """Read and check the files of a tile; None where they don't make a sound pair."""
        image = self._read_image(tile.image) if tile.image else None
        target = self._read_target(tile.target) if tile.target else None
        if image is None or target is None or image[0].shape != target[0].shape:
            return None
        pixels, intensity = image
        values, counts = target
        if intensity.valid < pixels.size:
            class_pixels = np.bincount(values[pixels != NODATA], minlength=self.num_classes)
        else:
            class_pixels = counts
        slick_on_nodata = int((counts - class_pixels)[1:].sum())
        if slick_on_nodata and tile.target:
            self.report.add(SLICK_ON_NODATA, tile.target, f"{slick_on_nodata} px")
        return TileContent(pixels, values, intensity, class_pixels, slick_on_nodata)

    def check_sizes(self) -> None:
        """Note the files whose size is not the most common one; to be called after the last tile."""
        sizes = Counter(self._shapes.values())
        if len(sizes) < 2:
            return
        common, count = sizes.most_common(1)[0]
        kind = replace(WRONG_SIZE, expected=f"{_by(common)} pixels, the size of {count} of {sizes.total()} files")
        for path, shape in self._shapes.items():
            if shape != common:
                self.report.add(kind, path, _by(shape))

    def _read_image(self, path: Path) -> tuple[npt.NDArray[np.uint16], Intensity] | None:
        image = self._read_pixels(path, np.uint16, WRONG_IMAGE_TYPE)
        if image is None:
            return None
        intensity = measure(image)
        if not intensity.valid:
            self.report.add(NODATA_IMAGE, path)
            return image, intensity
        if intensity.low == intensity.high:
            self.report.add(CONSTANT_IMAGE, path, f"only {intensity.low}")
        # Images without data all look alike and are listed anyway.
        digest = hashlib.blake2b(image.data, digest_size=16).digest()
        first = self._first_with.setdefault((image.shape, digest), path)
        if first is not path:
            self.report.add(DUPLICATE_IMAGE, path, f"the pixels of {first.name}")
        return image, intensity

    def _read_target(self, path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]] | None:
        """A target with its pixel counts by class."""
        target = self._read_pixels(path, np.uint8, WRONG_TARGET_TYPE)
        if target is None:
            return None
        # Most pixels are background: to count the others alone is several times faster.
        counts = np.bincount(target[target != 0], minlength=self.num_classes)
        counts[0] = target.size - counts.sum()
        if len(counts) > self.num_classes:
            values = [value for value in counts.nonzero()[0] if value >= self.num_classes]
            kind = replace(WRONG_VALUES, expected=f"0 for background, 1 to {self.num_classes - 1} for classes")
            self.report.add(kind, path, ", ".join(f"{value} ({counts[value]} px)" for value in values))
            return None
        return target, counts

    def _read_pixels(self, path: Path, dtype: type[np.generic], wrong_type: Kind) -> npt.NDArray[Any] | None:
        array: npt.NDArray[Any] = np.empty((0, 0), dtype)
        try:
            with path.open("rb") as file, tifffile.TiffFile(file) as tiff:
                faults = list(_header_faults(tiff, np.dtype(dtype), wrong_type))
                if not faults:
                    array = tiff.pages[0].asarray(maxworkers=1)
        except OSError as error:
            faults = [(UNREADABLE, error.strerror or str(error))]
        except Exception as error:  # the parser and the codecs raise whatever broken bytes lead them to
            faults = [_explain(path, error)]
        for kind, found in faults:
            self.report.add(kind, path, found)
        if faults:
            return None
        self._shapes[path] = array.shape
        return array


def measure(image: npt.NDArray[np.uint16]) -> Intensity:
    """Sum up the valid pixels of an image.

    Args:
        image: uint16 (H, W); `NODATA` pixels are left out.
    """
    pixels = image.ravel()
    valid = int(np.count_nonzero(pixels))
    if not valid:
        return Intensity()
    # No-data is 0 and so adds nothing to either sum. A sum of MAX_PIXELS squares fits an int64.
    wide = pixels.astype(np.int64)
    lowest = pixels.min() if valid == pixels.size else pixels[pixels != NODATA].min()
    return Intensity(valid, int(wide.sum()), int(np.dot(wide, wide)), int(lowest), int(pixels.max()))


def grid_columns_of(scene: str, grid_columns: Mapping[str, int]) -> int | None:
    """Number of columns of a scene's grid, by the longest listed start of its name; None if none fits."""
    fitting = [start for start in grid_columns if scene.startswith(start)]
    return grid_columns[max(fitting, key=len)] if fitting else None


def grid_cell(position: int, columns: int | None) -> tuple[int, int] | tuple[None, None]:
    """Row and column, both from 0, of a tile in its scene's grid.

    Positions count from 1, row by row. The real tiles say so: of the pair 99, 100 of scene 045590, with 20
    columns, the edges continue each other (correlation 0.45, with any other tile below 0.30) and the right
    part of 100 lies off the footprint, so 100 ends its row and does not begin the next one.

    Args:
        position: number of the tile.
        columns: width of the grid; None if unknown.

    Returns:
        Row and column; None and None without a width, and for position 0.
    """
    if columns is None or position == 0:
        return None, None
    return divmod(position - 1, columns)


def _header_faults(tiff: tifffile.TiffFile, dtype: np.dtype[Any], wrong_type: Kind) -> Iterator[tuple[Kind, str]]:
    """What forbids to read the pixels, told from the header alone: a false claim must not take memory."""
    page, file_size = tiff.pages[0], tiff.filehandle.size
    if len(tiff.pages) > 1:
        yield WRONG_LAYERS, f"{len(tiff.pages)} pages"
    if page.ndim != 2:
        yield WRONG_LAYERS, f"pixels of shape {_by(page.shape)}"
    if page.dtype != dtype:
        yield wrong_type, str(page.dtype)
    if not 1 <= math.prod(page.shape) <= MAX_PIXELS:
        yield TOO_LARGE, f"{_by(page.shape)} pixels"
        return
    # Without the second check tifffile would fill what is missing with zeros.
    spans = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    claimed = max((offset + size for offset, size in spans), default=0)
    if page.compression == UNCOMPRESSED and all(size for _, size in spans):  # size 0: a strip of zeros, not stored
        claimed = max(claimed, page.nbytes)
    if claimed > file_size:
        yield DAMAGED, f"{file_size} bytes, of which the header claims {claimed}"
    elif len(spans) < math.prod(page.chunked):
        yield DAMAGED, f"{len(spans)} of {math.prod(page.chunked)} strips or tiles of pixels"


def _explain(path: Path, error: Exception) -> tuple[Kind, str]:
    """Tell a damaged TIFF file from one that is something else."""
    with path.open("rb") as file:
        signature = file.read(4)
    if not signature:
        return DAMAGED, "an empty file"
    if signature not in TIFF_SIGNATURES:
        return NOT_TIFF, f"a file that starts with {signature!r}"
    return DAMAGED, " ".join(f"{type(error).__name__}: {error}".split())


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
