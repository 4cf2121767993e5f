"""Find the files of tiles by their names: images with their targets, or images alone."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from seepseg.base.errors import InputError
from seepseg.io.faults import (
    BAD_NAME,
    FOLDER_AMONG_TILES,
    IMAGE_FOLDER,
    NO_IMAGE,
    NO_TARGET,
    NOT_A_FILE,
    ONE_FOLDER,
    RAW_FOLDER,
    TWO_NAMES,
    FaultKind,
)
from seepseg.io.folder import A_FOLDER, Entry, scan_folder
from seepseg.io.report import Report

SUFFIX = re.compile(r"\.(tiff?|png|jpe?g)$", re.IGNORECASE)
MAX_DIGITS = 18  # of a number in a name; more than an int64 holds

Cell = tuple[int, int]  # row and column
Key = tuple[str, tuple[int, ...]]  # scene, and tile number or row and column
FilesByKey = dict[Key, list[Entry]]


class Tile(NamedTuple):
    """The files of one tile; one of them is None where it is missing or no file.

    Attributes:
        name: path of its image below the folder of images, with / and without suffix.
        scene: name of the scene.
        position: number of the tile in its scene: that of the file name or, where this has row and column instead,
            from 1 in their order.
        cell: row and column in the file name, in tiles or in pixels; None where it has a number instead.
        image: path of its image.
        target: path of its target.
    """

    name: str
    scene: str
    position: int
    cell: Cell | None
    image: str | None
    target: str | None


class NamePattern(NamedTuple):
    """What the names of one kind of file look like.

    Attributes:
        regex: see `compile_name_pattern`.
        parameter: where it is set.
    """

    regex: re.Pattern[str]
    parameter: str

    def __str__(self) -> str:
        return f"{self.parameter}, {self.regex.pattern}"

    @property
    def has_folders(self) -> bool:
        """Whether files lie in subfolders."""
        return "/" in self.regex.pattern

    def match(self, name: str) -> re.Match[str] | None:
        """Match a path below the folder, as it is or with its suffix in small letters."""
        if not name.isprintable():
            return None
        return self.regex.fullmatch(name) or self.regex.fullmatch(SUFFIX.sub(lambda end: end[0].lower(), name))

    def key(self, match: re.Match[str]) -> Key:
        """Scene, and tile number or row and column, of a match."""
        if not match["scene"]:
            what = f"group scene must match text, matched {match['scene']!r}"
            raise InputError(f"{self.parameter}: {what} in {match.string}")
        groups = ("tile",) if "tile" in self.regex.groupindex else ("row", "col")
        return match["scene"], tuple(self._number(match, group) for group in groups)

    def _number(self, match: re.Match[str], group: str) -> int:
        number = match[group]
        if number and number.isdecimal() and len(number) <= MAX_DIGITS:
            return int(number)
        what = f"group {group} must match a number of at most {MAX_DIGITS} digits, matched {number!r}"
        raise InputError(f"{self.parameter}: {what} in {match.string}")


def compile_name_pattern(pattern: str) -> re.Pattern[str]:
    """Compile the pattern of file names.

    Args:
        pattern: a regular expression of the whole path below the folder, with / between folders, and with the named
            groups scene and tile, or scene, row and col.

    Raises:
        ValueError: it is no regular expression, lacks a group, or has both tile and row or col.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    groups = compiled.groupindex.keys()
    by_cell = bool(groups & {"row", "col"})
    if by_cell and "tile" in groups:
        raise ValueError("a regular expression with either the group tile or the groups row and col")
    required = ("scene", "row", "col") if by_cell else ("scene", "tile")
    if absent := [name for name in required if name not in groups]:
        names = " and ".join(f"(?P<{name}>...)" for name in absent)
        raise ValueError(
            f"a regular expression with the group {names}" + ("; or row and col" if "tile" in absent else "")
        )
    return compiled


def find_tiles(
    images: Path,
    targets: Path,
    pattern: re.Pattern[str],
    report: Report,
    target_pattern: re.Pattern[str] | None = None,
) -> list[Tile]:
    """Find the tiles of a raw data set; names that start with a dot are passed over.

    Subfolders are gone through where the pattern has a slash. The suffix of a file may also be in capitals.

    Args:
        images: folder of images.
        targets: folder of targets; a tile's files share scene and place. If it is that of images, a file that fits
            both patterns is a target.
        pattern: of images, see `compile_name_pattern`.
        report: takes what is wrong with folders, names and pairs.
        target_pattern: of targets; None if it is that of images.

    Returns:
        Tiles sorted by scene and position. With errors in the report these include tiles of which only one
        file can be used, so that all content can be checked nevertheless.

    Raises:
        InputError: a pattern takes something that is no number for a tile's number, row or column.
    """
    of_images = NamePattern(pattern, "data.name_pattern")
    of_targets = NamePattern(target_pattern, "data.target_pattern") if target_pattern else of_images
    if os.path.normpath(images) != os.path.normpath(targets):
        image_files = _list_folder(images, of_images, report, RAW_FOLDER, targets)
        target_files = _list_folder(targets, of_targets, report, RAW_FOLDER, images)
    elif of_images.regex == of_targets.regex:
        report.add(ONE_FOLDER, images)
        return []
    else:
        image_files, target_files = _list_shared(images, of_images, of_targets, report)
    if image_files and target_files:  # otherwise the folder is the fault, not each file
        _note_single(image_files, target_files, NO_TARGET, report)
        _note_single(target_files, image_files, NO_IMAGE, report)
    return _pair(image_files, target_files)


