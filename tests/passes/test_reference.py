import numpy as np
import pytest
from slicks_by_hand import slick_ends

from seepseg.passes.reference import passes_near, reference_seeps, sensitivity

STAR = [(n, 10 * (n % 2), 0, 500, 300 * n) for n in range(5)]


def reference(rows, **rule):
    found = slick_ends(rows)
    return reference_seeps(found.ends, found.pass_number, **rule)


def test_ends_of_enough_passes_make_a_seep_at_their_mean():
    seeps = reference(STAR)
    assert seeps.to_numpy().tolist() == [[4, 0, 5]]  # the mean of 0, 10, 0, 10, 0
    assert not len(reference(STAR[:3]))
    assert len(reference(STAR[:3], passes=3)) == 1
    assert not len(reference(STAR, within=5.0))
    assert not len(reference([]))


def test_many_slicks_of_one_pass_count_once():
    assert not len(reference([(0, *row[1:]) for row in STAR]))


def test_slicks_of_a_seep_support_no_other():
    """Slicks from one place to another: only one end of each counts, though both ends meet."""
    seeps = reference([(n, 0, 0, 200, 0) for n in range(5)])
    assert len(seeps) == 1
    assert seeps["x"].tolist() in ([0.0], [200.0])


def test_sensitivity_counts_by_other_rules():
    found = slick_ends(STAR)
    table = sensitivity(found.ends, found.pass_number, (3, 6), (5.0, 20.0)).set_index(["passes", "within"])["seeps"]
    assert table.to_dict() == {(3, 5.0): 1, (3, 20.0): 1, (6, 5.0): 0, (6, 20.0): 0}


def test_passes_near_a_place():
    found = slick_ends([*STAR, (0, 1, 1, 2, 2)])
    place, number = passes_near(np.array([[0.0, 0], [500, 600], [5000, 0]]), found.ends, found.pass_number, 5.0)
    assert list(zip(place.tolist(), number.tolist(), strict=True)) == [(0, 0), (0, 2), (0, 4), (1, 2)]
    assert not len(passes_near(np.zeros((0, 2)), found.ends, found.pass_number, 5.0)[0])


def test_agrees_with_the_plain_way():
    """Recount everything after each seep."""
    rng = np.random.default_rng(2)
    ends, in_pass = rng.uniform(0, 300, (120, 2, 2)), rng.integers(0, 8, 120)
    points, alive, expected = ends.reshape(-1, 2), np.ones(240, bool), []
    near = np.linalg.norm(points[:, None] - points[None], axis=2) <= 20
    while True:
        counts = [len(set(in_pass[np.flatnonzero(near[i] & alive) // 2])) if alive[i] else 0 for i in range(240)]
        middle = int(np.argmax(counts))
        if counts[middle] < 4:
            break
        members = np.flatnonzero(near[middle] & alive)
        expected.append([*points[members].mean(axis=0), counts[middle]])
        alive &= ~np.isin(np.arange(240) // 2, members // 2)
    assert len(expected) > 3
    assert reference_seeps(ends, in_pass).to_numpy() == pytest.approx(np.array(expected))
