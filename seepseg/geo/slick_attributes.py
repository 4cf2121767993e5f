"""What is said of each slick for GIS: one row with a polygon, on the map where its scene has a place there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import CRS, Geod, Transformer

from seepseg.base.conventions import NODATA
from seepseg.base.radiometry import Radiometry
from seepseg.base.version import VERSION
from seepseg.data.block_array import BlockArray
from seepseg.data.pixels import ScenePixels, Window
from seepseg.detection.detection import UNSEEN
from seepseg.geo.georeference import Georeference
from seepseg.geo.land import Land
from seepseg.geo.polygons import Polygons, parts, split, to_map, trace

Floats = npt.NDArray[np.float64]

WGS84 = CRS.from_epsg(4326)
NEAR_LAND = 1000.0  # metres
DIGITS = 6  # after the point
ON_LAND = 0.5  # of a slick's pixels: with more of them, it is none

TYPES = {
    "slick_id": "str",
    "scene_id": "str",
    "acquired": "datetime64[ms, UTC]",
    "class_id": "int32",
    "class_name": "str",
    "p_slick": "float64",
    "p_class": "float64",
    "area_km2": "float64",
    "area_px": "int64",
    "perimeter_km": "float64",
    "length_km": "float64",
    "mean_contrast_db": "float64",
    "incidence_deg": "float64",
    "touches_edge": "bool",
    "near_land": "boolean",
    "model_fingerprint": "str",
    "software_version": "str",
}


class PlacedScene(ScenePixels, Protocol):
    """What must be known of a scene; `seepseg.geo.scene_file.SceneFile` is one."""

    @property
    def georeference(self) -> Georeference | None:
        """Its place on earth."""
        ...

    @property
    def radiometry(self) -> Radiometry:
        """What its numbers measure."""
        ...

    @property
    def acquired(self) -> datetime | None:
        """When, in UTC."""
        ...

    def incidence(self, x: Floats, y: Floats) -> Floats | None:
        """Degrees, at places in pixel coordinates; None where that is not known."""
        ...


@dataclass(frozen=True)
class FoundSlicks:
    """The slicks of a scene, as `seepseg.detection.detector.Detection` has them.

    Attributes:
        table: a row for each, see there.
        class_probs: float64 (n, K), probability of each class.
        labels: int32 (H, W), 1..n on them in the order of the table, 0 elsewhere.
        foreground: uint8 (H, W), `UNSEEN` where there is no data.
        class_names: the K classes.
    """

    table: pd.DataFrame
    class_probs: Floats
    labels: BlockArray[np.int32]
    foreground: BlockArray[np.uint8]
    class_names: Sequence[str]


def probability_columns(class_names: Sequence[str]) -> list[str]:
    """Name of the column with each class's probability: p_ and its name, with its number where that is taken.

    In files for GIS, small letters and capitals are the same.
    """
    names: list[str] = []
    taken = {name.lower() for name in TYPES}
    for number, class_name in enumerate(class_names, start=1):
        name = f"p_{class_name}"
        names.append(f"{name}_{number}" if name.lower() in taken else name)
        taken.add(names[-1].lower())
    return names


def column_types(class_names: Sequence[str]) -> dict[str, str]:
    """Columns of a table of slicks but for geometry, in their order, with pandas' types."""
    types: dict[str, str] = {}
    for name, kind in TYPES.items():
        types[name] = kind
        if name == "p_class":
            types |= dict.fromkeys(probability_columns(class_names), "float64")
    return types


def describe(found: FoundSlicks, scene: PlacedScene, land: Land | None, fingerprint: str) -> gpd.GeoDataFrame:
    """Describe the slicks of a scene.

    Args:
        found: the slicks.
        scene: in which they are.
        land: in it; None where that is not known.
        fingerprint: of the model.

    Returns:
        A row for each slick with the columns of `column_types`, a last column `reason`, empty unless it is to be passed
        over as a slick, and its polygon: degrees in EPSG:4326; for a scene without a place on earth, pixels without a
        reference system, y upwards from the upper edge of the image, as QGIS shows it.
    """
    table, n = found.table, len(found.table)
    in_pixels = trace(found.labels, n)
    centre = shapely.get_coordinates(shapely.centroid(in_pixels))
    incidence = scene.incidence(centre[:, 0], centre[:, 1])
    classes = table["class"].map({name: number for number, name in enumerate(found.class_names, start=1)})
    rows = pd.DataFrame(
        {
            "slick_id": [f"{scene.name}_{number}" for number in range(1, n + 1)],
            "scene_id": scene.name,
            "acquired": pd.Series([scene.acquired] * n, dtype="datetime64[ms, UTC]"),
            "class_id": classes.to_numpy(),
            "class_name": table["class"].to_numpy(),
            "p_slick": table["p_slick"].to_numpy(),
            "p_class": table["p_class"].to_numpy(),
            "area_px": table["area"].to_numpy(),
            "mean_contrast_db": _contrast(table, scene.radiometry),
            "incidence_deg": np.full(n, np.nan) if incidence is None else incidence,
            "touches_edge": _touching_edge(found, scene),
            "near_land": pd.array([None] * n, dtype="boolean"),
            "model_fingerprint": fingerprint,
            "software_version": VERSION,
            "reason": "",
        }
    )
    rows[probability_columns(found.class_names)] = found.class_probs
    if scene.georeference is None:
        rows[["area_km2", "perimeter_km", "length_km"]] = np.nan
        geometry, crs = shapely.transform(in_pixels, lambda points: points * [1, -1]), None
    else:
        on_map = to_map(in_pixels, scene.georeference)
        rows["area_km2"], rows["perimeter_km"] = _geodesic(on_map)
        rows["length_km"], near = _in_metres(on_map, land)
        if land is not None:
            rows["near_land"] = pd.array(near, dtype="boolean")
            rows.loc[land.share(found.labels, n) > ON_LAND, "reason"] = "land"
        geometry, crs = split(on_map), WGS84
    types = column_types(found.class_names) | {"reason": "str"}
    ordered = rows[list(types)].astype(types)
    numbers = [name for name, kind in types.items() if kind == "float64"]
    ordered[numbers] = ordered[numbers].round(DIGITS)
    return gpd.GeoDataFrame(ordered, geometry=shapely.orient_polygons(geometry), crs=crs)


