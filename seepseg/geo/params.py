"""What scenes are like: section `scenes` of params.yaml."""

from dataclasses import field
from typing import Annotated, Literal

from annotated_types import Ge

from seepseg.base.params import param_block

Scale = Literal["auto", "amplitude", "power", "db", "centidb"]


@param_block
class ScenesParams:
    """Whole scenes and annotated polygons to learn from, which tile cuts; and what scenes are like in predict, too."""

    root: str = "data/sample/scenes"
    """a folder of scenes: SAFE folders or zips, GeoTIFF, COG; any folder, also outside the repository"""
    annotations: str = "data/sample/slicks.gpkg"
    """annotated slicks as polygons, any vector file, in any coordinate reference system"""
    class_column: str = "class"
    """column of the annotations that names the class; empty: all are of one class"""
    classes: dict[str, str] = field(default_factory=dict)
    """what a name in that column becomes, as {oil: slick, 'Oil seep': slick}; names that aren't listed stay, and
    background leaves polygons out"""
    scene_column: str = "scene"
    """column that names the scene of a polygon; without it in the file, a polygon counts in all scenes that it meets"""
    polarisation: str = "VV"
    """which one of a product or of several bands"""
    scale: Scale = "auto"
    """of the numbers in GeoTIFFs: auto (told from the file) | amplitude | power | db | centidb (dB times 100)"""
    tile_size: Annotated[int, Ge(32)] = 256
    """side of a tile, in pixels"""
