"""What is said of centrelines and of scenes for GIS, so that seeps can be found in files of slicks.

Seeps are weighed by all candidates, also those that are not accepted, by their ends, and by who saw a place at all. So
there is a line for each candidate, and a polygon for what a scene has data of.
"""

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import Geod

from seepseg.detection.detection import P_CLASS
from seepseg.geo.georeference import Georeference
from seepseg.geo.land import Land
from seepseg.geo.polygons import split, to_map
from seepseg.geo.slick_attributes import DIGITS, ON_LAND, TYPES, WGS84, PlacedScene, probability_columns

Floats = npt.NDArray[np.float64]
Lines = npt.NDArray[np.object_]

CENTRELINES, FOOTPRINTS, IN_PIXELS = "centrelines", "footprints", "_in_pixels"

HALF_BLOCK = 32  # pixels to each side of a place, by which the size of its pixels is measured

DEGREES = ("lon_1", "lat_1", "lon_2", "lat_2")
MEASURES = (
    "area_km2",
    "area_px",
    "centreline_km",
    "half_width_1_m",
    "half_width_2_m",
    "bright_1",
    "bright_2",
    *DEGREES,
)


def centreline_types(class_names: Sequence[str]) -> dict[str, str]:
    """Columns of a table of centrelines but for geometry, in their order, with pandas' types."""
    keys = {"scene_id": "str", "acquired": TYPES["acquired"], "candidate": "int32", "slick_id": "str"}
    numbers = dict.fromkeys(("p_slick", *probability_columns(class_names), *MEASURES), "float64")
    return keys | numbers | {"area_px": "int64"}


def footprint_types() -> dict[str, str]:
    """Likewise of a table of footprints."""
    return {"scene_id": "str", "acquired": TYPES["acquired"], "spacing_m": "float64"}


def describe_centrelines(
    candidates: pd.DataFrame,
    paths: Sequence[Floats],
    class_names: Sequence[str],
    scene: PlacedScene,
    land: Land | None,
) -> gpd.GeoDataFrame:
    """Describe the centrelines of all candidates of a scene.

    Args:
        candidates: a row for each, as `seepseg.detection.detection.Detection` has them.
        paths: of each float64 (k, 2), x and y in pixels from end 1 to end 2.
        class_names: the K classes.
        scene: in which they are.
        land: in it; candidates with more than half of the points of their path on land are left out.

    Returns:
        A row for each other candidate with the columns of `centreline_types` and its line: degrees in EPSG:4326, split
        at the antimeridian, without a place on earth pixels, y upwards, as `seepseg.geo.slick_attributes.describe` has
        them. Lengths in pixels are brought to metres by the size of a pixel at the middle of the line.
    """
    of = np.repeat(np.arange(len(paths)), [len(path) for path in paths])
    points = np.concatenate([*paths, np.zeros((0, 2))])
    n, slick = len(candidates), candidates["slick"].to_numpy(np.int64)
    first, last = (np.searchsorted(of, np.arange(n), side) - (side == "right") for side in ("left", "right"))
    rows = pd.DataFrame(
        {
            "scene_id": scene.name,
            "acquired": pd.Series([scene.acquired] * n, dtype="datetime64[ms, UTC]"),
            "candidate": candidates["candidate"].to_numpy(),
            "slick_id": [f"{scene.name}_{number}" if number else None for number in slick.tolist()],
            "area_px": candidates["area"].to_numpy(),
            **{name: candidates[name].to_numpy() for name in ("p_slick", "bright_1", "bright_2")},
        }
    )
    rows[probability_columns(class_names)] = candidates[[P_CLASS + name for name in class_names]].to_numpy(np.float64)
    metres, (lon, lat) = np.full(n, np.nan), np.full((2, len(points)), np.nan)
    if scene.georeference is not None:
        lon, lat = scene.georeference.to_lonlat(*points.T)
        metres = pixel_sides(scene.georeference, *_middles(candidates))
    rows[list(DEGREES)] = np.column_stack([lon[first], lat[first], lon[last], lat[last]])
    in_pixels = candidates[["area", "centreline", "half_width_1", "half_width_2"]].to_numpy(np.float64)
    in_units = in_pixels * np.column_stack([metres**2 / 1e6, metres / 1e3, metres, metres])
    rows[["area_km2", "centreline_km", "half_width_1_m", "half_width_2_m"]] = in_units
    types = centreline_types(class_names)
    ordered = rows[list(types)].astype(types)
    numbers = [name for name, kind in types.items() if kind == "float64"]
    ordered[numbers] = ordered[numbers].round(DIGITS)
    if scene.georeference is None:
        lines, crs = shapely.linestrings(points * [1, -1], indices=of), None
    else:
        lon = lon - 360 * np.round((lon - lon[first][of]) / 360)  # beside the first point of the same line
        lines, crs = split_lines(shapely.linestrings(np.column_stack([lon, lat]), indices=of)), WGS84
    table = gpd.GeoDataFrame(ordered, geometry=lines, crs=crs)
    return table if land is None else table[_share_on_land(points, of, n, land) <= ON_LAND]


