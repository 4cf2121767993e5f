"""Files damaged at random, a few here; `make fuzz` takes 20,000."""

import numpy as np

from benchmarks.fuzz import damage, fuzz, sound_files


def test_damaged_files_are_judged_and_never_crash_ingest():
    outcome = fuzz(files=300, seed=7)
    assert outcome.failures == []
    assert outcome.verdicts.total() == 300
    assert outcome.runs == 1
    assert len(outcome.verdicts) >= 5  # not all alike: some are still sound, others broken in several ways
    assert 0 < outcome.verdicts["sound"] < 150


def test_a_seed_decides_the_damage():
    (first, _), (other, _), *_ = sound_files()
    damaged = [damage(first, other, np.random.default_rng([seed, 5])) for seed in (1, 1, 2)]
    assert damaged[0] == damaged[1] != damaged[2]
    assert damaged[0] != first
