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
    assert len(symbols) == len(filters) == 5 and sum(counts) == len(layers["seeps"])


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
