"""How often chance alone would show a place: the same passes, shifted at random against each other.

Shifts break every coincidence between passes and keep all else. They are limited, between four and eight radii: the
farther a pass is shifted, the less the density of ends around a place is that of the place, and look-alikes crowd
(near shoals, currents, and where the sea is calm). They are no shorter, as ends that belong together would still meet.
On 14 passes of real tiles, shifts of 4 to 8 radii show 8.1 places with evidence of at least 2.5, and shifts of 20 to 40
radii only 1.1: far shifts would take look-alikes for seeps.

Slicks of seeps beyond doubt are no chance, but shifted they would scatter and crowd as if they were. So it is
done twice: with all slicks, which overestimates chance; then without those that support a place with `SURE`.

`p_seep` and `q_value` answer different questions, and may disagree. `p_seep` is of one place: how rare places with
about its score are by chance, against those that the passes show as they are. `q_value` is of a list: the share of
false ones among all places with at least this score. Below many sure places a doubtful one has a low `p_seep` and still
a small `q_value`. `p_seep` falls in steps, as it is fitted to be monotone; on one step places are in the order of their
scores.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.spatial import cKDTree

from seepseg.passes.places import Places, find_places
from seepseg.passes.slick_ends import SlickEnds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHIFTS = 4.0, 8.0  # shortest and longest, in radii
SURE = 0.9  # p_seep; lower ones would take look-alikes out of their own null
MOST = 2_000_000  # slicks in all draws together: many slicks make many places, and few draws tell enough
AROUND = 8  # radii around a place, on either side, in which ends tell how they crowd
STRAYING = 0.2  # of the evidence of a place, strays up to two radii away; measured around sure places of real scenes


@dataclass(frozen=True)
class Chance:
    """How likely places of some scores are seeps; all float64 (K,).

    Attributes:
        score: of the place, how much more evidence it has than ends that crowd there give.
        p_seep: 1 - local false-discovery rate, never rising as the score falls; the same for several places in a row.
        q_value: the share of false ones among the places with at least this score, never falling as the score falls.
        expected_false: number of places with at least this score by chance.
    """

    score: Floats
    p_seep: Floats
    q_value: Floats
    expected_false: Floats

    def take(self, order: Ints) -> "Chance":
        """Of these places, in this order."""
        return Chance(*(values[order] for values in (self.score, self.p_seep, self.q_value, self.expected_false)))


def chance_of(places: Places, slicks: SlickEnds, radius: float, draws: int, seed: int) -> Chance:
    """Compare places with those that the passes show when they are shifted at random.

    Args:
        places: as `find_places` found them among the slicks.
        slicks: of at least two passes.
        radius: likewise, in their unit.
        draws: at most; fewer where slicks · draws is more than `MOST`.
        seed: of the shifts.

    Returns:
        For each place.
    """
    rng = np.random.default_rng(seed)
    draws = max(min(draws, MOST // max(len(slicks), 1)), 1)
    left = np.ones(len(slicks), dtype=bool)
    first = _compare(places, slicks, left, radius, max(draws // 4, 1), rng)
    left[places.slick] = first.p_seep[places.place] < SURE
    return _compare(places, slicks, left, radius, draws, rng)


def _compare(
    places: Places, slicks: SlickEnds, left: npt.NDArray[np.bool_], radius: float, draws: int, rng: np.random.Generator
) -> Chance:
    """Compare places with those by chance among the slicks that are left."""
    score = _scores_of(places, slicks.ends[left], slicks.p_slick[left], radius)
    return false_discoveries(score, _null_scores(slicks, left, radius, draws, rng), draws)


def random_shifts(passes: int, radius: float, rng: np.random.Generator) -> Floats:
    """A shift of each pass, of `SHIFTS` radii, in any direction.

    Args:
        passes: P.
        radius: in the unit of the ground.
        rng: of numbers.

    Returns:
        (P, 2), x and y.
    """
    angle = rng.uniform(0, 2 * np.pi, passes)
    length = radius * np.sqrt(rng.uniform(SHIFTS[0] ** 2, SHIFTS[1] ** 2, passes))
    return np.asarray(length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1))


def crowding(xy: Floats, ends: Floats, weight: Floats, radius: float) -> Floats:
    """Evidence that a place would have if the ends around it, near and far, lay anywhere there.

    The weight of an end, spread by 1 - (d / radius)², adds up to weight · π radius² / 2. Ends of all passes count, so
    that a place which more passes saw has more to expect.

    Args:
        xy: (K, 2), of the places.
        ends: (n, 2, 2).
        weight: (n,), of either end.
        radius: in their unit.

    Returns:
        (K,); from the ends within a square of 17 radii, less those within the middle 3.
    """
    if not len(xy):
        return np.zeros(0)
    points, both = ends.reshape(-1, 2), np.repeat(weight, 2)
    corner = np.concatenate([points, xy]).min(axis=0)
    cells, at = (np.floor((each - corner) / radius).astype(np.int64) for each in (points, xy))
    beyond = int(max(cells[:, 1].max(initial=0), at[:, 1].max())) + 1  # a column without points
    key = cells[:, 0] * (beyond + 1) + cells[:, 1]
    order = np.argsort(key, kind="stable")
    key, sums = key[order], np.concatenate([[0.0], both[order].cumsum()])

    def within(half: int) -> Floats:
        # Row by row of cells: a table of all cells would grow with the ground, however few ends lie on it.
        rows = (at[:, :1] + np.arange(-half, half + 1)) * (beyond + 1)
        low, high = np.maximum(at[:, 1:] - half, 0), np.minimum(at[:, 1:] + half + 1, beyond)
        return np.asarray(
            (sums[np.searchsorted(key, rows + high)] - sums[np.searchsorted(key, rows + low)]).sum(axis=1)
        )

    area = (2 * AROUND + 1) ** 2 - 9
    return np.maximum(within(AROUND) - within(1), 0) / area * np.pi / 2


def straying(xy: Floats, evidence: Floats, radius: float) -> Floats:
    """Evidence that a place would have if it were but the fringe of places with more evidence.

    Some ends lie farther from their seep than the radius. From each place with more evidence E at a distance d of less
    than two radii, `STRAYING` · E · (1 - d / (2 radius)) is expected.

    Args:
        xy: (K, 2).
        evidence: (K,).
        radius: in their unit.

    Returns:
        (K,).
    """
    if not len(xy):
        return np.zeros(0)
    pairs = cKDTree(xy).query_pairs(2 * radius, output_type="ndarray")
    weaker, stronger = np.where(evidence[pairs[:, :1]] < evidence[pairs[:, 1:]], pairs, pairs[:, ::-1]).T
    fades = 1 - np.linalg.norm(xy[weaker] - xy[stronger], axis=1) / (2 * radius)
    return np.asarray(np.bincount(weaker, STRAYING * evidence[stronger] * fades, minlength=len(xy)), np.float64)


def scores(evidence: Floats, by_chance: Floats) -> Floats:
    """How much more evidence a place has than chance would give it.

    The logarithm of the likelihood ratio of a Poisson number, as of a scan statistic: E ln(E / E₀) - (E - E₀), with
    E₀ = 1 + by_chance, and 0 where E ≤ E₀. The 1: a place is sought where an end is, which has met no other yet.

    Args:
        evidence: (K,), E.
        by_chance: (K,), see `crowding` and `straying`.

    Returns:
        (K,), ≥ 0.

    References:
        Kulldorff 1997, A spatial scan statistic, Communications in Statistics 26, 1481: its limit for small windows.
    """
    ratio = np.maximum(evidence / (1 + by_chance), 1)
    return np.asarray(evidence * np.log(ratio) - (1 + by_chance) * (ratio - 1))


def _scores_of(places: Places, ends: Floats, p_slick: Floats, radius: float) -> Floats:
    """Scores of places among slicks with these ends."""
    crowd = crowding(places.xy, ends, np.sqrt(p_slick), radius)
    return scores(places.evidence, crowd + straying(places.xy, places.evidence, radius))


def _null_scores(
    slicks: SlickEnds, left: npt.NDArray[np.bool_], radius: float, draws: int, rng: np.random.Generator
) -> Floats:
    """Scores of the places that all draws together show, among the slicks that are left."""
    passes = int(slicks.pass_number.max(initial=-1)) + 1
    in_pass, p_slick = slicks.pass_number[left], slicks.p_slick[left]
    found = [np.zeros(0)]
    for _ in range(draws):
        ends = slicks.ends[left] + random_shifts(passes, radius, rng)[in_pass][:, None]
        places = find_places(ends, in_pass, p_slick, radius)
        found.append(_scores_of(places, ends, p_slick, radius))
    return np.concatenate(found)


def false_discoveries(score: Floats, null: Floats, draws: int) -> Chance:
    """Compare scores of places with those by chance.

    Args:
        score: (K,) of the places.
        null: (M,) of the places in all draws.
        draws: how many.

    Returns:
        For each place. One more place by chance, in all draws together, with the highest score of all is counted in,
        so that nothing is ever certain.
    """
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    beyond = len(null) - np.searchsorted(np.sort(null), falling, side="left")
    expected = (1 + beyond) / draws
    share = np.minimum(expected / np.searchsorted(-falling, -falling, side="right"), 1)
    q_value, p_seep, expected_false = np.empty_like(score), np.empty_like(score), np.empty_like(score)
    q_value[order] = np.minimum.accumulate(share[::-1])[::-1]
    expected_false[order] = expected
    p_seep[order] = 1 - _local(falling, null, draws)
    return Chance(score, p_seep, q_value, expected_false)


def _local(falling: Floats, null: Floats, draws: int) -> Floats:
    """Local false-discovery rate of places with falling scores: chance over real, of the nearest, never falling."""
    if not len(falling):
        return falling
    of = np.concatenate([[np.inf], null, falling])
    by_chance = np.concatenate([np.ones(1 + len(null)), np.zeros(len(falling))])
    order = np.lexsort((-by_chance, -of))
    weight = np.where(by_chance > 0, 1 / draws, 1.0)
    mixed = np.empty(len(of))
    mixed[order] = isotonic_regression(by_chance[order], weights=weight[order]).x
    share = mixed[1 + len(null) :]
    return np.asarray(np.minimum(share / np.maximum(1 - share, 1e-9), 1))
