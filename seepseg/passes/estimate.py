"""Seeps, from the slicks of all passes over a ground: where they are, how sure that is, and how often they leak."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import beta, f

from seepseg.base.errors import InputError
from seepseg.passes.chance import SURE, Chance, chance_of, crowding
from seepseg.passes.ground import Ground
from seepseg.passes.params import SeepsParams
from seepseg.passes.places import Places, find_places
from seepseg.passes.slick_ends import SlickEnds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WORST_Q = 0.5  # places beyond it are not handed on
PRIOR = 4.0  # ends that the scatter of all seeps together counts for in the scatter of each
SCATTER = 1 / 3  # of the radius: standard deviation of ends along x and y, where no place is sure
DATE = "datetime64[ms, UTC]"
TURNS = 4  # of rates from slicks, and slicks from rates
SMALLEST_ERROR = 0.5  # pixels, of an error radius


@dataclass(frozen=True)
class Seeps:
    """Seeps, and the slicks they rest on.

    Attributes:
        table: a row per seep, most probable first: `seep` (1..), `x`, `y`, `error_radius` (95 %), `major`, `minor`,
            `bearing` (half axes of the 95 % ellipse; degrees clockwise from the direction of +y for metres, of -y for
            pixels), `passes` (that saw the place), `passes_with_slick` (expected number), `recurrence_rate`,
            `recurrence_low`, `recurrence_high` (95 %), `p_seep`, `q_value`, `score`, `expected_false`, `p_class_0`..
            (expected shares of classes), `mean_area` (of slicks per pass that shows one), `first`, `last` (time of the
            passes that show one more likely than not), `bright_share` (of passes with a slick, that have a bright
            target there), `kind` ("seep" or "platform").
        links: `seep`, `slick` (position in `SlickEnds`), `end` (0 or 1), `weight`.
    """

    table: pd.DataFrame
    links: pd.DataFrame


def estimate_seeps(slicks: SlickEnds, ground: Ground, params: SeepsParams) -> Seeps:
    """Find the seeps of a ground: see `places` for how, and `chance` for how sure.

    Args:
        slicks: or candidates, of any probability.
        ground: that all passes saw.
        params: lengths in pixels of `ground.spacing`.

    Returns:
        All places with a `q_value` up to `WORST_Q`.

    Raises:
        InputError: there is but one pass.
    """
    if len(ground.passes) < 2:
        raise InputError(f"seeps show in at least two passes over the same ground; found {len(ground.passes)}")
    radius = params.radius * ground.spacing
    places = find_places(slicks.ends, slicks.pass_number, slicks.p_slick, radius)
    chance = chance_of(places, slicks, radius, params.draws, params.seed)
    order = np.lexsort((places.xy[:, 1], places.xy[:, 0], -chance.score))
    order = order[chance.q_value[order] <= WORST_Q]
    places, chance = places.take(order), chance.take(order)
    passes = _passes_seen(places, slicks, ground)
    p_from = p_from_seep(places, slicks, chance.p_seep, passes, radius)
    columns = {
        **_recurrence(places, passes, p_from),
        **_errors(places, slicks, chance, ground, radius),
        **_slicks_of(places, slicks, p_from, ground, params.bright),
    }
    number = np.arange(1, len(order) + 1)
    table = pd.DataFrame({"seep": number, "x": places.xy[:, 0], "y": places.xy[:, 1], **columns, **asdict(chance)})
    links = pd.DataFrame(
        {"seep": places.place + 1, "slick": places.slick, "end": places.end, "weight": places.weight}
    ).sort_values(["seep", "slick"], ignore_index=True)
    return Seeps(table[_order(slicks.p_class.shape[1])], links)


def _order(classes: int) -> list[str]:
    """Columns of the table, in order."""
    place = ["seep", "x", "y", "error_radius", "major", "minor", "bearing"]
    rate = ["passes", "passes_with_slick", "recurrence_rate", "recurrence_low", "recurrence_high"]
    sure = ["p_seep", "q_value", "score", "expected_false"]
    shares = [f"p_class_{number}" for number in range(classes)]
    return [*place, *rate, *sure, *shares, "mean_area", "first", "last", "bright_share", "kind"]


def _passes_seen(places: Places, slicks: SlickEnds, ground: Ground) -> Ints:
    """How many passes saw each place."""
    seen = ground.sees(places.xy[:, 0], places.xy[:, 1])
    seen[places.place[places.best], slicks.pass_number[places.slick[places.best]]] = True  # at the edge of a footprint
    return np.asarray(seen.sum(axis=1), np.int64)


def p_from_seep(places: Places, slicks: SlickEnds, p_seep: Floats, passes: Ints, radius: float) -> Floats:
    """Probability that each link is to a slick, now that the other passes are known.

    `p_slick` knows nothing of them. Near a seep which shows in a share R of the passes, slick ends are denser by
    R (1 - (d / radius)²) than the λ that lie there by chance, and the odds of a slick are as much higher:

        p / (1 - p) = p_slick / (1 - p_slick) · (1 + R (1 - (d / radius)²) / λ).

    R is that of the other passes, from their p, in turns. A place that is no seep changes nothing, hence
    p_seep · p + (1 - p_seep) · p_slick.

    Args:
        places: K, with L links.
        slicks: which they link.
        p_seep: (K,).
        passes: (K,), that saw each.
        radius: in the unit of the places.

    Returns:
        (L,).
    """
    of, alone = places.place, slicks.p_slick[places.slick]
    fades = np.divide(places.weight, np.sqrt(alone), out=np.zeros(len(of)), where=alone > 0)
    by_chance = crowding(places.xy, slicks.ends, slicks.p_slick, radius) / passes
    odds = alone / np.maximum(1 - alone, 1e-9)
    probable = alone
    for _ in range(TURNS):
        shown = np.bincount(of, probable * places.best, minlength=len(passes))
        rate = np.clip((shown[of] - probable * places.best + 0.5) / passes[of], 0, 1)
        here = odds * (1 + rate * fades / np.maximum(by_chance[of], 1e-9))
        probable = p_seep[of] * here / (1 + here) + (1 - p_seep[of]) * alone
    return np.asarray(probable, np.float64)


def _recurrence(places: Places, passes: Ints, p_from: Floats) -> dict[str, npt.NDArray[np.generic]]:
    """In how many of the passes that saw it each place showed a slick; the rate with its Jeffreys interval."""
    shown = np.asarray(np.bincount(places.place, p_from * places.best, minlength=len(passes)), np.float64)
    low, high = (beta.ppf(level, shown + 0.5, passes - shown + 0.5) for level in (0.025, 0.975))
    return {
        "passes": passes,
        "passes_with_slick": shown,
        "recurrence_rate": shown / passes,
        "recurrence_low": low,
        "recurrence_high": high,
    }


def _errors(places: Places, slicks: SlickEnds, chance: Chance, ground: Ground, radius: float) -> dict[str, Floats]:
    """Where the true places lie with 95 %: from the scatter of the ends of each, shrunk to the scatter of all.

    The covariance of n ends (effectively, by weight) counts n - 1 of them, and `PRIOR` of the common one. The squared
    distance in it is taken to follow F with 2 and `PRIOR` + n - 1 degrees of freedom, nearly as Hotelling's; for a
    circle the sum of two unequal variances takes the place of a chi square with fewer than 2 degrees of freedom
    (Satterthwaite).
    """
    effective, covariance = _covariance(places, slicks, chance, radius)
    freedom = PRIOR + effective - 1
    values, axes = np.linalg.eigh(covariance)
    both = values.sum(axis=1)
    terms = both**2 / np.square(values).sum(axis=1)
    least = SMALLEST_ERROR * ground.spacing
    minor, major = np.sqrt(2 * f.ppf(0.95, 2, freedom) * values.T)
    up = 1 if ground.unit == "m" else -1
    return {
        "error_radius": np.maximum(np.sqrt(both * f.ppf(0.95, terms, freedom)), least),
        "major": np.maximum(major, least),
        "minor": np.maximum(minor, least),
        "bearing": np.degrees(np.arctan2(axes[:, 0, 1], up * axes[:, 1, 1])) % 180,
    }


def _covariance(places: Places, slicks: SlickEnds, chance: Chance, radius: float) -> tuple[Floats, Floats]:
    """Effective number of ends of each place, (K,), and the covariance of its x and y, (K, 2, 2)."""
    count = len(places.xy)
    of, weight = places.place[places.best], places.weight[places.best]
    slick, end = places.slick[places.best], places.end[places.best]
    away = slicks.ends[slick, end] - places.xy[of]

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(of, values, minlength=count), np.float64)

    weights = total(weight)
    effective = weights**2 / total(weight**2)
    products = [[total(weight * away[:, one] * away[:, other]) / weights for other in (0, 1)] for one in (0, 1)]
    scatter = np.moveaxis(np.array(products), 2, 0)
    common, pull = (SCATTER * radius) ** 2, 2 * SCATTER**2 / (1 - 2 * SCATTER**2)
    sure = (chance.p_seep >= SURE) & (effective > 2)
    if sure.any():
        variance = np.trace(scatter, axis1=1, axis2=2) / 2
        common = float((effective * variance)[sure].sum() / (effective - 1)[sure].sum())
        falls = total(np.sqrt(slicks.p_slick[slick]) * np.square(away / radius).sum(axis=1))
        pull = float(falls[sure].sum() / weights[sure].sum())
    covariance = PRIOR * common * np.eye(2) + effective[:, None, None] * scatter
    covariance /= ((PRIOR + effective - 1) * effective)[:, None, None]
    # Weights that fall with the distance from the place follow the ends: a place moves by more than the mean would.
    return effective, covariance / max(1 - pull, 0.5) ** 2


def _slicks_of(places: Places, slicks: SlickEnds, p_from: Floats, ground: Ground, bright: float) -> dict[str, object]:
    """What the slicks of each place are: classes, area, dates, and whether something bright stands at their origin."""
    count = len(places.xy)
    area = np.bincount(places.place, p_from * slicks.area[places.slick], minlength=count)
    of, slick, end = places.place[places.best], places.slick[places.best], places.end[places.best]
    probable = p_from[places.best]
    shown = np.maximum(np.bincount(of, probable, minlength=count), 1e-12)
    columns: dict[str, object] = {
        f"p_class_{number}": np.bincount(of, probable * share, minlength=count) / shown
        for number, share in enumerate(slicks.p_class[slick].T)
    }
    columns["mean_area"] = area / shown
    columns["bright_share"] = np.bincount(of, probable * (slicks.bright[slick, end] > bright), minlength=count) / shown
    columns["kind"] = np.where(np.asarray(columns["bright_share"]) > 0.5, "platform", "seep")
    acquired = pd.Series(pd.to_datetime([each.acquired for each in ground.passes], utc=True)).astype(DATE)
    likely = probable >= 0.5
    dates = acquired.iloc[slicks.pass_number[slick[likely]]].reset_index(drop=True).groupby(of[likely])
    columns["first"] = dates.min().reindex(range(count)).astype(DATE).array
    columns["last"] = dates.max().reindex(range(count)).astype(DATE).array
    return columns
