"""What networks outline in scenes that they never saw, and what is known of each outline."""

import numpy as np
import pandas as pd
import pytest

from seepseg.base.errors import InputError
from seepseg.data.packed import Packed
from seepseg.data.scenes import Scene
from seepseg.detection.candidates import (
    PROB_FEATURES,
    annotated_outlines,
    average,
    average_classes,
    find_slicks,
    find_views,
    open_array,
    read_slicks,
    slick_features,
    slick_table,
)
from seepseg.detection.features import FEATURES
from seepseg.detection.recurrence import Recurrence
from seepseg.detection.tta import SceneProbs

FOREGROUND = np.array(
    [
        [0.9, 0.5, 0.0, 0.6, 0.6, 0.0],
        [0.0, 0.0, 0.4, 0.0, 0.6, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.8, 0.0, 0.3, 0.0, 0.7, 0.4],
    ],
    dtype=np.float32,
)
NAMES = ["oil", "gas"]
NOTHING_KNOWN = [Recurrence(np.full((2, 2), -1), np.zeros((2, 4, 4)))] * 3  # of tiles, by each network


def probs_of(foreground, class_probs=None, tiles=1):
    """A scene of equal tiles side by side, all of it seen."""
    height, width = foreground.shape
    side = width // tiles
    scene = Scene("s", np.arange(tiles), np.zeros(tiles, int), np.arange(tiles) * side, (height, side))
    if class_probs is None:
        class_probs = np.stack([foreground, 0 * foreground])
    return SceneProbs(scene, foreground.astype(np.float32), scene.cut(class_probs).astype(np.float16))


def test_outlines_by_eye():
    labels, n = find_slicks(FOREGROUND, 0.4, 2)
    assert n == 2
    assert labels.tolist() == [[1, 1, 0, 1, 1, 0], [0, 0, 1, 0, 1, 0], [0] * 6, [0, 0, 0, 0, 2, 2]]
    assert find_slicks(FOREGROUND, 0.4, 1)[1] == 3
    assert find_slicks(np.zeros((3, 3), np.float32), 0.4, 1)[1] == 0


def test_annotations_on_no_data_do_not_count():
    image = np.array([[5, 0, 5, 5]], np.uint16)
    labels, n = annotated_outlines(image, np.array([[1, 1, 1, 0]], np.uint8))
    assert labels.tolist() == [[1, 0, 2, 0]] and n == 2


def test_networks_are_averaged_by_their_log_odds():
    one, other = (probs_of(np.full((2, 2), p)) for p in (0.9, 0.5))
    # Odds of 9 and 1: their geometric mean is 3.
    np.testing.assert_allclose(average([one, other]), 0.75, atol=1e-6)
    unseen = probs_of(np.zeros((2, 2)))
    assert not average([unseen, unseen]).any()
    assert average([one]) is one.foreground


def test_averaged_classes_share_the_averaged_foreground():
    one = probs_of(np.full((2, 4), 0.9), np.stack([np.full((2, 4), 0.8), np.full((2, 4), 0.1)]), tiles=2)
    other = probs_of(np.full((2, 4), 0.5), np.stack([np.full((2, 4), 0.0), np.full((2, 4), 0.5)]), tiles=2)
    classes = average_classes([one, other], average([one, other]))
    assert classes.shape == (2, 2, 2, 2)
    np.testing.assert_allclose(classes[0, :, 0, 0], [0.75 * 0.8 / 1.4, 0.75 * 0.6 / 1.4], rtol=1e-3)
    assert average_classes([one], one.foreground).dtype == np.float32


@pytest.fixture
def table():
    """Two outlines in a scene of two tiles, seen by networks 1 and 2; one overlaps two annotated slicks."""
    foreground = np.zeros((40, 80), np.float32)
    foreground[5:9, 10:70] = 0.8  # 240 pixels, across both tiles
    foreground[30:34, 10:14] = 0.6
    target = np.zeros((40, 80), np.uint8)
    target[5:9, 10:30] = 1
    target[5:9, 40:70] = 2
    image = np.full((40, 80), 30000, np.uint16)
    image[8, 69] = 0
    classes = np.stack([foreground * 0.25, foreground * 0.75])
    probs = {1: probs_of(foreground, classes, tiles=2), 2: probs_of(foreground / 2, classes, tiles=2)}
    annotated, _ = annotated_outlines(image, target)
    return slick_table(image, find_slicks(foreground, 0.5, 1), target, annotated, probs, NOTHING_KNOWN, NAMES)


