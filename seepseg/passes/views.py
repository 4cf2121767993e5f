"""What scenes show of the earth, and those that see the same ground laid on one plane."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer

from seepseg.geo.georeference import WGS84, Coordinates, Georeference
from seepseg.geo.polygons import split, to_map
from seepseg.passes.grouping import Polygons, overlapping, plane_about

Floats = npt.NDArray[np.float64]
ToGround = Callable[[Floats, Floats], Coordinates]
"""From pixel coordinates x and y of a scene, (n,) each, to places on the ground."""


@dataclass(frozen=True)
class SceneView:
    """What a scene shows of the earth.

    Attributes:
        name: of the scene.
        footprint: polygons in pixel coordinates of the whole scene, what it has data of; empty where that is unknown.
        georeference: its place on earth, if it has one.
        acquired: when, in UTC, if that is known.
    """

    name: str
    footprint: shapely.Geometry
    georeference: Georeference | None
    acquired: datetime | None


@dataclass(frozen=True)
class ScenesOnPlane:
    """Scenes that see the same ground, on a plane.

    Attributes:
        crs: of the plane, in metres; None where it is the common grid of tiles, in pixels.
        views: of the n scenes.
        footprints: (n,) on the plane.
        spacings: (n,) of their pixels, in the unit of the plane.
        to_ground: (n,) from their pixels to the plane.
    """

    crs: CRS | None
    views: Sequence[SceneView]
    footprints: Polygons
    spacings: Sequence[float]
    to_ground: Sequence[ToGround]


def lay_on_earth(views: Sequence[SceneView]) -> list[ScenesOnPlane]:
    """Lay scenes with a georeference on planes, one about the middle of each ground."""
    if not views:
        return []
    areas = np.array([_area(view) for view in views], dtype=np.object_)
    return [_on_plane([views[each] for each in group], areas[group]) for group in overlapping(split(areas))]


def lay_on_grid(
    views: Sequence[SceneView], origins: Mapping[str, Sequence[int]], tile_shape: tuple[int, int]
) -> list[ScenesOnPlane]:
    """Lay scenes on the common grid of tiles.

    Args:
        views: of scenes whose names fit.
        origins: row and column of the first tile, in tiles, by the start of a scene's name.
        tile_shape: height and width of a tile, in pixels.
    """
    if not views:
        return []
    shifts = [np.array(grid_shift(view.name, origins, tile_shape)) for view in views]
    footprints = np.array(
        [shapely.transform(view.footprint, lambda xy, by=by: xy + by) for view, by in zip(views, shifts, strict=True)],
        dtype=np.object_,
    )
    return [
        ScenesOnPlane(
            None,
            [views[each] for each in group],
            footprints[group],
            [1.0] * len(group),
            [_shift(*shifts[each].tolist()) for each in group],
        )
        for group in overlapping(footprints)
    ]


def fitting_starts(name: str, origins: Mapping[str, Sequence[int]]) -> list[str]:
    """The starts of names that fit a scene's, the longest first."""
    return sorted((start for start in origins if name.startswith(start)), key=len, reverse=True)


def grid_shift(name: str, origins: Mapping[str, Sequence[int]], tile_shape: tuple[int, int]) -> tuple[int, int]:
    """How far to the right and down of that of the common grid the first pixel of a scene's grid lies.

    Args:
        name: of the scene, which fits.
        origins: see `lay_on_grid`.
        tile_shape: likewise.
    """
    row, column = origins[fitting_starts(name, origins)[0]]
    return column * tile_shape[1], row * tile_shape[0]


def _area(view: SceneView) -> shapely.Geometry:
    """The footprint in degrees, see `seepseg.geo.polygons.to_map`."""
    assert view.georeference is not None
    return to_map(np.array([view.footprint], dtype=np.object_), view.georeference)[0]


def _on_plane(views: Sequence[SceneView], areas: Polygons) -> ScenesOnPlane:
    crs = plane_about(areas)
    to_plane = Transformer.from_crs(WGS84, crs, always_xy=True)
    flat = [shapely.transform(area, lambda lonlat: np.stack(to_plane.transform(*lonlat.T), axis=1)) for area in areas]
    footprints = shapely.make_valid(np.array(flat, dtype=np.object_), method="structure", keep_collapsed=False)
    return ScenesOnPlane(
        crs, views, footprints, [_metres(view) for view in views], [_to_plane(view, to_plane) for view in views]
    )


def _to_plane(view: SceneView, to_plane: Transformer) -> ToGround:
    georeference = view.georeference
    assert georeference is not None

    def to_ground(x: Floats, y: Floats) -> Coordinates:
        east, north = to_plane.transform(*georeference.to_lonlat(x, y))
        return np.asarray(east), np.asarray(north)

    return to_ground


def _shift(right: int, down: int) -> ToGround:
    return lambda x, y: (x + right, y + down)


def _metres(view: SceneView) -> float:
    """Spacing of a scene's pixels, in the middle of its footprint."""
    assert view.georeference is not None
    left, top, right, bottom = shapely.bounds(view.footprint).tolist()
    return view.georeference.spacing((top + bottom, left + right))
