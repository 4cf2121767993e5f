"""What lies in a folder of tiles, and in its subfolders: files, sidecars of other programs, and what is no file."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seepseg.io.faults import NOT_A_FILE, SIDECAR, FaultKind
from seepseg.io.report import Report

# What systems and GIS programs put beside images. Names that start with a dot are passed over anyway.
SIDECARS = re.compile(
    r"(eh)?thumbs\.db|desktop\.ini|icon\r|__macosx|@eadir|\$recycle\.bin"
    r"|.*\.((tiff?|png|jpe?g)\.xml|aux(\.xml)?|rrd|ovr|msk|prj|cpg|hdr|bak|qml|qmd|lyrx?|clr|vat\.(dbf|cpg)|sr\.lock"
    r"|(tf|tif|tiff|pg|png|jg|jp|jpg|jpeg)wx?|wld)"
    r"|.*:zone\.identifier|.*~|~\$.*|system volume information|lost\+found",
    re.IGNORECASE,
)
A_FOLDER = "a folder"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a folder of tiles.

    Attributes:
        name: its path below the folder, with /.
        path: where it is.
        oddity: what it is if it is no file, else an empty text.
    """

    name: str
    path: str
    oddity: str


def scan_folder(
    folder: Path, report: Report, unusable: FaultKind, *, subfolders: bool, other: Path | None = None
) -> Iterator[Entry]:
    """Go through a folder by name; names that start with a dot are passed over.

    Args:
        folder: the folder.
        report: takes sidecars, folders without a file and folders that can't be read.
        unusable: the fault of these folders.
        subfolders: whether to go through subfolders, too, instead of giving them as entries.
        other: a folder that may lie in this one, and is passed over.

    Yields:
        All that is neither a sidecar nor gone through.
    """
    passed_over = None if other is None else os.path.normpath(other)
    waiting, empty = [(os.fspath(folder), "")], True
    while waiting:
        path, prefix = waiting.pop()
        try:
            # One call for the whole folder, which also tells files from the rest: to ask for each takes far longer.
            with os.scandir(path) as scan:
                entries = sorted((entry for entry in scan if not entry.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            report.add(unusable, path, error.strerror or "an error")
            empty = False
            continue
        below = []
        for entry in entries:
            oddity = _oddity(entry)
            if SIDECARS.fullmatch(entry.name):
                report.add(SIDECAR, entry.path)
            elif oddity == A_FOLDER and os.path.normpath(entry.path) == passed_over:
                continue
            elif oddity == A_FOLDER and subfolders:
                if _is_loop(entry):
                    report.add(NOT_A_FILE, entry.path, "a link to a folder that it lies in")
                else:
                    below.append((entry.path, f"{prefix}{entry.name}/"))
            else:
                empty = False
                yield Entry(prefix + entry.name, entry.path, oddity)
        waiting += reversed(below)
    if empty:
        report.add(unusable, folder, "no tiles in it")


def _is_loop(entry: os.DirEntry[str]) -> bool:
    """Whether a folder is a link to one that it lies in: to follow it would never end."""
    if not entry.is_symlink():
        return False
    goal = os.path.realpath(entry.path)
    return os.path.commonpath([goal, os.path.realpath(Path(entry.path).parent)]) == goal


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
    return A_FOLDER if stat.S_ISDIR(mode) else "something that is neither file nor folder"
