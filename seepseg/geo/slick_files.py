"""Files of slicks for GIS: GeoPackage and GeoJSON, written table by table, so that memory doesn't grow with them.

Layers are `SLICKS`, on the map; `SLICKS_IN_PIXELS`, those of scenes without a place on earth; `NOT_SLICKS`, what is
kept with the reason why it is none; and for seeps `CENTRELINES` and `FOOTPRINTS`, on the map or in pixels, see
`seepseg.geo.centreline_files`.
"""

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd
import pandas as pd
import pyogrio

from seepseg.base.disk import explain_full_disk
from seepseg.base.files import atomic_path, write_bytes
from seepseg.geo.centreline_files import CENTRELINES, FOOTPRINTS, IN_PIXELS, centreline_types, footprint_types
from seepseg.geo.slick_attributes import column_types
from seepseg.geo.style import style_of_centrelines, style_of_classes, style_of_footprints, style_of_others

SLICKS, NOT_SLICKS = "slicks", "not_slicks"
SLICKS_IN_PIXELS = SLICKS + IN_PIXELS
WITH_SLICKS = tuple(name + where for name in (CENTRELINES, FOOTPRINTS) for where in ("", IN_PIXELS))
NAMES = (SLICKS, SLICKS_IN_PIXELS, NOT_SLICKS, *WITH_SLICKS)

Layers = dict[str, gpd.GeoDataFrame]

# GDAL notes when a layer was last changed; the same slicks are to give the same file.
NO_DATE = "2000-01-01T00:00:00Z"
CARTESIAN = -1  # the reference system of a GeoPackage for what has none
AT_ONCE = 20_000  # rows that are written at once, where tables are small


def layers_of(slicks: gpd.GeoDataFrame, **others: gpd.GeoDataFrame) -> Layers:
    """Sort what is found in a scene into layers.

    Args:
        slicks: see `seepseg.geo.slick_attributes.describe`.
        others: `CENTRELINES` and `FOOTPRINTS`, if these are wanted.

    Returns:
        `SLICKS` and the others, or `SLICKS_IN_PIXELS` and so on, also without a row; and `NOT_SLICKS` where there are
        any.
    """
    passed_over = slicks["reason"] != ""
    where = "" if slicks.crs else IN_PIXELS
    tables = {SLICKS: slicks[~passed_over].drop(columns="reason"), **others}
    layers = {f"{name}{where}": table for name, table in tables.items()}
    return layers | ({NOT_SLICKS: slicks[passed_over]} if passed_over.any() else {})


def read_layers(path: Path, class_names: Sequence[str]) -> Layers:
    """Read a GeoPackage that `write_geopackage` wrote."""
    layers, there = {}, set(pyogrio.list_layers(path)[:, 0])
    for name in filter(there.__contains__, NAMES):
        table = pyogrio.read_dataframe(path, layer=name)
        table["acquired"] = pd.to_datetime(table["acquired"], utc=True)
        layers[name] = table.astype(_types(name, class_names))
    return layers


def write_geopackage(path: Path, scenes: Iterable[Layers], class_names: Sequence[str]) -> None:
    """Write a GeoPackage of the slicks of scenes, with a style for each layer.

    Args:
        path: ends in .gpkg.
        scenes: layers of one after the other.
        class_names: the K classes.
    """
    with TemporaryDirectory(dir=path.parent, prefix=".") as scratch, explain_full_disk(path.parent), reproducible():
        file, written = Path(scratch, path.name), list[str]()
        for layers in _gathered(scenes):
            for name, table in layers.items():
                options = {} if table.crs else {"SRID": str(CARTESIAN)}
                pyogrio.write_dataframe(
                    table,
                    file,
                    layer=name,
                    driver="GPKG",
                    geometry_type="MultiLineString" if name.startswith(CENTRELINES) else "MultiPolygon",
                    promote_to_multi=True,
                    append=name in written,
                    layer_options={} if name in written else options,
                )
                written += [name] if name not in written else []
        add_styles(file, {name: _style(name, class_names) for name in written})
        with atomic_path(path) as partial:
            file.replace(partial)