def describe_footprint(footprint: shapely.Geometry, scene: PlacedScene) -> gpd.GeoDataFrame:
    """Describe what a scene has data of.

    Args:
        footprint: polygons in pixel coordinates, as `seepseg.passes.footprints` gives them.
        scene: of which it is.

    Returns:
        One row with the columns of `footprint_types`, and polygons as in `describe_centrelines`; none without data.
    """
    found = np.array([] if footprint.is_empty else [footprint], dtype=np.object_)
    spacing = np.nan if scene.georeference is None else scene.georeference.spacing(scene.shape)
    row = pd.DataFrame({"scene_id": [scene.name], "acquired": [scene.acquired], "spacing_m": [round(spacing, DIGITS)]})
    if scene.georeference is None:
        geometry, crs = shapely.transform(found, lambda xy: xy * [1, -1]), None
    else:
        geometry, crs = split(to_map(found, scene.georeference)), WGS84
    rows = row[: len(found)].astype(footprint_types())
    return gpd.GeoDataFrame(rows, geometry=shapely.orient_polygons(geometry), crs=crs)


def pixel_sides(georeference: Georeference, x: Floats, y: Floats) -> Floats:
    """Side of a square as large as a pixel, at places of a scene: (n,) in metres, on the ellipsoid."""
    step = HALF_BLOCK * np.array([[-1], [1]])
    geod, sides, azimuths = Geod(ellps="WGS84"), [], []
    for across, down in ((step, 0 * step), (0 * step, step)):
        lon, lat = georeference.to_lonlat(x + across, y + down)  # (2, n)
        azimuth, _, length = geod.inv(lon[0], lat[0], lon[1], lat[1])
        sides.append(np.asarray(length) / (2 * HALF_BLOCK))
        azimuths.append(np.radians(azimuth))
    square: Floats = np.sqrt(sides[0] * sides[1] * np.abs(np.sin(azimuths[0] - azimuths[1])))
    return square


def split_lines(lines: Lines) -> Lines:
    """Split lines that run on beyond 180 or -180 degrees there, so that all longitudes lie between."""
    bounds = shapely.bounds(lines)
    result = lines.copy()
    for index in np.flatnonzero((bounds[:, 0] < -180) | (bounds[:, 2] > 180)):
        parts = [
            shapely.transform(
                shapely.intersection(lines[index], shapely.box(turn - 180, -90, turn + 180, 90)),
                lambda lonlat, turn=turn: lonlat - [turn, 0],
            )
            for turn in (-360, 0, 360)
        ]
        pieces = shapely.get_parts(parts)
        result[index] = shapely.multilinestrings(pieces[shapely.length(pieces) > 0])
    return result


def _middles(candidates: pd.DataFrame) -> tuple[Floats, Floats]:
    """Halfway between both ends, x and y, (n,) each."""
    x, y = ((candidates[f"{axis}_1"] + candidates[f"{axis}_2"]).to_numpy(np.float64) / 2 for axis in "xy")
    return x, y


def _share_on_land(points: Floats, of: npt.NDArray[np.int64], n: int, land: Land) -> Floats:
    """The share of the points of each path that is on land, (n,)."""
    on_land = np.zeros(len(points), dtype=bool)
    on_land[shapely.STRtree(land.in_pixels).query(shapely.points(points), predicate="intersects")[0]] = True
    return np.bincount(of, on_land, minlength=n) / np.bincount(of, minlength=n)
