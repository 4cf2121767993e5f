"""Whether runs score otherwise beyond chance: over scenes, which others could have been, and over seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from seepseg.evaluation.intervals import INTERVAL
from seepseg.evaluation.paired import Difference

MIN_SCENES = 6  # with 5, all go the same way by chance once in 16
BY_CHANCE = 1 - (INTERVAL[1] - INTERVAL[0]) / 100  # share of differences beyond chance where nothing has changed

BETTER, WORSE = "better, beyond chance", "worse, beyond chance"
COULD_BE = "could be chance"
EQUAL = "no difference"
UNTRIED = "{} of scenes; other seeds not tried"


@dataclass(frozen=True)
class Spread:
    """How far seeds alone move a score.

    Attributes:
        deviation: standard deviation.
        freedom: degrees of freedom that it was estimated with.
    """

    deviation: float
    freedom: int

    @classmethod
    def of(cls, groups: Iterable[Sequence[float]]) -> "Spread | None":
        """From the scores of groups of runs that differ in seeds alone; None where no group has two."""
        several = [values for values in groups if len(values) > 1]
        freedom = sum(len(values) - 1 for values in several)
        squares = sum(float(np.var(values)) * len(values) for values in several)
        return cls(float(np.sqrt(squares / freedom)), freedom) if freedom else None


def widened(found: Difference, spread: Spread | None, ours: int, theirs: int) -> Difference:
    """The interval of a difference over scenes and seeds: both half-widths add up as squares.

    Args:
        found: with its interval over scenes.
        spread: of a score over seeds; None leaves the interval as it is.
        ours: over how many seeds the first mean is.
        theirs: over how many the other is.
    """
    if spread is None or found.value is None or found.low is None or found.high is None:
        return found
    of_seeds = stats.t.ppf(INTERVAL[1] / 100, spread.freedom) * spread.deviation * np.sqrt(1 / ours + 1 / theirs)
    below, above = (float(np.hypot(end - found.value, of_seeds)) for end in (found.low, found.high))
    return Difference(found.value, found.value - below, found.value + above)


def verdict(found: Difference, scenes: int, seeds_matter: bool) -> str:
    """A plain word on a difference.

    Args:
        found: with its interval.
        scenes: of how many; 0: not known.
        seeds_matter: other seeds would give something else, and the interval doesn't know how much.
    """
    if found.value is None:
        return "-"
    if {found.value, found.low or 0.0, found.high or 0.0} == {0.0}:
        return EQUAL
    if found.low is None or found.high is None:
        how_many = {0: "no scenes", 1: "one scene"}.get(scenes, f"{scenes} scenes")
        return f"can't be told: {how_many}"
    if found.low <= 0 <= found.high:
        return COULD_BE
    word = BETTER if found.low > 0 else WORSE
    return UNTRIED.format(word) if seeds_matter else word
