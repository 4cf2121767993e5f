"""Scenes and slicks of a made-up run, and what to look at next in it."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from made_up_run import CORRECTIONS, NAMES, PLACE, PLANTED, SEEPS, made_up_run, scene_arrays
from PIL import Image
from rasterio.features import rasterize

from seepseg.evaluation.confusion import confusion_counts, scores
from seepseg.report import review
from seepseg.report.contents import SEEP_COLUMNS, SLICK_COLUMNS
from seepseg.report.costs import costs
from seepseg.report.params import ReportParams
from seepseg.report.run import pages_of, reviews_of

BOXES = {"a": (64, 0, 192, 64), "b": (0, 0, 64, 64), "t": (0, 64, 64, 128)}


@pytest.fixture(scope="module")
def pages():
    return {part.page.name: part.page for part in pages_of(made_up_run(), CORRECTIONS, SEEPS, ReportParams())}


def test_scenes_lie_in_their_grids(pages):
    assert {name: page.box for name, page in pages.items()} == BOXES
    assert [page.title for page in pages.values()] == ["a", "b, b_1", "t, 2021-02-03"]
    assert [page.split for page in pages.values()] == ["oof", "oof", "test"]
    assert Image.open(BytesIO(pages["a"].picture)).size == (128, 64)


def test_slicks_and_what_is_at_their_place(pages):
    slicks = pages["a"].slicks.set_index("slick_id")
    assert list(pages["a"].slicks) == list(SLICK_COLUMNS)
    assert slicks["class_name"].to_dict() == {
        **{"a1": "oil", "a2": "gas", "a3": "oil", "a4": "oil", "a5": "gas"},
        **{"p1": "oil", "p3": "oil", "p4": "gas", "p5": "gas", "p6": "gas"},
    }
    assert slicks["other_class"].to_dict() == {
        **{"a1": "oil", "a2": "", "a3": "gas", "a4": "gas", "a5": ""},
        **{"p1": "oil", "p3": "", "p4": "", "p5": "oil", "p6": "oil"},
    }
    assert slicks.loc[["a2", "a3", "p5", "p3"], "other_id"].tolist() == ["", "p5", "a3", ""]
    assert slicks.loc[["a1", "a5", "p4", "p6"], "area_px"].tolist() == [100, 8, 32, 30]  # without what has no data
    assert slicks.loc[["p5", "p6"], ["p_slick", "p_class"]].to_numpy().tolist() == [[0.9, 0.7], [0.9, 0.4]]
    assert slicks.loc[["a1", "a2"], "overlap"].tolist() == [1, 0]
    assert slicks["area_km2"].isna().all()
    assert np.isnan(slicks.loc["a1", "p_slick"])


def test_places_and_areas_where_they_are_known(pages):
    """60 pixels of 40 m; the middle of rows 74 to 80 and columns 10 to 20."""
    slicks = pages["t"].slicks.set_index("slick_id")
    assert slicks.loc["p1", "area_km2"] == pytest.approx(60 * 0.0016)
    assert PLACE.to_pixel(*slicks.loc["p1", ["lon", "lat"]]) == pytest.approx((15, 77))
    assert pages["b"].slicks[["lon", "lat"]].isna().all(axis=None)


@pytest.mark.parametrize("name", PLANTED)
def test_outlines_follow_the_edges_of_pixels(pages, name):
    page, (image, target, pred, _) = pages[name], scene_arrays(name)
    left, top, right, bottom = page.box
    for kind, mask in (("annotated", (target > 0) & (image > 0)), ("predicted", (pred > 0) & (image > 0))):
        outlines = [each for each, of in zip(page.outlines, page.slicks["kind"], strict=True) if of == kind]
        drawn = rasterize(outlines, (bottom, right))
        np.testing.assert_array_equal(drawn[top:, left:] > 0, mask)
        assert not drawn[:top].any()
        assert not drawn[:, :left].any()


def macro_dice(names, change=None):
    """Of scenes, where the annotation of one of them was changed within an outline to what is predicted."""
    pooled = 0
    for name in names:
        image, target, pred, _ = scene_arrays(name)
        if change and change[0] == name:
            left, top, right, bottom = BOXES[name]
            within = rasterize([change[1]], (bottom, right))[top:, left:] > 0
            target = np.where(within, pred, target)
        pooled = pooled + confusion_counts(target, pred, image > 0, 3)
    return scores(pooled, NAMES)["macro_dice"]


@pytest.mark.parametrize("names", [["a", "b"], ["t"]])
def test_costs_are_what_macro_dice_would_gain(pages, names):
    now = macro_dice(names)
    for name in names:
        for outline, cost in zip(pages[name].outlines, pages[name].slicks["cost"], strict=True):
            assert cost == pytest.approx(macro_dice(names, (name, outline)) - now, abs=1e-12)
    assert pages["a"].slicks.set_index("slick_id").loc["p3", "cost"] > 0.05


def test_without_a_macro_dice_nothing_is_gained():
    """Where the only annotated slick goes, none is left."""
    slick, pooled = np.array([[[0, 0], [5, 0]]]), np.array([[20, 0], [5, 0]])
    assert costs(slick, pooled).tolist() == [0]


def listed(pages, **params):
    run = made_up_run()
    return {each.key: each for each in reviews_of(run, list(pages.values()), ReportParams(**params), 0.3)}


def ids(found):
    return [(item.scene, item.slick_id) for item in found.items]


def test_what_to_look_at_next_is_what_was_planted(pages):
    """In t the model is surest of a slick that nobody annotated, but that was judged already."""
    found = listed(pages)
    assert ids(found["unannotated"]) == [("a", "p3")]
    assert ids(found["missed"]) == [("a", "a2"), ("t", "a1"), ("b", "a1"), ("a", "a5")]
    assert ids(found["other_class"]) == [("a", "a3")]
    areas = [pages[scene].slicks.set_index("slick_id").loc[slick, "area_px"] for scene, slick in ids(found["missed"])]
    assert areas == sorted(areas, reverse=True)
    assert pages["t"].slicks.set_index("slick_id").loc["p1", "decision"] == "wrong"


def test_the_list_is_cut_and_says_how_many_there_are(pages):
    missed = listed(pages, n_review=2)["missed"]
    assert (ids(missed), missed.total) == ([("a", "a2"), ("t", "a1")], 4)


def test_how_sure_the_model_has_to_be(pages):
    assert ids(listed(pages, sure=0.3)["unannotated"]) == [("a", "p3"), ("a", "p4")]
    assert ids(listed(pages, sure=0.3)["other_class"]) == [("a", "a3"), ("a", "a4")]
    assert ids(listed(pages, sure=0.95)["unannotated"]) == []


@pytest.mark.parametrize(("column", "of", "value"), [("overlap", "a3", 0.29), ("p_slick", "p5", 0.49)])
def test_a_neighbour_and_a_doubtful_slick_say_nothing_of_a_class(pages, column, of, value):
    slicks = pages["a"].slicks.copy()
    slicks.loc[slicks["slick_id"] == of, column] = value
    changed = pages | {"a": replace(pages["a"], slicks=slicks)}
    assert ids(listed(changed)["other_class"]) == []


def test_an_item_shows_the_surroundings(pages):
    """96 pixels across, as far as the scene is so large; the slick lies in their middle, in the grid at 104 to 112."""
    (item,) = listed(pages)["unannotated"].items
    assert item.box == (64, 0, 160, 64)
    assert Image.open(BytesIO(item.picture)).size == (96, 64)
    assert item.around == ["a1", "a2", "a3", "a4", "p1", "p3", "p4", "p5", "p6"]  # a5 lies right of it
    near_the_edge = listed(pages)["missed"].items[3]
    assert (near_the_edge.slick_id, near_the_edge.box) == ("a5", (96, 0, 192, 64))
    assert "of oil with 0.80 (64 pixels)" in item.text
    assert "macro Dice of the training scenes would be" in item.text


def test_only_what_lies_in_the_picture_is_shown(pages, monkeypatch):
    """Around the missed slick, rows 30 to 36, 40 rows are 13 to 53: of the first slick, in rows 5 to 15, two are in."""
    monkeypatch.setattr(review, "SMALLEST", 40)
    item = next(item for item in listed(pages)["missed"].items if (item.scene, item.slick_id) == ("a", "a2"))
    assert item.box == (64, 13, 104, 53)
    assert item.around == ["a1", "a2", "p1"]


def test_without_a_place_for_each_tile_nothing_can_be_corrected(pages):
    """Tile b is alone in its scene; where both tiles of scene a are at the same place, outlines tell nothing."""
    assert [page.correctable for page in pages.values()] == [True, True, True]
    run = made_up_run()
    manifest = run.packed.manifest.assign(col=pd.array([2, 2, None, 0], "Int64"))
    other = type(run)(**{**vars(run), "packed": replace(run.packed, manifest=manifest)})
    found = {part.page.name: part.page.correctable for part in pages_of(other, CORRECTIONS, SEEPS, ReportParams())}
    assert found == {"a": False, "b": True, "t": True}


def test_seeps_lie_on_the_right_pixel(pages):
    """The first lies at 20.25, 70.5; the second right of the scene; the third in its lowest row. 200 m are 5 pixels."""
    seeps = pages["t"].seeps
    assert list(seeps) == list(SEEP_COLUMNS)
    assert seeps["seep_id"].tolist() == [1, 3]
    np.testing.assert_allclose(seeps[["x", "y"]], [[20.25, 70.5], [3, 127]], atol=1e-4)
    assert seeps["error_radius"].tolist() == [5, 5]
    assert pages["a"].seeps.empty


def test_seeps_of_a_common_grid_lie_on_the_right_pixel():
    """The grid of a begins three tiles to the right; a's first pixel is one further to the right: at 256."""
    seeps = SEEPS.drop(columns=["lon", "lat", "error_radius_m"])
    seeps = seeps.assign(x_px=[260.0, 250.0, 383.5], y_px=[10.0, 10.0, 63.0], error_radius_px=4.0)
    a, b, t = (part.page.seeps for part in pages_of(made_up_run(), CORRECTIONS, seeps, ReportParams()))
    assert a[["seep_id", "x", "y", "error_radius"]].to_numpy().tolist() == [[1, 68, 10, 4], [3, 191.5, 63, 4]]
    assert (len(b), len(t)) == (0, 0)