def _contrast(table: pd.DataFrame, radiometry: Radiometry) -> Floats:
    """How much brighter a slick is than the sea near it, in dB; NaN where the scale of the numbers is not known."""
    inside, sea = (table[name].to_numpy(np.float64) for name in ("intensity", "sea_near"))
    known = (inside > 0) & (sea > 0) & (radiometry.quantity != "unknown")
    contrast: Floats = np.full(len(table), np.nan)
    contrast[known] = 20 * np.log10(inside[known] / sea[known])  # packed numbers are amplitudes
    return contrast


def _touching_edge(found: FoundSlicks, scene: ScenePixels) -> npt.NDArray[np.bool_]:
    """Whether a slick lies at the edge of its scene, or of what was seen of it."""
    touching = np.zeros(len(found.table), dtype=bool)
    for number, (top, left, height, width), part in parts(found.labels):
        around = Window(top - 1, left - 1, height + 2, width + 2)
        if part[_beside(_unseen(found.foreground, around))].any():
            # Where land was left out is no edge, and only the scene itself tells.
            touching[number - 1] |= part[_beside(scene.read(around) == NODATA)].any()
    return touching


def _unseen(foreground: BlockArray[np.uint8], window: Window) -> npt.NDArray[np.bool_]:
    """Where there is no data in a window, or it lies outside of the scene: bool (height, width)."""
    top, left, height, width = window
    rows = slice(max(top, 0), min(top + height, foreground.shape[0]))
    columns = slice(max(left, 0), min(left + width, foreground.shape[1]))
    unseen = np.ones((height, width), dtype=bool)
    inside = Window(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
    unseen[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = (
        foreground.read(inside) == UNSEEN
    )
    return unseen


def _beside(unseen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which pixels have a neighbour, also at a corner, that was not seen: (h + 2, w + 2) -> (h, w)."""
    rows = unseen[:-2] | unseen[1:-1] | unseen[2:]
    beside: npt.NDArray[np.bool_] = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    return beside


def _geodesic(on_map: Polygons) -> tuple[Floats, Floats]:
    """Area in km² and perimeter in km, holes taken off and gone round, on the ellipsoid."""
    geod = Geod(ellps="WGS84")
    area = [geod.geometry_area_perimeter(polygon)[0] for polygon in on_map]  # has a sign, and holes that of theirs
    perimeter = [geod.geometry_length(edges) for edges in shapely.boundary(on_map)]
    return np.array(area, np.float64) / 1e6, np.array(perimeter, np.float64) / 1e3


def _in_metres(on_map: Polygons, land: Land | None) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Length in km, that of the smallest rectangle around a slick, and whether land is near.

    Each slick is measured in a plane that touches the earth at the first of them; over a whole scene, such a plane is
    wrong by less than one in a thousand.
    """
    if not len(on_map):
        return np.zeros(0), np.zeros(0, dtype=bool)
    lon, lat = shapely.get_coordinates(on_map[0])[0]
    plane = CRS.from_proj4(f"+proj=aeqd +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m")
    to_plane = Transformer.from_crs(WGS84, plane, always_xy=True)

    def flat(polygons: Polygons) -> Polygons:
        flattened: Polygons = shapely.transform(
            polygons, lambda points: np.column_stack(to_plane.transform(points[:, 0], points[:, 1]))
        )
        return flattened

    slicks = flat(on_map)
    corners = np.stack([shapely.get_coordinates(box)[:3] for box in shapely.oriented_envelope(slicks)])
    length: Floats = np.linalg.norm(np.diff(corners, axis=1), axis=2).max(axis=1) / 1e3
    near = np.zeros(len(slicks), dtype=bool)
    if land is not None:
        near[shapely.STRtree(flat(land.on_map)).query(slicks, predicate="dwithin", distance=NEAR_LAND)[0]] = True
    return length, near
