"""Tables of comparisons on the terminal and as a page."""

from pathlib import Path
from typing import Any

from seepseg.base.files import write_bytes
from seepseg.evaluation.paired import Difference
from seepseg.report.contents import Table
from seepseg.report.layout import render_tables

TITLES = {
    "binary_dice": "binary Dice",
    "macro_dice": "macro Dice",
    "object_f1": "object F1",
    "macro_object_f1": "named object F1",
    "surface_dice_1": "surface Dice at 1 px",
}
SPLITS = {"test": "test scenes", "oof": "training scenes, out of fold"}


def write_page(path: Path, title: str, paragraphs: list[str], tables: list[Table]) -> None:
    """Write tables as a page, and say where."""
    write_bytes(path, render_tables(title, paragraphs, tables).encode())
    print(f"\n{path}: the same as a page")


def as_text(table: Table) -> str:
    """A table in aligned columns."""
    rows = [table.columns, *table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([table.title, *lines])


def score(value: float | None) -> str:
    """Three digits."""
    return "-" if value is None else f"{value:.3f}"


def difference(found: Difference) -> str:
    """With its interval, where it has one."""
    if found.value is None:
        return "-"
    interval = "" if found.low is None or found.high is None else f" ({signed(found.low)} to {signed(found.high)})"
    return f"{signed(found.value)}{interval}"


def signed(given: float) -> str:
    """Three digits with a sign; no -0.000."""
    return f"{round(given, 3) + 0.0:+.3f}"


def with_difference(given: float | None, found: Difference) -> str:
    """A score, and how much it is more than another."""
    return score(given) if found.value is None else f"{score(given)}, {difference(found)}"


def value(given: Any) -> str:
    """Of a parameter."""
    return "-" if given is None else str(given)
