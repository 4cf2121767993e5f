"""Outlines by two thresholds, one name for each slick, and the fit of both."""

import json

import numpy as np
import pandas as pd
import pytest

from seepseg.decision import DecisionRule, decide_scene, describe_slicks, find_slicks, fit_rule, load_rule
from seepseg.errors import InputError
from seepseg.inference import SceneProbs
from seepseg.scenes import Scene

RULE = {
    "flips": 1,
    "low": 0.4,
    "high": 0.7,
    "min_area": 2,
    "naming": "vote",
    "vote_weight": 1.0,
    "class_weights": [1.0, 1.0],
}

FOREGROUND = np.array(
    [
        [0.9, 0.5, 0.0, 0.6, 0.6, 0.0],
        [0.0, 0.0, 0.4, 0.0, 0.6, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.8, 0.0, 0.3, 0.0, 0.7, 0.4],
    ],
    dtype=np.float32,
)


def rule(**values):
    return DecisionRule(**RULE | values)


def scene_of(foreground, class_probs=None, tiles=1):
    """A scene of equal tiles side by side, all of it seen."""
    height, width = foreground.shape
    side = width // tiles
    scene = Scene("s", np.arange(tiles), np.zeros(tiles, int), np.arange(tiles) * side, (height, side))
    if class_probs is None:
        class_probs = np.stack([foreground, 0 * foreground])
    in_tiles = np.stack([class_probs[..., left : left + side] for left in scene.left])
    return SceneProbs(scene, np.full(foreground.shape, 30000, np.uint16), foreground, in_tiles.astype(np.float32))


def test_hysteresis_keeps_weak_pixels_that_touch_a_strong_one():
    labels, n = find_slicks(FOREGROUND, low=0.4, high=0.7, min_area=1)
    # The corner at row 1, column 2 joins the first two groups; one pixel alone reaches 0.8; 0.3 is below both.
    assert n == 3
    assert labels.tolist() == [[1, 1, 0, 1, 1, 0], [0, 0, 1, 0, 1, 0], [0] * 6, [2, 0, 0, 0, 3, 3]]


def test_a_higher_low_threshold_splits_and_small_slicks_are_left_out():
    labels, n = find_slicks(FOREGROUND, low=0.5, high=0.7, min_area=2)
    assert n == 1 and np.flatnonzero(labels).tolist() == [0, 1]
    assert find_slicks(FOREGROUND, low=0.4, high=0.95, min_area=1)[1] == 0


def test_no_data_is_never_a_slick_even_at_a_threshold_of_zero():
    labels, n = find_slicks(FOREGROUND, low=0.0, high=0.0, min_area=1)
    assert ((labels > 0) == (FOREGROUND > 0)).all() and n > 0


def test_a_slick_across_tiles_gets_one_name_from_all_of_its_pixels():
    foreground = np.full((2, 8), 0.9, np.float32)
    class_probs = np.stack([np.full((2, 8), 0.4), np.full((2, 8), 0.5)])
    class_probs[:, :, :4] = [[[0.6]], [[0.3]]]  # the left tile alone would be of class 1
    probs = scene_of(foreground, class_probs, tiles=2)
    assert decide_scene(probs, rule(naming="pixel"), None).tolist() == [[[1] * 4] * 2, [[2] * 4] * 2]
    assert decide_scene(probs, rule(), None).tolist() == [[[1] * 4] * 2] * 2  # 4.8 + 3.2 against 2.4 + 4
    assert decide_scene(probs, rule(class_weights=[1.0, 1.3]), None).tolist() == [[[2] * 4] * 2] * 2


class Says:
    """A namer that knows one answer."""

    def __init__(self, *probs):
        self.answer = np.array(probs, np.float32)

    def probs(self, measured):
        assert isinstance(measured, pd.DataFrame)
        return np.tile(self.answer, (len(measured), 1))


def test_properties_and_vote_are_weighed_against_each_other():
    foreground = np.full((4, 4), 0.9, np.float32)
    probs = scene_of(foreground, np.stack([np.full((4, 4), 0.8), np.full((4, 4), 0.1)]))
    slicks = describe_slicks(probs, *find_slicks(foreground, 0.4, 0.7, 1), Says(0.2, 0.8))
    np.testing.assert_allclose(slicks.votes, [[8 / 9, 1 / 9]], rtol=1e-6)
    for vote_weight, expected in ((0.0, 2), (0.5, 2), (1.0, 1)):  # 0.8 / 0.2 = 4 against 1, 2.8 and 8
        assert slicks.name(vote_weight, [1, 1]).tolist() == [expected]
    assert (decide_scene(probs, rule(naming="properties", vote_weight=0.5), Says(0.2, 0.8)) == 2).all()


def test_a_scene_without_a_slick():
    probs = scene_of(np.zeros((4, 4), np.float32))
    for naming in ("properties", "vote", "pixel"):
        assert not decide_scene(probs, rule(naming=naming), Says(0.5, 0.5)).any()


def made_scene():
    """Slicks with a halo of 0.35 that is no slick, specks of 0.8, and class 2 rare and never the first choice."""
    foreground, target = np.zeros((60, 60), np.float32), np.zeros((60, 60), np.uint8)
    class_probs = np.zeros((2, 60, 60))
    for number, top in enumerate(range(2, 58, 8)):
        foreground[top - 1 : top + 4, 4:41] = 0.33
        foreground[top : top + 3, 5:40] = 0.65
        foreground[top, 5] = 0.95
        target[top : top + 3, 5:40] = 2 if number == 0 else 1
        class_probs[:, top - 1 : top + 4, 4:41] = [[[0.5]], [[0.45 if number == 0 else 0.1]]]
        foreground[top, 50:53] = 0.93
    return scene_of(foreground, class_probs), target


def fitted(naming="vote", sizes=(1000, 10)):
    probs, target = made_scene()
    return fit_rule([probs], [target], None, np.array(sizes), flips=4, naming=naming, min_iou=0.3), probs, target


def test_the_fit_finds_outlines_names_and_the_smallest_slick():
    found, probs, target = fitted()
    assert found.flips == 4 and found.naming == "vote"
    assert 0.33 < found.low <= 0.65 and found.high >= found.low
    assert 3 < found.min_area <= 105 or found.high > 0.93
    assert found.class_weights[1] > found.class_weights[0] == 1  # the rare one needs it to win its slick
    assert (decide_scene(probs, found, None)[0] == target).all()


def test_class_weights_stay_equal_where_they_do_not_help():
    assert fitted(naming="pixel")[0].class_weights == [1.0, 1.0]
    assert fitted(sizes=(10, 10))[0].class_weights == [1.0, 1.0]


def test_a_rule_survives_its_file(tmp_path):
    path = tmp_path / "decision.json"
    path.write_text(json.dumps(RULE))
    assert load_rule(path, 2) == rule()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing: write it anew with `dvc repro decide`"),
        ("{", "is not as expected"),
        (json.dumps(RULE | {"low": 1.5}), "low is not as expected: Input should be less than or equal to 1"),
        (json.dumps(RULE | {"lows": 1}), "lows is not as expected"),
        (json.dumps(RULE | {"class_weights": [1.0]}), "expected weights of 2 classes, found 1"),
    ],
)
def test_a_wrong_rule_is_one_clear_line(tmp_path, content, message):
    path = tmp_path / "decision.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        load_rule(path, 2)
    assert len(str(error.value).splitlines()) == 1
