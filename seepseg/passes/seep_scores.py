"""How right estimated seeps are: against seeps that are known, and against slicks of passes that were not used."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from seepseg.passes.chance import random_shifts
from seepseg.passes.ground import Ground
from seepseg.passes.reference import passes_near
from seepseg.passes.slick_ends import SlickEnds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WITHIN = 32.0  # pixels, of a seep that is found
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)  # of p_seep
HIGH_PRECISION, HIGH_RECALL = 0.95, 0.8


def match_seeps(found: Floats, known: Floats, within: float) -> Ints:
    """Match places one to one, so that of the first k found, for every k, as many are right as can be.

    Such sets of rows are independent in a matroid; with weights that fall along the rows, the heaviest matching is best
    for every k at once. Of several, the one with the smallest distances.

    Args:
        found: (K, 2), most probable first.
        known: (M, 2).
        within: of each other.

    Returns:
        (K,): which known one, or -1.
    """
    matched = np.full(len(found), -1, dtype=np.int64)
    if not len(found) or not len(known):
        return matched
    near = cKDTree(found).sparse_distance_matrix(cKDTree(known), within, output_type="ndarray")
    i, j, distance = near["i"], near["j"], near["v"]
    size = len(found) + len(known)
    _, part = connected_components(coo_array((np.ones(len(i)), (i, j + len(found))), shape=(size, size)))
    order = np.argsort(part[i], kind="stable")
    for pairs in np.split(order, np.flatnonzero(np.diff(part[i[order]])) + 1):
        if not len(pairs):
            continue
        rows, row = np.unique(i[pairs], return_inverse=True)
        columns, column = np.unique(j[pairs], return_inverse=True)
        gain = np.zeros((len(rows), len(columns)))
        gain[row, column] = len(rows) - row + 1 - distance[pairs] / within / (len(rows) + 1)
        chosen, partner = linear_sum_assignment(gain, maximize=True)
        real = gain[chosen, partner] > 0
        matched[rows[chosen[real]]] = columns[partner[real]]
    return matched


def precision_recall(right: npt.NDArray[np.bool_], known: int) -> pd.DataFrame:
    """Precision and recall of the first k, for every k.

    Args:
        right: (K,), most probable first.
        known: number of known seeps.

    Returns:
        `rank` (k), `precision`, `recall`.
    """
    rank = np.arange(1, len(right) + 1)
    hits = right.cumsum()
    return pd.DataFrame({"rank": rank, "precision": hits / rank, "recall": hits / max(known, 1)})


def seep_scores(table: pd.DataFrame, known: Floats, spacing: float, max_fdr: float) -> dict[str, float | int | None]:
    """Scores of seeps where it is known where they are.

    Args:
        table: of `Seeps`, most probable first.
        known: (M, 2), on the same ground.
        spacing: of a pixel, in the unit of the ground.
        max_fdr: largest q_value of those that are reported.

    Returns:
        Of those that are reported: `found`, `precision`, `recall`, `f1`, `place_error` (median distance of the right
        ones, in the unit of the ground), `within_error_radius` (share of the right ones that lie in theirs). Of the
        whole list: `expected` (sum of p_seep), `right`, `average_precision`, `recall_at_precision_0_95`,
        `precision_at_recall_0_8`. None where there is nothing to tell it by.
    """
    found = table[["x", "y"]].to_numpy(float)
    matched = match_seeps(found, known, WITHIN * spacing)
    right, reported = matched >= 0, table["q_value"].to_numpy(float) <= max_fdr
    curve = precision_recall(right, len(known))
    hits, number = int((right & reported).sum()), int(reported.sum())
    error = np.linalg.norm(found - known[matched], axis=1)[right & reported] if len(known) else np.zeros(0)
    radius = table["error_radius"].to_numpy(float)[right & reported]
    precise, complete = curve["precision"] >= HIGH_PRECISION, curve["recall"] >= HIGH_RECALL
    return {
        "known": len(known),
        "found": number,
        "precision": hits / number if number else None,
        "recall": hits / len(known) if len(known) else None,
        "f1": 2 * hits / (number + len(known)) if number + len(known) else None,
        "place_error": float(np.median(error)) if hits else None,
        "within_error_radius": float((error <= radius).mean()) if hits else None,
        "expected": float(table["p_seep"].sum()),
        "right": int(right.sum()),
        "average_precision": float(curve["precision"][right].sum() / len(known)) if len(known) else None,
        "recall_at_precision_0_95": float(curve["recall"][precise].max()) if precise.any() else 0.0,
        "precision_at_recall_0_8": float(curve["precision"][complete].max()) if complete.any() else 0.0,
    }


def reliability(p_seep: Floats, right: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Whether places of some probability are seeps as often as that.

    Args:
        p_seep: (K,).
        right: (K,).

    Returns:
        Per bin of p_seep that holds any: `low`, `high`, `places`, `p_seep` (mean), `share_right`.
    """
    rows = []
    for low, high in pairwise(BINS):
        within = (p_seep >= low) & ((p_seep < high) | (high == BINS[-1]))
        if within.any():
            rows.append((low, high, int(within.sum()), p_seep[within].mean(), right[within].mean()))
    return pd.DataFrame(rows, columns=["low", "high", "places", "p_seep", "share_right"])


