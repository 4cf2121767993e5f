"""What stands in files of slicks, and how GIS programs find it."""

import json
import sqlite3
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from dark_slicks import CLASSES, SEA, SLICK, DarkDetector
from pyproj import Geod

from seepseg.base.radiometry import Radiometry
from seepseg.detection.detection import P_CLASS
from seepseg.geo import slick_files
from seepseg.geo.georeference import AffineGeoreference
from seepseg.geo.land import Land
from seepseg.geo.slick_attributes import FoundSlicks, column_types, describe, probability_columns
from seepseg.geo.slick_files import layers_of, read_layers, write_geojson, write_geopackage

SHAPE = (60, 100)
UTM = AffineGeoreference("EPSG:32631", Affine(40, 0, 500_000, 0, -40, 6_000_000))
ACROSS = AffineGeoreference("EPSG:4326", Affine(0.001, 0, 179.95, 0, -0.001, 60.0))


class PaintedScene:
    """A scene with slicks at given boxes (top, left, bottom, right), and no data in the last 20 columns."""

    def __init__(self, name, boxes, georeference=UTM, quantity="sigma0"):
        self.name, self.shape, self.georeference = name, SHAPE, georeference
        self.radiometry = Radiometry(quantity=quantity)
        self.acquired = datetime(2021, 12, 23, 5, 11, 22, 500_000, tzinfo=UTC)
        self.image = np.full(SHAPE, SEA, np.uint16)
        self.image[:, 80:] = 0
        for top, left, bottom, right in boxes:
            self.image[top:bottom, left:right] = SLICK

    def read(self, window):
        padded = np.pad(self.image, 300)
        return padded[window.top + 300 :, window.left + 300 :][: window.height, : window.width]

    def incidence(self, x, y):
        return 30 + x / 10


# One in the middle, at the upper edge, beside no data, and one of two pixels that touch at a corner.
BOXES = [(20, 20, 24, 40), (0, 50, 3, 60), (40, 70, 45, 80), (50, 10, 51, 11), (51, 11, 52, 12)]


def found_in(scene, whole=False):
    found = DarkDetector().detect(scene, (32, 32))
    if whole:
        return found
    probs = found.slicks[[P_CLASS + name for name in CLASSES]].to_numpy()
    return FoundSlicks(found.slicks, probs, found.labels, found.foreground, CLASSES)


def slicks_of(scene, land=None):
    return describe(found_in(scene), scene, land, "0123456789ab")


def test_attributes():
    slicks = slicks_of(PaintedScene("a scene", BOXES))
    assert [*slicks.columns] == [*column_types(CLASSES), "reason", "geometry"]
    assert slicks.crs == "EPSG:4326"
    top, middle, _, corner = (slicks.iloc[index] for index in range(4))
    assert [*slicks["slick_id"]] == [f"a scene_{number}" for number in (1, 2, 3, 4)]
    assert [*slicks["area_px"]] == [30, 80, 50, 2]
    assert [*slicks["touches_edge"]] == [True, False, True, False]
    assert (middle["class_id"], middle["class_name"], middle["p_thin"], middle["p_thick"]) == (2, "thick", 0.25, 0.75)
    assert (top["class_id"], top["p_slick"], top["p_class"], top["p_thin"]) == (1, 0.9, 0.75, 0.75)
    assert str(middle["acquired"]) == "2021-12-23 05:11:22.500000+00:00"
    # 20 x 4 pixels of 40 m, in a projection that shows 0.9996 of a length.
    assert middle["area_km2"] == pytest.approx(80 * 0.04**2 / 0.9996**2, rel=1e-4)
    assert middle["perimeter_km"] == pytest.approx(48 * 0.04 / 0.9996, rel=1e-3)
    assert middle["length_km"] == pytest.approx(20 * 0.04 / 0.9996, rel=1e-3)
    assert middle["mean_contrast_db"] == pytest.approx(20 * np.log10(0.5), abs=1e-6)  # half of the amplitude
    assert middle["incidence_deg"] == 33
    assert (middle["model_fingerprint"], middle["reason"]) == ("0123456789ab", "")
    assert slicks["near_land"].isna().all()
    assert corner["geometry"].geom_type == "MultiPolygon"


def test_holes_are_taken_off():
    scene = PaintedScene("ring", [(10, 10, 30, 30)])
    scene.image[15:25, 15:25] = SEA
    (ring,) = slicks_of(scene).itertuples()
    assert ring.area_px == 300
    assert ring.area_km2 == pytest.approx(300 * 0.04**2 / 0.9996**2, rel=1e-4)
    assert ring.perimeter_km == pytest.approx(120 * 0.04 / 0.9996, rel=1e-3)


