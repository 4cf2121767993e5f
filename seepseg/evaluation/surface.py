"""Surface Dice: how well the edges of slicks are met, whatever their class."""

import numpy as np
import numpy.typing as npt

from seepseg.evaluation.confusion import Counts, Floats, divide

Mask = npt.NDArray[np.bool_]


def edge_counts(pred: Mask, target: Mask, valid: Mask) -> Counts:
    """Count edge pixels, and those that an edge pixel of the other mask is within 1 pixel of.

    An edge pixel is a pixel of a mask with a valid 4-neighbour that isn't of the mask. Where a slick ends at no-data or
    at the border of the scene there is no edge, as nobody decided that it ends there. Distances are Euclidean, between
    pixel centres.

    Args:
        pred: bool (H, W), pixels predicted to be slick, all of them valid.
        target: bool (H, W), pixels annotated as slick, all of them valid.
        valid: bool (H, W), False at no-data.

    Returns:
        int64 (2, 2), of the target and of the prediction: matched edge pixels, all edge pixels; add them up over
        scenes for `surface_dice`.
    """
    edges = [mask & _with_neighbours(valid & ~mask) for mask in (target, pred)]
    # Pixels within 1 pixel are those that share an edge, so no distance has to be computed.
    return np.array(
        [
            [np.count_nonzero(edge & _with_neighbours(other)), np.count_nonzero(edge)]
            for edge, other in (edges, edges[::-1])
        ]
    )


def surface_dice(edges: Counts) -> Floats:
    """Surface Dice at a tolerance of 1 pixel: matched edge pixels of both masks / all edge pixels of both.

    Args:
        edges: int64 (..., 2, 2), see `edge_counts`.

    Returns:
        float64 (...), NaN where neither mask has an edge.

    References:
        Nikolov et al. 2018, "Deep learning to achieve clinically applicable segmentation of head and neck anatomy for
        radiotherapy", arXiv 1809.04430; there of surfaces, here of edge pixels.
    """
    matched, total = np.moveaxis(edges.sum(axis=-2), -1, 0)
    return divide(matched, total)


def _with_neighbours(mask: Mask) -> Mask:
    """The mask and its 4-neighbours."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown
