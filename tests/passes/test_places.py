import numpy as np
import pytest
from slicks_by_hand import slick_ends

from benchmarks.simulated_passes import simulate
from seepseg.passes import places as module
from seepseg.passes.places import find_places, first_of_runs


def find(slicks, radius=20.0):
    return find_places(slicks.ends, slicks.pass_number, slicks.p_slick, radius)


def test_three_ends_that_meet_make_a_place_at_their_middle():
    places = find(slick_ends([(0, 0, 0, 300, 0), (1, 0, 300, 6, 0), (2, 3, 6, 900, 900)]))
    assert len(places.xy) == 1
    assert np.allclose(places.xy, [[3, 2]], atol=0.1)  # the mean of 0, 6, 3 and 0, 0, 6
    assert sorted(zip(places.slick.tolist(), places.end.tolist(), strict=True)) == [(0, 0), (1, 1), (2, 0)]
    squares = np.square(np.array([[0, 0], [6, 0], [3, 6]]) - places.xy).sum(axis=1)
    assert places.evidence == pytest.approx([(1 - squares / 400).sum()])


def test_weight_is_the_root_of_p_slick():
    places = find(slick_ends([(number, 0, 0, 300 * number + 300, 0) for number in range(3)], [1, 0.25, 0.49]))
    assert places.evidence == pytest.approx([1 + 0.5 + 0.7])


def test_one_pass_alone_and_two_ends_of_one_slick_make_no_place():
    assert not len(find(slick_ends([(0, 0, 0, 300, 0), (0, 5, 0, 0, 300), (0, 0, 4, 500, 0)])).xy)
    assert not len(find(slick_ends([(0, 0, 0, 10, 0)])).xy)
    assert not len(find(slick_ends([])).xy)


def test_a_pass_counts_by_its_best_slick():
    once = find(slick_ends([(0, 0, 0, 300, 0), (1, 0, 0, 0, 300)]))
    twice = find(slick_ends([(0, 0, 0, 300, 0), (1, 0, 0, 0, 300), (1, 0, 0, 0, -300)], [1, 1, 0.9]))
    assert once.evidence == pytest.approx([2])
    assert twice.evidence == pytest.approx([2])
    assert len(twice.slick) == 3
    assert twice.best.tolist() == [True, True, False]


def test_a_slick_supports_the_place_of_more_passes_by_one_end():
    both = (0, 0, 0, 200, 0)  # from the place of three other passes to the place of two other passes
    rows = [both, *((n, 0, 0, 500 * n, 500) for n in (1, 2, 3)), *((n, 200, 0, 300, -500 * n) for n in (4, 5))]
    places = find(slick_ends(rows))
    order = np.argsort(-places.evidence)
    assert places.evidence[order] == pytest.approx([4, 2])
    assert len(np.unique(places.slick)) == len(places.slick)
    assert places.place[places.slick == 0] == order[0]


def test_neighbours_of_more_than_a_radius_are_told_apart():
    rows = [(n, 0, n % 3, 500, 300 * n) for n in range(5)] + [(n, 28, n % 3, -500, 300 * n) for n in range(5)]
    places = find(slick_ends(rows))
    assert np.sort(places.xy[:, 0]) == pytest.approx([0, 28], abs=0.5)


def test_order_and_units_do_not_matter():
    found = simulate(np.random.default_rng(3), 5, seeps=20, others=40, side=1500).slicks
    places = find(found)
    mixed = np.random.default_rng(0).permutation(len(found))
    again = find_places(30 * found.ends[mixed] + 1e6, found.pass_number[mixed], found.p_slick[mixed], 600.0)
    for values in (places.xy, (again.xy - 1e6) / 30):
        assert len(values) > 20
    first, second = (each[np.lexsort(each.T.round(3))] for each in (places.xy, (again.xy - 1e6) / 30))
    assert np.allclose(first, second, atol=1e-4)


@pytest.mark.parametrize("seed", [2, 4])
def test_start_is_what_deciding_one_by_one_gives(monkeypatch, seed):
    """Against the plain way: take the largest, remove its slicks, look again."""
    monkeypatch.setattr(module, "START_EVIDENCE", 1.2)
    found = simulate(np.random.default_rng(seed), 6, seeps=25, others=60, side=700).slicks
    order = np.argsort(found.pass_number, kind="stable")
    points = found.ends[order].reshape(-1, 2)
    slick, in_pass = np.repeat(np.arange(len(order)), 2), np.repeat(found.pass_number[order], 2)
    weight = np.sqrt(np.repeat(found.p_slick[order], 2))
    _, evidence = module._start(points, in_pass, weight, 16.0)
    share = np.maximum(1 - np.square(points[:, None] - points[None]).sum(axis=2) / 256, 0) * weight
    alive, expected = np.ones(len(points), bool), []
    while True:
        best = np.stack([(share * alive * (in_pass == n)).max(axis=1) for n in range(6)]).sum(axis=0) * alive
        middle = int(best.argmax())
        if best[middle] < 1.2:
            break
        expected.append(best[middle])
        alive &= ~np.isin(slick, slick[alive & (share[middle] > 0)])
    assert len(expected) > 15
    assert np.allclose(np.sort(evidence), np.sort(expected), atol=1e-5)


def test_first_of_runs():
    assert first_of_runs(np.array([1, 1, 2, 2, 2]), np.array([0, 0, 0, 5, 5])).tolist() == [0, 2, 3]
    assert first_of_runs(np.array([])).tolist() == []
