from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from slicks_by_hand import WHOLE, ground_of, slick_ends

from benchmarks.simulated_passes import simulate
from seepseg.base.errors import InputError
from seepseg.passes.estimate import estimate_seeps, p_from_seep
from seepseg.passes.params import SeepsParams
from seepseg.passes.places import find_places
from seepseg.passes.seep_scores import match_seeps, seep_scores

PARAMS = SeepsParams(draws=20)
AROUND = [(0, 0), (6, 0), (0, 6), (-6, 0), (0, -6)]


def one_seep(**others):
    """Five slicks of passes 0 to 4 that start around (100, 100)."""
    return slick_ends([(n, 100 + x, 100 + y, 400 * n - 700, 900) for n, (x, y) in enumerate(AROUND)], **others)


def test_a_seep_by_hand():
    ground = ground_of(*[WHOLE] * 6, (0, 0, 50, 50))  # six passes saw the place, one did not
    seeps = estimate_seeps(one_seep(p_class=[[1, 0]] * 3 + [[0, 1]] * 2), ground, PARAMS)
    row = seeps.table.iloc[0]
    assert len(seeps.table) == 1
    assert (row["x"], row["y"]) == pytest.approx((100, 100), abs=0.7)
    assert row["passes"] == 6
    assert row["passes_with_slick"] == pytest.approx(5)
    assert row["recurrence_rate"] == pytest.approx(5 / 6)
    assert (row["recurrence_low"], row["recurrence_high"]) == pytest.approx((0.442, 0.981), abs=1e-3)  # Beta(5.5, 1.5)
    assert (row["p_class_0"], row["p_class_1"]) == pytest.approx((3 / 5, 2 / 5))
    assert row["mean_area"] == pytest.approx(10)
    assert row["kind"] == "seep"
    assert seeps.links["slick"].tolist() == [0, 1, 2, 3, 4]
    assert (seeps.links["end"] == 0).all()


def test_error_radius_by_hand():
    """Four ends 6 pixels from their place: a variance of 18, or 24 as one counts less; 4 + 3 degrees of freedom."""
    rows = [(n, 100 + x, 100 + y, 400 * n - 700, 900) for n, (x, y) in enumerate(AROUND[1:])]
    row = estimate_seeps(slick_ends(rows), ground_of(*[WHOLE] * 4), PARAMS).table.iloc[0]
    follows = 1 - 0.09 / 0.91  # weights are 1 - (6 / 20)²
    variance = (4 * 24 + 4 * 18) / 7 / 4 / follows**2
    assert row["error_radius"] == pytest.approx(np.sqrt(2 * variance * 4.7374), rel=1e-4)  # F of 2 and 7
    assert row["major"] == pytest.approx(row["error_radius"])


def test_metres_are_pixels_times_the_spacing():
    ground, found = ground_of(*[WHOLE] * 5), one_seep()
    far = ground_of(*[tuple(30 * side for side in WHOLE)] * 5, unit="m", spacing=30.0)
    pixels, metres = (
        estimate_seeps(each, over, PARAMS).table
        for each, over in ((found, ground), (replace(found, ends=30 * found.ends), far))
    )
    for name in ("x", "y", "error_radius", "major", "minor"):
        assert (30 * pixels[name]).to_numpy() == pytest.approx(metres[name].to_numpy(), rel=1e-5)
    assert pixels["p_seep"].tolist() == metres["p_seep"].tolist()


@pytest.mark.parametrize(("unit", "bearing"), [("m", 45.0), ("px", 135.0)])
def test_bearing_is_clockwise_from_north(unit, bearing):
    """Ends along x = y: to the north east where y points north, to the south east where it points down."""
    rows = [(n, 100 + d, 100 + d, 400 * n - 900, 900) for n, d in enumerate((-8, -4, 0, 4, 8))]
    row = estimate_seeps(slick_ends(rows), ground_of(*[WHOLE] * 5, unit=unit), PARAMS).table.iloc[0]
    assert row["bearing"] == pytest.approx(bearing)
    assert row["major"] > 1.5 * row["minor"]
    assert row["minor"] < row["error_radius"] < row["major"]


