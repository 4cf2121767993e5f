"""What a raw data set is like: section `data` of params.yaml."""

import re
from dataclasses import field
from typing import Annotated, Any

from annotated_types import Ge, Len
from pydantic import AfterValidator, BeforeValidator

from seepseg.base.conventions import BACKGROUND
from seepseg.base.params import param_block
from seepseg.base.scaling import Scaling
from seepseg.io.mask_values import Entry, MaskValues
from seepseg.io.tile_files import compile_name_pattern


def _check_pattern(pattern: str) -> str:
    compile_name_pattern(pattern)
    return pattern


def _check_target_pattern(pattern: str) -> str:
    return pattern and _check_pattern(pattern)


def _check_class_names(names: list[str]) -> list[str]:
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name == BACKGROUND:
            raise ValueError(f"names of letters, digits and _, other than '{BACKGROUND}'")
    if len(set(names)) < len(names):
        raise ValueError("names that differ from each other")
    return names


def _check_mask_values(entries: Any) -> Any:
    if not isinstance(entries, list):
        raise ValueError("a list")
    if entries:
        MaskValues.parse(entries)
    return entries


@param_block
class DataParams:
    """What to learn from. Read by ingest, which packs it; later stages see only the packed arrays."""

    root: str = "data/tiles"
    """holds the tiles that tile cut, or folders of images and of targets; any folder, also outside the repository"""
    images: str = "train_images_256"
    """without a table of tiles: an image per tile, TIFF or PNG, uint16 or see scaling, 0 where there is no data"""
    targets: str = "train_masks_256"
    """the annotations, a mask of the same scene and tile for each image"""
    name_pattern: Annotated[str, AfterValidator(_check_pattern)] = (
        r"(?P<scene>\d{6})\.(?P<tile>\d{6})\.(tiff?|png|jpe?g)"
    )
    """of file names, with a slash also of subfolders; groups scene and tile, which is the number in the scene's grid,
    from 1, row by row; or scene, row and col, which count tiles or pixels"""
    target_pattern: Annotated[str, AfterValidator(_check_target_pattern)] = ""
    """likewise of targets; empty if they are named as images are"""
    class_names: Annotated[list[str], Len(1, 255), AfterValidator(_check_class_names)] = field(
        default_factory=lambda: [f"class_{number}" for number in range(1, 8)]
    )
    """of target values 1, 2, ...; 0 is background"""
    mask_values: Annotated[list[Entry], BeforeValidator(_check_mask_values)] = field(default_factory=list)
    """values or colours of background, then those of each class, if they aren't 0, 1, 2, ...: [0, 255] |
    [[0, 255], 1, 2] | ['#000000', '#ff0000'] | [0, slick:1-7], which makes one class of seven, with a name instead of
    class_names"""
    scaling: Scaling = field(default_factory=list)
    """the numbers that become 1 and 65535, the same for all images, as [-35, 5] for dB; empty: uint16 as they are"""
    grid_columns: dict[str, Annotated[int, Ge(1)]] = field(default_factory=lambda: {"0418": 19, "0455": 20})
    """columns of the tile grid by the start of the scene's name, in quotes; without them no tile has neighbours"""
    corrections: str = "data/corrections.csv"
    """decisions about slicks, saved on the page of a run, by which ingest changes targets; with a header only: none"""

    @property
    def parsed_mask_values(self) -> MaskValues | None:
        """What the values of targets mean; None where they are the classes."""
        return MaskValues.parse(self.mask_values) if self.mask_values else None

    @property
    def classes(self) -> list[str]:
        """Names of the K classes: those in mask_values, or class_names."""
        mask_values = self.parsed_mask_values
        named = [name for name in mask_values.names if name] if mask_values else []
        return named or self.class_names

    def __post_init__(self) -> None:
        mask_values = self.parsed_mask_values
        if mask_values and len(mask_values.names) != len(self.classes):
            raise ValueError(
                f"mask_values with {len(self.class_names) + 1} entries, for background and each of class_names, found "
                f"{len(self.mask_values)}; change class_names, or name each class in its entry, as in [0,slick:255]"
            )
        groups = [
            "tile" in re.compile(pattern).groupindex for pattern in (self.name_pattern, self.target_pattern) if pattern
        ]
        if len(set(groups)) > 1:
            raise ValueError("data.name_pattern and data.target_pattern with the same groups")
