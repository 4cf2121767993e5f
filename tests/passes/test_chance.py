import numpy as np
import pytest

from benchmarks.simulated_passes import simulate
from seepseg.passes.chance import chance_of, crowding, false_discoveries, random_shifts, scores, straying
from seepseg.passes.places import find_places


def test_score_grows_with_evidence_and_falls_with_what_is_expected():
    assert scores(np.array([3.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.5])) == pytest.approx([3 * np.log(3) - 2, 0, 0])
    by_chance = np.array([0.03, 0.03 * 14 / 3])  # seen by 3 passes, by 14, where ends are as dense in each
    few, many = scores(np.array([2.5, 2.5]), by_chance)
    assert few > many > 0


def test_crowding_of_an_even_ground_is_its_density():
    side, radius = 3000.0, 20.0
    points = np.random.default_rng(0).uniform(0, side, (40_000, 2, 2))
    weight = np.full(40_000, 0.5)
    expected = 80_000 * 0.5 / side**2 * np.pi * radius**2 / 2
    inside = np.random.default_rng(1).uniform(500, side - 500, (200, 2))
    assert crowding(inside, points, weight, radius).mean() == pytest.approx(expected, rel=0.02)
    # What lies at a place itself says nothing of how ends crowd around.
    at = np.repeat(inside[:1, None], 2, axis=1).repeat(50, axis=0)
    more = crowding(inside[:1], np.concatenate([points, at]), np.append(weight, np.ones(50)), radius)
    assert more == pytest.approx(crowding(inside[:1], points, weight, radius))
    # One slick at the other end of the world costs neither memory nor moves the rest.
    far = crowding(inside, np.concatenate([points, np.full((1, 2, 2), 1e9)]), np.append(weight, 1), radius)
    assert far == pytest.approx(crowding(inside, points, weight, radius))


def test_the_fringe_of_a_stronger_place_is_expected():
    xy = np.array([[0.0, 0], [30, 0], [39, 0], [100, 0]])
    expected = [0, 0.2 * 8 * 0.25, 0.2 * (8 * 0.025 + 3 * 0.775), 0]
    assert straying(xy, np.array([8.0, 3, 2, 1]), 20.0) == pytest.approx(expected)
    assert straying(np.zeros((0, 2)), np.zeros(0), 20.0).tolist() == []


def test_shifts_are_limited():
    length = np.linalg.norm(random_shifts(1000, 10.0, np.random.default_rng(0)), axis=1)
    assert 40 <= length.min() < 42
    assert 78 < length.max() <= 80


def test_false_discoveries_by_hand():
    # Two draws. Beyond 5: none by chance, so 1 of 2 draws is assumed; beyond 3: one more; beyond 1: three more.
    chance = false_discoveries(np.array([3.0, 5.0, 1.0, 6.0]), np.array([4.0, 2.0, 2.5, 0.5]), 2)
    assert chance.expected_false.tolist() == [1.0, 0.5, 2.0, 0.5]
    assert chance.q_value == pytest.approx([1 / 3, 1 / 4, 2 / 4, 1 / 4])
    assert (chance.p_seep[[3, 1, 0, 2]] == np.sort(chance.p_seep)[::-1]).all()
    assert 0 < chance.p_seep[3] < 1
    assert not len(false_discoveries(np.zeros(0), np.ones(3), 2).p_seep)


def test_q_value_is_the_best_of_all_longer_lists():
    chance = false_discoveries(np.array([9.0, 2.0, 2.0, 2.0]), np.array([10.0]), 1)
    assert chance.q_value == pytest.approx([0.5] * 4)  # 2 by chance in each: 1 is worse alone than among 4


def test_slicks_that_share_nothing_are_no_seeps():
    """Without seeps hardly anything is reported; with seeps most of them are."""
    reported = []
    for seeps in (0, 40):
        total = 0
        for seed in range(3):
            found = simulate(np.random.default_rng(seed), 8, seeps=seeps, others=60, side=1500).slicks
            places = find_places(found.ends, found.pass_number, found.p_slick, 20.0)
            total += (chance_of(places, found, 20.0, 20, 1).q_value <= 0.05).sum()
        reported.append(total)
    assert reported[0] <= 1
    assert reported[1] >= 0.5 * 3 * 40


def test_same_seed_same_chance():
    found = simulate(np.random.default_rng(1), 4, seeps=10, others=20, side=800).slicks
    places = find_places(found.ends, found.pass_number, found.p_slick, 20.0)
    first, second, other = (chance_of(places, found, 20.0, 8, seed) for seed in (1, 1, 2))
    assert (first.p_seep == second.p_seep).all()
    assert (first.expected_false == second.expected_false).all()
    assert (first.expected_false != other.expected_false).any()
