"""Files of seeps: the GeoPackage that is written, and points of known seeps that are read.

Layers are `SEEPS`, points; `SEEP_ERRORS`, the 95 % error ellipses of their places; and `SEEP_SLICKS`, a line from a
seep to the far end of each slick that supports it. Those of grounds without a place on earth end in `IN_PIXELS`.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
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
POLYGON = "polygon"  # and whether they were drawn as one
YES, NO = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no", "")


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
        path: a vector file. Of several layers, the one that holds points is read. Each point of a multipoint is a
            seep; of polygons a point within counts, if there are no points. An empty file stands for none.

    Returns:
        Points in longitude and latitude (EPSG:4326), with bool columns `PLATFORM`, false where the file doesn't tell,
        and `POLYGON`, of which a point within was taken.

    Raises:
        InputError: the file is missing or damaged, has no place on earth, no places of seeps or several layers of
            them, or something else than yes and no in its column `PLATFORM`, in capitals or not.
    """
    if not path.exists():
        raise InputError(f"{path} is missing: expected a vector file of known seeps; name another file, or none")
    if path.is_file() and not path.stat().st_size:
        return no_known_seeps()
    try:
        layers = [(str(name), str(kind)) for name, kind in pyogrio.list_layers(path) if kind is not None]
        table = pyogrio.read_dataframe(path, layer=_layer_of_places(path, layers))
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise InputError(f"{path}: expected a vector file of known seeps, found none ({error})") from None
    if table.crs is None or table.crs.is_engineering:
        raise InputError(f"{path}: expected known seeps in a reference system, found none; tell the file its own")
    table = table[_is_there(table)]
    table = table.explode(index_parts=False) if (table.geom_type == "MultiPoint").any() else table
    if others := sorted(set(table.geom_type) - {"Point", "Polygon", "MultiPolygon"}):
        raise InputError(f"{path}: expected known seeps as points, found {', '.join(others)}; keep points alone")
    points = table.geometry.representative_point().to_crs("EPSG:4326")
    is_polygon = table.geom_type.str.endswith("Polygon").to_numpy(np.bool_)
    columns = {PLATFORM: _platforms(path, table), POLYGON: is_polygon}
    return gpd.GeoDataFrame(columns, geometry=list(points), crs=4326)


def _layer_of_places(path: Path, layers: Sequence[tuple[str, str]]) -> str:
    """The layer that holds points; or polygons, where none holds points. In a GPX file there are layers without any."""
    for shape, kinds in (("Point", ("Point", "Unknown")), ("Polygon", ("Polygon", "Surface", "Unknown"))):
        fitting = [name for name, kind in layers if any(each in kind for each in kinds)]
        names = [name for name in fitting if _holds(path, name, shape)]
        if len(names) > 1:
            raise InputError(
                f"{path}: expected one layer with known seeps, found several: {', '.join(names)}; save the one that is "
                "meant as a file of its own"
            )
        if names:
            return names[0]
    in_layers = ", ".join(f"{name} ({kind})" for name, kind in layers)
    found = f"none in {in_layers}" if layers else "no layer with geometries"
    raise InputError(
        f"{path}: expected known seeps as points, found {found}; name another file, or none; of a table with "
        "coordinates make a layer of points first, in QGIS by Create Points Layer from Table"
    )


def _holds(path: Path, layer: str, shape: str) -> bool:
    """Whether a layer holds a `shape`, or several in one."""
    table = pyogrio.read_dataframe(path, layer=layer, columns=[])
    return bool(table.geom_type[_is_there(table)].str.endswith(shape).any())


def _is_there(table: gpd.GeoDataFrame) -> npt.NDArray[np.bool_]:
    """Which geometries are there, and not empty."""
    missing: npt.NDArray[np.bool_] = shapely.is_missing(table.geometry.array) | shapely.is_empty(table.geometry.array)
    return ~missing


def _platforms(path: Path, table: gpd.GeoDataFrame) -> npt.NDArray[np.bool_]:
    """Which of the known places are platforms."""
    column = next((name for name in table if name.lower() == PLATFORM), None)
    if column is None:
        return np.zeros(len(table), dtype=np.bool_)
    texts = table[column].map(lambda value: "" if pd.isna(value) else str(value).strip().lower())
    if not (known := texts.isin([*YES, *NO])).all():
        raise InputError(
            f"{path}: expected true or false in column {column}, found {table[column][~known].iloc[0]}; mend it, "
            "or rename the column"
        )
    return np.asarray(texts.isin(YES), dtype=np.bool_)


def no_known_seeps() -> gpd.GeoDataFrame:
    """The same where nobody knows any."""
    return gpd.GeoDataFrame({PLATFORM: np.zeros(0, bool), POLYGON: np.zeros(0, bool)}, geometry=[], crs=4326)