def write_geojson(folder: Path, scenes: Iterable[Layers], class_names: Sequence[str]) -> None:
    """Write the slicks of scenes as GeoJSON after RFC 7946: a file for each layer, and a style beside it for QGIS.

    Args:
        folder: gets slicks.geojson, slicks.qml and so on; pixels stand in slicks_in_pixels.geojson, which other
            programs take for degrees.
        scenes: layers of one after the other.
        class_names: the K classes.
    """
    with TemporaryDirectory(dir=folder, prefix=".") as scratch, explain_full_disk(folder):
        written = list[str]()
        for layers in _gathered(scenes):
            for name, table in layers.items():
                with Path(scratch, name).open("ab") as file:
                    head = b'{\n"type": "FeatureCollection",\n"features": [\n'
                    start = b",\n" if name in written and file.tell() > len(head) else b""
                    file.write(b"" if name in written else head)
                    file.write(start + b",\n".join(_features(table)) if len(table) else b"")
                written += [name] if name not in written else []
        for name in written:
            with Path(scratch, name).open("ab") as file:
                file.write(b"\n]\n}\n")
            write_bytes(folder / f"{name}.qml", _style(name, class_names).encode())
            with atomic_path(folder / f"{name}.geojson") as partial:
                Path(scratch, name).replace(partial)
    remove_geojson(folder, set(NAMES) - set(written))


def remove_geojson(folder: Path, names: Iterable[str] = NAMES) -> None:
    """Remove what an earlier `write_geojson` wrote of layers that are not there any more."""
    for name in names:
        for suffix in (".geojson", ".qml"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)


def _gathered(scenes: Iterable[Layers]) -> Iterator[Layers]:
    """Layers of several scenes together, because each writing takes its time."""
    waiting: dict[str, list[gpd.GeoDataFrame]] = {}
    begun, rows = set[str](), 0
    for layers in scenes:
        for name, table in layers.items():
            if len(table) or name not in begun:  # a layer without a slick needs one table to be there
                waiting.setdefault(name, []).append(table)
                begun.add(name)
                rows += len(table)
        if rows >= AT_ONCE:
            yield _together(waiting)
            waiting, rows = {}, 0
    if waiting:
        yield _together(waiting)


def _together(waiting: dict[str, list[gpd.GeoDataFrame]]) -> Layers:
    layers = {}
    for name in filter(waiting.__contains__, NAMES):
        filled = [table for table in waiting[name] if len(table)] or waiting[name][:1]
        layers[name] = pd.concat(filled, ignore_index=True)
    return layers


def _features(table: gpd.GeoDataFrame) -> list[bytes]:
    """A text for each row, by the driver that keeps to RFC 7946: degrees of 7 decimals, shells counter-clockwise."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.write_dataframe(table, buffer, layer="features", driver="GeoJSONSeq")
    return buffer.getvalue().splitlines()


def add_styles(path: Path, styles: Mapping[str, str]) -> None:
    """Write table layer_styles, where QGIS looks for the style of a layer that it opens.

    Args:
        path: a GeoPackage.
        styles: QML by the name of its layer.
    """
    table = pd.DataFrame(
        {
            "f_table_catalog": "",
            "f_table_schema": "",
            "f_table_name": list(styles),
            "f_geometry_column": "geom",
            "styleName": list(styles),
            "styleQML": list(styles.values()),
            "styleSLD": "",
            "useAsDefault": True,
            "description": "",
            "owner": "",
            "ui": "",
            "update_time": pd.to_datetime([NO_DATE] * len(styles), utc=True).as_unit("ms"),
        }
    )
    pyogrio.write_dataframe(table, path, layer="layer_styles", driver="GPKG", layer_options={"FID": "id"})


def _types(layer: str, class_names: Sequence[str]) -> dict[str, str]:
    others = {
        NOT_SLICKS: column_types(class_names) | {"reason": "str"},
        CENTRELINES: centreline_types(class_names),
        FOOTPRINTS: footprint_types(),
    }
    return others.get(layer.removesuffix(IN_PIXELS), column_types(class_names))


def _style(layer: str, class_names: Sequence[str]) -> str:
    others = {NOT_SLICKS: style_of_others, CENTRELINES: style_of_centrelines, FOOTPRINTS: style_of_footprints}
    other = others.get(layer.removesuffix(IN_PIXELS))
    return other() if other else style_of_classes(class_names)


@contextmanager
def reproducible() -> Iterator[None]:
    """Without the time of day in files, and without a warning of pixels that have no reference system."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": NO_DATE})
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="'crs' was not provided")
            yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
