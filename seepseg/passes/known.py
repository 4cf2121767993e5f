"""Seeps that are known, on the ground of passes."""

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import Geod, Transformer

from seepseg.geo.georeference import WGS84
from seepseg.geo.seep_files import PLATFORM, POLYGON
from seepseg.passes.ground import Ground

Floats = npt.NDArray[np.float64]

LEAST_PASSES = 2  # that saw the place of a known seep: fewer can't tell that a slick comes back


def known_on(ground: Ground, known: gpd.GeoDataFrame) -> pd.DataFrame:
    """The known seeps that passes over a ground could show.

    Args:
        ground: the ground; in pixels it has no place on earth, and no known seep lies on it.
        known: see `seepseg.geo.seep_files.read_known_seeps`.

    Returns:
        Columns `x`, `y` on the ground, and `PLATFORM`, of those that at least `LEAST_PASSES` saw.
    """
    if ground.crs is None or not len(known):
        return pd.DataFrame({"x": np.zeros(0), "y": np.zeros(0), PLATFORM: np.zeros(0, dtype=bool)})
    x, y = _in_plane(ground, known).T
    there = np.isfinite(x) & np.isfinite(y)
    seen: npt.NDArray[np.bool_] = np.zeros(len(x), dtype=bool)
    seen[there] = ground.sees(x[there], y[there]).sum(axis=1) >= LEAST_PASSES
    return pd.DataFrame({"x": x, "y": y, PLATFORM: known[PLATFORM].to_numpy(bool)})[seen].reset_index(drop=True)


def explain_polygons(known: gpd.GeoDataFrame) -> str | None:
    """Say of how many known seeps, drawn as polygons, a point was taken; None where there are none such.

    Args:
        known: see `seepseg.geo.seep_files.read_known_seeps`.
    """
    count = int(known[POLYGON].sum())
    return f"{count} of {len(known)} known seeps are polygons: a point within each counts" if count else None


def explain_none_on(grounds: Sequence[Ground], known: gpd.GeoDataFrame) -> str | None:
    """Say why no known seep is there to compare with, if so, and how far away they are.

    Args:
        grounds: all.
        known: see `seepseg.geo.seep_files.read_known_seeps`.

    Returns:
        A line; None where `known_on` gives some for any of the grounds, or there are none, or no grounds.
    """
    if not len(known) or not grounds or any(len(known_on(ground, known)) for ground in grounds):
        return None
    on_earth = [ground for ground in grounds if ground.crs is not None]
    if not on_earth:
        return f"the {len(known)} known seeps have a place on earth, the scenes have none: nothing is compared"
    away = min(_distance(ground, known) for ground in on_earth)
    lonlat = shapely.get_coordinates(known.geometry.array)
    corners = np.concatenate([_corners(ground) for ground in on_earth])
    how_far = f"the nearest is {away / 1000:,.0f} km from what any pass saw" if away < np.inf else "not even on earth"
    return (
        f"none of the {len(known)} known seeps lies where at least {LEAST_PASSES} passes saw the ground: {how_far}. "
        f"They lie at {_extent(lonlat)}, the passes at {_extent(corners)}; check the reference system of the file, and "
        "whether longitude and latitude are exchanged"
    )


def _in_plane(ground: Ground, known: gpd.GeoDataFrame) -> Floats:
    """Places in the plane of a ground on earth, (n, 2); infinite where they can't be."""
    lon, lat = shapely.get_coordinates(known.geometry.array).T
    return np.column_stack(Transformer.from_crs(known.crs, ground.crs, always_xy=True).transform(lon, lat))


def _distance(ground: Ground, known: gpd.GeoDataFrame) -> float:
    """From the nearest known seep to what any pass over a ground saw, in metres, on the ellipsoid."""
    seen = shapely.union_all([each.footprint for each in ground.passes])
    xy = _in_plane(ground, known)
    points = shapely.points(xy[np.isfinite(xy).all(axis=1)])
    if not len(points):
        return float(np.inf)
    nearest = points[shapely.distance(points, seen).argmin()]
    line = shapely.get_coordinates(shapely.shortest_line(nearest, seen))
    lon, lat = Transformer.from_crs(ground.crs, WGS84, always_xy=True).transform(*line.T)
    return float(Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])[2])


def _corners(ground: Ground) -> Floats:
    """Longitude and latitude of the corners of what the passes saw, (k, 2)."""
    xy = shapely.get_coordinates([each.footprint for each in ground.passes])
    return np.column_stack(Transformer.from_crs(ground.crs, WGS84, always_xy=True).transform(*xy.T))


def _extent(lonlat: Floats) -> str:
    (west, south), (east, north) = lonlat.min(axis=0), lonlat.max(axis=0)
    return f"longitude {west:.2f} to {east:.2f} and latitude {south:.2f} to {north:.2f}"
