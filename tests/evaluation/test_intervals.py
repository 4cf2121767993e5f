"""Intervals by a bootstrap over scenes."""

import numpy as np
import pytest

from seepseg.evaluation.confusion import scores
from seepseg.evaluation.intervals import bootstrap_intervals, object_intervals, surface_intervals

NAMES = ["oil", "gas"]
# Rows actual, columns predicted: background, oil, gas.
TABLE = np.array([[90, 4, 0], [2, 6, 2], [0, 0, 0]])


def test_intervals_of_equal_scenes_are_points():
    table = np.array([[9, 1, 0], [2, 4, 0], [0, 1, 5]])
    measured = scores(table, NAMES)
    intervals = bootstrap_intervals(np.stack([table] * 5), samples=50, seed=1)
    for name in ("binary_dice", "macro_dice"):
        assert intervals[f"{name}_low"] == intervals[f"{name}_high"] == pytest.approx(measured[name])


def test_intervals_of_two_scenes_are_their_scores():
    """Half the resamples hold both scenes, a quarter each only one: the ends are those two."""
    good, bad = np.array([[8, 0], [0, 2]]), np.array([[8, 0], [2, 0]])
    intervals = bootstrap_intervals(np.stack([good, bad]), samples=200, seed=1)
    assert intervals == {
        "binary_dice_low": 0.0,
        "binary_dice_high": 1.0,
        "macro_dice_low": 0.0,
        "macro_dice_high": 1.0,
    }


def test_intervals_agree_with_drawing_scene_by_scene():
    generator = np.random.default_rng(3)
    tables = generator.integers(0, 50, (6, 3, 3))
    tables[:3, 2] = 0  # gas is absent from half of the scenes, and from some resamples
    measured = []
    for _ in range(3000):
        drawn = scores(tables[generator.integers(0, 6, 6)].sum(axis=0), NAMES)
        measured.append((drawn["binary_dice"], drawn["macro_dice"]))
    low, high = np.percentile(measured, [2.5, 97.5], axis=0)
    intervals = bootstrap_intervals(tables, samples=3000, seed=4)
    expected = {
        "binary_dice_low": low[0],
        "binary_dice_high": high[0],
        "macro_dice_low": low[1],
        "macro_dice_high": high[1],
    }
    assert intervals == pytest.approx(expected, abs=0.01)


def test_intervals_depend_on_the_seed_alone():
    tables = np.random.default_rng(5).integers(0, 50, (4, 3, 3))
    assert bootstrap_intervals(tables, 100, seed=1) == bootstrap_intervals(tables, 100, seed=1)
    assert bootstrap_intervals(tables, 100, seed=1) != bootstrap_intervals(tables, 100, seed=2)


@pytest.mark.parametrize("tables", [np.stack([TABLE]), np.zeros((0, 3, 3), int), np.zeros((3, 3, 3), int)])
def test_no_intervals_from_one_scene_or_from_nothing(tables):
    intervals = bootstrap_intervals(tables, samples=10, seed=1)
    assert intervals == dict.fromkeys(("binary_dice_low", "binary_dice_high", "macro_dice_low", "macro_dice_high"))


def test_object_intervals_of_two_scenes_are_their_scores():
    # Per scene and of any class, then of each: matched, predicted, annotated.
    scenes = np.array([[[1, 2, 2], [1, 1, 1], [0, 1, 1]], [[3, 3, 3], [3, 3, 3], [0, 0, 0]]])
    intervals = object_intervals(scenes, samples=200, seed=1)
    assert (intervals["object_f1_low"], intervals["object_f1_high"]) == (0.5, 1.0)
    # Class 2 is in the first scene alone: its mean is of 1 and 0 there, of 1 alone in the second.
    assert (intervals["macro_object_f1_low"], intervals["macro_object_f1_high"]) == (0.5, 1.0)
    assert set(object_intervals(scenes[:1], 200, 1).values()) == {None}


def test_surface_intervals_of_two_scenes_are_their_scores():
    # Per scene, of the target and of the prediction: matched edge pixels, all.
    scenes = np.array([[[1, 4], [2, 2]], [[3, 3], [4, 4]]], float)
    # Of any class and of two; of the latter, one is in no target, and edges of it were never found.
    of_classes = np.stack([scenes, scenes, scenes * 0], axis=1)[:, :, np.newaxis]
    low, high = surface_intervals(of_classes, samples=200, seed=1)
    np.testing.assert_array_equal(low, [[0.5], [0.5], [np.nan], [0.5]])
    np.testing.assert_array_equal(high, [[1], [1], [np.nan], [1]])
    alone = surface_intervals(of_classes[1:], 200, 1)
    assert alone.shape == (2, 4, 1) and np.isnan(alone).all()
