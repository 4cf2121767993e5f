"""Features of slicks, on scenes that can be checked by eye."""

import numpy as np
import pandas as pd
import pytest

from seepseg.data.scenes import Scene
from seepseg.detection import features
from seepseg.detection.candidates import find_candidates
from seepseg.detection.features import image_features, slick_features
from seepseg.detection.slick_table import feature_columns
from seepseg.detection.tta import SceneProbs
from seepseg.evaluation.objects import label_objects


def scene(*slicks, height=200, width=300, sea=30000, dark=20000, noise=1000.0):
    """An even sea with rectangles of film: (top, left, height, width) each."""
    image = np.full((height, width), float(sea))
    mask = np.zeros((height, width), dtype=bool)
    for top, left, tall, wide in slicks:
        mask[top : top + tall, left : left + wide] = True
    image[mask] = dark
    image += np.random.default_rng(0).normal(0, noise, image.shape)
    return image.astype(np.uint16), mask


def measured(image, mask):
    return image_features(image, *label_objects(mask, 8))


def test_shape_of_a_rectangle():
    row = measured(*scene((50, 40, 6, 60))).iloc[0]
    assert row["log_area"] == pytest.approx(np.log(360))
    # A uniform bar of length L has a standard deviation of L / sqrt(12), and 4 of them are its length.
    assert row["length"] == pytest.approx(4 * 60 / 12**0.5, rel=1e-3)
    assert row["width"] == pytest.approx(4 * 6 / 12**0.5, rel=1e-3)
    assert row["elongation"] == pytest.approx(10, rel=1e-3)
    assert row["half_width"] == 3
    assert row["box_fill"] == 1 and row["box_side"] == 33
    assert row["perimeter_per_area"] == pytest.approx((2 * 60 + 2 * 4) / 360)


def test_shape_does_not_depend_on_the_direction():
    image, mask = scene((50, 40, 6, 60))
    first, turned = measured(image, mask).iloc[0], measured(image.T.copy(), mask.T.copy()).iloc[0]
    np.testing.assert_allclose(first, turned, rtol=2e-3, atol=2e-3)


def test_contrast_and_sea_in_the_units_of_the_image():
    row = measured(*scene((80, 100, 20, 60))).iloc[0]
    assert row["contrast"] == pytest.approx(-10000, rel=0.05)
    assert row["sea_around"] == pytest.approx(30000, rel=0.02)
    assert row["sea_std"] == pytest.approx(1000, rel=0.15)
    assert row["contrast_in_stds"] == pytest.approx(-10, rel=0.2)
    assert row["contrast_low"] < row["contrast"]
    assert -10000 < row["contrast_near"] < -7000  # smoothing takes in some sea at the edge


def test_a_stronger_film_differs_in_contrast_alone():
    weak, strong = (measured(*scene((80, 100, 20, 60), dark=dark)).iloc[0] for dark in (28000, 15000))
    assert strong["contrast"] < weak["contrast"] < 0
    assert strong["edge"] > weak["edge"]
    same = ["log_area", "length", "half_width", "cover_near", "cover_wide"]
    pd.testing.assert_series_equal(weak[same], strong[same], check_names=False)


def test_cover_says_how_many_slicks_are_around():
    alone = measured(*scene((80, 100, 10, 40))).iloc[0]
    crowd = measured(*scene((80, 100, 10, 40), (60, 100, 10, 40), (100, 100, 10, 40), (120, 100, 10, 40))).iloc[1]
    assert crowd["cover_near"] > 2 * alone["cover_near"]
    assert crowd["cover_wide"] > 2 * alone["cover_wide"]


