"""Annotations that lie on no scene: how far away they are, and what coordinates they may be instead."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from seepseg.geo.annotations import Annotations, crs_name
from seepseg.geo.frame import Frame
from seepseg.geo.scene_records import SceneRecord

SAMPLE = 1000  # polygons to look at: what is wrong with some is wrong with all

Floats = npt.NDArray[np.float64]


def explain_misplaced(annotations: Annotations, scenes: Sequence[SceneRecord]) -> list[str]:
    """Say how far annotations are from the nearest scene, and in what coordinates they would lie on one.

    Args:
        annotations: with a CRS.
        scenes: with a place on earth.

    Returns:
        One item for each, as far as it can be told.
    """
    polygons = annotations.polygons[:: -(-len(annotations.polygons) // SAMPLE)]
    xy = shapely.get_coordinates(shapely.point_on_surface(polygons))
    assert annotations.crs is not None
    return [*_distance(_lonlat(xy, annotations.crs), scenes), *_guess(xy, annotations.crs, scenes)]


def _distance(lonlat: Floats, scenes: Sequence[SceneRecord]) -> Iterator[str]:
    known = lonlat[np.isfinite(lonlat).all(1) & (np.abs(lonlat[:, 1]) <= 90)]
    if len(known):
        lon, lat = known.T
        geod = pyproj.Geod(ellps="WGS84")
        distances = {}
        for scene in scenes:
            there = np.broadcast_to(_centre(scene), known.shape).T
            distances[scene.name] = float(np.min(geod.inv(lon, lat, *there)[2]))
        nearest = min(distances, key=lambda name: distances[name])
        yield f"{distances[nearest] / 1000:,.0f} km from the nearest to the centre of a scene, {nearest}"


def _guess(xy: Floats, crs: pyproj.CRS, scenes: Sequence[SceneRecord]) -> Iterator[str]:
    """The first coordinate reference system, of some usual ones, in which coordinates would lie on a scene."""
    tried = set()
    for scene in scenes:
        frame = Frame.around(scene)
        for other in (crs, pyproj.CRS(4326), *_usual(scene)):
            for exchanged in (False, True):
                key = frame, crs_name(other), exchanged
                if key in tried or (other == crs and not exchanged):
                    continue
                tried.add(key)
                if frame.holds_any(_lonlat(xy[:, ::-1] if exchanged else xy, other)):
                    how = " with x and y exchanged" if exchanged else ""
                    yield f"coordinates that would lie on {scene.name} as {crs_name(other)}{how}"
                    return


def _usual(scene: SceneRecord) -> Iterator[pyproj.CRS]:
    """The scene's own coordinate reference system and the zone of UTM on which it lies."""
    assert scene.georeference is not None
    yield pyproj.CRS(scene.georeference.raster_profile()["crs"])
    lon, lat = _centre(scene)
    yield pyproj.CRS((32600 if lat >= 0 else 32700) + int((lon + 180) % 360 // 6) + 1)


def _centre(scene: SceneRecord) -> tuple[float, float]:
    assert scene.georeference is not None
    height, width = scene.shape
    (lon,), (lat,) = scene.georeference.to_lonlat(np.array([width / 2]), np.array([height / 2]))
    return float(lon), float(lat)


def _lonlat(xy: Floats, crs: pyproj.CRS) -> Floats:
    transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    return np.column_stack(transformer.transform(*xy.T))
