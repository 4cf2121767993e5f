"""The boundary loss: probabilities weighed by their distance from the true outline."""

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from seepseg.base.distributed import all_sum
from seepseg.losses.comparison import Comparison
from seepseg.losses.params import Reduction


def boundary(comparison: Comparison, reduction: Reduction) -> Tensor:
    """Mean over the valid pixels of p_c times the signed distance from the outline of class c, in pixels.

    Negative inside, so that the least possible value is below 0. A tile without the class, or full of it, has
    no outline and adds 0. The mean over classes is that of the overlap losses; flattened, it is over all K.

    References:
        Kervadec et al. 2019, Boundary loss for highly unbalanced segmentation (arXiv 1812.07032).
    """
    distances = signed_distances(comparison.is_class.cpu().numpy())
    weighted = comparison.probs * torch.from_numpy(distances).to(comparison.probs) * comparison.valid[:, None]
    values = all_sum(weighted.sum((0, 2, 3))) / comparison.class_sizes.sum().clamp(min=1)
    return values.mean() if reduction == "flattened" else comparison.mean_over_classes(values)


def signed_distances(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Signed Euclidean distance in pixels from the outline of each mask.

    Outside, the distance to the nearest pixel inside: 1, 2, ...; inside, 1 minus the distance to the nearest
    pixel outside: 0, -1, ..., as in the code of the boundary loss's authors.

    Args:
        inside: bool (N, K, H, W).

    Returns:
        float32 of the same shape; a mask that is empty or full has no outline and is 0.
    """
    distances = np.zeros(inside.shape, np.float32)
    for index in np.argwhere(inside.any((2, 3)) & ~inside.all((2, 3))):
        mask = inside[tuple(index)]
        outer, inner = distance_transform_edt(~mask), distance_transform_edt(mask)
        distances[tuple(index)] = np.where(mask, 1.0 - inner, outer)
    return distances