def test_contrast_is_unknown_where_the_scale_is():
    assert slicks_of(PaintedScene("a", BOXES, quantity="unknown"))["mean_contrast_db"].isna().all()


def test_a_scene_across_the_antimeridian():
    slicks = slicks_of(PaintedScene("pacific", [(20, 30, 30, 70)], ACROSS))
    (slick,) = slicks.itertuples()
    parts = shapely.bounds(shapely.get_parts(slick.geometry))
    np.testing.assert_allclose(sorted(parts[:, 0]), [-180, 179.98], atol=1e-9)
    expected = Geod(ellps="WGS84").geometry_area_perimeter(shapely.box(0, 59.97, 0.04, 59.98))
    assert slick.area_km2 == pytest.approx(expected[0] / 1e6, abs=2e-6)
    assert slick.perimeter_km == pytest.approx(expected[1] / 1e3, rel=1e-3)  # without the cut
    assert slick.length_km == pytest.approx(2.236, rel=1e-2)


def test_land_makes_a_reason(tmp_path):
    boxes = gpd.GeoDataFrame(geometry=[shapely.box(500_000, 5_000_000, 500_000 + 40 * 12, 7_000_000)], crs="EPSG:32631")
    pyogrio.write_dataframe(boxes, tmp_path / "land.gpkg")
    scene = PaintedScene("coast", [(5, 5, 8, 15), (20, 36, 22, 40), (40, 38, 42, 42)])
    slicks = slicks_of(scene, Land.read(tmp_path / "land.gpkg", UTM, SHAPE))
    assert [*slicks["reason"]] == ["land", "", ""]
    assert [*slicks["near_land"]] == [True, True, False]  # 24 and 26 pixels away, 960 and 1,040 m
    layers = layers_of(slicks)
    assert [(name, len(table)) for name, table in layers.items()] == [("slicks", 2), ("not_slicks", 1)]
    assert "reason" not in layers["slicks"] and [*layers["not_slicks"]["reason"]] == ["land"]


def test_a_class_may_be_called_slick():
    assert probability_columns(["slick"]) == ["p_slick_1"]
    assert probability_columns(["oil", "Oil", "class"]) == ["p_oil", "p_Oil_2", "p_class_3"]


def scenes():
    found = [PaintedScene(name, BOXES[: 2 + i]) for i, name in enumerate(("a", "b"))] + [PaintedScene("none", [])]
    return [layers_of(slicks_of(scene)) for scene in found]


def test_geopackage(tmp_path):
    path = tmp_path / "slicks.gpkg"
    in_pixels = layers_of(slicks_of(PaintedScene("plain", BOXES[:1], None)))
    write_geopackage(path, [*scenes(), in_pixels], CLASSES)
    assert [*pyogrio.list_layers(path)[:, 0]] == ["slicks", "slicks_in_pixels", "layer_styles"]
    slicks = pyogrio.read_dataframe(path, layer="slicks")
    assert [*slicks["scene_id"]] == ["a", "a", "b", "b", "b"] and slicks.crs == "EPSG:4326"
    plain = pyogrio.read_dataframe(path, layer="slicks_in_pixels")
    assert plain.total_bounds.tolist() == [20, -24, 40, -20]
    assert plain["area_km2"].isna().all() and [*plain["area_px"]] == [80]
    database = sqlite3.connect(path)
    contents = dict(database.execute("select table_name, data_type from gpkg_contents"))
    assert contents == {"slicks": "features", "slicks_in_pixels": "features", "layer_styles": "attributes"}
    assert dict(database.execute("select table_name, srs_id from gpkg_geometry_columns")) == {
        "slicks": 4326,
        "slicks_in_pixels": -1,
    }
    styles = database.execute("select f_table_name, f_geometry_column, useAsDefault, styleQML from layer_styles")
    for layer, column, is_default, qml in styles:
        assert layer in contents and column == "geom" and is_default == 1
        root = ET.fromstring(qml.split("\n", 1)[1])
        assert [each.get("value") for each in root.iter("category")] == CLASSES
    (row,) = database.execute("select acquired, touches_edge, near_land, incidence_deg from slicks where fid = 2")
    assert row == ("2021-12-23T05:11:22.500Z", 0, None, 33.0)


