"""Places on the ground where ends of slicks of several passes meet.

1. Each end gets the evidence around it: over all passes, the sum of the largest weight of an end within reach. The
   weight of an end at distance d is √p_slick · (1 - (d / reach)²).
2. Ends whose evidence is the largest of all that compete for the same slicks become places and take their slicks away;
   that is repeated with the rest. So many places are decided at once, and the result is that of deciding them one by
   one, from the largest.
3. Then every slick goes to that place, with that end, which explains it best (largest weight times the evidence of the
   place, which is the share of a mixture), and every place moves to the mean of its ends; a few times over.

The root: p_slick is the chance that a candidate is a slick, knowing nothing of other passes. Where other passes show
slicks it is more; and a slick whose chance is middling in every pass is better evidence than the sum tells.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]
Singles = npt.NDArray[np.float32]

START_REACH = 0.8  # of the radius: places start narrower than slicks are assigned, so that neighbours stay apart
START_EVIDENCE = 0.5  # they may grow when slicks are assigned
MIN_EVIDENCE = 1.0  # more than that: it is the most that one pass can give
ROUNDS = 4  # of assigning and moving


@dataclass(frozen=True)
class Places:
    """K places, and the slicks that support them.

    Attributes:
        xy: float64 (K, 2).
        evidence: float64 (K,), sum of the largest weight of each pass.
        place: int64 (L,), 0..K-1, of each link.
        slick: int64 (L,), 0..n-1; no slick twice.
        end: int64 (L,), 0 or 1: which end of the slick.
        weight: float64 (L,), of the link, in [0, 1].
        best: bool (L,), of its place and pass: the links that count.
    """

    xy: Floats
    evidence: Floats
    place: Ints
    slick: Ints
    end: Ints
    weight: Floats
    best: npt.NDArray[np.bool_]

    def take(self, order: Ints) -> "Places":
        """These places, in this order, with their links."""
        number = np.full(len(self.xy), -1, dtype=np.int64)
        number[order] = np.arange(len(order))
        of = number[self.place] >= 0
        return Places(
            xy=self.xy[order],
            evidence=self.evidence[order],
            place=number[self.place[of]],
            slick=self.slick[of],
            end=self.end[of],
            weight=self.weight[of],
            best=self.best[of],
        )


def find_places(ends: Floats, pass_number: Ints, p_slick: Floats, radius: float) -> Places:
    """Find the places that ends of slicks of several passes share.

    Args:
        ends: (n, 2, 2), both ends of each slick, x and y.
        pass_number: (n,).
        p_slick: (n,).
        radius: farthest that an end lies from its place, in the unit of the ends.

    Returns:
        The places whose evidence is more than `MIN_EVIDENCE`, in no particular order.
    """
    order = np.argsort(pass_number, kind="stable")  # so that neighbours of an end, in order, come pass by pass
    points = ends[order].reshape(-1, 2)
    slick, in_pass = np.repeat(np.arange(len(order)), 2), np.repeat(pass_number[order].astype(np.int32), 2)
    weight = np.sqrt(np.repeat(p_slick[order], 2))
    xy, evidence = _start(points, in_pass, weight, START_REACH * radius)
    xy, evidence, place, point, link, best = _assign(points, in_pass, slick, weight, radius, xy, evidence)
    return Places(xy, evidence, place, order[slick[point]], point % 2, link, best)


def first_of_runs(*keys: npt.NDArray[np.generic]) -> Ints:
    """Where each run of equal keys begins.

    Args:
        keys: (L,) each, sorted together.

    Returns:
        Positions, ascending.
    """
    starts = np.zeros(len(keys[0]), dtype=bool)
    starts[:1] = True
    for key in keys:
        starts[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(starts)


def _neighbours(points: Floats, weight: Floats, reach: float) -> tuple[Rows, Rows, Singles]:
    """All ordered pairs (i, j) of points within reach, i = j included, sorted; and the weight of j at i."""
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray").astype(np.int32)
    near = np.ones(len(pairs), dtype=np.float32)
    for axis in (0, 1):
        near -= np.square((points[pairs[:, 0], axis] - points[pairs[:, 1], axis]) / reach)
    near = np.maximum(near, 1e-6)  # at the very reach: little, but a pair
    half = coo_array((near, (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points))).tocsr()
    del pairs, near
    both = half + half.T
    del half
    both.setdiag(1)
    both.sort_indices()
    both.data *= weight.astype(np.float32)[both.indices]
    rows = np.repeat(np.arange(len(points), dtype=np.int32), np.diff(both.indptr))
    return rows, both.indices, both.data


def _sum_of_largest(i: Rows, in_pass: Rows, weights: Singles, count: int) -> Floats:
    """Sum over passes of the largest weight, for each i; pairs sorted by i, then pass."""
    if not len(i):
        return np.zeros(count)
    runs = first_of_runs(i, in_pass)
    return np.asarray(np.bincount(i[runs], np.maximum.reduceat(weights, runs), minlength=count), np.float64)


def _start(points: Floats, in_pass: Rows, weight: Floats, reach: float) -> tuple[Floats, Floats]:
    """Starting places (K, 2) and their evidence (K,)."""
    count = len(points)
    i, j, weights = _neighbours(points, weight, reach)
    places, evidences = [np.zeros((0, 2))], [np.zeros(0)]
    while len(i):
        evidence = _sum_of_largest(i, in_pass[j], weights, count)
        alive = evidence >= START_EVIDENCE
        keep = alive[i]  # what lost its neighbours starts no place any more, but still supports others
        i, j, weights = i[keep], j[keep], weights[keep]
        if not len(i):
            break
        chosen = _largest_around(i, j, evidence)
        members = chosen[i]
        of, point, share = i[members], j[members], weights[members]
        taken = np.zeros(count // 2, dtype=bool)
        taken[point // 2] = True
        best = np.lexsort((-share, in_pass[point], of))
        best = best[first_of_runs(of[best], in_pass[point[best]])]
        of, point, share = of[best], point[best], share[best]
        sums = [np.bincount(of, share * points[point, axis], minlength=count)[chosen] for axis in (0, 1)]
        places.append(np.stack(sums, axis=1) / evidence[chosen, None])
        evidences.append(evidence[chosen])
        gone = np.repeat(taken, 2)
        keep = ~(gone[i] | gone[j])
        i, j, weights = i[keep], j[keep], weights[keep]
    return np.concatenate(places), np.concatenate(evidences)


def _largest_around(i: Rows, j: Rows, evidence: Floats) -> npt.NDArray[np.bool_]:
    """Which points have the largest evidence of all that would take a slick from them (ties: the last)."""
    rank = np.empty(len(evidence), dtype=np.int32)
    rank[np.argsort(evidence, kind="stable")] = np.arange(len(evidence), dtype=np.int32)
    claim = np.full(len(evidence), -1, dtype=np.int32)
    np.maximum.at(claim, j, rank[i])
    claim = np.repeat(claim.reshape(-1, 2).max(axis=1), 2)  # of each slick, at both ends: the largest that wants it
    runs = first_of_runs(i)
    around = np.full(len(evidence), -1, dtype=np.int32)
    around[i[runs]] = np.maximum.reduceat(claim[j], runs)
    return np.asarray(around == rank)


def _assign(
    points: Floats, in_pass: Rows, slick: Ints, weight: Floats, radius: float, xy: Floats, evidence: Floats
) -> tuple[Floats, Floats, Ints, Ints, Floats, npt.NDArray[np.bool_]]:
    """Assign slicks to places and move the places, in turns; places that are left with too little go."""
    tree = cKDTree(points)
    for turn in range(ROUNDS + 1):
        near = tree.sparse_distance_matrix(cKDTree(xy), radius, output_type="ndarray")
        point, place = near["i"], near["j"]
        link = weight[point] * (1 - np.square(near["v"] / radius))
        order = np.lexsort((place, -link * evidence[place], slick[point]))
        order = order[first_of_runs(slick[point[order]])]
        point, place, link = point[order], place[order], link[order]
        order = np.lexsort((-link, in_pass[point], place))
        point, place, link = point[order], place[order], link[order]
        best = np.zeros(len(point), dtype=bool)
        best[first_of_runs(place, in_pass[point])] = True
        evidence = np.asarray(np.bincount(place[best], link[best], minlength=len(xy)), np.float64)
        if turn == ROUNDS:
            break
        sums = [np.bincount(place[best], link[best] * points[point[best], axis], minlength=len(xy)) for axis in (0, 1)]
        stays = evidence > 0
        xy, evidence = np.stack(sums, axis=1)[stays] / evidence[stays, None], evidence[stays]
    stays = evidence > MIN_EVIDENCE
    number = np.cumsum(stays) - 1
    of = stays[place]
    return xy[stays], evidence[stays], number[place[of]], point[of], link[of], best[of]
