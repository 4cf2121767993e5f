"""Scores of classes alone, against those of whole scenes."""

import numpy as np
import pytest

from seepseg.evaluation.named_scores import count_named, mean_of_known, named_scores
from seepseg.evaluation.scene_counts import count_scene, pooled_scores

NAMES = ["oil", "gas", "ship"]


def painted():
    """Two slicks of oil, of which one is called gas; one of gas on no-data in part; no ship."""
    target, pred = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    target[1:4, 1:7], pred[1:4, 1:7] = 1, 1
    target[9:12, 1:7], pred[9:12, 1:7] = 1, 2
    target[15:19, 1:7], pred[15:19, 1:4] = 2, 2
    valid = np.ones((20, 20), bool)
    valid[17:] = False
    return pred, target, valid


def test_scores_by_hand():
    """Oil: 18 of 36 pixels and one of two slicks. Gas: 6 of 12, but 24 predicted; found at an IoU of 1 / 2."""
    counts = count_named(*painted(), 4, 0.3)
    assert counts.objects.tolist() == [[1, 1, 2], [1, 2, 1], [0, 0, 0]]
    found = named_scores([counts], NAMES)
    assert found["macro_dice"] == pytest.approx((2 * 18 / 54 + 2 * 6 / 36) / 2)
    assert found["macro_object_f1"] == pytest.approx(2 / 3)


def test_scores_of_several_scenes_are_those_of_all_counts():
    pred, target, valid = painted()
    scenes = [(pred, target, valid), (pred[::-1].copy(), target, valid), (np.zeros_like(pred), target, valid)]
    sure = np.zeros(pred.shape, np.float32)
    whole = pooled_scores([count_scene("a", *each, sure, 4, 0.3) for each in scenes], NAMES, 2, 1)
    found = named_scores([count_named(*each, 4, 0.3) for each in scenes], NAMES)
    assert found == {name: whole[name] for name in ("macro_dice", "macro_object_f1")}


def test_without_a_slick_there_is_no_score():
    empty = np.zeros((4, 4), np.uint8)
    found = named_scores([count_named(empty, empty, empty == 0, 2, 0.3)], ["oil"])
    assert found == {"macro_dice": None, "macro_object_f1": None} and mean_of_known({"a": None, "b": 0.5}) == 0.5
