"""What a raw data set is like: section `data` of params.yaml."""

import re
from dataclasses import field
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
    """What to learn from. Read by ingest, which packs it; later stages see only the packed arrays."""

    root: str = "data/sample"
    """holds the folders of images and of targets; any folder, also outside the repository"""
    images: str = "train_images_256"
    """a TIFF file per tile, uint16, 0 where there is no data"""
    targets: str = "train_masks_256"
    """the annotations, a TIFF file of the same scene and tile for each image, uint8"""
    name_pattern: Annotated[str, AfterValidator(_check_pattern)] = r"(?P<scene>\d{6})\.(?P<tile>\d{6})\.tiff?"
    """of file names; groups scene and tile, which is the number in the scene's grid, from 1, row by row"""
    class_names: Annotated[list[str], Len(1, 255), AfterValidator(_check_class_names)] = field(
        default_factory=lambda: [f"class_{number}" for number in range(1, 8)]
    )
    """of target values 1, 2, ...; 0 is background"""
    grid_columns: dict[str, Annotated[int, Ge(1)]] = field(default_factory=lambda: {"0418": 19, "0455": 20, "9": 5})
    """columns of the tile grid by the start of the scene's name, in quotes; without them no tile has neighbours"""


def check_grid(tiles: list[Tile], grid_columns: dict[str, int], report: Report) -> None:
    """Warn of scenes and tiles that get no row and column."""
    for scene in sorted({tile.scene for tile in tiles}):
        if grid_columns_of(scene, grid_columns) is None:
            report.add(NO_COLUMNS, scene)
    for tile in tiles:
        if tile.position == 0:
            report.add(NUMBERED_ZERO, tile.name)
