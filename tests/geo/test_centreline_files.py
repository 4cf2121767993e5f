"""Centrelines and footprints in files for GIS."""

import json
import sqlite3
from xml.etree import ElementTree as ET

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from affine import Affine
from dark_slicks import CLASSES
from test_slick_files import ACROSS, BOXES, SHAPE, UTM, PaintedScene, found_in, slicks_of

from seepseg.data.block_array import BlockArray
from seepseg.detection.detection import P_CLASS
from seepseg.detection.slick_table import ENDS
from seepseg.geo.centreline_files import (
    centreline_types,
    describe_centrelines,
    describe_footprint,
    footprint_types,
    pixel_sides,
)
from seepseg.geo.georeference import AffineGeoreference, GcpGeoreference
from seepseg.geo.land import Land
from seepseg.geo.slick_files import layers_of, read_layers, write_geojson, write_geopackage
from seepseg.passes.footprints import footprint_of_blocks

# A slick from (20.5, 30.5) to (60.5, 30.5), and a candidate that is none: a line of 30 and 40 pixels across.
PATHS = [np.array([[20.5, 30.5], [40.5, 30.5], [60.5, 30.5]]), np.array([[10.5, 5.5], [40.5, 45.5]])]
SCALE = 0.04 / 0.9996  # kilometres of a pixel of UTM at its central meridian


def candidates(paths=PATHS):
    ends = [[*path[0], *path[-1], 40.0 + 10 * number, 2, 3, 1.5, np.nan] for number, path in enumerate(paths)]
    table = pd.DataFrame(ends, columns=ENDS).assign(scene="a", area=[160, 200][: len(paths)], p_slick=0.9)
    table["candidate"], table["slick"] = np.arange(1, len(paths) + 1), [1, 0][: len(paths)]
    return table.assign(**{f"{P_CLASS}thin": 0.25, f"{P_CLASS}thick": 0.75})


def described(georeference=UTM, land=None, paths=PATHS):
    return describe_centrelines(candidates(paths), paths, CLASSES, PaintedScene("a", [], georeference), land)


def test_a_line_from_end_to_end_by_hand():
    table = described()
    assert [*table.columns] == [*centreline_types(CLASSES), "geometry"] and table.crs == "EPSG:4326"
    assert [*table.columns[:7]] == ["scene_id", "acquired", "candidate", "slick_id", "p_slick", "p_thin", "p_thick"]
    slick, other = table.itertuples()
    assert (slick.slick_id, slick.candidate, slick.p_thick, slick.area_px) == ("a_1", 1, 0.75, 160)
    assert (other.candidate, other.area_px) == (2, 200) and pd.isna(other.slick_id) and np.isnan(other.bright_2)
    assert slick.area_km2 == pytest.approx(160 * SCALE**2, rel=1e-5)
    assert slick.centreline_km == pytest.approx(40 * SCALE, rel=1e-5)
    assert (slick.half_width_1_m, slick.half_width_2_m) == pytest.approx((2e3 * SCALE, 3e3 * SCALE), rel=1e-5)
    places = gpd.GeoSeries.from_xy(500_000 + 40 * PATHS[0][:, 0], 6_000_000 - 40 * PATHS[0][:, 1], crs="EPSG:32631")
    lonlat = shapely.get_coordinates(places.to_crs(4326))
    np.testing.assert_allclose(shapely.get_coordinates(slick.geometry), lonlat, atol=1e-9)
    ends = [slick.lon_1, slick.lat_1, slick.lon_2, slick.lat_2]
    np.testing.assert_allclose(ends, lonlat[[0, -1]].ravel(), atol=6e-7)  # to 6 decimals


def test_without_a_place_lines_are_in_pixels_y_upwards():
    table = described(None)
    assert table.crs is None
    assert shapely.get_coordinates(table.geometry[1]).tolist() == [[10.5, -5.5], [40.5, -45.5]]
    unknown = ["area_km2", "centreline_km", "half_width_1_m", "half_width_2_m", "lon_1", "lat_1", "lon_2", "lat_2"]
    assert table[unknown].isna().all(axis=None) and [*table["area_px"]] == [160, 200]


def test_a_line_across_the_antimeridian_is_split_and_its_ends_are_exact():
    """The scene starts at 179.95 and a pixel is 0.001 degrees, so that column 50 is at 180."""
    line = described(ACROSS).geometry[0]
    parts = sorted(shapely.bounds(shapely.get_parts(line)).tolist())
    np.testing.assert_allclose(parts, [[-180, 59.9695, -179.9895, 59.9695], [179.9705, 59.9695, 180, 59.9695]])
    table = described(ACROSS)
    assert table.loc[0, ["lon_1", "lon_2"]].tolist() == [179.9705, -179.9895]
    assert table.geometry[1].geom_type == "LineString"


