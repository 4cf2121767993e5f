"""Find the TIFF files of tiles by their names: images with their targets, or images alone."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path, PurePath
from typing import NamedTuple

from seepseg.base.errors import InputError
from seepseg.io.report import (
    BAD_NAME,
    IMAGE_FOLDER,
    NO_IMAGE,
    NO_TARGET,
    NOT_A_FILE,
    RAW_FOLDER,
    TWO_NAMES,
    FaultKind,
    Report,
)


class Tile(NamedTuple):
    """The files of one tile; one of them is None where it is missing or no file.

    Attributes:
        name: file name without suffix.
        scene: name of the scene.
        position: number of the tile in the scene's grid, row by row from 1.
        image: path of its image.
        target: path of its target.
    """

    name: str
    scene: str
    position: int
    image: str | None
    target: str | None


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
    """Find the tiles of a raw data set; names that start with a dot are passed over.

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
    image_files = _list_folder(images, pattern, report, RAW_FOLDER)
    target_files = _list_folder(targets, pattern, report, RAW_FOLDER)
    if image_files and target_files:  # otherwise the folder is the fault, not each file
        for key in sorted(image_files.keys() - target_files.keys()):
            _add_all(report, NO_TARGET, image_files[key])
        for key in sorted(target_files.keys() - image_files.keys()):
            _add_all(report, NO_IMAGE, target_files[key])
    tiles = []
    for key in sorted(image_files.keys() | target_files.keys()):
        for image, target in zip_longest(image_files.get(key, ()), target_files.get(key, ())):
            tiles.append(Tile(PurePath(image or target).stem, *key, image, target))
    return tiles


def find_images(folder: Path, pattern: re.Pattern[str], report: Report) -> list[Tile]:
    """Find images without targets; as `find_tiles` otherwise."""
    files = _list_folder(folder, pattern, report, IMAGE_FOLDER)
    return [Tile(PurePath(path).stem, *key, path, None) for key in sorted(files) for path in files[key]]


def _list_folder(
    folder: Path, pattern: re.Pattern[str], report: Report, unusable: FaultKind
) -> dict[tuple[str, int], list[str]]:
    """Files by scene and position; an empty list where something that is no file has a tile's name."""
    try:
        # One call for the whole folder, which also tells files from the rest: to ask for each takes far longer.
        with os.scandir(folder) as scan:
            entries = sorted((entry for entry in scan if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        report.add(unusable, folder, error.strerror or "an error")
        return {}
    if not entries:
        report.add(unusable, folder, "an empty folder")
    bad_name = replace(BAD_NAME, expected=f"data.name_pattern, {pattern.pattern}")
    files: dict[tuple[str, int], list[str]] = {}
    spellings: dict[tuple[str, int], list[os.DirEntry[str]]] = {}
    for entry in entries:
        match = pattern.fullmatch(entry.name)
        if not match or not entry.name.isprintable():
            report.add(bad_name, entry.path)
            continue
        scene, position = _tile_key(match)
        of_tile = files.setdefault((scene, position), [])
        spellings.setdefault((scene.casefold(), position), []).append(entry)
        if oddity := _oddity(entry):
            report.add(NOT_A_FILE, entry.path, oddity)
        else:
            of_tile.append(entry.path)
    for same in spellings.values():
        if len(same) > 1:
            report.add(TWO_NAMES, same[0].path, f"also {', '.join(entry.name for entry in same[1:])}")
    return files


def _tile_key(match: re.Match[str]) -> tuple[str, int]:
    scene, number = match["scene"], match["tile"]
    if not scene:
        raise InputError(f"data.name_pattern: group scene must match text, matched {scene!r} in {match.string}")
    if not number or not number.isdecimal() or len(number) > 18:  # more digits than an int64 holds
        expected = "group tile must match a number of at most 18 digits"
        raise InputError(f"data.name_pattern: {expected}, matched {number!r} in {match.string}")
    return scene, int(number)


def _oddity(entry: os.DirEntry[str]) -> str:
    """What an entry is if it is no file, else an empty text; to open a pipe would wait for ever."""
    if entry.is_file(follow_symlinks=False):
        return ""
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        return "a dangling link" if entry.is_symlink() else error.strerror or "an error"
    if stat.S_ISREG(mode):
        return ""
    return "a folder" if stat.S_ISDIR(mode) else "something that is neither file nor folder"


def _add_all(report: Report, kind: FaultKind, paths: list[str]) -> None:
    for path in paths:
        report.add(kind, path)


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
