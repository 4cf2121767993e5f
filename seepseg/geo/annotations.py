"""Annotated slicks: read from a vector file, checked, and brought to longitude and latitude."""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyogrio
import pyproj
import shapely

from seepseg.base.conventions import BACKGROUND
from seepseg.geo.faults import (
    CRS_FOR_PIXELS,
    EMPTY_GEOMETRY,
    NO_ANNOTATIONS,
    NO_CLASS_COLUMN,
    NO_CRS,
    NOT_POLYGONS,
    ONE_CLASS,
    OTHER_LAYERS,
    REPAIRED,
    THIN,
    UNKNOWN_CLASS,
    UNKNOWN_SCENE,
    UNUSABLE_ANNOTATIONS,
)
from seepseg.geo.params import ScenesParams
from seepseg.io.report import Report

Geometries = npt.NDArray[np.object_]

POLYGONS = ("Polygon", "MultiPolygon")
SCENE_SUFFIXES = (".safe", ".zip", ".tif", ".tiff", ".vrt", ".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Annotations:
    """Annotated slicks of a file; index i of each is the same polygon.

    Attributes:
        names: what each is called in messages, by its number in the file.
        classes: uint8 (N,), 1..K.
        scenes: the scene of each; empty where it counts in all scenes.
        polygons: object (N,), valid polygons and multipolygons in the coordinates of the file.
        crs: of these; None for pixels, x along columns and y along rows from the first pixel's upper left corner.
    """

    names: list[str]
    classes: npt.NDArray[np.uint8]
    scenes: npt.NDArray[np.object_]
    polygons: Geometries
    crs: pyproj.CRS | None


def read_annotations(
    path: Path, params: ScenesParams, class_names: Sequence[str], scenes: Sequence[str], on_earth: bool, report: Report
) -> Annotations | None:
    """Read and check annotated slicks.

    Args:
        path: a vector file, or a folder that is one.
        params: columns, and what the names of classes mean.
        class_names: names of the K classes.
        scenes: names of the scenes that are there.
        on_earth: whether the scenes have a place on earth; else annotations are in pixels.
        report: takes what is wrong.

    Returns:
        The polygons that can be used; None where nothing can be.
    """
    table = _read_table(path, report)
    if table is None:
        return None
    crs = _known_crs(table.crs)
    if (crs is not None) != on_earth:
        report.add(NO_CRS if on_earth else CRS_FOR_PIXELS, path, str(crs.name) if crs else ())
    polygons = _polygons(table, report)
    classes = _classes(table, params, class_names, path, report)
    named = _scenes(table, params, scenes, report)
    used = ~(shapely.is_empty(polygons) | shapely.is_missing(polygons)) & (classes > 0)
    names = [f"feature {number}" for number in table.index[used]]
    return Annotations(names, classes[used].astype(np.uint8), named[used], polygons[used], crs)


def _read_table(path: Path, report: Report) -> gpd.GeoDataFrame | None:
    """The first layer with geometries, without the features that have none."""
    try:
        layers = [(name, kind) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if not layers:
            report.add(NO_ANNOTATIONS, path, "no layer with geometries")
            return None
        (layer, _), *others = sorted(layers, key=lambda each: not _holds_polygons(each[1]))
        table = pyogrio.read_dataframe(path, layer=layer, fid_as_index=True, on_invalid="fix")
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, shapely.GEOSException, ValueError) as error:
        report.add(UNUSABLE_ANNOTATIONS, path, str(error).partition("; It might help")[0])
        return None
    if left_out := [name for name, kind in others if _holds_polygons(kind)]:
        report.add(OTHER_LAYERS, path, [f"{layer}, which was read", *left_out])
    empty = shapely.is_missing(table.geometry.array) | shapely.is_empty(table.geometry.array)
    for number in table.index[empty]:
        report.add(EMPTY_GEOMETRY, f"feature {number}")
    if empty.all():
        report.add(NO_ANNOTATIONS, path, f"{len(table):,} features, none with a geometry")
        return None
    return table[~empty]


def _holds_polygons(kind: str) -> bool:
    return any(name in kind for name in ("Polygon", "Surface", "Unknown", "GeometryCollection"))


def _known_crs(crs: pyproj.CRS | None) -> pyproj.CRS | None:
    """The CRS, unless it is one of those that stand for none."""
    return None if crs is None or crs.is_engineering else crs


def crs_name(crs: pyproj.CRS) -> str:
    """Its code if it has one, else its name."""
    authority = crs.to_authority()
    return ":".join(authority) if authority else str(crs.name)


def _polygons(table: gpd.GeoDataFrame, report: Report) -> Geometries:
    """Valid, flat polygons; empty ones where nothing can be made of a geometry."""
    raw: Geometries = np.asarray(table.geometry.array, dtype=object)
    polygons = only_polygons(shapely.force_2d(raw))
    kinds = Counter(geometry.geom_type for geometry, area in zip(raw, polygons, strict=True) if area.is_empty)
    for kind, count in kinds.items():
        if kind not in POLYGONS:
            report.add(NOT_POLYGONS, kind, f"{count:,} of {len(raw):,} features")
    invalid = ~shapely.is_valid(polygons)
    for number, reason in zip(table.index[invalid], shapely.is_valid_reason(polygons[invalid]), strict=True):
        report.add(REPAIRED, f"feature {number}", reason)
    mended = repaired(polygons)
    for number in table.index[shapely.is_empty(mended) & ~shapely.is_empty(polygons)]:
        report.add(THIN, f"feature {number}", "a polygon without area")
    return mended


def only_polygons(geometries: Geometries) -> Geometries:
    """Leave of each geometry its polygons alone; of collections, which overlays give, too. Else it is empty."""
    result = geometries.copy()
    for index in np.flatnonzero(~np.isin(shapely.get_type_id(geometries), (3, 6))):
        parts = shapely.get_parts(shapely.get_parts(geometries[index]))  # collections hold multipolygons, too
        parts = [part for part in parts if part.geom_type == "Polygon"]
        result[index] = shapely.MultiPolygon(parts)
    return result


def repaired(polygons: Geometries) -> Geometries:
    """Make polygons valid; parts that overlap are joined, and what has no area goes."""
    invalid = ~shapely.is_valid(polygons)
    result = polygons.copy()
    result[invalid] = shapely.make_valid(polygons[invalid], method="structure", keep_collapsed=False)
    return only_polygons(result)


def _classes(
    table: gpd.GeoDataFrame, params: ScenesParams, class_names: Sequence[str], path: Path, report: Report
) -> npt.NDArray[np.int64]:
    """The class of each feature from 1; 0 where it is none to be learned or unknown."""
    column = params.class_column
    if column not in _columns(table):
        if column and len(class_names) > 1:
            columns = _columns(table)
            found = f"no {column}, but {', '.join(columns)}{_nearest(column, columns)}" if columns else "no columns"
            report.add(NO_CLASS_COLUMN, path, found)
        elif len(class_names) > 1:
            report.add(ONE_CLASS, path, f"{len(class_names)} names in data.class_names")
        return np.ones(len(table), np.int64)
    numbers = {name: number for number, name in enumerate(class_names, start=1)} | {BACKGROUND: 0}
    by_number = {str(number): number for number in range(1, len(class_names) + 1)}
    texts = [_text(value) for value in table[column]]
    meant = [params.classes.get(text, text) for text in texts]
    unknown = Counter(
        (text, name) for text, name in zip(texts, meant, strict=True) if name not in numbers and name not in by_number
    )
    for (text, name), count in unknown.items():
        became = f", which scenes.classes calls {name}" if name != text else ""
        near = _nearest(name, class_names)
        report.add(UNKNOWN_CLASS, text or "no name at all", f"{count:,} polygon{'s' * (count > 1)}{became}{near}")
    return np.array([numbers.get(name, by_number.get(name, 0)) for name in meant], np.int64)


def _scenes(
    table: gpd.GeoDataFrame, params: ScenesParams, known: Sequence[str], report: Report
) -> npt.NDArray[np.object_]:
    """The scene of each feature; empty where it has none."""
    named = np.full(len(table), "", dtype=object)
    if params.scene_column not in _columns(table) or not known:
        return named
    by_stem = {_scene_stem(name): name for name in known}
    unknown: Counter[str] = Counter()
    for index, text in enumerate(_text(value) for value in table[params.scene_column]):
        named[index] = by_stem.get(_scene_stem(text), "") if text else ""
        if text and not named[index]:
            unknown[text] += 1
    for text, count in unknown.items():
        report.add(UNKNOWN_SCENE, text, f"{count:,} polygon{'s' * (count > 1)}{_nearest(text, known)}")
    return named


def _scene_stem(name: str) -> str:
    path = PurePath(name)
    return path.stem if path.suffix.lower() in SCENE_SUFFIXES else path.name


def _columns(table: gpd.GeoDataFrame) -> list[str]:
    return [name for name in table.columns if name != table.geometry.name]


def _text(value: Any) -> str:
    """A value of a column as people write it: a whole number without point, nothing for a missing one."""
    if pd.isna(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _nearest(name: str, known: Sequence[str]) -> str:
    by_small = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), list(by_small), 1)
    if near:
        return f"; did you mean {by_small[near[0]]}?"
    return f"; known are {', '.join(known[:10])}{' and others' * (len(known) > 10)}"
