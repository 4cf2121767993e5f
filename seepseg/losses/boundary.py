"""Losses by distance from the boundary of a class, in pixels and within each tile.

A class that a tile has nowhere or everywhere has no boundary there, and no distance from it. No-data is taken for
background: where data end, a class ends too.
"""

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from seepseg.base.distributed import all_sum
from seepseg.base.params import param_block
from seepseg.losses.batch_statistics import BatchStatistics
from seepseg.losses.compound import mix
from seepseg.losses.overlap import GeneralizedDice
from seepseg.losses.registry import LossBlock, LossSection, NotNegative, Positive, Reduction, Share, register_loss

Mask = npt.NDArray[np.bool_]


@register_loss("boundary")
@param_block
class Boundary(LossBlock):
    """Boundary loss: probabilities weighed by their distance from the true boundary, and generalised Dice.

    d_c is the signed distance from the boundary of class c, negative inside, so that the least possible value is
    below 0. A tile without the class, or full of it, has no boundary and adds 0. The mean over classes is that of the
    overlap losses: without those absent from the batch; flattened, it is over all K.

    References:
        Kervadec et al. 2019, Boundary loss for highly unbalanced segmentation (arXiv 1812.07032).
    """

    region_weight: Share = 0.99
    """weight w of generalized_dice; the rest is of a distance in pixels"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """Sum of w generalised Dice and (1 - w) mean(p_c d_c), over the valid pixels."""
        region = params[GeneralizedDice](batch, params)
        distances = signed_distances(batch.is_class.cpu().numpy())
        weighted = batch.probs * torch.from_numpy(distances).to(batch.probs) * batch.valid[:, None]
        return mix(self.region_weight, region, _mean_by_class(batch, weighted, params.reduction))


@register_loss("distance_penalized_ce")
@param_block
class DistancePenalizedCrossEntropy(LossBlock):
    """Cross-entropy in which pixels weigh more, the nearer they are to a boundary.

    phi falls with the distance to the nearest pixel of another class, from 1 beside it to 0 at the farthest valid
    pixel of the same class in the tile. Each class has a map of its own as in the paper, background too, but scaled to
    this range, so that neither the size of tiles nor that of slicks matters. A tile all of one class has no boundary:
    phi is 0, which leaves cross-entropy. Under sigmoid each channel's yes and no have a map each, mean over channels.

    References:
        Caliva et al. 2019, Distance map loss penalty term for semantic segmentation (arXiv 1908.03679), equation 2.
    """

    penalty: NotNegative = 1.0
    """w, a pixel at a boundary weighs 1 + w; 0 is cross-entropy"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """-(1 + w phi) log p_t, mean over pixels."""
        is_class, valid = batch.is_class.cpu().numpy(), batch.valid.cpu().numpy()
        if batch.head == "sigmoid":
            phi = proximity(is_class, valid) + proximity(~is_class, valid)
        else:
            background = ~is_class.any(1, keepdims=True)
            phi = proximity(np.concatenate([background, is_class], 1), valid).sum(1, keepdims=True)
        weights = 1 + self.penalty * torch.from_numpy(phi).to(batch.probs)
        return batch.mean_over_pixels(-(weights * batch.log_probs_of_target).mean(1))


@register_loss("hausdorff")
@param_block
class Hausdorff(LossBlock):
    """Hausdorff distance, estimated by distance transforms: far errors cost more.

    d_g and d_p are distances from the boundaries of the class and of where p is above 1/2; where a tile has no such
    boundary, they are 0. The mean over classes is that of the overlap losses: without those absent from the batch,
    whose false alarms cost nothing; flattened, it is over all K. The paper adds Dice, scaled to the same size; here
    `loss.binary_dice_weight` adds one.

    References:
        Karimi & Salcudean 2019, Reducing the Hausdorff distance in medical image segmentation (arXiv 1904.10030),
        equation 8. The distances count pixels from 1 on both sides, as in MONAI.
    """

    alpha: Positive = 2.0
    """power of distances in pixels"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """Mean of (g - p)^2 (d_g^alpha + d_p^alpha) over the valid pixels."""
        predicted = (batch.probs > 0.5) & batch.valid[:, None]
        true, found = (distances_from_boundary(mask.cpu().numpy()) for mask in (batch.is_class, predicted))
        distances = true**self.alpha + found**self.alpha
        squares = (batch.is_class.to(batch.probs) - batch.probs).square()
        weighted = squares * torch.from_numpy(distances).to(batch.probs) * batch.valid[:, None]
        return _mean_by_class(batch, weighted, params.reduction)


def _mean_by_class(batch: BatchStatistics, values: Tensor, reduction: Reduction) -> Tensor:
    """Mean of (N, K, H, W), which are 0 on no-data, over all valid pixels and over classes."""
    means = all_sum(values.sum((0, 2, 3))) / batch.class_sizes.sum().clamp(min=1)
    return means.mean() if reduction == "flattened" else batch.mean_over_classes(means)


def distances_from_boundary(masks: Mask) -> npt.NDArray[np.float64]:
    """Euclidean distance in pixels to the nearest pixel on the other side of the boundary of each mask: 1, 2, ...

    Args:
        masks: bool (N, K, H, W).

    Returns:
        float64 of the same shape; 0 for a mask that is empty or full, which has no boundary.
    """
    distances = np.zeros(masks.shape)
    for index in np.argwhere(masks.any((2, 3)) & ~masks.all((2, 3))):
        mask = masks[tuple(index)]
        distances[tuple(index)] = distance_transform_edt(mask) + distance_transform_edt(~mask)
    return distances


def signed_distances(masks: Mask) -> npt.NDArray[np.float32]:
    """Signed Euclidean distance in pixels from the boundary of each mask.

    Outside, the distance to the nearest pixel inside: 1, 2, ...; inside, 1 minus the distance to the nearest
    pixel outside: 0, -1, ..., as in the code of the boundary loss's authors.

    Args:
        masks: bool (N, K, H, W).

    Returns:
        float32 of the same shape; a mask that is empty or full has no boundary and is 0.
    """
    distances = distances_from_boundary(masks)
    return np.where(masks & (distances > 0), 1.0 - distances, distances).astype(np.float32)


def proximity(masks: Mask, valid: Mask) -> npt.NDArray[np.float32]:
    """How near each pixel of a mask is to its boundary, from 1 beside it to 0 at the mask's farthest valid pixel.

    Args:
        masks: bool (N, K, H, W).
        valid: bool (N, H, W).

    Returns:
        float32 (N, K, H, W); 0 outside of a mask, and of one that is empty or full. Of no meaning on no-data.
    """
    near = np.zeros(masks.shape, np.float32)
    for tile, index in np.argwhere(masks.any((2, 3)) & ~masks.all((2, 3))):
        mask = masks[tile, index]
        beyond = distance_transform_edt(mask) - 1  # the first pixel inside is at 0
        farthest = (beyond * valid[tile]).max()
        near[tile, index] = mask * (1 - beyond / farthest if farthest > 0 else 1.0)
    return near
