"""From coordinates of annotations to the pixels of a scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from seepseg.geo.annotations import Annotations, Geometries, crs_name, only_polygons, repaired
from seepseg.geo.faults import WRONG_CRS
from seepseg.geo.frame import BORDER_POINTS, Frame
from seepseg.geo.georeference import Georeference
from seepseg.geo.misplaced import explain_misplaced
from seepseg.geo.scene_records import SceneRecord
from seepseg.io.report import Report

LONGEST_EDGE = 32  # pixels: what is straight in the coordinates of a file hardly bends on so few
METRES_PER_DEGREE = 111_320.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PlacedAnnotations:
    """Annotations on earth or, where scenes have no place there, in pixels.

    Attributes:
        annotations: what is annotated.
        polygons: object (N,), in degrees of longitude and latitude, with short edges; or in pixels.
    """

    annotations: Annotations
    polygons: Geometries

    @cached_property
    def _bounds(self) -> Floats:
        bounds: Floats = shapely.bounds(self.polygons)
        return bounds

    def on_scene(self, scene: SceneRecord) -> tuple[npt.NDArray[np.int64], Geometries]:
        """Find the polygons that lie on a scene, in its pixels.

        Returns:
            Ascending indices of annotations, int64 (M,), and their polygons, object (M,), in pixels: x along columns,
            y along rows, (0, 0) is the upper left corner of the first. They may reach beyond the scene.
        """
        named = self.annotations.scenes
        of_scene = (named == "") | (named == scene.name)
        if scene.georeference is None:
            rows = np.flatnonzero(of_scene)
            polygons = self.polygons[rows]
        else:
            rows, polygons = self._near(of_scene, Frame.around(scene), scene.georeference)
        height, width = scene.shape
        area = shapely.area(shapely.intersection(polygons, shapely.box(0, 0, width, height)))
        return rows[area > 0], polygons[area > 0]

    def _near(
        self, of_scene: npt.NDArray[np.bool_], frame: Frame, georeference: Georeference
    ) -> tuple[npt.NDArray[np.int64], Geometries]:
        """What of the polygons lies in the frame of a scene, in its pixels."""
        meets = frame.turns(self._bounds) & of_scene
        rows = np.flatnonzero(meets.any(0))
        edge = min(frame.east - frame.west, frame.north - frame.south) / BORDER_POINTS
        parts = np.full(len(rows), shapely.MultiPolygon(), dtype=object)
        for turn, chosen in zip((-360.0, 0.0, 360.0), meets[:, rows], strict=True):
            if chosen.any():
                turned = _turned(self.polygons[rows[chosen]], turn)
                within = only_polygons(shapely.intersection(turned, frame.box))
                pixels = shapely.transform(shapely.segmentize(within, edge), partial(_pixels, georeference))
                parts[chosen] = shapely.union(parts[chosen], repaired(pixels))
        return rows, only_polygons(parts)


def _turned(geometries: Any, degrees: float) -> Any:
    """Geometries turned around the earth."""
    return shapely.transform(geometries, lambda lonlat: lonlat + np.array([degrees, 0.0]))


def _pixels(georeference: Georeference, lonlat: Floats) -> Floats:
    """Pixels of places, (N, 2)."""
    return np.column_stack(georeference.to_pixel(*lonlat.T))


def to_lonlat(annotations: Annotations, scenes: Sequence[SceneRecord], report: Report) -> PlacedAnnotations | None:
    """Bring annotations to longitude and latitude.

    Args:
        annotations: with a CRS.
        scenes: with a place on earth; the finest pixels say how long edges may be.
        report: takes coordinates that can't be of this CRS.

    Returns:
        The annotations on earth; None if their coordinates are wrong.
    """
    crs = annotations.crs
    assert crs is not None
    if fault := misfit(annotations.polygons, crs):
        report.add(WRONG_CRS, f"{len(annotations.names):,} polygons", [fault, *explain_misplaced(annotations, scenes)])
        return None
    spacing = min(scene.georeference.spacing(scene.shape) for scene in scenes if scene.georeference)
    unit = METRES_PER_DEGREE if crs.is_geographic else crs.axis_info[0].unit_conversion_factor
    plain = _unwrap(annotations.polygons) if crs.is_geographic else annotations.polygons
    dense = shapely.segmentize(plain, LONGEST_EDGE * spacing / unit)
    transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    polygons = shapely.transform(dense, lambda xy: np.column_stack(transformer.transform(*xy.T)))
    return PlacedAnnotations(annotations, repaired(_unwrap(polygons)))


def misfit(polygons: Geometries, crs: pyproj.CRS) -> str:
    """Say what coordinates look like that can't be of a CRS; nothing where they can."""
    west, south, east, north = shapely.total_bounds(polygons)
    ranges = f"x from {west:,.6g} to {east:,.6g} and y from {south:,.6g} to {north:,.6g} in {crs_name(crs)}"
    if not crs.is_geographic:
        transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        lonlat = np.array(transformer.transform([west, east, west, east], [south, north, north, south]))
        return "" if np.isfinite(lonlat).all() else ranges
    x, y = max(-west, east), max(-south, north)
    if x <= 360 and y <= 90:
        return ""
    exchanged = x <= 90 and y <= 360
    looks = "longitude and latitude exchanged" if exchanged else "metres or pixels"
    return f"{ranges}, which look like {looks}"


def _unwrap(polygons: Geometries) -> Geometries:
    """Let longitudes run on beyond 180 degrees where a border jumps from one side of the antimeridian to the other."""
    coordinates, owners = shapely.get_coordinates(polygons, return_index=True)
    jumps = (np.abs(np.diff(coordinates[:, 0])) > 180) & (np.diff(owners) == 0)
    result = polygons.copy()
    for index in np.unique(owners[1:][jumps]):
        result[index] = shapely.union_all([_unwrapped_part(part) for part in shapely.get_parts(polygons[index])])
    return result


def _unwrapped_part(polygon: shapely.Polygon) -> shapely.Geometry:
    shell = _unwrapped_ring(polygon.exterior)
    holes = [_unwrapped_ring(ring) for ring in polygon.interiors]
    turned = [_turned(hole, turn) for hole in holes for turn in (-360.0, 0.0, 360.0)]
    return shapely.difference(shell, shapely.union_all(turned))


def _unwrapped_ring(ring: shapely.LinearRing) -> shapely.Geometry:
    """What a ring encloses, its longitudes without a jump; if it leads around a pole, all up to there."""
    lon, lat = shapely.get_coordinates(ring).T
    lon = np.unwrap(lon, period=360)
    points = np.column_stack([lon, lat])
    if abs(lon[-1] - lon[0]) > 180:
        pole = np.copysign(90.0, lat.mean())
        points = np.concatenate([points, [(lon[-1], pole), (lon[0], pole)]])
    return shapely.make_valid(shapely.Polygon(points), method="structure", keep_collapsed=False)
