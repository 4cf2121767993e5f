"""The common ground: seeps that recur, passes that see them, slicks that drift from them."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest

from seepseg.synthetic.ground import Ground, Pass, Seep, make_ground, make_pass
from seepseg.synthetic.placing import place_slicks
from seepseg.synthetic.scenes import make_scene, sea
from seepseg.synthetic.slicks import KINDS

SHAPE = (512, 1024)


def a_pass(**values):
    calm = {"top": 0.0, "left": 0.0, "wind": 0.0, "wind_speed": 5.5, "current": 0.0, "current_speed": 0.0}
    return Pass(datetime(2021, 1, 4, tzinfo=UTC), **calm | values)


def a_ground(*seeps, shape=(200, 300), scale=0.5):
    return Ground(shape, scale, seeps, np.zeros((shape[0] + 20, shape[1] + 30)), 0.0)


def test_the_ground_comes_from_the_seed():
    first, again, other = (make_ground(seed, SHAPE) for seed in (1, 1, 2))
    assert first.seeps == again.seeps
    assert np.array_equal(first.shoals, again.shoals)
    assert set(first.seeps).isdisjoint(other.seeps)


@pytest.mark.parametrize("shape", [(32, 32), (128, 192), SHAPE])
def test_each_kind_of_seep_is_there_within_all_passes_and_some_are_platforms(shape):
    ground = make_ground(1, shape)
    assert {seep.kind for seep in ground.seeps} == {number for number, kind in enumerate(KINDS, 1) if kind.from_seep}
    assert all(0.3 <= seep.recurrence <= 1 for seep in ground.seeps)
    assert 0 < sum(seep.platform for seep in ground.seeps) < len(ground.seeps) / 2
    for index in range(20):
        seen = make_pass(np.random.default_rng(index), ground, index)
        assert all(0 < seep.y - seen.top < shape[0] and 0 < seep.x - seen.left < shape[1] for seep in ground.seeps)


def test_seeps_lie_apart():
    places = np.array([(seep.y, seep.x) for seep in make_ground(1, SHAPE).seeps])
    distances = np.hypot(*(places[:, None] - places[None]).T)
    assert distances[np.triu_indices(len(places), 1)].min() >= 90


def test_passes_follow_each_other_and_overlap_by_four_fifths():
    ground = make_ground(1, SHAPE)
    passes = [make_pass(np.random.default_rng(index), ground, index) for index in range(50)]
    assert {(late.acquired - early.acquired).days for early, late in pairwise(passes)} == {12}
    tops, lefts = np.array([(seen.top, seen.left) for seen in passes]).T
    common = (SHAPE[0] - np.ptp(tops)) * (SHAPE[1] - np.ptp(lefts))
    assert 0.8 < common / (SHAPE[0] * SHAPE[1]) < 0.9
    assert (tops % 1 > 0).any()  # fractions of a pixel, too


def test_oil_goes_with_three_percent_of_the_wind_and_the_current():
    assert a_pass(wind=0.7).drift == pytest.approx(0.7)
    current = {"current": np.pi / 2, "current_speed": 0.3}
    assert a_pass(wind=0.0, wind_speed=10.0, **current).drift == pytest.approx(np.pi / 4)


def test_a_seep_shows_in_the_share_of_passes_that_its_rate_says_and_mostly_in_its_kind():
    seep = Seep(50.5, 75.5, kind=3, recurrence=0.6, platform=False)
    ground, valid = a_ground(seep, shape=(100, 150), scale=0.2), np.ones((100, 150), bool)
    kinds = []
    for index in range(300):
        placed = place_slicks(np.random.default_rng(index), valid, ground, a_pass())
        kinds += [slick.kind for slick in placed.slicks if slick.seep == 0]
    assert len(kinds) / 300 == pytest.approx(0.6, abs=0.06)  # 2 standard errors
    assert 0.8 < np.mean(np.array(kinds) == 3) < 1
    assert set(kinds) <= {1, 2, 3, 4}


def test_a_seep_on_no_data_shows_nothing():
    seep = Seep(100.5, 150.5, kind=2, recurrence=1.0, platform=False)
    valid = np.ones((200, 300), bool)
    valid[90:] = False
    placed = place_slicks(np.random.default_rng(0), valid, a_ground(seep), a_pass())
    assert placed.slicks
    assert all(slick.seep is None for slick in placed.slicks)
    assert not placed.target[~valid].any()


def test_no_slick_where_there_is_no_data():
    placed = place_slicks(np.random.default_rng(0), np.zeros((64, 64), bool), a_ground(shape=(64, 64)), a_pass())
    assert not placed.slicks
    assert not placed.target.any()
    assert not placed.damping_db.any()


def test_slicks_start_at_their_seeps_and_drift_with_the_wind_of_the_pass():
    ground = make_ground(1, SHAPE)
    distances, courses = [], []
    for index in range(6):
        scene = make_scene(1, index, ground)
        for number, slick in enumerate(scene.slicks, start=1):
            if slick.seep is not None:
                seep, (rows, columns) = ground.seeps[slick.seep], np.nonzero(scene.labels == number)
                y = rows + 0.5 + scene.conditions.top - seep.y
                x = columns + 0.5 + scene.conditions.left - seep.x
                distances.append(np.hypot(y, x).min())
                along = np.sin(scene.conditions.drift) * y + np.cos(scene.conditions.drift) * x
                courses.append(along.mean() / np.hypot(y.mean(), x.mean()))  # cosine of its course to the drift
    assert len(distances) > 25
    assert np.max(distances) < 10
    assert np.mean(distances) < 4
    assert np.mean(np.array(courses) > 0.7) > 0.8


def test_calm_patches_over_shoals_return_to_their_places():
    """The sea with shoals over that without, from the same random numbers, is the part of them that the pass sees."""
    ground = make_ground(1, (128, 192))
    assert ground.shoals.shape == (128 + 2 * 7, 192 + 2 * 10)
    seen = a_pass(top=5.7, left=-8.2)
    with_shoals, without = (
        sea(np.random.default_rng(0), some, seen)
        for some in (ground, replace(ground, shoals=np.zeros(ground.shoals.shape)))
    )
    darker = np.log(without / with_shoals)
    shoals = ground.shoals[7 + 6 : 7 + 6 + 128, 10 - 8 : 10 - 8 + 192]
    assert 0 < darker.max() < shoals.max()
    assert darker / darker.max() == pytest.approx(shoals / shoals.max())
