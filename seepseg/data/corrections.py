"""Corrections: what was decided about slicks on the page of a run, as a file; a row for each decision."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import shapely

from seepseg.base.errors import InputError

COLUMNS = ("scene", "kind", "decision", "class_name", "outline")
KINDS = ANNOTATED, PREDICTED = "annotated", "predicted"
DECISIONS = RIGHT, WRONG, OTHER_CLASS = "right", "wrong", "other_class"
SHOWN = 60  # characters of what was found


def no_corrections() -> pd.DataFrame:
    """`read_corrections` of a file with a header only."""
    return pd.DataFrame(columns=list(COLUMNS), dtype="str")


def read_corrections(path: Path, class_names: Sequence[str]) -> pd.DataFrame:
    """Read and check corrections.

    Args:
        path: a CSV file with the columns `COLUMNS`; further ones are ignored. Without rows, or empty, it corrects
            nothing.
        class_names: of the K classes.

    Returns:
        The rows, with `COLUMNS` as text; the index is their number in the file, where the header is row 1.

    Raises:
        InputError: the file is missing or no such table; or rows that can't be, all of them at once.
    """
    cells = _read_cells(path)
    if cells.empty:
        return no_corrections()
    header = cells.iloc[0].tolist()
    if wrong := [name for name in COLUMNS if header.count(name) != 1]:
        raise InputError(
            f"{path}: expected each of the columns {', '.join(COLUMNS)} once, found {', '.join(header)}; mend "
            f"{', '.join(wrong)}, or save the file on the page again"
        )
    table = cells.iloc[1:].set_axis(header, axis=1)[list(COLUMNS)].set_axis(cells.index[1:] + 1)
    table = table[(table != "").any(axis=1)]
    faults = [
        f"row {number}: {fault}"
        for number, row in zip(table.index, table.to_dict("records"), strict=True)
        for fault in _faults(row, class_names)
    ]
    refuse_rows(path, faults, "mend or remove these rows, or save the file on the page again")
    return table


def are_correctable(cells: pd.DataFrame) -> bool:
    """Whether an outline in a scene's grid tells of which tiles it is: each has its place, or there is but one tile.

    Args:
        cells: row and column of each tile of the scene in its grid, missing where they are unknown.
    """
    return len(cells) == 1 or bool(cells.notna().all(axis=None) and not cells.duplicated().any())


def refuse_rows(path: Path, faults: list[str], remedy: str) -> None:
    """Refuse a file of corrections for what is wrong with its rows, if anything is.

    Raises:
        InputError: lists the faults.
    """
    if faults:
        raise InputError("\n    ".join([f"{path} can't be used, nothing was written; {remedy}", *faults]))


def _read_cells(path: Path) -> pd.DataFrame:
    """All cells as text, header included."""
    if not path.is_file():
        raise InputError(f"{path} is missing: expected corrections as CSV; name another file in data.corrections")
    if not path.stat().st_size:
        return pd.DataFrame()
    as_text: dict[str, Any] = {"header": None, "dtype": "str", "keep_default_na": False, "skip_blank_lines": False}
    try:
        return pd.read_csv(path, encoding="utf-8-sig", **as_text).fillna("")
    except ValueError as error:  # also what is no text in UTF-8, and rows longer than the first one
        found = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        raise InputError(f"{path}: expected CSV in UTF-8 with commas, found another kind of text: {found}") from None


def _faults(row: dict[str, str], class_names: Sequence[str]) -> Iterator[str]:
    """What is wrong with a row."""
    class_allowed = ("",) if row["decision"] == WRONG else class_names
    checks = {"kind": KINDS, "decision": DECISIONS, "class_name": class_allowed}
    if not row["scene"]:
        yield "scene: expected a name, found nothing"
    for column, allowed in checks.items():
        # Without a known decision nobody knows whether there must be a class.
        if row[column] not in allowed and (column != "class_name" or row["decision"] in DECISIONS):
            yield f"{column}: expected {' or '.join(map(_shown, allowed))}, found {_shown(row[column])}"
    outline = shapely.from_wkt(row["outline"], on_invalid="ignore") if row["outline"] else None
    if outline is None or outline.geom_type not in ("Polygon", "MultiPolygon") or outline.is_empty:
        yield f"outline: expected a polygon as WKT, found {_shown(row['outline'])}"
    elif not outline.is_valid:
        yield f"outline: expected a polygon that does not cross itself, found {shapely.is_valid_reason(outline)}"


def _shown(text: str) -> str:
    short = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return (short if short.isprintable() else ascii(short)) or "nothing"
