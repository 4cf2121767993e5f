from pathlib import Path

import antimeridian
import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from rasterio.features import rasterize
from shapely import MultiPolygon, Polygon, affinity, box

from seepseg.base.radiometry import Radiometry
from seepseg.geo import faults
from seepseg.geo.annotations import Annotations
from seepseg.geo.georeference import AffineGeoreference, GcpGeoreference
from seepseg.geo.misplaced import explain_misplaced
from seepseg.geo.placement import PlacedAnnotations, to_lonlat
from seepseg.geo.rasterise import PolygonRaster
from seepseg.geo.scene_records import SceneRecord
from seepseg.io.report import Report

SHAPE = (60, 90)


def scene(georeference, name="s", shape=SHAPE):
    return SceneRecord(name, Path(f"{name}.tif"), shape, georeference, None, Radiometry(), ())


def gcps_of(georeference, shape=SHAPE, steps=7):
    """The same place, told by a grid of ground control points."""
    y, x = (axis.ravel() for axis in np.meshgrid(*(np.linspace(0, side, steps) for side in shape), indexing="ij"))
    return GcpGeoreference(x, y, *georeference.to_lonlat(x, y))


UTM = AffineGeoreference(32631, Affine(40, 0, 500_000, 0, -40, 4_900_000))
PLACES = {
    "utm": UTM,
    "turned": AffineGeoreference(32631, Affine.translation(5e5, 4.9e6) @ Affine.rotation(30) @ Affine.scale(40, -50)),
    "degrees": AffineGeoreference(4326, Affine(4e-4, 0, 3, 0, -4e-4, 50)),
    "antimeridian": AffineGeoreference(32601, Affine(40, 0, 166_021 - 35 * 40, 0, -40, 2_000)),
    "arctic": AffineGeoreference(3413, Affine(40, 0, -400_000, 0, -40, 300_000)),
}
PLACES |= {f"{name}, gcps": gcps_of(place) for name, place in PLACES.items()}


def annotate(*polygons, crs=4326, classes=None, scenes=None):
    classes = np.array(classes or [1] * len(polygons), np.uint8)
    names = [f"feature {number}" for number in range(len(polygons))]
    array = np.array([*polygons, None], dtype=object)[:-1]
    return Annotations(
        names, classes, np.array(scenes or [""] * len(polygons), object), array, pyproj.CRS(crs) if crs else None
    )


def draw(annotations, record, image=None, num_classes=3):
    placed = to_lonlat(annotations, [record], Report())
    indices, polygons = placed.on_scene(record)
    raster = PolygonRaster(polygons, annotations.classes[indices], num_classes)
    return raster.draw(0, np.ones(record.shape, np.uint16) if image is None else image), raster


def on_map(georeference, corners):
    """A polygon in longitude and latitude, split at 180 degrees, from corners in pixels."""
    lon, lat = georeference.to_lonlat(*np.array(corners, float).T)
    return antimeridian.fix_polygon(Polygon(zip(lon, lat, strict=True)), fix_winding=True)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(("shift", "first"), [(0.0, 0), (0.45, 0), (0.55, 1), (-0.45, 0), (-0.55, -1)])
def test_a_square_at_known_pixels_is_drawn_on_these(name, shift, first):
    # A pixel is inside if its centre is: half a pixel to the right and down the square is on the next ones.
    top, left = 10, 20
    corners = [(left, top), (left + 30, top), (left + 30, top + 15), (left, top + 15)]
    square = on_map(PLACES[name], np.array(corners) + shift)
    target, raster = draw(annotate(square), scene(PLACES[name]))
    expected = np.zeros(SHAPE, np.uint8)
    expected[top + first : top + 15 + first, left + first : left + 30 + first] = 1
    np.testing.assert_array_equal(target, expected)
    assert raster.pixels.tolist() == [450]


@pytest.mark.parametrize("crs", [32631, 4326, 3857, 3035, "OGC:CRS84"])
def test_any_crs_gives_what_rasterio_draws_in_that_of_the_scene(crs):
    rng = np.random.default_rng(0)
    stars = [
        affinity.translate(Polygon(np.stack([np.cos(a) * r, np.sin(a) * r], 1)), *rng.uniform(0, 1, 2) * (3600, -2400))
        for a in [np.sort(rng.uniform(0, 2 * np.pi, 12)) for _ in range(12)]
        for r in [rng.uniform(40, 600, 12)]
    ]
    stars = [affinity.translate(star, 500_000, 4_900_000) for star in stars]
    stars = [star for star in stars if star.is_valid]
    to_crs = pyproj.Transformer.from_crs(32631, crs, always_xy=True)
    # Short edges, for an edge that is straight in one reference system is not in the other.
    fine = [shapely.transform(shapely.segmentize(star, 20), to_crs.transform, interleaved=False) for star in stars]
    target, _ = draw(annotate(*fine, crs=crs), scene(UTM))
    expected = rasterize(stars, SHAPE, transform=UTM.transform, dtype="uint8")
    assert 500 < expected.sum() < 5000
    np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("crs", [4326, 3035])
def test_long_edges_are_straight_in_the_coordinates_of_the_file(crs):
    # Over 300 km the parallel of 60 degrees bends by 3 km in UTM, and a row of the other grid more: by 30 pixels.
    place, shape = AffineGeoreference(32631, Affine(100, 0, 350_000, 0, -100, 6_700_000)), (400, 3000)
    to_crs = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    x, y = to_crs.transform(*place.to_lonlat(x, y))
    south = y[200, 1500]
    north = box(x.min() - 1, south, x.max() + 1, y.max() + 1)
    target, _ = draw(annotate(north, crs=crs), scene(place, shape=shape))
    assert np.count_nonzero(target != (y > south)) <= 10  # whose centres lie on the edge, to a hundredth of a pixel