@pytest.mark.parametrize("block", [16, 37])
def test_blocks_where_nobody_looks_change_nothing(block, monkeypatch):
    image, mask = scene((0, 0, 5, 40), (80, 100, 20, 60), (150, 290, 50, 10))
    image[100:, 170:] = 0
    mask[100:, 170:] = False
    monkeypatch.setattr(features, "BLOCK", 1000)
    expected = measured(image, mask)
    monkeypatch.setattr(features, "BLOCK", block)
    pd.testing.assert_frame_equal(measured(image, mask), expected, check_exact=True)


def test_no_data_is_not_part_of_the_sea():
    image, mask = scene((80, 100, 20, 60))
    image[:, 170:] = 0
    row = measured(image, mask).iloc[0]
    assert row["sea_around"] == pytest.approx(30000, rel=0.02)
    assert row["sea_std"] == pytest.approx(1000, rel=0.15)


def test_one_pixel_and_no_slick_at_all():
    row = measured(*scene((80, 100, 1, 1)))
    assert row.shape[0] == 1 and np.isfinite(row.to_numpy()).all()
    assert (row["log_area"] == 0).all() and row["elongation"].iloc[0] == pytest.approx(1)
    image, mask = scene()
    assert measured(image, mask).shape == (0, row.shape[1])


def test_rows_are_in_the_order_of_the_numbers():
    table = measured(*scene((100, 200, 3, 50), (20, 30, 8, 8)))
    assert np.exp(table["log_area"]).round().tolist() == [64, 150]


NAMES = ["oil", "gas"]


def probs_of(foreground, class_probs):
    """A scene of two tiles side by side."""
    height, width = foreground.shape
    side = width // 2
    place = Scene("s", np.arange(2), np.zeros(2, int), np.arange(2) * side, (height, side))
    return SceneProbs(place, foreground.astype(np.float32), place.cut(class_probs).astype(np.float16))


@pytest.fixture
def table():
    """Two candidates in a scene of two tiles, seen by networks 1 and 2."""
    foreground = np.zeros((40, 80), np.float32)
    foreground[5:9, 10:70] = 0.8  # 240 pixels, across both tiles
    foreground[30:34, 10:14] = 0.6
    classes = np.stack([foreground * 0.25, foreground * 0.75])
    probs = {1: probs_of(foreground, classes), 2: probs_of(foreground / 2, classes)}
    return slick_features(np.full((40, 80), 30000, np.uint16), probs, *find_candidates(foreground, 0.5, 1), NAMES)


def test_a_row_for_each_slick_and_network(table):
    assert list(zip(table["slick"], table["network"], strict=True)) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert list(table["area"]) == [240, 240, 16, 16]
    assert set(table.columns) - set(feature_columns(table)) == {"slick", "network", "area"}
    assert (table[feature_columns(table)].dtypes == np.float32).all()


def test_the_probabilities_of_each_network(table):
    first, second = table.iloc[0], table.iloc[1]
    assert first["prob_mean"] == pytest.approx(0.8) and second["prob_mean"] == pytest.approx(0.4)
    assert first["log_odds_peak"] == pytest.approx(np.log(4), rel=1e-5)
    assert (first["above_70"], first["above_85"], second["above_50"]) == (1, 0, 0)
    assert first["log_share_oil"] == pytest.approx(np.log(0.25), abs=1e-3)
    assert second["log_share_gas"] == pytest.approx(np.log(0.75), abs=1e-3)
    image, mask = np.full((40, 80), 30000, np.uint16), np.zeros((40, 80), bool)
    mask[5:9, 10:70] = mask[30:34, 10:14] = True
    same = list(measured(image, mask).columns)  # whichever network looks
    pd.testing.assert_series_equal(first[same], second[same], check_names=False)


def test_a_scene_without_a_candidate(table):
    empty = np.zeros((8, 8), np.float32)
    probs = {0: probs_of(empty, np.stack([empty, empty]))}
    nothing = slick_features(np.ones((8, 8), np.uint16), probs, empty.astype(np.int32), 0, NAMES)
    assert nothing.shape == (0, table.shape[1]) and list(nothing.columns) == list(table.columns)
