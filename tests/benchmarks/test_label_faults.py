"""Planted faults, the ideal annotator and what is found, by eye; the whole round trip takes too long for a test."""

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely

from benchmarks.label_faults import read_slicks, report, write_slicks
from benchmarks.planted_faults import judge, plant, ranks, repaired
from seepseg.synthetic.files import CRS, transform_of

NAMES = ["oil", "gas"]


def box(left, top, right, bottom):
    return shapely.box(left, top, right, bottom)


def slicks_of(count):
    """Slicks of 4 x 2 pixels, one below the other in scene a, every third of them gas."""
    return pd.DataFrame(
        {
            "scene": "a",
            "class_name": ["gas" if number % 3 == 0 else "oil" for number in range(count)],
            "outline": [box(2, 20 * number, 6, 20 * number + 2) for number in range(count)],
        }
    )


# Data reach from the slicks to where there is just room enough for more beside them.
HAS_DATA = {"a": np.arange(100) < np.full((200, 1), 24)}


def test_as_many_faults_of_each_kind_are_planted_on_slicks_of_their_own():
    slicks = slicks_of(10)
    annotated, faults = plant(slicks, HAS_DATA, 0.2, seed=1)
    assert faults["fault"].tolist() == ["left_out"] * 2 + ["invented"] * 2 + ["other_class"] * 2
    assert len(annotated) == 10  # two are gone, two are new
    left_out, invented, renamed = (faults[faults["fault"] == kind] for kind in faults["fault"].unique())
    assert set(left_out["outline"]) | set(renamed["outline"]) <= set(slicks["outline"])
    assert set(left_out["outline"]) & (set(renamed["outline"]) | set(annotated["outline"])) == set()
    assert set(invented["outline"]) <= set(annotated["outline"])
    for _, fault in renamed.iterrows():
        assert {fault["true_class"], fault["given_class"]} == {"oil", "gas"}
        assert annotated.loc[annotated["outline"] == fault["outline"], "class_name"].tolist() == [fault["given_class"]]
    pd.testing.assert_frame_equal(annotated, plant(slicks, HAS_DATA, 0.2, seed=1)[0])


@pytest.mark.parametrize("seed", range(5))
def test_invented_slicks_lie_where_data_and_nothing_else_are(seed):
    slicks = slicks_of(10)
    _, faults = plant(slicks, HAS_DATA, 0.3, seed)
    invented = faults.loc[faults["fault"] == "invented", "outline"].tolist()
    for outline in invented:
        others = [other for other in [*slicks["outline"], *invented] if other != outline]
        assert shapely.distance(outline, others).min() > 10
        left, top, right, bottom = outline.bounds
        assert left >= 0 and right <= 24 and (right - left, bottom - top) == (4, 2)


TRUTH = {"a": np.zeros((20, 20), np.uint8)}
TRUTH["a"][:4, :10] = 1
TRUTH["a"][10:14, :10] = 2


def test_the_annotator_knows_the_truth():
    listed = pd.DataFrame(
        [
            ("annotated", "oil", "", box(0, 0, 10, 4)),  # missed, and right
            ("annotated", "gas", "", box(0, 0, 10, 4)),
            ("annotated", "oil", "", box(0, 15, 10, 19)),  # invented
            ("predicted", "oil", "", box(0, 0, 10, 6)),  # two thirds of it are a slick
            ("predicted", "oil", "", box(0, 0, 10, 9)),  # less than half of it is
            ("predicted", "oil", "", box(0, 10, 10, 14)),
            ("predicted", "gas", "oil", box(0, 0, 10, 4)),  # the annotation is right
            ("predicted", "oil", "gas", box(0, 0, 10, 4)),  # the prediction is
            ("predicted", "oil", "gas", box(0, 15, 10, 19)),  # none is
        ],
        columns=["kind", "class_name", "other_class", "outline"],
    ).assign(scene="a")
    rows = judge(listed, TRUTH, NAMES)
    assert rows[["decision", "class_name"]].to_numpy().tolist() == [
        ["right", "oil"],
        ["other_class", "oil"],
        ["wrong", ""],
        ["right", "oil"],
        ["wrong", ""],
        ["other_class", "gas"],
        ["wrong", ""],
        ["right", "oil"],
        ["wrong", ""],
    ]
    assert rows["kind"].tolist() == listed["kind"].tolist()
    assert shapely.from_wkt(rows["outline"][0]).equals(box(0, 0, 10, 4))


