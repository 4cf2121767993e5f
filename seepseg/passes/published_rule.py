"""The one published estimator of seeps from slicks, as a baseline.

Suresh, Melsheimer, Körber, Bohrmann 2015, Automatic estimation of oil seep locations in synthetic aperture radar
images, IEEE TGRS 53, doi 10.1109/TGRS.2015.2393375; written from its description. It takes slicks as they are, the
wider end of each for its origin, clusters origins within a fixed distance, and tells of each place the share of the
passes that detected it. It gives neither an uncertainty of the place nor a false-discovery rate.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from seepseg.passes.ground import Ground
from seepseg.passes.slick_ends import SlickEnds

Ints = npt.NDArray[np.int64]

LEAST = 0.5  # p_slick of a slick


def published_seeps(slicks: SlickEnds, ground: Ground, within: float) -> pd.DataFrame:
    """Cluster the wider ends of the slicks that are more likely than not.

    Args:
        slicks: or candidates.
        ground: on which they lie.
        within: farthest from the origin in the middle of a cluster, in pixels.

    Returns:
        `x`, `y`, `passes`, `passes_with_slick`, `detection_percentage`; the highest percentage first.
    """
    likely = np.flatnonzero(slicks.p_slick >= LEAST)
    wider = slicks.half_width[likely].argmax(axis=1)
    origins, in_pass = slicks.ends[likely, wider], slicks.pass_number[likely]
    rows = []
    for cluster in _clusters(origins, within * ground.spacing):
        rows.append((*origins[cluster].mean(axis=0).tolist(), len(np.unique(in_pass[cluster]))))
    table = pd.DataFrame(rows, columns=["x", "y", "passes_with_slick"])
    seen = ground.sees(table["x"].to_numpy(float), table["y"].to_numpy(float)).sum(axis=1)
    table.insert(2, "passes", np.maximum(seen, table["passes_with_slick"]))
    table["detection_percentage"] = 100 * table["passes_with_slick"] / table["passes"]
    return table.sort_values(
        ["detection_percentage", "passes_with_slick", "x", "y"], ascending=[False, False, True, True]
    ).reset_index(drop=True)


def _clusters(points: npt.NDArray[np.float64], within: float) -> list[Ints]:
    """Members of each cluster: around the point with the most others, which take part in no other cluster."""
    if not len(points):
        return []
    around = [np.array(each) for each in cKDTree(points).query_ball_point(points, within)]
    numbers = np.array([len(each) for each in around])
    alive = np.ones(len(points), dtype=bool)
    clusters = []
    while alive.any():
        middle = int(numbers.argmax())
        members = around[middle][alive[around[middle]]]
        alive[members] = False
        clusters.append(members)
        for member in members:
            numbers[around[member]] -= 1
        numbers[members] = -1
    return clusters
