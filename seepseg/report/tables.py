"""The tables of the page."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from seepseg.report.changed_params import ChangedParam
from seepseg.report.contents import OF_SPLIT, Table
from seepseg.report.glance import CLASS, Document

NONE = "–"
N_SEEPS = 10  # the surest


def data_table(data: pd.DataFrame, class_names: Sequence[str]) -> Table:
    """What there is in each split; see `seepseg.report.glance.data_by_split`."""
    rows = [
        [
            OF_SPLIT[split],
            *(f"{row[name]:,}" for name in ("scenes", "tiles")),
            shown(row["km2"], 0),
            f"{row['slicks']:,}",
            *(f"{row[CLASS, name]:,}" for name in class_names),
        ]
        for split, row in data.to_dict("index").items()
    ]
    columns = ["", "scenes", "tiles", "km²", "annotated slicks", *class_names]
    return Table(
        "Data set", "Annotated slicks of each class; one of several classes counts as that of most.", columns, rows
    )


def class_table(split: str, document: Document, data: pd.DataFrame, class_names: Sequence[str]) -> Table:
    """Scores by class.

    Args:
        split: oof or test.
        document: its scores, as in metrics/evaluate.json.
        data: see `seepseg.report.glance.data_by_split`.
        class_names: the K classes.
    """
    scores = ("dice", "class_object_f1", "class_surface_dice_1")
    rows = [
        [
            name,
            f"{data.loc[split, [(CLASS, name)]].item():,}",
            *(shown(document[score].get(name), 2) for score in scores),
        ]
        for name in class_names
    ]
    note = "A slick counts where its class is right, too; classes that are not annotated have no score."
    columns = ["class", "annotated slicks", "Dice (area)", "object F1 (slicks)", "surface Dice (edges)"]
    return Table(f"Classes, {OF_SPLIT[split]}", note, columns, rows)


def params_table(changed: Sequence[ChangedParam]) -> Table:
    """Parameters that differ from the defaults."""
    note = "All others have their defaults." if changed else "All parameters have their defaults."
    rows = [[each.key, _value(each.value), _value(each.default)] for each in changed]
    return Table("Parameters that differ from the defaults", note, ["parameter", "here", "default"], rows)


def seep_tables(document: Document | None, seeps: pd.DataFrame) -> list[Table]:
    """How many seeps there are and how right they are, and the surest of them; none without a seep.

    Args:
        document: as in metrics/seeps.json; None where there is no such file.
        seeps: as in data/seeps/seeps.csv.
    """
    if document is None or seeps.empty:
        return []
    measures = ("found", "known", "precision", "recall", "place_error_px")
    rows = [
        [title, *(shown((document.get(key) or {}).get(name), 0 if name in measures[:2] else 2) for name in measures)]
        for key, title in (("annotated", "seeps from annotated slicks"), ("known", "seeps that are known"))
    ]
    columns = ["compared with", "reported", "there are", "precision", "recall", "error of place, pixels"]
    return [Table("Seeps", "How right the seeps are that are reported.", columns, rows), _surest(seeps)]


def _surest(seeps: pd.DataFrame) -> Table:
    first = seeps[seeps["reported"]].sort_values("p_seep", ascending=False, kind="stable").head(N_SEEPS)
    columns = {
        "kind": None,
        "class_name": None,
        "p_seep": 3,
        "recurrence_rate": 2,
        "passes": 0,
        "error_radius_m": 0,
        "error_radius_px": 1,
        "lon": 4,
        "lat": 4,
        "x_px": 0,
        "y_px": 0,
    }
    there = {name: digits for name, digits in columns.items() if name in first and first[name].notna().any()}
    rows = [
        [
            str(row["seep_id"]),
            *(row[name] if digits is None else shown(row[name], digits) for name, digits in there.items()),
        ]
        for row in first.to_dict("records")
    ]
    note = "The surest of those reported; the table that stage seeps writes has them all."
    return Table("Surest seeps", note, ["seep", *there], rows)


def shown(value: float | None, digits: int) -> str:
    """A number for people; none as a dash."""
    return NONE if value is None or pd.isna(value) else f"{value:,.{digits}f}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return NONE if value is None else f"{value:g}" if isinstance(value, float) else str(value) or "''"
