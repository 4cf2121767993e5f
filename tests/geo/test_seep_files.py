"""Files of seeps, and how GIS programs find what is in them."""

import sqlite3
from xml.etree import ElementTree as ET

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from made_up_seeps import found, layers_of, plane

from seepseg.base.errors import InputError
from seepseg.geo.seep_files import read_known_seeps, write_seeps


@pytest.mark.parametrize("grounds", [[], [("m", plane(-91, 27))], [("m", plane(-91, 27)), ("px", None)]])
def test_files_are_whole_styled_and_byte_stable(tmp_path, grounds):
    layers = layers_of(*(found(*each) for each in grounds))
    for name in ("a.gpkg", "b.gpkg"):
        write_seeps(tmp_path / "new" / name, layers)
    assert (tmp_path / "new/a.gpkg").read_bytes() == (tmp_path / "new/b.gpkg").read_bytes()
    assert len([*(tmp_path / "new").iterdir()]) == 2
    kinds = dict(pyogrio.list_layers(tmp_path / "new/a.gpkg"))
    assert {name: kinds[name] for name in ("seeps", "seep_errors", "seep_slicks")} == {
        "seeps": "Point",
        "seep_errors": "MultiPolygon",
        "seep_slicks": "MultiLineString",
    }
    read = pyogrio.read_dataframe(tmp_path / "new/a.gpkg", layer="seeps")
    assert [*read.columns] == [*layers["seeps"].columns] and read.crs == "EPSG:4326"
    assert [*read["reported"]] == [*layers["seeps"]["reported"]]
    with sqlite3.connect(tmp_path / "new/a.gpkg") as file:
        styles = dict(file.execute("SELECT f_table_name, styleQML FROM layer_styles").fetchall())
    assert [*styles] == [*layers]
    symbols = ET.fromstring(styles["seeps"].split("\n", 1)[1]).findall(".//symbol")
    filters = [rule.get("filter") for rule in ET.fromstring(styles["seeps"].split("\n", 1)[1]).iter("rule")]
    # As SQL, which these expressions are too: each seep and platform falls under one rule.
    with sqlite3.connect(tmp_path / "new/a.gpkg") as file:
        counts = [file.execute(f"SELECT count(*) FROM seeps WHERE {text}").fetchone()[0] for text in filters]
    assert len(symbols) == len(filters) == 7 and sum(counts) == len(layers["seeps"])


def test_reported_seeps_stand_out_in_qgis(tmp_path):
    """The rules as SQL, which these expressions are, too: what the seep and the platform of a ground look like."""
    write_seeps(tmp_path / "seeps.gpkg", layers_of(found(crs=plane(-91, 27))))

    def look(layer, seep_id):
        with sqlite3.connect(tmp_path / "seeps.gpkg") as file:
            query = "SELECT styleQML FROM layer_styles WHERE f_table_name = ?"
            style = ET.fromstring(file.execute(query, [layer]).fetchone()[0].split("\n", 1)[1])
            rules = [
                rule
                for rule in style.iter("rule")
                if file.execute(f"SELECT 1 FROM {layer} WHERE seep_id = {seep_id} AND {rule.get('filter')}").fetchone()
            ]
        assert len(rules) == 1
        of_layer = style.find(f".//symbol[@name='{rules[0].get('symbol')}']/layer")
        options = {option.get("name"): option.get("value") for option in of_layer.findall("Option/Option")}
        return options | {
            "sized_by": "".join(each.get("value") for each in of_layer.iterfind(".//*[@name='expression']"))
        }

    seep, platform = (look("seeps", number) for number in (1, 2))  # the platform is not reported
    assert (seep["name"], platform["name"]) == ("circle", "square")
    assert "recurrence_rate" in seep["sized_by"] and not platform["sized_by"]
    assert float(seep["size"]) > float(platform["size"]) and seep["color"] == "122,1,119,255"
    assert look("seep_errors", 1).get("outline_style") != look("seep_errors", 2)["outline_style"] == "dot"


def test_known_seeps_in_any_reference_system(tmp_path):
    lonlat = gpd.GeoDataFrame({"platform": [True, None]}, geometry=[shapely.Point(-91, 27), None], crs=4326)
    pyogrio.write_dataframe(lonlat.to_crs(32615), tmp_path / "known.gpkg")
    known = read_known_seeps(tmp_path / "known.gpkg")
    assert [*known["platform"]] == [True]
    np.testing.assert_allclose(shapely.get_coordinates(known.geometry), [[-91, 27]], atol=1e-9)
    pyogrio.write_dataframe(lonlat[["geometry"]].set_crs(None, allow_override=True), tmp_path / "nowhere.gpkg")
    with pytest.raises(InputError, match="expected known seeps in a reference system"):
        read_known_seeps(tmp_path / "nowhere.gpkg")
    with pytest.raises(InputError, match="is missing: expected a vector file of known seeps"):
        read_known_seeps(tmp_path / "none.gpkg")


