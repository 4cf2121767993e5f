"""The table of tiles that stage tile writes: it names files, scenes and places, whatever the files are called."""

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from seepseg.base.errors import InputError
from seepseg.io.faults import NO_IMAGE, NO_TARGET, FaultKind
from seepseg.io.report import Report
from seepseg.io.tile_files import Tile

TABLE = "tiles.csv"  # in the folder of a raw data set
TABLE_COLUMNS = {
    "scene": "str",
    "row": "int64",
    "col": "int64",
    "image": "str",
    "target": "str",
    "top": "int64",
    "left": "int64",
}

TABLE_REMEDY = "run `dvc repro tile`, or remove it to go by the names of files"


def read_table(folder: Path, report: Report) -> list[Tile]:
    """Find the tiles of a raw data set in its table.

    Args:
        folder: holds the table, a line for each tile: scene, row and column, the paths of image and target below the
            folder, and the first row and column in the scene, in pixels.
        report: takes files that are missing.

    Returns:
        Tiles sorted by scene, row and column; positions count in this order, and cells are in pixels.

    Raises:
        InputError: it is no such table, or names a tile twice.
    """
    path = folder / TABLE
    try:
        # Only an empty field is missing: a scene may be called NA.
        table = pd.read_csv(path, dtype=TABLE_COLUMNS, keep_default_na=False, na_values=[""])
    except ValueError as error:  # pandas' parser errors are ValueErrors, too
        raise InputError(f"{path}: expected a table of tiles, found {error}; {TABLE_REMEDY}") from None
    if absent := [name for name in TABLE_COLUMNS if name not in table]:
        raise InputError(f"{path}: columns {', '.join(absent)} are missing; {TABLE_REMEDY}")
    if (empty := table[list(TABLE_COLUMNS)].isna()).any(axis=None):
        line, column = np.argwhere(empty.to_numpy())[0]
        raise InputError(
            f"{path}: expected all columns filled, found no {empty.columns[column]} in line {line + 2}; {TABLE_REMEDY}"
        )
    if (twice := table.duplicated(["scene", "row", "col"])).any():
        first = table[twice].iloc[0]
        raise InputError(
            f"{path}: expected each tile once, found another of scene {first.scene}, row {first.row}, column "
            f"{first.col}; {TABLE_REMEDY}"
        )
    tiles, before, position = [], None, 0
    for line in table.sort_values(["scene", "row", "col"]).itertuples():
        before, position = line.scene, position + 1 if line.scene == before else 1
        image = _file_of_table(folder / line.image, NO_IMAGE, report)
        target = _file_of_table(folder / line.target, NO_TARGET, report)
        tiles.append(Tile(PurePosixPath(line.image).stem, line.scene, position, (line.top, line.left), image, target))
    return tiles


def _file_of_table(path: Path, missing: FaultKind, report: Report) -> str | None:
    if path.is_file():
        return str(path)
    report.add(missing, path, "no file")
    return None
