"""Slicks as polygons, exact in pixels and right on the map."""

import antimeridian
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod
from rasterio.features import rasterize, shapes
from scipy import ndimage

from seepseg.data.block_array import BlockArray
from seepseg.geo.georeference import AffineGeoreference, GcpGeoreference, wrap
from seepseg.geo.polygons import split, to_map, trace

UTM = AffineGeoreference("EPSG:32631", Affine(40, 0, 500_000, 0, -40, 6_000_000))


def random_labels(seed, shape=(90, 130), connectivity=8):
    """Blobs with holes, single pixels and pixels that touch at corners, numbered."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 1.0)
    structure = np.ones((3, 3)) if connectivity == 8 else None
    labels, n = ndimage.label(noise > 0.1, structure)
    return labels.astype(np.int32), n


def drawn(text):
    return np.array([[int(letter) for letter in row] for row in text.split()], dtype=np.int32)


def traced(labels, n, block=(32, 32)):
    return trace(BlockArray.of(labels, block), n)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block", [(7, 5), (32, 32), (200, 200)])
def test_polygons_are_the_pixels(seed, block):
    labels, n = random_labels(seed)
    polygons = traced(labels, n, block)
    assert shapely.is_valid(polygons).all()
    np.testing.assert_array_equal(shapely.area(polygons), np.bincount(labels.ravel())[1:])
    back = rasterize(zip(polygons, range(1, n + 1), strict=True), labels.shape, dtype="int32")
    np.testing.assert_array_equal(back, labels)
    # The same by one call on the whole raster.
    whole = [shapely.geometry.shape(each) for each, value in shapes((labels > 0).astype("uint8"), labels > 0) if value]
    assert shapely.union_all(polygons).symmetric_difference(shapely.union_all(whole)).area == 0


def test_blocks_leave_no_trace():
    labels, n = random_labels(1)
    in_one, in_many = traced(labels, n, (200, 200)), traced(labels, n, (11, 9))
    assert shapely.equals(in_one, in_many).all()


def test_a_slick_across_blocks_is_one():
    labels = np.zeros((64, 64), np.int32)
    labels[30:34, 5:60] = 1
    (polygon,) = traced(labels, 1)
    assert polygon.geom_type == "Polygon" and polygon.bounds == (5, 30, 60, 34)


def test_pixels_at_corners_and_holes():
    corner, ring, both = traced(drawn("1000222 0100202 0010222 0000000 3330000 3033300 3333030 0003330"), 3)
    assert (corner.geom_type, len(corner.geoms), corner.area) == ("MultiPolygon", 3, 3)
    assert (ring.geom_type, len(ring.interiors), ring.area) == ("Polygon", 1, 8)
    assert both.is_valid and both.area == 15 and shapely.get_num_interior_rings(both) == 2


def test_nothing_found():
    assert traced(np.zeros((5, 5), np.int32), 0).shape == (0,)
    assert to_map(np.array([], dtype=object), UTM).shape == (0,)
    assert split(np.array([], dtype=object)).shape == (0,)


def grid(georeference, shape, step):
    """The place of another scene, by ground control points."""
    y, x = (each.ravel().astype(float) for each in np.mgrid[0 : shape[0] + 1 : step, 0 : shape[1] + 1 : step])
    return GcpGeoreference(x, y, *georeference.to_lonlat(x, y))


@pytest.mark.parametrize("place", [UTM, grid(UTM, (90, 130), 10)], ids=["affine", "gcps"])
def test_on_the_map(place):
    labels, n = random_labels(2)
    polygons = traced(labels, n)
    on_map = to_map(polygons, place)
    assert shapely.is_valid(on_map).all()
    # Against the transform by hand: pixel (0, 0) has its upper left corner at the origin.
    first = to_map(np.array([shapely.box(0, 0, 1, 1)]), place)[0]
    lon, lat = UTM.to_lonlat([0.0, 1.0], [0.0, 1.0])
    np.testing.assert_allclose(first.bounds, [lon[0], lat[1], lon[1], lat[0]], atol=1e-6)
    geod = Geod(ellps="WGS84")
    area = sum(geod.geometry_area_perimeter(each)[0] for each in on_map)  # positive: shells counter-clockwise
    # The scale of UTM on its central meridian is 0.9996.
    assert area == pytest.approx(np.count_nonzero(labels) * 40**2 / 0.9996**2, rel=1e-4)
    x, y = place.to_pixel(*shapely.get_coordinates(on_map).T)
    assert x.min() == pytest.approx(0, abs=1e-3) and x.max() == pytest.approx(130, abs=1e-3)
    assert y.min() == pytest.approx(0, abs=1e-3) and y.max() == pytest.approx(90, abs=1e-3)


def test_long_edges_follow_the_scene():
    """A straight line of a scene far from the central meridian is bent on the map."""
    far = AffineGeoreference("EPSG:32631", Affine(40, 0, 200_000, 0, -40, 8_000_000))
    (long,) = to_map(np.array([shapely.box(0, 0, 2000, 2)]), far)
    lon, lat = far.to_lonlat(1000.0, 1.0)
    assert long.contains(shapely.Point(lon, lat))
    ends = shapely.Polygon(np.column_stack(far.to_lonlat([0.0, 2000, 2000, 0], [0.0, 0, 2, 2])))
    assert not ends.contains(shapely.Point(lon, lat))


def test_across_the_antimeridian():
    place = AffineGeoreference("EPSG:4326", Affine(0.001, 0, 179.95, 0, -0.001, 60.0))
    inside = shapely.box(20, 10, 80, 60) - shapely.box(40, 20, 60, 40)
    polygons = np.array([inside, shapely.box(0, 0, 10, 10), shapely.box(60, 0, 70, 10)])
    on_map = to_map(polygons, place)
    parts = split(on_map)
    assert [each.geom_type for each in parts] == ["MultiPolygon", "Polygon", "Polygon"]
    assert shapely.is_valid(parts).all()
    bounds = shapely.bounds(shapely.get_parts(parts))
    assert (bounds[:, [0, 2]] >= -180).all() and (bounds[:, [0, 2]] <= 180).all()
    assert (bounds[:, 2] - bounds[:, 0] < 0.1).all()
    np.testing.assert_allclose(shapely.bounds(parts[2]), [-179.99, 59.99, -179.98, 60.0], atol=1e-9)
    geod = Geod(ellps="WGS84")
    for whole, each in zip(on_map, parts, strict=True):
        assert geod.geometry_area_perimeter(each)[0] == pytest.approx(geod.geometry_area_perimeter(whole)[0], rel=1e-6)
    wrapped = shapely.transform(on_map[0], lambda points: np.column_stack([wrap(points[:, 0]), points[:, 1]]))
    expected = antimeridian.fix_polygon(wrapped, great_circle=False, fix_winding=True)
    assert parts[0].symmetric_difference(expected).area < 1e-9


def test_an_edge_along_the_antimeridian_belongs_to_one_side():
    step = shapely.union(shapely.box(179, 0, 180, 1), shapely.box(179.5, 1, 181, 2))
    (parts,) = split(np.array([step]))
    assert parts.equals(shapely.MultiPolygon([step & shapely.box(179, 0, 180, 2), shapely.box(-180, 1, -179, 2)]))
    assert parts.geom_type == "MultiPolygon"


def test_a_map_that_folds_gives_valid_polygons():
    class Folded(AffineGeoreference):
        def to_lonlat(self, x, y):
            x = np.asarray(x)
            return super().to_lonlat(np.where(x > 5, 10 - x, x), np.where((x > 5) & (x < 8), 9 - np.asarray(y), y))

    folded = Folded("EPSG:32631", UTM.transform)
    labels = np.zeros((10, 10), np.int32)
    labels[2:4, 1:10] = labels[2:8, 8] = 1
    (polygon,) = to_map(traced(labels, 1), folded)
    assert polygon.is_valid and polygon.area > 0