def test_the_size_of_pixels_is_that_of_their_place():
    """In degrees they are narrower in the north; turned or by ground control points they are as large."""
    degrees = AffineGeoreference("EPSG:4326", Affine(0.001, 0, 10, 0, -0.001, 61))
    sides = pixel_sides(degrees, np.array([50.0, 50.0]), np.array([500.0, 60_500.0]))  # 60.5 degrees, and 0.5
    of_middles = [degrees.spacing((1000, 100)), degrees.spacing((121_000, 100))]
    np.testing.assert_allclose(sides, of_middles, rtol=1e-5)  # these by areas of polygons
    assert sides[0] ** 2 == pytest.approx(111.32**2 * np.cos(np.radians(60.5)), rel=0.01)  # on a sphere
    turned = AffineGeoreference("EPSG:32631", Affine.translation(5e5, 6e6) @ Affine.rotation(30) @ Affine.scale(40, 20))
    corners = np.array([(x, y) for x in (0.0, 100.0) for y in (0.0, 60.0)]).T
    points = GcpGeoreference(*corners, *turned.to_lonlat(*corners))
    for each in (turned, points):
        side = pixel_sides(each, np.array([50.0]), np.array([30.0]))[0]
        assert side == pytest.approx(np.sqrt(800) / 0.9996, rel=1e-4) == each.spacing((60, 100))


def test_what_is_mostly_on_land_is_left_out(tmp_path):
    """Land over columns 0 to 50: one end and the middle of the slick, but only half of the other candidate."""
    shore = gpd.GeoDataFrame(geometry=[shapely.box(400_000, 5_990_000, 502_000, 6_000_000 - 800)], crs="EPSG:32631")
    pyogrio.write_dataframe(shore, tmp_path / "land.gpkg")
    table = described(land=Land.read(tmp_path / "land.gpkg", UTM, SHAPE))
    assert [*table["candidate"]] == [2]


def test_a_footprint_on_the_map_and_in_pixels():
    scene, blocks = PaintedScene("a", []), np.full((64, 96), 10, np.uint8)
    blocks[:, 80:] = 255
    seen = footprint_of_blocks(BlockArray.of(blocks, (32, 32)))
    (row,) = describe_footprint(seen, scene).itertuples()
    assert row.scene_id == "a" and row.spacing_m == pytest.approx(1e3 * SCALE, rel=1e-5)
    on_map = gpd.GeoSeries([row.geometry], crs=4326).to_crs(32631)
    assert on_map.area[0] == pytest.approx(64 * 80 * 40**2, rel=1e-6)
    plain = describe_footprint(seen, PaintedScene("a", [], None))
    assert plain.total_bounds.tolist() == [0, -64, 80, 0] and plain["spacing_m"].isna().all()
    nothing = describe_footprint(shapely.Polygon(), scene)
    assert nothing.empty and [*nothing.columns] == [*footprint_types(), "geometry"]


def layers(name, boxes, georeference=UTM):
    scene = PaintedScene(name, boxes, georeference)
    found = found_in(scene, whole=True)
    return layers_of(
        slicks_of(scene),
        centrelines=describe_centrelines(found.candidates, found.paths, CLASSES, scene, None),
        footprints=describe_footprint(footprint_of_blocks(found.foreground), scene),
    )


def test_layers_survive_a_geopackage(tmp_path):
    given = [layers("a", BOXES), layers("b", []), layers("plain", BOXES, None)]
    for number, each in enumerate(given):
        write_geopackage(tmp_path / f"{number}.gpkg", [each], CLASSES)
        read = read_layers(tmp_path / f"{number}.gpkg", CLASSES)
        assert read.keys() == each.keys()
        for name, table in each.items():
            assert (read[name].dtypes == table.dtypes).all(), name
            assert read[name].drop(columns="geometry").equals(table.drop(columns="geometry").reset_index(drop=True))
    write_geopackage(tmp_path / "all.gpkg", given, CLASSES)
    write_geopackage(tmp_path / "again.gpkg", given, CLASSES)
    assert (tmp_path / "all.gpkg").read_bytes() == (tmp_path / "again.gpkg").read_bytes()
    database = sqlite3.connect(tmp_path / "all.gpkg")
    kinds = dict(database.execute("select table_name, geometry_type_name from gpkg_geometry_columns"))
    lines = {name: kind for name, kind in kinds.items() if name.startswith("centrelines")}
    assert lines == dict.fromkeys(("centrelines", "centrelines_in_pixels"), "MULTILINESTRING")
    assert [*pyogrio.read_dataframe(tmp_path / "all.gpkg", layer="footprints")["scene_id"]] == ["a", "b"]
    styles = dict(database.execute("select f_table_name, styleQML from layer_styles"))
    symbols = {name: next(ET.fromstring(qml.split("\n", 1)[1]).iter("symbol")) for name, qml in styles.items()}
    shown = {name: (symbol.get("type"), symbol[0].get("class")) for name, symbol in symbols.items()}
    assert shown["centrelines"] == shown["centrelines_in_pixels"] == ("line", "SimpleLine")
    assert shown["footprints"] == ("fill", "SimpleFill")
    assert [prop.get("v") for prop in symbols["footprints"].iter("prop") if prop.get("k") == "style"] == ["no"]


def test_layers_as_geojson(tmp_path):
    write_geojson(tmp_path, [layers("a", BOXES), layers("pacific", [(20, 30, 24, 70)], ACROSS)], CLASSES)
    names = ("centrelines", "footprints", "slicks")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{a}.{b}" for a in names for b in ("geojson", "qml")]
    features = json.loads((tmp_path / "centrelines.geojson").read_text())["features"]
    assert [each["properties"]["scene_id"] for each in features] == ["a"] * 4 + ["pacific"]
    assert features[-1]["geometry"]["type"] == "MultiLineString" and features[0]["geometry"]["type"] == "LineString"
