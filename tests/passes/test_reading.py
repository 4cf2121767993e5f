"""From the files of the pipeline to grounds, and to the slicks of all passes over one."""

import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine

from seepseg.base.errors import InputError
from seepseg.geo.georeference import AffineGeoreference
from seepseg.geo.place_json import place_to_json
from seepseg.passes.reading import annotated_ends_of, read_grounds, slick_ends_of

ORIGINS = {"a": [0, 0], "b": [0, 1]}
SQUARE = "POLYGON ((0 0, 128 0, 128 128, 0 128, 0 0))"


@pytest.fixture
def footprints(tmp_path):
    pd.DataFrame({"scene": ["a1", "b1", "NA"], "wkt": [SQUARE] * 3}).to_csv(tmp_path / "f.csv", index=False)
    return tmp_path / "f.csv"


def records():
    """Places and times of scenes, as stage tile writes them."""
    crs, moved = "EPSG:32615", Affine(20, 0, 640_200, 0, -20, 3_000_000)
    places = {"a1": Affine(40, 0, 640_000, 0, -40, 3_000_000), "b1": moved}
    known = {name: place_to_json(AffineGeoreference(crs, place)) for name, place in places.items()}
    known["a1"]["acquired"], known["b1"]["acquired"] = "2021-01-04T00:12:20+00:00", None
    return {"scenes": known | {"unseen": {"acquired": None}}}


def table():
    columns = ["scene", "slick", "area", "x_1", "y_1", "x_2", "y_2", "centreline"]
    rows = [("a1", 1, 10, 5, 5, 20, 5, 15), ("b1", 1, 20, 10, 8, 30, 8, 20), ("NA", 1, 1, 1, 1, 1, 1, 1)]
    made = pd.DataFrame(rows, columns=columns)
    return made.assign(half_width_1=2.0, half_width_2=3.0, bright_1=1.5, bright_2=np.nan)


def test_places_and_times_come_from_the_records(footprints):
    grounds = read_grounds(records(), footprints, ORIGINS, 64)
    (ground,) = grounds.grounds
    assert [each.name for each in ground.passes] == ["a1", "b1"]
    assert [each.acquired and each.acquired.year for each in ground.passes] == [2021, None]
    assert ground.unit == "m" and ground.spacing == pytest.approx(30, rel=2e-3)
    assert grounds.notices == [
        "scenes that have no known footprint: unseen",
        "scenes that have no georeference and fit none of passes.origins: NA",
        "passes.origins that fit no scene: a, b; names of scenes start with N, u",
    ]


def test_tiles_from_elsewhere_have_none(footprints):
    grounds = read_grounds({}, footprints, ORIGINS, 64)
    assert grounds.grounds[0].unit == "px" and grounds.scenes["b1"].number == 1
    assert not read_grounds({}, footprints, ORIGINS, 64, {"a1", "NA"}).grounds


def test_slicks_are_measured_in_the_unit_of_the_ground(footprints):
    grounds = read_grounds(records(), footprints, ORIGINS, 64)
    p_slick, p_class = np.array([0.5, 0.6, 0.7]), np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    slicks = slick_ends_of(table(), p_slick, p_class, grounds)[0]
    assert list(slicks.names) == ["a1_1", "b1_1"] and slicks.pass_number.tolist() == [0, 1]
    assert slicks.p_slick.tolist() == [0.5, 0.6] and slicks.p_class[1].tolist() == [0.2, 0.8]
    np.testing.assert_allclose(slicks.area, [10 * 40**2, 20 * 20**2], rtol=4e-3)
    np.testing.assert_allclose(slicks.centreline, [15 * 40, 20 * 20], rtol=2e-3)
    np.testing.assert_allclose(slicks.half_width, [[80, 120], [40, 60]], rtol=2e-3)
    # Pixel (10, 8) of b1 is 400 m east and 160 m south of a corner that is 200 m east of a1's: where (10, 4) of a1 is.
    np.testing.assert_allclose(
        slicks.ends[1, 0] - slicks.ends[0, 0], [200, 40], atol=3
    )  # the grid of a zone is turned by a degree


def test_slicks_on_the_common_grid(footprints):
    slicks = slick_ends_of(table(), np.ones(3), np.ones((3, 1)), read_grounds({}, footprints, ORIGINS, 64))[0]
    np.testing.assert_array_equal(slicks.ends, [[[5, 5], [20, 5]], [[74, 8], [94, 8]]])
    assert slicks.area.tolist() == [10, 20] and np.isnan(slicks.bright[:, 1]).all()


def test_annotated_slicks_are_of_classes_by_their_pixels(footprints):
    annotated = table().assign(pixels_oil=[3, 0, 1], pixels_gas=[1, 0, 1])
    slicks = annotated_ends_of(annotated, ["oil", "gas"], read_grounds({}, footprints, ORIGINS, 64))[0]
    assert slicks.p_slick.tolist() == [1, 1] and slicks.p_class.tolist() == [[0.75, 0.25], [0, 0]]


def test_each_slick_is_on_the_ground_that_its_scene_sees(tmp_path):
    scenes = ["c1", "a1", "b1", "a2", "b2"]
    pd.DataFrame({"scene": scenes, "wkt": [SQUARE] * 5}).to_csv(tmp_path / "f.csv", index=False)
    grounds = read_grounds({}, tmp_path / "f.csv", {"a": [0, 0], "b": [0, 9], "c": [9, 0]}, 64)
    rows = pd.DataFrame({"scene": ["b2", "a2", "c1", "a1", "b1", "a2"], "slick": [1, 2, 3, 4, 5, 6], "area": 1})
    rows = rows.assign(**dict.fromkeys([*table().columns[3:]], 1.0))
    rows.loc[5, "x_2"] = np.nan  # without a place in its scene
    p_slick = np.arange(6.0)
    of_grounds = slick_ends_of(rows, p_slick, p_slick[:, None], grounds)
    assert [[*each.names] for each in of_grounds] == [["a2_2", "a1_4"], ["b2_1", "b1_5"]]
    assert [each.pass_number.tolist() for each in of_grounds] == [[1, 0], [1, 0]]
    assert [each.p_class[:, 0].tolist() for each in of_grounds] == [[1, 3], [0, 4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing: run `dvc repro detect`"),
        ("scene,polygon\n", "expected columns scene and wkt, found scene, polygon; run"),
        ("scene,wkt\na1,POLYGON 3\n", "expected polygons as WKT, found"),
    ],
)
def test_what_is_no_table_of_footprints(tmp_path, content, message):
    if content is not None:
        (tmp_path / "f.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_grounds({}, tmp_path / "f.csv", ORIGINS, 64)


def test_wkt_comes_back(footprints):
    ground = read_grounds({}, footprints, {"": [0, 0]}, 64).grounds[0]
    assert all(each.footprint.equals(shapely.box(0, 0, 128, 128)) for each in ground.passes)
