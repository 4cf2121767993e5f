"""Files of seeps: the GeoPackage that is written, and points of known seeps that are read.

Layers are `SEEPS`, points; `SEEP_ERRORS`, the 95 % error ellipses of their places; and `SEEP_SLICKS`, a line from a
seep to the far end of each slick that supports it. Those of grounds without a place on earth end in `IN_PIXELS`.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd
import numpy as np
import pyogrio
import shapely

from seepseg.base.disk import explain_full_disk
from seepseg.base.errors import InputError
from seepseg.base.files import atomic_path
from seepseg.geo.seep_style import style_of_errors, style_of_links, style_of_seeps
from seepseg.geo.slick_files import CARTESIAN, Layers, add_styles, reproducible

SEEPS, SEEP_ERRORS, SEEP_SLICKS = "seeps", "seep_errors", "seep_slicks"
IN_PIXELS = "_in_pixels"

GEOMETRIES = {SEEPS: "Point", SEEP_ERRORS: "MultiPolygon", SEEP_SLICKS: "MultiLineString"}
STYLES = {SEEPS: style_of_seeps, SEEP_ERRORS: style_of_errors, SEEP_SLICKS: style_of_links}
PLATFORM = "platform"  # column of known seeps, where there is one


def write_seeps(path: Path, layers: Layers) -> None:
    """Write a GeoPackage of seeps, with a style for each layer.

    Args:
        path: ends in .gpkg.
        layers: see `seepseg.passes.seep_tables.describe_seeps`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=".") as scratch, explain_full_disk(path), reproducible():
        file = Path(scratch, path.name)
        for name, table in layers.items():
            kind = GEOMETRIES[name.removesuffix(IN_PIXELS)]
            pyogrio.write_dataframe(
                table,
                file,
                layer=name,
                driver="GPKG",
                geometry_type=kind,
                promote_to_multi=kind != "Point",
                layer_options={} if table.crs else {"SRID": str(CARTESIAN)},
            )
        add_styles(file, {name: STYLES[name.removesuffix(IN_PIXELS)]() for name in layers})
        with atomic_path(path) as partial:
            file.replace(partial)


def read_known_seeps(path: Path) -> gpd.GeoDataFrame:
    """Read the places of seeps that are known.

    Args:
        path: a vector file with points, or other shapes, of which the middle counts.

    Returns:
        Its rows as points in longitude and latitude (EPSG:4326), with a bool column `PLATFORM`, false where the file
        doesn't tell.

    Raises:
        InputError: the file is missing or damaged, has no place on earth, or no place in it.
    """
    if not path.exists():
        raise InputError(f"{path} is missing: expected a vector file of known seeps; name another file, or none")
    try:
        table = pyogrio.read_dataframe(path)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise InputError(f"{path}: expected a vector file of known seeps, found none ({error})") from None
    if "geometry" not in table or table.crs is None:
        raise InputError(f"{path}: expected known seeps in a reference system, found none; tell the file its own")
    there = ~(shapely.is_missing(table.geometry.array) | shapely.is_empty(table.geometry.array))
    if not there.any():
        raise InputError(f"{path}: expected known seeps as points, found none; name another file, or none")
    points = table.geometry[there].representative_point().to_crs("EPSG:4326")
    platform = np.zeros(there.sum(), bool)
    if PLATFORM in table:
        platform = table[PLATFORM][there].fillna(False).to_numpy(bool)
    return gpd.GeoDataFrame({PLATFORM: platform}, geometry=list(points), crs=4326)


def no_known_seeps() -> gpd.GeoDataFrame:
    """The same where nobody knows any."""
    return gpd.GeoDataFrame({PLATFORM: np.zeros(0, bool)}, geometry=[], crs=4326)
