"""Losses that are means over pixels: cross-entropy and its relatives.

Each is an average over the valid pixels, in which a pixel counts as much as its class (`loss.class_weights`):
the sum is divided by the sum of the weights, as in `torch.nn.functional.cross_entropy`.
"""

import math

import torch
from torch import Tensor

from seepseg.base.distributed import gather
from seepseg.losses.comparison import EPSILON, Comparison, weighted_mean


def bce(comparison: Comparison, pos_weight: float) -> Tensor:
    """Binary cross-entropy, mean over pixels and foreground classes: -(w g log p + (1 - g) log(1 - p)).

    A softmax head is read one class against the rest, so the value compares with that of a sigmoid head.
    """
    log_probs, log_complements = comparison.foreground_log_probs
    values = torch.where(comparison.is_class, pos_weight * log_probs, log_complements)
    return comparison.mean_over_pixels(-values.mean(1))


def ce(comparison: Comparison, label_smoothing: float) -> Tensor:
    """Cross-entropy of a softmax head: -(1 - e) log p_t - e mean_c log p_c.

    With class weights, the smoothed part weighs what the pixel does; PyTorch weighs each of its log p_c by c.
    """
    values = -comparison.log_probs_of_target[:, 0]
    if label_smoothing > 0:
        values = (1 - label_smoothing) * values - label_smoothing * comparison.log_probs.mean(1)
    return comparison.mean_over_pixels(values)


def topk(comparison: Comparison, fraction: float) -> Tensor:
    """Cross-entropy of a softmax head over the hardest pixels only.

    The hardest are the `fraction` of the valid pixels (rounded up) whose weighted cross-entropy is largest.

    References:
        Wu et al. 2016, Bridging category-level and instance-level semantic image segmentation
        (arXiv 1605.06885).
    """
    valid = comparison.valid
    values, weights = gather(-comparison.log_probs_of_target[:, 0][valid]), gather(comparison.pixel_weights[valid])
    hardest = (values * weights).topk(math.ceil(fraction * len(values)), sorted=False).indices
    return weighted_mean(values[hardest], weights[hardest])


def focal(comparison: Comparison, gamma: float) -> Tensor:
    """Focal loss: -(1 - p_t)^gamma log p_t; under sigmoid of each channel's yes or no, mean over channels.

    References:
        Lin et al. 2017, Focal loss for dense object detection (arXiv 1708.02002), equation 4. The class weights
        take the place of its alpha.
    """
    log_p = comparison.log_probs_of_target
    return comparison.mean_over_pixels(-(focus(log_p, gamma) * log_p).mean(1))


def focus(log_p: Tensor, gamma: float) -> Tensor:
    """The focal factor (1 - p)^gamma of log p; its gradient has a bound at p = 1 even for gamma below 1."""
    return (-torch.expm1(log_p)).clamp(min=EPSILON).pow(gamma)