def test_the_same_slicks_give_the_same_bytes(tmp_path, monkeypatch):
    write_geopackage(tmp_path / "one.gpkg", scenes(), CLASSES)
    write_geopackage(tmp_path / "other.gpkg", scenes(), CLASSES)
    assert (tmp_path / "one.gpkg").read_bytes() == (tmp_path / "other.gpkg").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.gpkg", "other.gpkg"]
    monkeypatch.setattr("seepseg.geo.slick_files.AT_ONCE", 1)
    write_geopackage(tmp_path / "in parts.gpkg", scenes(), CLASSES)
    whole, parts = (pyogrio.read_dataframe(tmp_path / name, layer="slicks") for name in ("one.gpkg", "in parts.gpkg"))
    assert whole.equals(parts)


def test_reading_back_gives_what_was_written(tmp_path, monkeypatch):
    boxes = gpd.GeoDataFrame(geometry=[shapely.box(499_000, 5_999_000, 500_900, 6_001_000)], crs="EPSG:32631")
    pyogrio.write_dataframe(boxes, tmp_path / "land.gpkg")
    land = Land.read(tmp_path / "land.gpkg", UTM, SHAPE)
    written = layers_of(slicks_of(PaintedScene("a", BOXES), land))
    empty = layers_of(slicks_of(PaintedScene("b", [])))
    for number, layers in enumerate((written, empty)):
        write_geopackage(tmp_path / f"{number}.gpkg", [layers], CLASSES)
        read = read_layers(tmp_path / f"{number}.gpkg", CLASSES)
        assert read.keys() == layers.keys()
        for name, table in layers.items():
            assert [*read[name].columns] == [*table.columns]
            assert (read[name].dtypes == table.dtypes).all()
            assert read[name].drop(columns="geometry").equals(table.drop(columns="geometry").reset_index(drop=True))


def test_a_writing_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "slicks.gpkg"
    write_geopackage(path, scenes(), CLASSES)
    before = path.read_bytes()

    def broken():
        yield scenes()[0]
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        write_geopackage(path, broken(), CLASSES)
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("at_once", [1, 1000])
def test_geojson(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr("seepseg.geo.slick_files.AT_ONCE", at_once)
    across = layers_of(slicks_of(PaintedScene("pacific", [(20, 30, 30, 70)], ACROSS)))
    empty, *_ = scenes()[2:]
    write_geojson(tmp_path, [empty, *scenes(), empty, across], CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slicks.geojson", "slicks.qml"]
    document = json.loads((tmp_path / "slicks.geojson").read_text())
    assert document.keys() == {"type", "features"}  # RFC 7946 has no reference system but this
    assert [each["properties"]["scene_id"] for each in document["features"]] == ["a", "a", "b", "b", "b", "pacific"]
    for feature in document["features"]:
        shape = shapely.geometry.shape(feature["geometry"])
        for polygon in shapely.get_parts(shape):
            assert polygon.is_valid and polygon.exterior.is_ccw
            assert not any(hole.is_ccw for hole in polygon.interiors)
    lon = shapely.get_coordinates(shapely.geometry.shape(document["features"][-1]["geometry"]))[:, 0]
    assert lon.min() == -180 and lon.max() == 180
    first = document["features"][0]["properties"]
    assert first["near_land"] is None and first["touches_edge"] is True
    assert first["acquired"].startswith("2021-12-23T05:11:22.5")


def test_scenes_without_a_slick_take_no_memory(monkeypatch):
    """Of each layer one empty table at most is kept."""
    monkeypatch.setattr("seepseg.geo.slick_files.AT_ONCE", 4)
    a, b, empty = scenes()
    kept = []
    monkeypatch.setattr(slick_files, "_together", lambda waiting: kept.append([*map(len, waiting["slicks"])]))
    [*slick_files._gathered([empty, empty, a, empty, empty, b, empty, a, empty])]
    assert kept == [[0, 2, 3], [2]]


def test_files_of_layers_that_are_no_more_go(tmp_path):
    for name in ("not_slicks.geojson", "not_slicks.qml", "slicks_in_pixels.geojson", "notes.geojson"):
        (tmp_path / name).touch()
    write_geojson(tmp_path, scenes(), CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.geojson", "slicks.geojson", "slicks.qml"]


def test_geojson_without_a_slick(tmp_path):
    write_geojson(tmp_path, scenes()[2:], CLASSES)
    assert json.loads((tmp_path / "slicks.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
