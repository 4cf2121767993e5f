"""The sample as files: GeoTIFF scenes, slicks as polygons, seeps as points. The same sample gives the same bytes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import rasterio
import shapely
from affine import Affine
from rasterio import features

from seepseg.base.conventions import NODATA
from seepseg.base.files import write_csv
from seepseg.geo.acquired import ACQUIRED
from seepseg.synthetic.ground import Ground, Pass
from seepseg.synthetic.scenes import SyntheticScene

# The northern Gulf of Mexico, known for its seeps; metres east and north of the ground's first corner.
CRS: Final = "EPSG:32615"
_EAST, _NORTH = 640_000.0, 3_060_000.0
SPACING: Final = 40.0

_LONLAT = "EPSG:4326"
_DATE_OF_FILES = "2021-01-01T00:00:00.000Z"


def transform_of(top: float, left: float) -> Affine:
    """From columns and rows to metres, for a raster that starts at this row and column of the ground."""
    return Affine(SPACING, 0.0, _EAST + SPACING * left, 0.0, -SPACING, _NORTH - SPACING * top)


def write_scene(path: Path, scene: SyntheticScene) -> None:
    """Write the image as a GeoTIFF, with its time, polarisation and no-data value."""
    height, width = scene.image.shape
    place = {"crs": CRS, "transform": transform_of(scene.conditions.top, scene.conditions.left), "nodata": NODATA}
    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "predictor": 2}
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype="uint16", **place, **layout
    ) as file:
        file.update_tags(**{ACQUIRED: f"{scene.conditions.acquired:%Y-%m-%dT%H:%M:%SZ}"})
        file.set_band_description(1, "VV")
        file.write(scene.image, 1)


def trace_slicks(scene: SyntheticScene, name: str) -> gpd.GeoDataFrame:
    """The slicks of a scene as polygons along the edges of pixels, so that rasterising gives the target again.

    Returns:
        One row per slick, in longitude and latitude: class, scene, and the seep that it comes from, 1 for the first;
        none where it comes from none.
    """
    transform = transform_of(scene.conditions.top, scene.conditions.left)
    pieces: list[list[Any]] = [[] for _ in scene.slicks]
    # By fours: pieces joined at corners would make polygons that touch themselves.
    for piece, number in features.shapes(scene.labels, scene.labels > 0, connectivity=4, transform=transform):
        pieces[int(number) - 1].append(shapely.geometry.shape(piece))
    table = {
        "class": [f"class_{slick.kind}" for slick in scene.slicks],
        "scene": name,
        "seep": pd.array([None if slick.seep is None else slick.seep + 1 for slick in scene.slicks], "Int64"),
    }
    polygons = [shapely.MultiPolygon(parts) for parts in pieces]
    return gpd.GeoDataFrame(table, geometry=polygons, crs=CRS).to_crs(_LONLAT)


def write_slicks(path: Path, slicks: Iterable[gpd.GeoDataFrame]) -> None:
    """Write the slicks of all scenes as layer `slicks`."""
    _write_layer(path, "slicks", pd.concat(list(slicks), ignore_index=True))


def write_seeps(path: Path, ground: Ground) -> None:
    """Write where the slicks come from, as layer `seeps`: what an estimate of seeps should find."""
    y, x = np.array([(seep.y, seep.x) for seep in ground.seeps]).T
    east, north = transform_of(0, 0) @ (x, y)
    table = {
        "seep": range(1, len(ground.seeps) + 1),
        "class": [f"class_{seep.kind}" for seep in ground.seeps],
        "recurrence_rate": [seep.recurrence for seep in ground.seeps],
        "platform": [seep.platform for seep in ground.seeps],
    }
    _write_layer(
        path, "seeps", gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(east, north), crs=CRS).to_crs(_LONLAT)
    )


def write_passes(path: Path, passes: dict[str, Pass]) -> None:
    """Write time, wind and current of each scene, by its name; directions in degrees clockwise from north."""
    write_csv(
        path,
        pd.DataFrame(
            {
                "scene": name,
                "acquired": f"{seen.acquired:%Y-%m-%dT%H:%M:%SZ}",
                "wind_speed": seen.wind_speed,
                "wind_to": _bearing(seen.wind),
                "current_speed": seen.current_speed,
                "current_to": _bearing(seen.current),
            }
            for name, seen in passes.items()
        ),
    )


def _bearing(direction: float) -> float:
    """Degrees clockwise from north, of radians from along columns (east) to along rows (south)."""
    return float((90.0 + np.rad2deg(direction)) % 360.0)


def _write_layer(path: Path, layer: str, table: gpd.GeoDataFrame) -> None:
    with _fixed_date():
        pyogrio.write_dataframe(table, path, layer=layer, driver="GPKG")


@contextmanager
def _fixed_date() -> Iterator[None]:
    """GeoPackages tell when they were written; here, always the same."""
    option = "OGR_CURRENT_DATE"
    before = pyogrio.get_gdal_config_option(option)
    pyogrio.set_gdal_config_options({option: _DATE_OF_FILES})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({option: before})
