import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from slicks_by_hand import WHOLE, ground_of, slick_ends

from seepseg.passes.seep_scores import (
    confirmation,
    in_passes,
    match_seeps,
    precision_recall,
    reliability,
    seep_scores,
)


def places(*x):
    return np.array([[each, 0] for each in x], dtype=float).reshape(-1, 2)


def test_matches_are_one_to_one():
    assert match_seeps(places(0, 5, 100), places(1), 32).tolist() == [0, -1, -1]
    assert match_seeps(places(20, 0), places(0, 40), 32).tolist() == [1, 0]  # 20 gives way, as both can be right
    assert match_seeps(places(0, 33), places(1, 70), 32).tolist() == [0, -1]
    assert match_seeps(places(), places(1), 32).tolist() == []
    assert match_seeps(places(1), places(), 32).tolist() == [-1]


def test_every_first_k_is_matched_as_well_as_can_be():
    rng = np.random.default_rng(0)
    found, known = rng.uniform(0, 200, (60, 2)), rng.uniform(0, 200, (40, 2))
    right = match_seeps(found, known, 25.0)
    near = np.linalg.norm(found[:, None] - known[None], axis=2) <= 25
    for k in range(1, 61):
        assert (right[:k] >= 0).sum() == (maximum_bipartite_matching(csr_array(near[:k])) >= 0).sum()
    pairs = right[right >= 0]
    assert len(np.unique(pairs)) == len(pairs)
    assert near[right >= 0, pairs].all()


def test_scores_by_hand():
    table = pd.DataFrame(
        {
            "x": [3.0, 100.0, 208.0, 300.0],
            "y": 0.0,
            "q_value": [0.01, 0.02, 0.05, 0.3],
            "p_seep": [0.9, 0.8, 0.7, 0.2],
            "error_radius": [4.0, 4.0, 4.0, 4.0],
        }
    )
    scores = seep_scores(table, places(0, 200, 300, 500), 1.0, 0.05)
    assert (scores["found"], scores["known"], scores["right"]) == (3, 4, 3)
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["recall"] == pytest.approx(2 / 4)
    assert scores["f1"] == pytest.approx(4 / 7)
    assert scores["place_error"] == pytest.approx(5.5)  # 3 and 8
    assert scores["within_error_radius"] == pytest.approx(0.5)
    assert scores["expected"] == pytest.approx(2.6)
    assert scores["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 4)
    assert scores["recall_at_precision_0_95"] == pytest.approx(1 / 4)
    assert scores["precision_at_recall_0_8"] == 0
    nothing = seep_scores(table[:0], places(), 1.0, 0.05)
    assert nothing["precision"] is None
    assert nothing["recall"] is None


def test_precision_and_recall_by_rank():
    curve = precision_recall(np.array([True, False, True]), 4)
    assert curve.to_numpy() == pytest.approx(np.array([[1, 1, 0.25], [2, 0.5, 0.25], [3, 2 / 3, 0.5]]))


def test_reliability_counts_every_place_once():
    table = reliability(np.array([0.0, 0.19, 0.2, 0.95, 1.0]), np.array([False, True, True, True, True]))
    assert table["places"].tolist() == [2, 1, 2]
    assert table["share_right"].tolist() == [0.5, 1, 1]
    assert table["p_seep"].tolist() == pytest.approx([0.095, 0.2, 0.975])


def test_slicks_of_some_passes():
    found = slick_ends([(n, n, 0, 9, 9) for n in (0, 1, 2, 3)])
    part, ground = in_passes(found, ground_of(*[WHOLE] * 4), np.array([1, 3]))
    assert part.names == ["slick_1", "slick_3"]
    assert part.pass_number.tolist() == [0, 1]
    assert part.ends[:, 0, 0].tolist() == [1, 3]
    assert [each.name for each in ground.passes] == ["pass1", "pass3"]


def test_confirmation_by_passes_that_saw_the_place():
    xy = places(0, 300, 5000, 600)  # an end in two passes; in one of two; nobody saw it; none
    annotated = slick_ends([(0, 0, 5, 900, 900), (1, 5, 0, 900, -900), (1, 300, 0, 900, -800)])
    curve = confirmation(xy, annotated, ground_of(WHOLE, WHOLE), 20.0, 5, 1)
    assert curve["seen_by_2"].tolist() == [1, 2, 2, 3]
    assert curve["confirmed_by_1"].tolist() == pytest.approx([1, 1, 1, 2 / 3])
    assert curve["confirmed_by_2"].tolist() == pytest.approx([1, 1 / 2, 1 / 2, 1 / 3])
    assert curve["by_chance_1"].tolist() == [0, 0, 0, 0]  # shifted by four radii and more, none is near
