"""Land: read from files as people have them, burnt into scenes, and what it makes of slicks."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from affine import Affine

from seepseg.base.errors import InputError
from seepseg.data.block_array import BlockArray
from seepseg.data.pixels import Window
from seepseg.geo.georeference import AffineGeoreference, GcpGeoreference
from seepseg.geo.land import Land, WithoutLand, find_layer

SHAPE = (120, 200)
UTM = AffineGeoreference("EPSG:32631", Affine(40, 0, 500_000, 0, -40, 6_000_000))
WHOLE = Window(0, 0, *SHAPE)


def write_land(path, boxes, crs="EPSG:32631", **options):
    """Land in boxes of pixels (left, top, right, bottom) of the scene in UTM."""
    shapes = [
        shapely.box(500_000 + 40 * a, 6_000_000 - 40 * d, 500_000 + 40 * c, 6_000_000 - 40 * b) for a, b, c, d in boxes
    ]
    pyogrio.write_dataframe(gpd.GeoDataFrame(geometry=shapes, crs="EPSG:32631").to_crs(crs), path, **options)
    return path


@pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:4326", "EPSG:3035", "OGC:CRS84"])
@pytest.mark.parametrize("name", ["land.shp", "land.gpkg", "land.geojson"])
def test_land_is_where_it_is_in_any_reference_system(tmp_path, crs, name):
    if name == "land.geojson" and crs == "EPSG:3035":
        pytest.skip("GeoJSON is in degrees")
    boxes = [(-900, -900, 50, 60), (-900, 60, 50, 900), (150, 100, 160, 110), (4000, 0, 5000, 100)]
    land = Land.read(write_land(tmp_path / name, boxes, crs), UTM, SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[:, :50] = expected[100:110, 150:160] = True
    covered = land.covers(WHOLE)
    assert np.count_nonzero(covered != expected) <= (0 if crs == "EPSG:32631" else 20)  # centres beside a bent edge
    np.testing.assert_array_equal(land.covers(Window(95, 140, 20, 30)), covered[95:115, 140:170])
    assert not land.covers(Window(0, 60, 90, 80)).any()


def test_land_in_a_scene_with_gcps(tmp_path):
    y, x = (each.ravel().astype(float) for each in np.mgrid[0:121:20, 0:201:20])
    place = GcpGeoreference(x, y, *UTM.to_lonlat(x, y))
    land = Land.read(write_land(tmp_path / "land.gpkg", [(-900, -900, 50, 900)]), place, SHAPE)
    expected = np.arange(SHAPE[1]) < 50
    assert (land.covers(WHOLE) == expected).all()


def test_land_across_the_antimeridian(tmp_path):
    place = AffineGeoreference("EPSG:4326", Affine(0.001, 0, 179.9, 0, -0.001, 60.0))
    parts = [shapely.box(179.95, 50, 180, 70), shapely.box(-180, 50, -179.95, 70)]
    pyogrio.write_dataframe(gpd.GeoDataFrame(geometry=parts, crs=4326), tmp_path / "land.gpkg")
    land = Land.read(tmp_path / "land.gpkg", place, SHAPE)
    columns = np.arange(SHAPE[1])
    np.testing.assert_array_equal(land.covers(WHOLE)[0], (columns >= 50) & (columns < 150))


def test_no_land_near(tmp_path):
    land = Land.read(write_land(tmp_path / "land.gpkg", [(9000, 0, 9100, 100)]), UTM, SHAPE)
    assert not land.covers(WHOLE).any() and not len(land.on_map)


def test_share_of_slicks(tmp_path):
    land = Land.read(write_land(tmp_path / "land.gpkg", [(-900, -900, 50, 900)]), UTM, SHAPE)
    labels = np.zeros(SHAPE, np.int32)
    labels[10, 40:60], labels[20, 45:65], labels[30, 10:20], labels[40, 60:70] = 1, 2, 3, 4
    np.testing.assert_array_equal(land.share(BlockArray.of(labels, (32, 32)), 4), [0.5, 0.25, 1, 0])


def test_tables_without_geometry_are_passed_over(tmp_path):
    """Such as the styles that QGIS saves in a GeoPackage."""
    path = write_land(tmp_path / "land.gpkg", [(-900, -900, 50, 900)], layer="coast")
    pyogrio.write_dataframe(pd.DataFrame({"styleQML": [""]}), path, layer="layer_styles")
    assert find_layer(path)[0] == "coast"
    assert Land.read(path, UTM, SHAPE).covers(WHOLE).any()


class Sea:
    name, shape = "sea", SHAPE

    def read(self, window):
        y, x = np.mgrid[window.top : window.top + window.height, window.left : window.left + window.width]
        return np.where((y >= 0) & (y < SHAPE[0]) & (x >= 0) & (x < SHAPE[1]), 1000, 0).astype(np.uint16)


def test_a_scene_without_land_is_empty_where_nothing_but_land_is(tmp_path):
    land = Land.read(write_land(tmp_path / "land.gpkg", [(-900, -900, 70, 900)]), UTM, SHAPE)
    scene = WithoutLand(Sea(), land, 32)
    expected = np.full(SHAPE, 1000)
    expected[:, :64] = 0  # the cell from 64 to 96 has sea in it
    np.testing.assert_array_equal(scene.read(WHOLE), expected)
    for window in (Window(5, 40, 90, 100), Window(-20, -30, 60, 130), Window(100, 20, 64, 64), Window(30, 150, 5, 5)):
        padded = np.pad(expected, 100)[window.top + 100 :, window.left + 100 :][: window.height, : window.width]
        np.testing.assert_array_equal(scene.read(window), padded)


def test_the_last_cells_end_where_the_scene_ends(tmp_path):
    land = Land.read(write_land(tmp_path / "land.gpkg", [(160, -2, 200, 120)]), UTM, SHAPE)
    assert not WithoutLand(Sea(), land, 32).read(Window(96, 192, 24, 8)).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "land.gpkg is missing: give --land"),
        (
            lambda path: path.write_bytes(b"no layers at all"),
            "land.gpkg: expected a vector file, found another or a",
        ),
        (
            lambda path: pyogrio.write_dataframe(gpd.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=4326), path),
            r"expected one layer of polygons, found land \(Point\)",
        ),
        (
            lambda path: [write_land(path, [(0, 0, 1, 1)], layer=name) for name in ("coast", "lakes")],
            r"expected one layer of polygons, found coast \(Polygon\), lakes \(Polygon\)",
        ),
        (
            lambda path: pyogrio.write_dataframe(gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)]), path),
            "expected a coordinate reference system, found none",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_files_that_are_no_land(tmp_path, make, message):
    make(tmp_path / "land.gpkg")
    with pytest.raises(InputError, match=message):
        Land.read(tmp_path / "land.gpkg", UTM, SHAPE)
