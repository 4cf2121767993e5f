"""Seeps, from the slicks of all passes over a ground: where they are, how sure that is, and how often they leak."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import beta, f

from seepseg.base.errors import InputError
from seepseg.passes.chance import SURE, Chance, chance_of
from seepseg.passes.ground import Ground
from seepseg.passes.params import SeepsParams
from seepseg.passes.places import Places, find_places
from seepseg.passes.slick_ends import SlickEnds

Floats = npt.NDArray[np.float64]

WORST_Q = 0.5  # places beyond it are not handed on
PRIOR = 4.0  # ends that the scatter of all seeps together counts for in the scatter of each
DATE = "datetime64[ms, UTC]"
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
    columns = {
        **_recurrence(places, slicks, ground),
        **_errors(places, slicks, chance, ground, radius),
        **_slicks_of(places, slicks, ground, params.bright),
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


def _recurrence(places: Places, slicks: SlickEnds, ground: Ground) -> dict[str, npt.NDArray[np.generic]]:
    """How many passes saw each place, in how many it showed a slick; the rate with its Jeffreys interval."""
    seen = ground.sees(places.xy[:, 0], places.xy[:, 1])
    of, slick = places.place[places.best], places.slick[places.best]
    seen[of, slicks.pass_number[slick]] = True  # an end at the very edge of a footprint
    passes = seen.sum(axis=1)
    shown = np.asarray(np.bincount(of, slicks.p_slick[slick], minlength=len(passes)), np.float64)
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
    distance in it follows F with 2 and `PRIOR` + n - 1 degrees of freedom (Hotelling); for a circle the sum of two
    unequal variances takes the place of a chi square with fewer than 2 degrees of freedom (Satterthwaite).
    """
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
    common, pull = (radius / 3) ** 2, 2 / 7
    sure = (chance.p_seep >= SURE) & (effective > 2)
    if sure.any():
        variance = np.trace(scatter, axis1=1, axis2=2) / 2
        common = float((effective * variance)[sure].sum() / (effective - 1)[sure].sum())
        falls = total(np.sqrt(slicks.p_slick[slick]) * np.square(away / radius).sum(axis=1))
        pull = float(falls[sure].sum() / weights[sure].sum())
    freedom = PRIOR + effective - 1
    covariance = PRIOR * common * np.eye(2) + effective[:, None, None] * scatter
    # Weights that fall with the distance from the place follow the ends: a place moves by more than the mean would.
    covariance /= (freedom * effective)[:, None, None] * max(1 - pull, 0.5) ** 2
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


def _slicks_of(places: Places, slicks: SlickEnds, ground: Ground, bright: float) -> dict[str, object]:
    """What the slicks of each place are: classes, area, dates, and whether something bright stands at their origin."""
    count = len(places.xy)
    p_all = slicks.p_slick[places.slick]
    of, slick, end = places.place[places.best], places.slick[places.best], places.end[places.best]
    p_slick = slicks.p_slick[slick]
    shown = np.maximum(np.bincount(of, p_slick, minlength=count), 1e-12)
    columns: dict[str, object] = {
        f"p_class_{number}": np.bincount(of, p_slick * share, minlength=count) / shown
        for number, share in enumerate(slicks.p_class[slick].T)
    }
    columns["mean_area"] = np.bincount(places.place, p_all * slicks.area[places.slick], minlength=count) / shown
    columns["bright_share"] = np.bincount(of, p_slick * (slicks.bright[slick, end] > bright), minlength=count) / shown
    columns["kind"] = np.where(np.asarray(columns["bright_share"]) > 0.5, "platform", "seep")
    acquired = pd.Series(pd.to_datetime([each.acquired for each in ground.passes], utc=True)).astype(DATE)
    likely = p_slick >= 0.5
    dates = acquired.iloc[slicks.pass_number[slick[likely]]].reset_index(drop=True).groupby(of[likely])
    columns["first"] = dates.min().reindex(range(count)).astype(DATE).array
    columns["last"] = dates.max().reindex(range(count)).astype(DATE).array
    return columns
