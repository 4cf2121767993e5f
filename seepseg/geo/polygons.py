"""Slicks as polygons: the edges of their pixels, and these on the map.

In pixel coordinates a polygon is exact: x along columns and y along rows, (0, 0) is the upper left corner of the first
pixel, all coordinates are whole numbers, and a polygon's area is the number of its pixels.
"""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from rasterio.features import shapes
from rasterio.transform import Affine

from seepseg.data.block_array import BlockArray
from seepseg.data.pixels import Window
from seepseg.geo.georeference import Georeference

Polygons = npt.NDArray[np.object_]

# Pixels between two points of an edge at most: what is straight in the scene is not straight on the map.
LONGEST_EDGE = 64


def parts(labels: BlockArray[np.int32]) -> Iterator[tuple[int, Window, npt.NDArray[np.bool_]]]:
    """Go through the slicks of a scene block by block, so that memory doesn't grow with it.

    Args:
        labels: int32 (H, W), 1..n on the slicks, 0 elsewhere.

    Yields:
        Number of a slick, the window around what a block has of it, and bool (height, width) of its pixels there.
    """
    for block in labels.windows():
        values = labels.read(block)
        # Few pixels are on slicks, so that all but this comparison takes little time.
        y, x = np.divmod(np.flatnonzero(values > 0), block.width)
        numbers, of = np.unique(values[y, x], return_inverse=True)
        first, end = np.full((2, len(numbers)), np.iinfo(np.int64).max), np.zeros((2, len(numbers)), np.int64)
        for axis, places in enumerate((y, x)):
            np.minimum.at(first[axis], of, places)
            np.maximum.at(end[axis], of, places + 1)
        for number, (top, left), (bottom, right) in zip(numbers.tolist(), first.T, end.T, strict=True):
            part = values[top:bottom, left:right] == number
            yield number, Window(block.top + int(top), block.left + int(left), *part.shape), part


def trace(labels: BlockArray[np.int32], n: int) -> Polygons:
    """Trace the slicks of a scene along the edges of their pixels.

    Pixels that touch at a corner only are traced apart, because one ring twice through a corner is not valid, and come
    together as a multipolygon.

    Args:
        labels: int32 (H, W), 1..n on the slicks, 0 elsewhere; each number occurs.
        n: number of slicks.

    Returns:
        (n,) valid polygons and multipolygons in pixel coordinates, holes included, those of 1..n in this order.
    """
    pieces: defaultdict[int, list[shapely.Polygon]] = defaultdict(list)
    with rasterio.Env():  # one for all calls, which otherwise make one each
        for number, (top, left, _, _), part in parts(labels):
            corner = Affine.translation(left, top)
            for polygon, _ in shapes(part.view(np.uint8), mask=part, connectivity=4, transform=corner):
                shell, *holes = polygon["coordinates"]
                pieces[number].append(shapely.Polygon(shell, holes))
    whole = [shapely.union_all(pieces[number]) for number in range(1, n + 1)]
    polygons: Polygons = shapely.normalize(np.array(whole, dtype=np.object_))
    return polygons


def to_map(polygons: Polygons, georeference: Georeference) -> Polygons:
    """Bring polygons from pixels to the map.

    Args:
        polygons: (n,) in pixel coordinates.
        georeference: of their scene.

    Returns:
        (n,) valid polygons and multipolygons in degrees of longitude and latitude, WGS84, shells counter-clockwise.
        Those across the antimeridian run on beyond 180 or -180 degrees, which is right for measuring; `split` is for
        files.
    """
    dense = shapely.segmentize(polygons, LONGEST_EDGE)
    corners, of = shapely.get_coordinates(dense, return_index=True)
    lon, lat = georeference.to_lonlat(corners[:, 0], corners[:, 1])
    lon = lon - 360 * np.round((lon - lon[np.searchsorted(of, of)]) / 360)  # beside the first one of the same polygon
    return _valid(shapely.set_coordinates(dense, np.column_stack([lon, lat])))


def split(polygons: Polygons) -> Polygons:
    """Split polygons of `to_map` at the antimeridian, so that all longitudes lie within -180 and 180 degrees."""
    bounds = shapely.bounds(polygons)
    result = polygons.copy()
    for index in np.flatnonzero((bounds[:, 0] < -180) | (bounds[:, 2] > 180)):
        result[index] = shapely.union_all([_in_turn(polygons[index], turn) for turn in (-360, 0, 360)])
    return _valid(result)


def _in_turn(polygon: shapely.Geometry, turn: int) -> shapely.Geometry:
    """The part of a polygon in one turn around the earth, brought to longitudes from -180 to 180."""
    parts = shapely.get_parts(shapely.intersection(polygon, shapely.box(turn - 180, -90, turn + 180, 90)))
    part = shapely.multipolygons(parts[shapely.area(parts) > 0])  # an edge along 180 degrees belongs to one side
    return shapely.transform(part, lambda points: np.column_stack([points[:, 0] - turn, points[:, 1]]))


def _valid(polygons: Polygons) -> Polygons:
    """Valid polygons, shells counter-clockwise; the points and lines to which the map may fold a part are left out."""
    result = polygons.copy()
    for index in np.flatnonzero(~shapely.is_valid(polygons)):
        parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(polygons[index], method="structure")))
        result[index] = shapely.union_all(parts[shapely.area(parts) > 0])
    oriented: Polygons = shapely.orient_polygons(result)
    return oriented