def test_slicks_of_later_parts_of_a_scene_are_numbered_on():
    """Where tiles are split at random, a scene comes in parts, and its slicks are numbered through."""
    run = made_up_run()
    first, second = (run.stitched(0, first) for first in (0, 5))
    assert (first.first, second.first) == (0, 5)
    twice = type(run)(**{**vars(run), "parts": [run.parts[0], run.parts[0]], "counts": [run.counts[0]] * 2})
    pages = [part.page for part in pages_of(twice, CORRECTIONS, SEEPS, ReportParams())]
    numbers = [page.slicks.loc[page.slicks["kind"] == "annotated", "slick_id"].tolist() for page in pages]
    assert numbers == [["a1", "a2", "a3", "a4", "a5"], ["a6", "a7", "a8", "a9", "a10"]]


def test_a_scene_without_a_slick():
    run = made_up_run()
    nothing = np.zeros_like(run.packed.targets)
    packed = type(run.packed)(run.packed.images, nothing, run.packed.manifest, run.packed.scenes)
    empty = type(run)(**{**vars(run), "packed": packed, "pred": nothing})
    pages = [part.page for part in pages_of(empty, CORRECTIONS, SEEPS, ReportParams())]
    assert [len(page.slicks) for page in pages] == [0, 0, 0]
    pd.testing.assert_series_equal(pages[0].slicks.dtypes, pages[2].slicks.dtypes)
    assert [each.total for each in reviews_of(empty, pages, ReportParams(), 0.3)] == [0, 0, 0]
