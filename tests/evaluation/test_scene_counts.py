"""Counts of scenes and their scores together."""

import json
from dataclasses import replace

import numpy as np
import pytest

from seepseg.evaluation.scene_counts import (
    SceneCounts,
    baseline_scores,
    calibration_error,
    count_scene,
    operating_point,
    pooled_scores,
    reliability_curve,
)

NAMES = ["oil", "gas"]


def scene(name="a", shift=0):
    """Three annotated slicks; one is found, one taken for another class, one missed; one more is none."""
    target, pred = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    target[1:4, 1:7], pred[1 + shift : 4 + shift, 1:7] = 1, 1
    target[9:12, 1:7], pred[9:12, 1:7] = 2, 1
    target[15:18, 1:7] = 2
    pred[15:18, 12:18] = 2
    valid = np.ones((20, 20), bool)
    foreground = np.where(pred > 0, 0.75, 0.125).astype(np.float32)
    return count_scene(name, pred, target, valid, foreground, 3, 0.3)


def test_objects_by_hand():
    assert scene().objects.tolist() == [[2, 3, 3], [1, 2, 1], [0, 1, 2]]
    assert scene(shift=2).objects.tolist() == [[1, 3, 3], [0, 2, 1], [0, 1, 2]]  # an IoU of 6 / 30


def test_what_is_not_valid_counts_nowhere():
    target, pred = np.full((4, 4), 1, np.uint8), np.full((4, 4), 2, np.uint8)
    valid = np.zeros((4, 4), bool)
    counts = count_scene("a", pred, target, valid, np.full((4, 4), 0.9, np.float32), 3, 0.3)
    assert not counts.confusion.any() and not counts.objects.any() and not counts.reliability.any()
    assert not counts.edges.any()


def test_edges_by_hand():
    # Each slick has 14 pixels on its edge. Shifted by 2, a slick meets a row and its ends at 1 pixel, all at 2.
    any_class, oil, gas = scene().edges.tolist()
    assert any_class == [[[28, 42], [28, 42]]] * 3
    assert oil == [[[14, 14], [14, 28]]] * 3
    assert gas == [[[0, 28], [0, 14]]] * 3
    any_class, oil, _ = scene(shift=2).edges.tolist()
    assert any_class == [[[22, 42], [22, 42]], *[[[28, 42], [28, 42]]] * 2]
    assert oil == [[[8, 14], [8, 28]], *[[[14, 14], [14, 28]]] * 2]


def test_scores_of_one_scene():
    document = pooled_scores([scene()], NAMES, 10, 1)
    assert document["binary_dice"] == pytest.approx(2 * 36 / 108)
    assert document["surface_dice_1"] == pytest.approx(28 / 42)
    assert document["class_surface_dice_1"] == pytest.approx({"oil": 28 / 42, "gas": 0})
    assert document["macro_surface_dice_1"] == pytest.approx(14 / 42)
    assert document["object_f1"] == pytest.approx(4 / 6)
    assert document["class_object_f1"] == pytest.approx({"oil": 2 / 3, "gas": 0})
    assert document["macro_object_f1"] == pytest.approx(1 / 3)
    assert document["object_f1_low"] is None and document["surface_dice_1_low"] is None


def test_scores_of_two_scenes_are_of_the_sums():
    document = pooled_scores([scene("a"), scene("b", shift=2)], NAMES, 50, 1)
    assert document["object_f1"] == pytest.approx(2 * 3 / 12)
    assert document["object_f1_low"] == pytest.approx(2 / 6) and document["object_f1_high"] == pytest.approx(4 / 6)
    assert document["surface_dice_1"] == pytest.approx((28 + 22) / 84)
    ends = document["surface_dice_1_low"], document["surface_dice_1_high"]
    assert ends == pytest.approx((22 / 42, 28 / 42))
    oil = [document[f"class_surface_dice_1{end}"]["oil"] for end in ("", "_low", "_high")]
    assert oil == pytest.approx([(28 + 16) / 84, 16 / 42, 28 / 42])
    macro = [document[f"macro_surface_dice_1{end}"] for end in ("", "_low", "_high")]
    assert macro == pytest.approx([value / 2 for value in oil])  # gas is never met
    assert document["surface_dice_2"] == document["surface_dice_3_high"] == pytest.approx(28 / 42)