def find_images(
    folder: Path, pattern: re.Pattern[str], report: Report, target_pattern: re.Pattern[str] | None = None
) -> list[Tile]:
    """Find images without targets; as `find_tiles` otherwise. What fits `target_pattern` is passed over."""
    of_images = NamePattern(pattern, "data.name_pattern")
    if target_pattern is None or target_pattern == pattern:
        return _pair(_list_folder(folder, of_images, report, IMAGE_FOLDER), {})
    of_targets = NamePattern(target_pattern, "data.target_pattern")
    subfolders = of_images.has_folders or of_targets.has_folders
    entries = scan_folder(folder, report, IMAGE_FOLDER, subfolders=subfolders)
    return _pair(_sort_out(entries, [of_targets, of_images], report)[1], {})


def _list_folder(
    folder: Path, pattern: NamePattern, report: Report, unusable: FaultKind, other: Path | None = None
) -> FilesByKey:
    """Files by scene and place; an empty list where something that is no file has a tile's name."""
    entries = scan_folder(folder, report, unusable, subfolders=pattern.has_folders, other=other)
    (files,) = _sort_out(entries, [pattern], report)
    return files


def _list_shared(
    folder: Path, of_images: NamePattern, of_targets: NamePattern, report: Report
) -> tuple[FilesByKey, FilesByKey]:
    """Images and targets of one folder, as `_list_folder`."""
    subfolders = of_images.has_folders or of_targets.has_folders
    entries = list(scan_folder(folder, report, RAW_FOLDER, subfolders=subfolders))
    targets, images = _sort_out(entries, [of_targets, of_images], report)
    if targets and not images:
        report.add(replace(ONE_FOLDER, expected=f"images that fit {of_images}"), folder, "targets alone")
    if images and not targets:
        report.add(replace(ONE_FOLDER, expected=f"targets that fit {of_targets}"), folder, "images alone")
    return images, targets


def _sort_out(entries: Iterable[Entry], patterns: Sequence[NamePattern], report: Report) -> list[FilesByKey]:
    """For each pattern the files that fit it, and none before it; what fits none is noted."""
    bad_name = replace(BAD_NAME, expected=" or ".join(sorted(map(str, patterns))))
    fitting: list[list[tuple[Key, Entry]]] = [[] for _ in patterns]
    for entry in entries:
        for pattern, found in zip(patterns, fitting, strict=True):
            if match := pattern.match(entry.name):
                found.append((pattern.key(match), entry))
                break
        else:
            if entry.oddity == A_FOLDER:
                report.add(FOLDER_AMONG_TILES, entry.path)
            else:
                report.add(bad_name, entry.path)
    return [_by_key(found, report) for found in fitting]


def _by_key(entries: list[tuple[Key, Entry]], report: Report) -> FilesByKey:
    files: FilesByKey = {}
    spellings: FilesByKey = {}
    for (scene, place), entry in entries:
        of_tile = files.setdefault((scene, place), [])
        spellings.setdefault((scene.casefold(), place), []).append(entry)
        if entry.oddity == A_FOLDER:
            report.add(FOLDER_AMONG_TILES, entry.path)
        elif entry.oddity:
            report.add(NOT_A_FILE, entry.path, entry.oddity)
        else:
            of_tile.append(entry)
    for same in spellings.values():
        if len(same) > 1:
            report.add(TWO_NAMES, same[0].path, ["also " + same[1].name, *(entry.name for entry in same[2:])])
    return files


def _note_single(files: FilesByKey, others: FilesByKey, kind: FaultKind, report: Report) -> None:
    for key in sorted(files.keys() - others.keys()):
        for file in files[key]:
            report.add(kind, file.path)


def _pair(images: FilesByKey, targets: FilesByKey) -> list[Tile]:
    """Tiles of the files with the same scene and place, sorted by these."""
    tiles = []
    before, count = "", 0
    for key in sorted(images.keys() | targets.keys()):
        scene, place = key
        before, count = scene, count + 1 if scene == before else 1
        position, cell = (count, (place[0], place[1])) if len(place) > 1 else (place[0], None)
        for image, target in zip_longest(images.get(key, ()), targets.get(key, ())):
            name = SUFFIX.sub("", (image or target).name)
            paths = (image.path if image else None, target.path if target else None)
            tiles.append(Tile(name, scene, position, cell, *paths))
    return tiles
