"""Features of slicks, on scenes that can be checked by eye."""

import numpy as np
import pandas as pd
import pytest
from conftest import Whole

from seepseg.data.block_array import BlockArray
from seepseg.detection import features, filters, shapes
from seepseg.detection.features import image_features
from seepseg.detection.marked_slicks import MarkedSlicks
from seepseg.detection.network_features import NetworkSums
from seepseg.detection.shapes import find_boxes
from seepseg.detection.slick_table import ENDS, feature_columns
from seepseg.detection.tta import BlockProbs
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


def measured(image, mask, block=(1000, 1000)):
    labels, n = label_objects(mask, 8)
    in_blocks = BlockArray.of(labels, block)
    return image_features(Whole(image), in_blocks, find_boxes(in_blocks, n))


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
    monkeypatch.setattr(filters, "BLOCK", 1000)
    expected = measured(image, mask)
    monkeypatch.setattr(filters, "BLOCK", block)
    pd.testing.assert_frame_equal(measured(image, mask), expected, check_exact=True)


@pytest.mark.parametrize("block", [(256, 512), (208, 200)])
def test_what_is_measured_does_not_depend_on_the_blocks(block):
    image, mask = scene(
        (0, 0, 5, 40), (240, 180, 40, 360), (300, 700, 500, 9), (690, 290, 50, 10), height=900, width=1400
    )
    image[100:, 1200:] = 0
    expected = measured(image, mask)
    assert len(expected) == 4
    pd.testing.assert_frame_equal(measured(image, mask, block), expected, check_exact=True)


def test_a_slick_is_measured_in_parts_where_its_box_is_large(monkeypatch):
    image, mask = scene((20, 30, 40, 200), (100, 10, 90, 9))
    expected = measured(image, mask)
    monkeypatch.setattr(shapes, "CHUNK", 25)
    monkeypatch.setattr(shapes, "MAX_HALF_WIDTH", 20)
    pd.testing.assert_frame_equal(measured(image, mask), expected, check_exact=True)
    monkeypatch.setattr(shapes, "MAX_HALF_WIDTH", 12)
    assert measured(image, mask)["half_width"].tolist() == [12, 5]


def test_the_percentile_of_a_large_slick_is_that_of_a_sample(monkeypatch):
    image, mask = scene((20, 30, 100, 200))
    exact = measured(image, mask)["contrast_low"].item()
    monkeypatch.setattr(features, "SAMPLE", 1000)
    assert measured(image, mask)["contrast_low"].item() == pytest.approx(exact, abs=200)  # 0.2 standard deviations
    assert measured(image, mask)["contrast_low"].item() != exact


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


def marked(image, labels, n, probs, block=(1000, 1000)):
    """Slicks as the detector hands them on."""
    in_blocks, sums = BlockArray.of(labels, block), NetworkSums(list(probs), NAMES)
    for window in in_blocks.windows():
        here = {
            number: BlockProbs(each.foreground[window.slices], each.class_probs[:, *window.slices])
            for number, each in probs.items()
        }
        sums.add(in_blocks.read(window), here)
    return MarkedSlicks(Whole(image), in_blocks, find_boxes(in_blocks, n), sums.features(n))


@pytest.fixture
def slicks():
    """Two candidates in a scene, seen by networks 1 and 2."""
    foreground = np.zeros((40, 80), np.float32)
    foreground[5:9, 10:70] = 0.8  # 240 pixels
    foreground[30:34, 10:14] = 0.6
    classes = np.stack([foreground * 0.25, foreground * 0.75]).astype(np.float16)
    probs = {1: BlockProbs(foreground, classes), 2: BlockProbs(foreground / 2, classes)}
    return np.full((40, 80), 30000, np.uint16), *label_objects(foreground > 0.5, 8), probs


def test_a_row_for_each_slick_and_network(slicks):
    table = marked(*slicks).measure()
    assert list(zip(table["slick"], table["network"], strict=True)) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert list(table["area"]) == [240, 240, 16, 16]
    assert set(table.columns) - set(feature_columns(table)) == {"slick", "network", "area", *ENDS}
    assert (table[feature_columns(table)].dtypes == np.float32).all()
    pd.testing.assert_frame_equal(marked(*slicks, block=(7, 16)).measure(), table, rtol=1e-6)


def test_the_probabilities_of_each_network(slicks):
    table = marked(*slicks).measure()
    first, second = table.iloc[0], table.iloc[1]
    assert first["prob_mean"] == pytest.approx(0.8) and second["prob_mean"] == pytest.approx(0.4)
    assert first["log_odds_peak"] == pytest.approx(np.log(4), rel=1e-5)
    assert (first["above_70"], first["above_85"], second["above_50"]) == (1, 0, 0)
    assert first["log_share_oil"] == pytest.approx(np.log(0.25), abs=1e-3)
    assert second["log_share_gas"] == pytest.approx(np.log(0.75), abs=1e-3)
    same = list(measured(slicks[0], slicks[1] > 0).columns)  # whichever network looks
    pd.testing.assert_series_equal(first[same], second[same], check_names=False)


def test_pieces_count_for_the_slick_that_they_make():
    p = np.array([[0.5, 0.9, 0.7, 0.2]], np.float32)
    sums = NetworkSums([0], NAMES)
    sums.add(np.array([[1, 2, 2, 3]], np.int32), {0: BlockProbs(p, np.stack([p, 1 - p]).astype(np.float16))})
    table = sums.features(1, np.array([0, 1, 1, 0], np.int32))[0]  # piece 3 is no slick
    assert table["prob_mean"].item() == pytest.approx(0.7) and table["prob_peak"].item() == pytest.approx(0.9)
    assert table["log_share_oil"].item() == pytest.approx(np.log(0.7), abs=1e-3)


def test_a_scene_without_a_candidate(slicks):
    empty = np.zeros((8, 8), np.float32)
    nothing = marked(
        np.ones((8, 8), np.uint16), empty.astype(np.int32), 0, {0: BlockProbs(empty, np.stack([empty] * 2))}
    )
    table, full = nothing.measure(), marked(*slicks).measure()
    assert table.shape == (0, full.shape[1]) and list(table.columns) == list(full.columns)