FAULTS = pd.DataFrame(
    [("left_out", "a", box(0, 0, 10, 4)), ("invented", "a", box(0, 16, 4, 20)), ("left_out", "b", box(0, 0, 4, 4))],
    columns=["fault", "scene", "outline"],
)


def test_a_fault_is_found_where_half_of_the_smaller_outline_is_listed():
    listed = pd.DataFrame(
        [
            (1, "b", box(2, 0, 12, 4)),  # half of the third fault
            (2, "a", box(9, 0, 19, 4)),  # a tenth of the first one
            (1, "a", box(10, 10, 12, 12)),
            (3, "a", box(0, 0, 2, 2)),  # within the first one
            (4, "a", box(0, 0, 10, 4)),
        ],
        columns=["rank", "scene", "outline"],
    )
    best, is_fault = ranks(FAULTS, listed)
    assert best.fillna(0).tolist() == [3, 0, 1]
    assert is_fault.tolist() == [True, False, False, True, True]


def test_a_fault_is_repaired_where_most_of_its_wrong_pixels_are_right_again():
    given = {"a": TRUTH["a"].copy(), "b": np.zeros((20, 20), np.uint8)}
    truth = TRUTH | {"b": np.zeros((20, 20), np.uint8)}
    given["a"][:4, :10] = 0
    given["a"][16:, :4] = 1
    after = {name: grid.copy() for name, grid in given.items()}
    after["a"][:4, :6] = 1  # 24 of 40
    after["a"][16:18, :4] = 0  # 8 of 16
    assert repaired(FAULTS, given, after, truth).tolist() == [True, False, False]


def test_annotations_come_back_as_they_were_written(tmp_path):
    (tmp_path / "scenes").mkdir()
    profile = {"driver": "GTiff", "height": 200, "width": 100, "count": 1, "dtype": "uint16"}
    place = {"crs": CRS, "transform": transform_of(12.3, -4.5)}
    with rasterio.open(tmp_path / "scenes/a.tif", "w", **profile, **place) as file:
        file.write(np.ones((1, 200, 100), np.uint16))
    slicks = slicks_of(4)
    write_slicks(tmp_path / "s.gpkg", slicks, tmp_path / "scenes")
    read = read_slicks(tmp_path / "s.gpkg", tmp_path / "scenes")
    assert read[["scene", "class_name"]].to_numpy().tolist() == slicks[["scene", "class_name"]].to_numpy().tolist()
    assert shapely.equals(read["outline"], slicks["outline"]).all()


def test_the_report_says_what_was_found():
    reached = {"true": {"binary_dice": 0.5, "macro_dice": 0.25}}
    document = {
        "share": 0.1,
        "seed": 1,
        "slicks": 97,
        "faults": {"left_out": {"planted": 10, "among_first_10": 8, "repaired": 7}},
        "lists": {"missed": {"total": 30, "faults_in_first_10": 6}},
        "runs": {"corrected": {"wrong_pixels": 1234, "oof": reached, "test": reached}},
    }
    assert report(document) == [
        "97 slicks, faults planted into 10% of them, for each kind",
        "left out: planted 10, among first 10 8, repaired 7",
        "missed: total 30, faults in first 10 6",
        "corrected: 1,234 wrong pixels",
        "  oof against true targets: binary dice 0.500, macro dice 0.250",
        "  test against true targets: binary dice 0.500, macro dice 0.250",
    ]