def test_other_passes_make_a_slick_more_probable():
    """Three sure slicks and a doubtful one at a place; ten slicks of p_slick 0.5 around, all of one pass."""
    rows = [(n, 500, 500, 900 * n, 2000) for n in range(3)] + [(3, 510, 500, 4000, 4000)]
    rows += [(4, 600, 420 + 8 * n, 420, 600) for n in range(10)]
    slicks = slick_ends(rows, [1, 1, 1, 0.2] + [0.5] * 10)
    found = find_places(slicks.ends, slicks.pass_number, slicks.p_slick, 20.0)
    assert len(found.xy) == 1
    doubtful = found.slick == 3
    fades = found.weight[doubtful] / np.sqrt(0.2)
    by_chance = 10 / 280 * np.pi / 2 / 5  # the sum of p_slick of 20 ends in 17² - 3² squares, by pass
    odds = 0.2 / 0.8 * (1 + 3.5 / 5 * fades / by_chance)
    p_from = p_from_seep(found, slicks, np.array([0.9]), np.array([5]), 20.0)
    assert p_from[doubtful] == pytest.approx(0.9 * odds / (1 + odds) + 0.1 * 0.2)
    assert p_from[~doubtful] == pytest.approx(1)
    no_seep = p_from_seep(found, slicks, np.array([0.0]), np.array([5]), 20.0)
    assert (no_seep == slicks.p_slick[found.slick]).all()


def test_more_passes_make_errors_smaller():
    radii = []
    for passes in (3, 6, 12):
        turns = 2 * np.pi * np.arange(passes) / passes
        rows = [(n, 100 + 6 * np.cos(t), 100 + 6 * np.sin(t), 400 * n, 1900) for n, t in enumerate(turns)]
        radii.append(estimate_seeps(slick_ends(rows), ground_of(*[WHOLE] * passes), PARAMS).table["error_radius"][0])
    assert radii[0] > radii[1] > radii[2]


def test_a_bright_target_at_the_origin_is_a_platform():
    bright = np.ones((5, 2))
    bright[:3, 0] = 8.0
    row = estimate_seeps(one_seep(bright=bright), ground_of(*[WHOLE] * 5), PARAMS).table.iloc[0]
    assert row["bright_share"] == pytest.approx(0.6)
    assert row["kind"] == "platform"
    other_end = estimate_seeps(one_seep(bright=bright[:, ::-1]), ground_of(*[WHOLE] * 5), PARAMS).table.iloc[0]
    assert other_end["kind"] == "seep"
    assert other_end["bright_share"] == 0


def test_first_and_last_pass_that_likely_show_a_slick():
    days = [datetime(2020, 1, day, tzinfo=UTC) for day in (5, 3, 9, 7, 1)]
    found = one_seep(p_slick=[1, 1, 1, 1, 0])  # the earliest shows none
    row = estimate_seeps(found, ground_of(*[WHOLE] * 5, acquired=days), PARAMS).table.iloc[0]
    assert (row["first"], row["last"]) == (pd.Timestamp(days[1]), pd.Timestamp(days[2]))
    unknown = estimate_seeps(found, ground_of(*[WHOLE] * 5), PARAMS).table
    assert unknown[["first", "last"]].isna().all(axis=None)


def test_nothing_and_one_pass():
    seeps = estimate_seeps(slick_ends([]), ground_of(WHOLE, WHOLE), PARAMS)
    assert not len(seeps.table)
    assert not len(seeps.links)
    assert not len(estimate_seeps(one_seep(p_slick=0.0), ground_of(*[WHOLE] * 5), PARAMS).table)
    full = estimate_seeps(one_seep(), ground_of(*[WHOLE] * 5), PARAMS)
    assert list(seeps.table) == list(full.table)
    assert (seeps.table.dtypes == full.table.dtypes).all()
    with pytest.raises(InputError, match="at least two passes"):
        estimate_seeps(slick_ends([(0, 0, 0, 9, 9)]), ground_of(WHOLE), PARAMS)


def test_known_seeps_of_a_simulated_ground():
    """Where the truth is known: few are false, most are found, 95 % of errors and rates hold it, p_seep adds up."""
    rng, scores, held = np.random.default_rng(7), [], []
    for _ in range(4):
        found = simulate(rng, 10, seeps=40, others=80, side=2200)
        table = estimate_seeps(found.slicks, found.ground, PARAMS).table
        assert table["p_seep"].is_monotonic_decreasing
        assert table["q_value"].is_monotonic_increasing
        scores.append(seep_scores(table, found.seeps, 1.0, 0.05))
        table = table[table["q_value"] <= 0.05]
        seep = match_seeps(table[["x", "y"]].to_numpy(), found.seeps, 32.0)
        table, rate = table[seep >= 0], found.rates[seep[seep >= 0]]
        held.append(((rate >= table["recurrence_low"]) & (rate <= table["recurrence_high"])).mean())
    mean = pd.DataFrame(scores).mean()
    assert mean["precision"] >= 0.9
    assert mean["recall"] >= 0.6
    assert 0.88 <= mean["within_error_radius"] <= 0.99
    assert mean["expected"] == pytest.approx(mean["right"], rel=0.1)
    assert np.mean(held) >= 0.9