def test_without_the_edges_of_a_scene_only_the_surface_dice_is_unknown():
    whole, part = ([scene("a"), replace(scene("b"), edges=edges)] for edges in (scene().edges, scene().edges * np.nan))
    known, unknown = (pooled_scores(counts, NAMES, 50, 1) for counts in (whole, part))
    differing = {name for name in known if known[name] != unknown[name]}
    of_tolerance = {
        f"{start}surface_dice_{end}" for start in ("", "macro_", "class_") for end in (1, "1_low", "1_high")
    }
    assert differing == {name.replace("1", tolerance) for name in of_tolerance for tolerance in "123"}
    values = [unknown[name] for name in differing]
    assert all(set(value.values()) == {None} if isinstance(value, dict) else value is None for value in values)


def test_an_absent_class_has_no_score():
    target = np.zeros((9, 9), np.uint8)
    target[2:5, 2:5] = 1
    counts = count_scene("a", target, target, target >= 0, (target > 0).astype(np.float32), 3, 0.3)
    document = pooled_scores([counts], NAMES, 10, 1)
    assert document["class_object_f1"] == {"oil": 1.0, "gas": None}
    assert document["class_surface_dice_1"] == {"oil": 1.0, "gas": None}
    assert document["macro_object_f1"] == document["macro_surface_dice_2"] == 1 and document["calibration_error"] == 0


def test_reliability_and_its_error_by_hand():
    # 54 pixels were given 0.75, and 36 of them are slick; 346 were given 0.125, 18 of them slick.
    curve = reliability_curve([scene()])
    assert curve["probability"].tolist() == [0.125, 0.75]
    assert curve["slick_share"].tolist() == pytest.approx([18 / 346, 36 / 54])
    assert curve["pixels"].tolist() == [346, 54]
    expected = (abs(18 - 0.125 * 346) + abs(36 - 0.75 * 54)) / 400
    assert calibration_error([scene()]) == pytest.approx(expected)
    assert calibration_error([scene(), scene()]) == pytest.approx(expected)


def test_operating_point():
    assert operating_point([scene()]) == {"class": "any", "precision": 36 / 54, "recall": 36 / 54}


def test_counts_survive_json():
    before = scene()
    after = SceneCounts.from_json(json.loads(json.dumps(before.to_json())))
    assert after.scene == before.scene
    for name in ("confusion", "objects", "reliability", "edges"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_counts_recorded_without_edges_or_with_those_of_any_class_are_read():
    document = scene().to_json()
    assert document["edges"][1][0] == [[14, 14], [14, 28]]
    for edges in ({}, {"edges": None}, {"edges": [[28, 42], [28, 42]]}):
        older = SceneCounts.from_json({name: document[name] for name in document if name != "edges"} | edges)
        known = older.edges[~np.isnan(older.edges)].tolist()
        assert older.edges.shape == (3, 3, 2, 2) and known == ([28, 42, 28, 42] if edges.get("edges") else [])
        again = SceneCounts.from_json(json.loads(json.dumps(older.to_json())))
        np.testing.assert_array_equal(again.edges, older.edges)
    scores = pooled_scores([older], NAMES, 10, 1)
    assert scores["surface_dice_1"] == 28 / 42 and scores["surface_dice_2"] is scores["macro_surface_dice_1"] is None


def test_baselines_of_the_real_data():
    """The pixel counts of the 790 real tiles; the expected figures were measured elsewhere."""
    counts = [50_838_488, 525_335, 64_758, 22_489, 42_957, 155_191, 116_229, 7_993]
    baselines = baseline_scores(np.diag(counts), [f"class_{number}" for number in range(1, 8)])
    nothing, outline = baselines["all_background"], baselines["perfect_outline_class_1"]
    assert len(baselines) == 2
    assert nothing == {
        "pixel_accuracy": pytest.approx(0.982, abs=5e-4),
        "binary_dice": 0.0,
        "macro_dice": 0.0,
    }
    assert outline["macro_dice"] == pytest.approx(0.103, abs=5e-4)
    assert outline["binary_dice"] == 1.0
    assert outline["pixel_accuracy"] == (counts[0] + counts[1]) / sum(counts)


def test_baselines_know_only_the_target():
    table = np.array([[90, 4, 0], [2, 6, 2], [3, 0, 5]])
    baselines = baseline_scores(table, NAMES)
    assert baselines == baseline_scores(np.diag(table.sum(axis=1)), NAMES)
    # All 10 pixels of oil are found, and 8 of gas are called oil, too.
    assert baselines["perfect_outline_oil"]["macro_dice"] == (20 / 28 + 0) / 2