def test_a_row_for_each_slick_and_network(table):
    assert list(zip(table["slick"], table["network"], strict=True)) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert list(table["area"]) == [240, 240, 16, 16]
    assert set(slick_features(NAMES, recurrence=True)) < set(table.columns)
    assert set(slick_features(NAMES, recurrence=True)) - set(slick_features(NAMES, recurrence=False)) == {
        "recurrence_oil",
        "recurrence_gas",
    }


def test_what_is_annotated_there(table):
    large, small = table.iloc[0], table.iloc[2]
    assert (large["pixels_oil"], large["pixels_gas"]) == (80, 119)  # one lies on no-data
    assert large["match"] == 2 and large["iou"] == pytest.approx(119 / 240)
    assert (small["pixels_oil"], small["pixels_gas"], small["match"], small["iou"]) == (0, 0, 0, 0)


def test_what_each_network_says(table):
    first, second = table.iloc[0], table.iloc[1]
    assert first["prob_mean"] == pytest.approx(0.8) and second["prob_mean"] == pytest.approx(0.4)
    assert first["log_odds_peak"] == pytest.approx(np.log(4), rel=1e-5)
    assert (first["above_70"], first["above_85"], second["above_50"]) == (1, 0, 0)
    assert first["vote_oil"] == pytest.approx(np.log(0.25), abs=1e-3)
    assert second["vote_gas"] == pytest.approx(np.log(0.75), abs=1e-3)
    same = list(FEATURES)  # the outline is the same, whoever looks
    pd.testing.assert_series_equal(first[same], second[same], check_names=False)


def test_a_scene_without_an_outline():
    empty = np.zeros((8, 8), np.float32)
    image, target = np.ones((8, 8), np.uint16), empty.astype(np.uint8)
    annotated, _ = annotated_outlines(image, target)
    table = slick_table(
        image, find_slicks(empty, 0.5, 1), target, annotated, {0: probs_of(empty)}, NOTHING_KNOWN, NAMES
    )
    assert table.shape == (0, 7 + len(FEATURES) + len(PROB_FEATURES) + 4)


def test_views_show_each_part_to_the_network_that_is_blind_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    scenes, parts = ["a", "a", "b", "c", "d"], ["0", "0", "1", "2", ""]
    splits = ["val", "val", "train", "train", "test"]
    tiles = [f"t{number}" for number in range(5)]
    pd.DataFrame({"tile": tiles, "scene": scenes, "split": splits, "part": parts}).to_csv("data/split.csv", index=False)
    manifest = pd.DataFrame({"tile": tiles, "scene": scenes, "row": 0, "col": [0, 1, 0, 0, 0]})
    packed = Packed(np.zeros((5, 4, 4), np.uint16), np.zeros((5, 4, 4), np.uint8), manifest)
    views = find_views(packed, 2)
    assert [(view.split, view.scene.name, view.networks) for view in views] == [
        ("val", "a", (0,)),
        ("val", "b", (1,)),
        ("test", "d", (0, 1)),
    ]
    assert views[0].scene.indices.tolist() == [0, 1]


def test_missing_files_name_the_stage_to_run(tmp_path):
    with pytest.raises(InputError, match=r"outlined\.csv is missing: run `dvc repro outline`"):
        read_slicks("outlined", tmp_path)
    with pytest.raises(InputError, match=r"labels\.npy is missing: run `dvc repro outline`"):
        open_array("labels", 3, tmp_path)
    np.save(tmp_path / "labels.npy", np.zeros((2, 4, 4), np.int32))
    with pytest.raises(InputError, match=r"labels\.npy: expected 3 tiles, found 2"):
        open_array("labels", 3, tmp_path)
