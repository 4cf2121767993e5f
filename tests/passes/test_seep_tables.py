"""What is said of seeps, and how they are drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from made_up_seeps import CLASSES, WHEN, found, layers_of, plane
from pyproj import Geod

from seepseg.detection.slick_table import ENDS
from seepseg.passes.seep_map import map_of
from seepseg.passes.seep_tables import LINK_TYPES, links_csv, seep_csv, seep_types

GEOD = Geod(ellps="WGS84")


def test_seeps_are_described_in_the_units_of_people():
    layers = layers_of(found(crs=plane(-91, 27)), found(crs=plane(10, 50)))
    assert [*layers] == ["seeps", "seep_errors", "seep_slicks"]
    seeps = layers["seeps"]
    assert [*seeps.columns] == [*seep_types(CLASSES, "m"), "geometry"]
    first, platform = seeps.iloc[0], seeps.iloc[1]
    assert [*seeps["seep_id"]] == [1, 2, 3, 4] and [*seeps["ground"]] == [1, 1, 2, 2]
    assert (first["kind"], first["class_name"], first["reported"]) == ("seep", "Seep", True)
    assert (platform["kind"], platform["class_name"], platform["reported"]) == ("platform", "thin", False)
    assert (first["p_thin"], first["p_Seep_2"], first["mean_area_km2"]) == (0.3, 0.7, 2.5)
    assert (first["lon"], first["lat"], seeps.iloc[2]["lon"], seeps.iloc[2]["lat"]) == (-91, 27, 10, 50)
    assert first["first"] == pd.Timestamp(WHEN) and pd.isna(platform["first"])
    assert first["flux_high_l_per_day"] == 300 and np.isnan(platform["flux_high_l_per_day"])
    links = layers["seep_slicks"]
    assert [*links["scene_id"][:3]] == ["a", "b_1", "a"] and [*links["candidate"][:3]] == [4, 7, 5]
    assert [*links["end"][:3]] == [1, 2, 1] and [*links["seep_id"]] == [1, 1, 2, 3, 3, 4]


def test_ellipses_and_lines_have_their_length_and_direction_on_earth():
    layers = layers_of(found(crs=plane(-91, 27)))
    ellipse = layers["seep_errors"].geometry[0]
    assert GEOD.geometry_area_perimeter(ellipse)[0] == pytest.approx(np.pi * 400 * 100, rel=2e-3)
    west, south, east, north = ellipse.bounds  # bearing 90: east and west
    assert GEOD.inv(west, 27, east, 27)[2] == pytest.approx(800, rel=1e-3)
    assert GEOD.inv(-91, south, -91, north)[2] == pytest.approx(200, rel=1e-3)
    # From the seep to the end that it is not: 3 km east, and 2 km north.
    for line, (azimuth, length) in zip(layers["seep_slicks"].geometry, [(90, 3000), (0, 2000)], strict=False):
        start, end = line.coords
        assert GEOD.inv(*start, *end)[::2] == pytest.approx((azimuth, length), abs=0.5)


def test_grounds_in_pixels_are_shown_with_y_upwards():
    layers = layers_of(found("px"))
    assert [*layers] == ["seeps_in_pixels", "seep_errors_in_pixels", "seep_slicks_in_pixels"]
    seeps = layers["seeps_in_pixels"]
    assert [*seeps.columns] == [*seep_types(CLASSES, "px"), "geometry"] and seeps.crs is None
    second = seeps.iloc[1]
    assert (second["x_px"], second["y_px"], second.geometry.coords[0]) == (1000, 1000, (1000, -1000))
    assert layers["seep_slicks_in_pixels"].geometry[1].coords[1] == (0, -2000)


def test_across_180_degrees_all_is_cut():
    layers = layers_of(found(crs=plane(180, 60)))
    for name in ("seep_errors", "seep_slicks"):
        bounds = shapely.bounds(shapely.get_parts(layers[name].geometry.array))
        assert (bounds[:, 2] - bounds[:, 0]).max() < 0.1 and np.abs(bounds[:, [0, 2]]).max() <= 180
    line = layers["seep_slicks"].geometry[0]  # starts on 180 itself
    assert GEOD.geometry_length(line) == pytest.approx(3000, rel=1e-3)


def test_tables_for_people():
    table = seep_csv(layers_of(found(crs=plane(-91, 27)), found("px")))
    assert [*table["first"].fillna("")] == ["2021-01-04T00:12:20Z", "", "2021-01-04T00:12:20Z", ""]
    assert [*table["seep_id"]] == [1, 2, 3, 4] and [*table["lon"].notna()] == [True, True, False, False]
    assert [*seep_csv(layers_of()).columns] == [*seep_types(CLASSES, "m")]
    assert [*links_csv(layers_of()).columns] == [*LINK_TYPES]


def test_the_page_on_seeps_tells_of_every_column():
    page = (Path(__file__).parents[2] / "docs/seeps.md").read_text()
    columns = {*seep_types([], "m"), "x_px", "y_px", *LINK_TYPES, *ENDS}
    assert not [name for name in columns if f"`{name}`" not in page]


def test_the_map_is_upright():
    drawn = map_of(found(crs=plane(-91, 27)), np.array([[0.0, 100]]), 0.05)
    assert [*drawn.seeps["angle"]] == [0, 90] and [*drawn.seeps["reported"]] == [True, False]
    assert drawn.known[0, 1] == 100 and drawn.edges[0].max() == 5000
    assert drawn.title == "2 passes, a to b_1"
    np.testing.assert_allclose(drawn.to_degrees(np.zeros(1), np.zeros(1)), [[-91], [27]])
    in_pixels = map_of(found("px"), np.array([[0.0, 100]]), 0.05)
    assert in_pixels.to_degrees is None
    assert in_pixels.known[0, 1] == -100 and in_pixels.chords[1, 0, 1] == -2000 and in_pixels.seeps["y"][1] == -1000


def test_the_map_tells_the_dates_where_all_are_known():
    one = found(crs=plane(-91, 27))
    passes = [
        replace(each, acquired=when)
        for each, when in zip(one.ground.passes, (WHEN, WHEN.replace(year=2020)), strict=True)
    ]
    dated = map_of(replace(one, ground=replace(one.ground, passes=passes)), np.zeros((0, 2)), 0.05)
    assert dated.title == "2 passes, 2020-01-04 to 2021-01-04"