def in_passes(slicks: SlickEnds, ground: Ground, numbers: Ints) -> tuple[SlickEnds, Ground]:
    """The slicks of some passes, over a ground of these passes.

    Args:
        slicks: of all passes.
        ground: likewise.
        numbers: (Q,) of passes, ascending.

    Returns:
        Both, with passes 0..Q-1.
    """
    taken = np.flatnonzero(np.isin(slicks.pass_number, numbers))
    part = slicks.take(taken)
    part = replace(part, pass_number=np.searchsorted(numbers, part.pass_number))
    return part, replace(ground, passes=[ground.passes[number] for number in numbers])


def confirmation(
    xy: Floats, annotated: SlickEnds, ground: Ground, radius: float, draws: int, seed: int
) -> pd.DataFrame:
    """How many of the seeps found in some passes are confirmed by annotated slicks of other passes.

    Args:
        xy: (K, 2), seeps found, most probable first.
        annotated: slicks of the other passes.
        ground: of the other passes.
        radius: in pixels, within which an end of an annotated slick confirms a seep.
        draws: times that the other passes are shifted at random.
        seed: of these.

    Returns:
        Per rank k: `rank`, `seen_by_1`, `seen_by_2` (places among the first k that at least one, two of the other
        passes saw), `confirmed_by_1`, `confirmed_by_2` (share of these that have an annotated end in as many passes),
        `by_chance_1`, `by_chance_2` (the same after the shifts, of all together).
    """
    within = radius * ground.spacing
    rng = np.random.default_rng(seed)
    columns: dict[str, Floats | Ints] = {"rank": np.arange(1, len(xy) + 1)}
    shapely.prepare([each.footprint for each in ground.passes])
    as_it_is = [_seen_and_showing(xy, annotated, ground, np.zeros((len(ground.passes), 2)), within)]
    shifts = [random_shifts(len(ground.passes), within, rng) for _ in range(draws)]
    shifted = [_seen_and_showing(xy, annotated, ground, shift, within) for shift in shifts]
    for least in (1, 2):
        columns[f"seen_by_{least}"] = (as_it_is[0][0] >= least).cumsum()
        columns[f"confirmed_by_{least}"] = _share(as_it_is, least)
        columns[f"by_chance_{least}"] = _share(shifted, least)
    return pd.DataFrame(columns)


def _seen_and_showing(
    xy: Floats, annotated: SlickEnds, ground: Ground, shift: Floats, within: float
) -> tuple[Ints, Ints]:
    """Number of shifted passes that saw each place, and that have an annotated end there."""
    seen = np.zeros(len(xy), dtype=np.int64)
    for each, (x, y) in zip(ground.passes, shift, strict=True):
        seen += shapely.contains_xy(each.footprint, xy[:, 0] - x, xy[:, 1] - y)
    ends = annotated.ends + shift[annotated.pass_number][:, None]
    place, _ = passes_near(xy, ends, annotated.pass_number, within)
    showing = np.bincount(place, minlength=len(xy))
    return np.maximum(seen, showing), showing


def _share(of_draws: Sequence[tuple[Ints, Ints]], least: int) -> Floats:
    """Share of the first k places that `least` passes saw, in which as many show a slick; NaN where there are none.

    Args:
        of_draws: see `_seen_and_showing`; counted together.
        least: number of passes.
    """
    judged = sum((seen >= least).cumsum() for seen, _ in of_draws)
    confirmed = sum((showing >= least).cumsum() for _, showing in of_draws)
    return np.where(judged > 0, confirmed / np.maximum(judged, 1), np.nan)
