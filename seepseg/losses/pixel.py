"""Losses that are means over pixels: cross-entropy and its relatives.

Each is an average over the valid pixels, in which a pixel counts as much as its class (`loss.class_weights`):
the sum is divided by the sum of the weights, as in `torch.nn.functional.cross_entropy`. An absent class has no
pixels, so it adds nothing but what the others' pixels pay for being taken for it.
"""

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from seepseg.base.distributed import gather
from seepseg.base.params import param_block
from seepseg.losses.batch_statistics import EPSILON, BatchStatistics, weighted_mean
from seepseg.losses.registry import ClassWeights, LossBlock, LossSection, NotNegative, Positive, register_loss


@register_loss("bce")
@param_block
class BinaryCrossEntropy(LossBlock):
    """Binary cross-entropy of each class against the rest.

    A softmax head is read one class against the rest too, so the value compares with that of a sigmoid head.
    """

    pos_weight: Positive = 1.0
    """what a pixel of the class weighs against one without it"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """-(w g log p + (1 - g) log(1 - p)), mean over pixels and foreground classes."""
        return binary_cross_entropy(batch, self.pos_weight, 1.0)


@register_loss("ce", softmax_only=True)
@param_block
class CrossEntropy(LossBlock):
    """Cross-entropy of a softmax.

    With class weights, the smoothed part weighs what the pixel does; PyTorch weighs each of its log p_c by c.
    """

    label_smoothing: Annotated[float, Ge(0.0), Lt(1.0)] = 0.0
    """share of the target that is spread evenly over all classes"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """-(1 - e) log p_t - e mean_c log p_c, mean over pixels."""
        return cross_entropy(batch, self.label_smoothing)


@register_loss("weighted_ce", softmax_only=True)
@param_block
class WeightedCrossEntropy(LossBlock):
    """Cross-entropy of a softmax with class weights of its own, whatever `class_weights` says."""

    weights: Literal["balanced", "sqrt_balanced"] = "sqrt_balanced"
    """balanced | sqrt_balanced, from class_balance"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """-log p_t, mean over pixels that weigh w_t."""
        return cross_entropy(batch, label_smoothing=0.0)

    def weighting(self, params: LossSection) -> ClassWeights:
        """Its own."""
        return self.weights


@register_loss("focal")
@param_block
class Focal(LossBlock):
    """Focal loss: cross-entropy that looks away from what is already right.

    Under sigmoid of each channel's yes or no, mean over channels.

    References:
        Lin et al. 2017, Focal loss for dense object detection (arXiv 1708.02002), equation 4. The class weights
        take the place of its alpha.
    """

    gamma: NotNegative = 2.0
    """0 is cross-entropy; the larger, the less counts what is right"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """-(1 - p_t)^gamma log p_t, mean over pixels."""
        log_p = batch.log_probs_of_target
        return batch.mean_over_pixels(-(focus(log_p, self.gamma) * log_p).mean(1))


@register_loss("topk", softmax_only=True)
@param_block
class TopK(LossBlock):
    """Cross-entropy of a softmax over the hardest pixels only.

    The hardest are the `fraction` of the valid pixels (rounded up) whose weighted cross-entropy is largest.

    References:
        Wu et al. 2016, Bridging category-level and instance-level semantic image segmentation
        (arXiv 1605.06885).
    """

    fraction: Annotated[float, Gt(0.0), Le(1.0)] = 0.1
    """share of the valid pixels"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """-log p_t, mean over the hardest pixels."""
        valid = batch.valid
        values, weights = gather(-batch.log_probs_of_target[:, 0][valid]), gather(batch.pixel_weights[valid])
        hardest = (values * weights).topk(math.ceil(self.fraction * len(values)), sorted=False).indices
        return weighted_mean(values[hardest], weights[hardest])


def binary_cross_entropy(batch: BatchStatistics, positive: float, negative: float) -> Tensor:
    """Mean over pixels and foreground classes of -(positive g log p + negative (1 - g) log(1 - p))."""
    log_probs, log_complements = batch.foreground_log_probs
    values = torch.where(batch.is_class, positive * log_probs, negative * log_complements)
    return batch.mean_over_pixels(-values.mean(1))


def cross_entropy(batch: BatchStatistics, label_smoothing: float) -> Tensor:
    """Mean over pixels of -(1 - e) log p_t - e mean_c log p_c, of a softmax head."""
    values = -batch.log_probs_of_target[:, 0]
    if label_smoothing > 0:
        values = (1 - label_smoothing) * values - label_smoothing * batch.log_probs.mean(1)
    return batch.mean_over_pixels(values)


def focus(log_p: Tensor, gamma: float) -> Tensor:
    """The focal factor (1 - p)^gamma of log p; its gradient has a bound at p = 1 even for gamma below 1."""
    return (-torch.expm1(log_p)).clamp(min=EPSILON).pow(gamma)
