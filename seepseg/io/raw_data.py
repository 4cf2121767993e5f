"""What a delivery of tiles is like: section `data` of params.yaml."""

import re
from typing import Annotated

from annotated_types import Ge, Len
from pydantic import AfterValidator

from seepseg.base.conventions import BACKGROUND
from seepseg.base.params import param_block
from seepseg.io.report import NO_COLUMNS, NUMBERED_ZERO, Report
from seepseg.io.tile_files import Tile, compile_name_pattern, grid_columns_of


def _check_pattern(pattern: str) -> str:
    compile_name_pattern(pattern)
    return pattern


def _check_class_names(names: list[str]) -> list[str]:
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name == BACKGROUND:
            raise ValueError(f"names of letters, digits and _, other than '{BACKGROUND}'")
    if len(set(names)) < len(names):
        raise ValueError("names that differ from each other")
    return names


@param_block
class DataParams:
    """The section `data`: what to learn from.

    Attributes:
        root: folder that holds the two others.
        images: folder of images, below `root`.
        targets: folder of targets, below `root`.
        name_pattern: regular expression of a tile's file name, with the groups scene and tile.
        class_names: of target values 1, 2, ...; part of column names and metric keys.
        grid_columns: number of columns of the tile grid by the start of a scene's name; the longest counts.
    """

    root: str
    images: str
    targets: str
    name_pattern: Annotated[str, AfterValidator(_check_pattern)]
    class_names: Annotated[list[str], Len(1, 255), AfterValidator(_check_class_names)]
    grid_columns: dict[str, Annotated[int, Ge(1)]]


def check_grid(tiles: list[Tile], grid_columns: dict[str, int], report: Report) -> None:
    """Warn of scenes and tiles that get no row and column."""
    for scene in sorted({tile.scene for tile in tiles}):
        if grid_columns_of(scene, grid_columns) is None:
            report.add(NO_COLUMNS, scene)
    for tile in tiles:
        if tile.position == 0:
            report.add(NUMBERED_ZERO, tile.name)
