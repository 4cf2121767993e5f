"""Which slicks people have judged already."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import shapely

SAME = 0.9  # intersection over union: another training moves the edges of what is predicted
WITHIN = 0.5  # share of a predicted slick that lies where an annotated one was judged to be none


def decisions(slicks: pd.DataFrame, outlines: Sequence[shapely.Geometry], corrections: pd.DataFrame) -> pd.Series:
    """What was decided about slicks.

    Args:
        slicks: n rows with `kind`, of one scene.
        outlines: of each, in pixels of the scene's grid.
        corrections: of that scene, see `seepseg.data.corrections`.

    Returns:
        Text (n,): the decision in the last row about a slick of that kind whose outline overlaps with an intersection
        over union of at least `SAME`; of predicted slicks also in a row that says that an annotated slick was wrong,
        if at least `WITHIN` of it lies there; empty where there is none.
    """
    decided = np.full(len(slicks), "", dtype=object)
    shapes, judged = (np.array(each, dtype=object) for each in (outlines, shapely.from_wkt(corrections["outline"])))
    if len(shapes) and len(judged):
        slick, row = shapely.STRtree(judged).query(shapes, predicate="intersects")
        shared = shapely.area(shapely.intersection(shapes[slick], judged[row]))
        area = shapely.area(shapes[slick])
        overlap = shared / (area + shapely.area(judged[row]) - shared)
        same = (overlap >= SAME) & (slicks["kind"].to_numpy()[slick] == corrections["kind"].to_numpy()[row])
        none = (corrections["decision"] == "wrong").to_numpy()[row] & (corrections["kind"] == "annotated").to_numpy()[
            row
        ]
        same |= none & (slicks["kind"] == "predicted").to_numpy()[slick] & (shared >= WITHIN * area)
        slick, row = slick[same], row[same]
        order = np.argsort(row, kind="stable")  # the last one written counts
        decided[slick[order]] = corrections["decision"].to_numpy()[row[order]]
    return pd.Series(decided, slicks.index, dtype="str")
