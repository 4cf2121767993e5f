"""Differences between two predictions of the same scenes."""

import numpy as np
import pytest

from seepseg.evaluation.paired import Difference, class_scores, expanded_percentiles, headlines, times_drawn
from seepseg.evaluation.scene_counts import SceneCounts

HEADLINES = ["binary_dice", "macro_dice", "object_f1", "macro_object_f1", "surface_dice_1"]


def scene(name, right, missed, false=0):
    """Pixels, slicks and edge pixels of one class: right, missed, false."""
    objects, edges = [[right, right + false, right + missed]] * 2, [[right, right + missed], [right, right + false]]
    everywhere = np.broadcast_to(np.array(edges, float), (2, 3, 2, 2))
    return SceneCounts(
        name, np.array([[100, false], [missed, right]]), np.array(objects), np.zeros((64, 3)), everywhere
    )


def paired_differences(ours, theirs, samples, seed):
    """Of all headlines."""
    times = times_drawn(len(ours), samples, seed)
    found, base = (headlines(class_scores(scenes, times)) for scenes in (ours, theirs))
    return {name: Difference.of(scores, base[name]) for name, scores in found.items()}


def test_where_every_scene_gains_the_same_the_interval_has_no_width():
    ours = [scene(name, 10, 0) for name in "abc"]
    theirs = [scene(name, 5, 5) for name in "abc"]
    found = paired_differences(ours, theirs, 200, 1)
    assert list(found) == HEADLINES
    for each in found.values():
        assert (each.value, each.low, each.high) == pytest.approx([1 - 10 / 15] * 3)


def test_where_two_scenes_cancel_the_interval_holds_0():
    found = paired_differences([scene("a", 10, 0), scene("b", 5, 5)], [scene("a", 5, 5), scene("b", 10, 0)], 200, 1)
    assert found["binary_dice"] == Difference(0, pytest.approx(-1 / 3), pytest.approx(1 / 3))


def test_intervals_agree_with_a_loop_over_draws():
    """Of one class, pixels, slicks and edges have the same counts, and all scores are 2 right / (2 right + others)."""
    generator = np.random.default_rng(2)
    counts = generator.integers(1, 50, (2, 6, 3))
    ours, theirs = ([scene(name, *each) for name, each in zip("abcdef", side, strict=True)] for side in counts)
    drawn = []
    for _ in range(4000):
        (a, *wrong_a), (b, *wrong_b) = counts[:, generator.integers(0, 6, 6)].sum(axis=1).tolist()
        drawn.append(2 * a / (2 * a + sum(wrong_a)) - 2 * b / (2 * b + sum(wrong_b)))
    low, high = np.percentile(drawn, [2.5, 97.5])
    for found in paired_differences(ours, theirs, 4000, 1).values():
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_a_score_that_one_has_not_is_none():
    ours = [scene("a", 1, 2), scene("b", 3, 4)]
    unknown = [
        SceneCounts(each.scene, each.confusion, each.objects, each.reliability, each.edges * np.nan) for each in ours
    ]
    found = paired_differences(ours, unknown, 50, 1)
    assert found["surface_dice_1"] == Difference(None, None, None)
    assert found["object_f1"] == Difference(0, 0, 0)


def test_percentiles_for_few_scenes_are_those_of_students_t():
    # Of 2 scenes, t is 12.7 and Phi(-18) almost nothing; of many, the usual 2.5 %.
    assert expanded_percentiles(2)[0] < 1e-60
    assert expanded_percentiles(8) == pytest.approx((0.573, 99.427), abs=0.001)
    assert expanded_percentiles(10_000) == pytest.approx((2.5, 97.5), abs=0.002)
