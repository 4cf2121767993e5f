"""Surface Dice: how well the edges of slicks are met, of any class and of each."""

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from seepseg.evaluation.confusion import Counts, Floats, divide

Mask = npt.NDArray[np.bool_]
Classes = npt.NDArray[np.uint8]
Points = npt.NDArray[np.int64]

TOLERANCES = (1, 2, 3)  # pixels


def edge_counts(pred: Classes, target: Classes, valid: Mask, num_classes: int) -> Counts:
    """Count edge pixels, and those that an edge pixel of the other mask is near to.

    An edge pixel of a class is a pixel of it with a valid 4-neighbour that isn't of it. Where a slick ends at no-data
    or at the border of the scene there is no edge, as nobody decided that it ends there. Distances are Euclidean,
    between pixel centres.

    Args:
        pred: uint8 (H, W), 1..K on predicted slicks, all of them valid, 0 elsewhere.
        target: uint8 (H, W), likewise of annotated slicks.
        valid: bool (H, W), False at no-data.
        num_classes: K + 1.

    Returns:
        int64 (K+1, T, 2, 2): slicks of any class, then of each; at each of the `TOLERANCES`; of the target and of the
        prediction; matched edge pixels and all edge pixels. Add them up over scenes for `surface_dice`.
    """
    counts = np.zeros((num_classes, len(TOLERANCES), 2, 2), np.int64)
    of_target, of_pred = (_edge_points(classes, valid, num_classes) for classes in (target, pred))
    for number, both in enumerate(zip(of_target, of_pred, strict=True)):
        for side, (points, others) in enumerate((both, both[::-1])):
            counts[number, :, side, 0] = _matched(points, others)
            counts[number, :, side, 1] = len(points)
    return counts


def surface_dice(edges: Counts | Floats) -> Floats:
    """Surface Dice: matched edge pixels of both masks / all edge pixels of both.

    Args:
        edges: (..., K+1, T, 2, 2), see `edge_counts`; NaN where they weren't counted.

    Returns:
        float64 (..., K+2, T), at each of the `TOLERANCES`: of slicks of any class; of each class, NaN where no edge of
        it is annotated; and the mean over the classes with an annotated edge. Any class is NaN where neither mask has
        an edge.

    References:
        Nikolov et al. 2018, "Deep learning to achieve clinically applicable segmentation of head and neck anatomy for
        radiotherapy", arXiv 1809.04430; there of surfaces, here of edge pixels.
    """
    matched, total = np.moveaxis(edges.sum(axis=-2), -1, 0)
    score = divide(matched, total)
    score[..., 1:, :][edges[..., 1:, :, 0, 1] == 0] = np.nan
    known = ~np.isnan(score[..., 1:, :])
    macro = divide(np.where(known, score[..., 1:, :], 0).sum(axis=-2), known.sum(axis=-2))
    return np.concatenate([score, macro[..., np.newaxis, :]], axis=-2)


def _edge_points(classes: Classes, valid: Mask, num_classes: int) -> list[Points]:
    """Rows and columns of the edge pixels, int64 (n, 2): of slicks of any class, then of each class."""
    points = np.argwhere(_edges(classes, valid))
    of_class = classes[points[:, 0], points[:, 1]]
    any_class = np.argwhere(_edges(classes > 0, valid))
    return [any_class, *(points[of_class == number] for number in range(1, num_classes))]


def _edges(classes: Classes | Mask, valid: Mask) -> Mask:
    """The pixels of slicks with a valid 4-neighbour of another class or of none."""
    edge = np.zeros(classes.shape, dtype=bool)
    for this, that in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = classes[this] != classes[that]
        edge[this] |= differs & valid[that]
        edge[that] |= differs & valid[this]
    return edge & (classes > 0)


def _matched(points: Points, others: Points) -> list[int]:
    """How many points lie within each of the `TOLERANCES` of another mask's."""
    if not len(points) or not len(others):
        return [0] * len(TOLERANCES)
    # By a tree, since edges are few among the pixels of a scene; its bound is no part of the distances that it finds.
    distance, _ = cKDTree(others).query(points, distance_upper_bound=TOLERANCES[-1] + 0.5)
    return [int(np.count_nonzero(distance <= tolerance)) for tolerance in TOLERANCES]