def points(count, **columns):
    places = [shapely.Point(-91 + number, 27) for number in range(count)]
    return gpd.GeoDataFrame(columns, geometry=places, crs=4326)


def test_of_several_layers_that_with_points_is_read(tmp_path):
    """As in a file that this program wrote; where several have points, nobody knows which is meant."""
    write_seeps(tmp_path / "ours.gpkg", layers_of(found(crs=plane(-91, 27))))
    assert len(read_known_seeps(tmp_path / "ours.gpkg")) == 2
    for layer in ("wells", "seeps"):
        pyogrio.write_dataframe(points(1), tmp_path / "two.gpkg", layer=layer)
    with pytest.raises(InputError, match="expected one layer with known seeps, found several: wells, seeps; save"):
        read_known_seeps(tmp_path / "two.gpkg")


def test_layers_without_a_feature_do_not_count(tmp_path):
    """GPX has layers for the points of routes and tracks, whether there are any or not."""
    gpx = '<gpx version="1.1" creator="" xmlns="http://www.topografix.com/GPX/1/1">{}</gpx>'
    (tmp_path / "known.gpx").write_text(gpx.format('<wpt lat="27" lon="-91"/>'))
    assert [*read_known_seeps(tmp_path / "known.gpx").geometry] == [shapely.Point(-91, 27)]
    (tmp_path / "empty.gpx").write_text(gpx.format(""))
    with pytest.raises(InputError, match=r"expected known seeps as points, found none in waypoints \(Point\), "):
        read_known_seeps(tmp_path / "empty.gpx")
    area = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 2, 2)], crs=4326)
    pyogrio.write_dataframe(area, tmp_path / "any.gpkg", layer="area", geometry_type="Unknown")
    pyogrio.write_dataframe(points(1), tmp_path / "any.gpkg", layer="seeps", geometry_type="Unknown")
    assert [*read_known_seeps(tmp_path / "any.gpkg").geometry] == [shapely.Point(-91, 27)]


def test_known_seeps_as_other_shapes(tmp_path):
    shapes = {
        "lines": shapely.LineString([(0, 0), (1, 1)]),
        "multipoint": shapely.MultiPoint([(0, 0), (1, 1)]),
        "polygons": shapely.box(0, 0, 2, 2),
    }
    for name, shape in shapes.items():
        pyogrio.write_dataframe(gpd.GeoDataFrame(geometry=[shape], crs=4326), tmp_path / f"{name}.gpkg")
    assert [*read_known_seeps(tmp_path / "multipoint.gpkg").geometry] == [shapely.Point(0, 0), shapely.Point(1, 1)]
    known = read_known_seeps(tmp_path / "polygons.gpkg")
    assert [*known.geometry] == [shapely.Point(1, 1)] and [*known["polygon"]] == [True]
    (tmp_path / "table.csv").write_text("lon,lat\n1,2\n")
    (tmp_path / "mixed.geojson").write_text(
        gpd.GeoDataFrame(geometry=[shapes["lines"], shapely.Point(0, 0)], crs=4326).to_json()
    )
    for name, message in (
        ("lines.gpkg", r"expected known seeps as points, found none in lines \(LineString\); name"),
        ("mixed.geojson", "expected known seeps as points, found LineString; keep points alone"),
        ("table.csv", "found no layer with geometries; name another file, or none; of a table with coordinates make"),
    ):
        with pytest.raises(InputError, match=message):
            read_known_seeps(tmp_path / name)


def test_platforms_are_told_by_words_and_numbers(tmp_path):
    pyogrio.write_dataframe(points(3, platform=["yes", "no", None]), tmp_path / "words.gpkg")
    assert [*read_known_seeps(tmp_path / "words.gpkg")["platform"]] == [True, False, False]
    pyogrio.write_dataframe(points(3, platform=[0.0, 1.0, np.nan]), tmp_path / "numbers.gpkg")
    assert [*read_known_seeps(tmp_path / "numbers.gpkg")["platform"]] == [False, True, False]
    pyogrio.write_dataframe(points(2, Platform=["yes", "no"]), tmp_path / "capitals.gpkg")
    assert [*read_known_seeps(tmp_path / "capitals.gpkg")["platform"]] == [True, False]
    pyogrio.write_dataframe(points(1, PLATFORM=["Brutus"]), tmp_path / "names.gpkg")
    with pytest.raises(InputError, match="expected true or false in column PLATFORM, found Brutus"):
        read_known_seeps(tmp_path / "names.gpkg")


def test_an_empty_file_stands_for_no_known_seeps(tmp_path):
    """DVC needs a file, where nobody knows any."""
    (tmp_path / "none").touch()
    known = read_known_seeps(tmp_path / "none")
    assert [*known.columns] == ["platform", "polygon", "geometry"] and not len(known)
