"""Which scenes see the same ground, and which of them are one pass over it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ONE_PASS = timedelta(minutes=1)  # frames of one overflight follow each other within half of it

Polygons = npt.NDArray[np.object_]


def overlapping(areas: Polygons) -> list[list[int]]:
    """Group areas that overlap, or are linked by others that do.

    Args:
        areas: (n,) polygons; what only touches doesn't overlap where that is plain from the boxes around.

    Returns:
        Numbers 0..n-1 in groups, each ascending, the groups by their first.
    """
    one, other = shapely.STRtree(areas).query(areas, predicate="intersects")
    bounds = shapely.bounds(areas)
    low = np.maximum(bounds[one, :2], bounds[other, :2])
    high = np.minimum(bounds[one, 2:], bounds[other, 2:])
    linked = (low < high).all(axis=1)
    graph = coo_array((np.ones(linked.sum()), (one[linked], other[linked])), shape=(len(areas), len(areas)))
    count, of = connected_components(graph, directed=False)
    groups = [np.flatnonzero(of == number).tolist() for number in range(count)]
    return sorted(groups)


def by_pass(acquired: Sequence[datetime | None]) -> list[list[int]]:
    """Group scenes by the pass that they are of: frames of one overflight show the same slicks.

    Args:
        acquired: (n,) when; a scene of unknown time is a pass of its own.

    Returns:
        Numbers 0..n-1 in groups, each ascending, the groups by their first.
    """
    times = sorted((time, number) for number, time in enumerate(acquired) if time is not None)
    groups = [[number] for number, time in enumerate(acquired) if time is None]
    before: datetime | None = None
    for time, number in times:
        if before is not None and time - before <= ONE_PASS:
            groups[-1].append(number)
        else:
            groups.append([number])
        before = time
    return sorted(sorted(group) for group in groups)


def plane_about(areas: Polygons) -> CRS:
    """A plane in metres about the middle of areas in degrees: equal-area, azimuthal, at home at 180 degrees."""
    lon, lat = np.radians(shapely.get_coordinates(shapely.centroid(areas))).T
    east, front, up = (values.mean() for values in (np.cos(lat) * np.sin(lon), np.cos(lat) * np.cos(lon), np.sin(lat)))
    centre = np.degrees([np.arctan2(east, front), np.arctan2(up, np.hypot(east, front))]).round(4)
    return CRS.from_proj4(f"+proj=laea +lon_0={centre[0]} +lat_0={centre[1]} +datum=WGS84 +units=m")
