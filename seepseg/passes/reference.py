"""Seeps that annotated slicks show: what estimates are compared with where nobody knows better."""

from collections.abc import Iterable
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from seepseg.passes.places import first_of_runs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PASSES, WITHIN = 4, 20.0  # of the reference, in pixels
OTHER_PASSES, OTHER_WITHIN = (3, 4, 5), (12.0, 20.0, 32.0)  # that it might as well have been


def reference_seeps(ends: Floats, pass_number: Ints, passes: int = PASSES, within: float = WITHIN) -> pd.DataFrame:
    """Find places where annotated slicks of several passes have an end.

    The end that has ends of the most passes around it makes a place, the mean of them all; their slicks are taken
    away, and so on, while there are ends of enough passes.

    Args:
        ends: (n, 2, 2), both ends of each annotated slick, x and y.
        pass_number: (n,).
        passes: the fewest.
        within: farthest from the end in the middle.

    Returns:
        `x`, `y`, `passes` (number with an end there); those of the most passes first.
    """
    points, in_pass = ends.reshape(-1, 2), np.repeat(pass_number, 2)
    tree = cKDTree(points)
    around = [np.array(each) for each in tree.query_ball_point(points, within)]
    alive = np.ones(len(points), dtype=bool)

    def number(point: int) -> int:
        near = around[point]
        return len(np.unique(in_pass[near[alive[near]]])) if alive[point] else 0

    numbers = np.array([number(point) for point in range(len(points))], dtype=np.int64)
    rows = []
    while numbers.max(initial=0) >= passes:
        middle = int(numbers.argmax())
        near = around[middle][alive[around[middle]]]
        rows.append((*points[near].mean(axis=0).tolist(), int(numbers[middle])))
        slicks = np.unique(near // 2)
        taken = np.concatenate([2 * slicks, 2 * slicks + 1])
        alive[taken] = False
        for point in np.unique(np.concatenate([around[each] for each in taken])):
            numbers[point] = number(point)
    return pd.DataFrame(rows, columns=["x", "y", "passes"]).astype({"x": float, "y": float, "passes": int})


def sensitivity(
    ends: Floats,
    pass_number: Ints,
    passes: Iterable[int] = OTHER_PASSES,
    within: Iterable[float] = OTHER_WITHIN,
) -> pd.DataFrame:
    """Count seeps by other rules for the reference.

    Args:
        ends: see `reference_seeps`.
        pass_number: likewise.
        passes: fewest.
        within: farthest.

    Returns:
        `passes`, `within`, `seeps`.
    """
    rows = [
        (fewest, width, len(reference_seeps(ends, pass_number, fewest, width)))
        for fewest, width in product(passes, within)
    ]
    return pd.DataFrame(rows, columns=["passes", "within", "seeps"])


def passes_near(xy: Floats, ends: Floats, pass_number: Ints, within: float) -> tuple[Ints, Ints]:
    """Passes that have an end near places.

    Args:
        xy: (K, 2).
        ends: (n, 2, 2).
        pass_number: (n,).
        within: of a place.

    Returns:
        Place and pass of each that has one; no pair twice.
    """
    if not len(xy) or not len(ends):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    near = cKDTree(xy).sparse_distance_matrix(cKDTree(ends.reshape(-1, 2)), within, output_type="ndarray")
    place, number = near["i"], pass_number[near["j"] // 2]
    order = np.lexsort((number, place))
    order = order[first_of_runs(place[order], number[order])]
    return place[order], number[order]