@pytest.mark.parametrize("turn", [-360, 0, 360])
def test_polygons_across_the_antimeridian_in_any_form(turn):
    place = PLACES["antimeridian"]
    corners = [(20, 10), (50, 10), (50, 25), (20, 25)]
    lon, lat = place.to_lonlat(*np.array(corners, float).T)
    assert lon.min() < -179 and lon.max() > 179
    jumping = Polygon(zip(lon, lat, strict=True))
    beyond = Polygon(zip(lon % 360 + turn, lat, strict=True))
    split = on_map(place, corners)
    assert isinstance(split, MultiPolygon)
    for polygon in (jumping, split, *([beyond] if turn < 360 else [])):
        target, _ = draw(annotate(polygon), scene(place))
        assert target.sum() == 450
        assert target[10:25, 20:50].all()


def test_a_scene_around_the_pole():
    place = AffineGeoreference(3413, Affine(1000, 0, -45_000, 0, -1000, 30_000))
    circle = affinity.scale(shapely.Point(5_000, -3_000).buffer(1), 20_000, 15_000)
    target, _ = draw(annotate(circle, crs=3413), scene(place))
    expected = rasterize([circle], SHAPE, transform=place.transform, dtype="uint8")
    np.testing.assert_array_equal(target, expected)


def test_the_smallest_polygon_is_on_top_and_what_it_hides_is_counted():
    large, small, same = box(10, 10, 30, 30), box(20, 20, 40, 30), box(0, 0, 12, 12)
    classes = np.array([1, 2, 1], np.uint8)
    image = np.ones(SHAPE, np.uint16)
    image[:, 38:] = 0
    raster = PolygonRaster(np.array([large, small, same], object), classes, 3)
    target = raster.draw(0, image)
    assert (target[20:30, 20:40] == 2).all()
    assert (target[10:20, 10:30] == 1).all()
    assert raster.pixels.tolist() == [400, 200, 144]
    assert raster.on_nodata.tolist() == [0, 20, 0]
    assert raster.overlaps.tolist() == [[0, 0, 0], [0, 100, 0], [0, 0, 0]]  # those of one class don't count


def test_bands_give_what_the_whole_scene_gives():
    rng = np.random.default_rng(1)
    corners = rng.uniform(-20, 100, (40, 4, 2))
    polygons = np.array([Polygon(each).buffer(0) for each in corners], object)
    polygons = polygons[~shapely.is_empty(polygons)]
    classes = rng.integers(1, 4, len(polygons)).astype(np.uint8)
    image = rng.integers(0, 3, SHAPE).astype(np.uint16)
    whole, banded = (PolygonRaster(polygons, classes, 4) for _ in range(2))
    target = whole.draw(0, image)
    parts = [banded.draw(top, image[top : top + 7]) for top in range(0, SHAPE[0], 7)]
    np.testing.assert_array_equal(np.concatenate(parts), target)
    for name in ("pixels", "on_nodata", "overlaps"):
        np.testing.assert_array_equal(getattr(banded, name), getattr(whole, name))
    assert whole.overlaps.sum() > 100


def test_pixels_need_no_place_on_earth_and_scenes_get_their_own_polygons():
    annotations = annotate(box(0, 0, 3, 2), box(5, 5, 6, 6), box(90, 0, 99, 9), crs=None, scenes=["", "b", ""])
    placed = PlacedAnnotations(annotations, annotations.polygons)
    indices, polygons = placed.on_scene(scene(None, "a"))  # the third touches it alone
    assert indices.tolist() == [0]
    assert polygons[0].bounds == (0, 0, 3, 2)
    assert placed.on_scene(scene(None, "b"))[0].tolist() == [0, 1]


def lonlat_box(x=(3.0, 3.02), y=(44.23, 44.24)):
    return box(x[0], y[0], x[1], y[1])


def test_misplaced_annotations_are_explained():
    records = [scene(UTM, "near"), scene(PLACES["arctic"], "arctic")]
    inside = lonlat_box()
    assert explain_misplaced(annotate(inside), records)[0].endswith("from the nearest to the centre of a scene, near")
    swapped = shapely.transform(inside, lambda xy: xy[:, ::-1])
    distance, guess = explain_misplaced(annotate(swapped), records)
    assert distance == "6,098 km from the nearest to the centre of a scene, near"
    assert guess == "coordinates that would lie on near as EPSG:4326 with x and y exchanged"
    to_utm = pyproj.Transformer.from_crs(4326, 32631, always_xy=True)
    zone = shapely.transform(inside, to_utm.transform, interleaved=False)
    _, guess = explain_misplaced(annotate(zone, crs=32633), records)
    assert guess == "coordinates that would lie on near as EPSG:32631"
    assert len(explain_misplaced(annotate(box(10, 10, 11, 11)), records)) == 1  # no guess


def test_coordinates_that_cannot_be_of_their_crs_are_refused():
    for polygon, found in (
        (box(500_000, 4_898_000, 503_000, 4_899_000), "x from 500,000 to 503,000"),
        (box(500_000, 4_898_000, 503_000, 4_899_000), "coordinates that would lie on s as EPSG:32631"),
        (box(44.2, 100, 44.3, 101), "longitude and latitude exchanged"),
    ):
        report = Report()
        assert to_lonlat(annotate(polygon), [scene(UTM)], report) is None
        assert list(report.offenders) == [faults.WRONG_CRS]
        assert found in str(report)
    report = Report()
    assert to_lonlat(annotate(box(1e9, 1e9, 2e9, 2e9), crs=32631), [scene(UTM)], report) is None
    assert list(report.offenders) == [faults.WRONG_CRS]
