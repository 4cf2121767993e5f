"""Losses that compare areas: the Tversky index and its cases, the Lovász extension of IoU, sensitivity and specificity.

They look at the foreground classes only. A class without a pixel in the batch has no overlap to speak of and
is left out of a per-class mean, so a batch without any class gives 0: false alarms there cost nothing, unless
a pixel loss is mixed in. `flattened` counts them.
"""

from typing import Literal

import torch
from torch import Tensor

from seepseg.base.distributed import all_sum, gather
from seepseg.base.params import param_block
from seepseg.losses.batch_statistics import EPSILON, BatchStatistics, Counts, weighted_mean
from seepseg.losses.registry import LossBlock, LossSection, NotNegative, Positive, Reduction, Share, register_loss


@register_loss("dice")
@param_block
class Dice(LossBlock):
    """Dice loss.

    Where Dice is written (2 TP + s') / (|p| + |g| + s'), s' is twice this s: its usual s' = 1 is smooth = 0.5 here.
    An absent class is left out of a per-class mean, having no overlap.

    References:
        Milletari et al. 2016, V-Net (arXiv 1606.04797); there with squares in the denominator.
    """

    smooth: NotNegative = 1.0
    """pixels added to the Tversky index; 0.5 is the (2 I + 1) / (... + 1) of many programs"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """1 - (TP + s) / (TP + FP / 2 + FN / 2 + s)."""
        return tversky_loss(batch, params.reduction, alpha=0.5, beta=0.5, smooth=self.smooth)


@register_loss("generalized_dice")
@param_block
class GeneralizedDice(LossBlock):
    """Generalised Dice loss: of counts in which a class weighs 1 / (its size)^2.

    An absent class is left out: its weight, of size 0, would drown all others. The weights are scaled to 1 for the
    smallest class, so that `smooth` is a number of its pixels: unscaled, the sums are far below 1, and a smooth of 1
    would drown them. One index whatever `loss.reduction`, and without `loss.class_weights`, since it brings its own.

    References:
        Sudre et al. 2017, Generalised Dice overlap (arXiv 1707.03237); there with background.
    """

    smooth: NotNegative = 1.0
    """pixels of the smallest class, added to the index"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """1 - (sum_c w_c TP_c + s) / (sum_c w_c (TP_c + FP_c / 2 + FN_c / 2) + s)."""
        sizes = batch.class_sizes[1:]
        smallest = sizes.where(batch.present, torch.inf).amin()
        weights = (smallest / sizes).square().where(batch.present, 0.0)
        tp, fp, fn = batch.counts
        return tversky_distance(Counts(weights * tp, weights * fp, weights * fn).pooled(), 0.5, 0.5, self.smooth)


@register_loss("iou")
@param_block
class IoU(LossBlock):
    """IoU (Jaccard) loss.

    An absent class is left out of a per-class mean, having no overlap.

    References:
        Rahman & Wang 2016, Optimizing intersection-over-union in deep neural networks for image segmentation
        (doi 10.1007/978-3-319-50835-1_22).
    """

    smooth: NotNegative = 1.0
    """pixels added to the Tversky index"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """1 - (TP + s) / (TP + FP + FN + s)."""
        return tversky_loss(batch, params.reduction, alpha=1.0, beta=1.0, smooth=self.smooth)


@register_loss("lovasz")
@param_block
class Lovasz(LossBlock):
    """Lovász-Softmax loss: the convex extension of 1 - IoU.

    Flattened, all classes together are one set of pixels with one IoU. An absent class, which has no overlap, is left
    out of a per-class mean unless `classes` says all.

    References:
        Berman et al. 2018 (arXiv 1705.08790), algorithm 1; there with background.
    """

    classes: Literal["present", "all"] = "present"
    """present | all, where an absent class pays for its worst pixel"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """The sum over pixels, by falling error, of |g - p| times what the pixel takes from IoU."""
        # No-data has error 0: it is sorted to the end, weighs nothing there and changes no other pixel's weight.
        errors = (batch.is_class.to(batch.probs) - batch.probs).abs() * batch.valid[:, None]
        errors, is_class = (gather(each).transpose(0, 1).flatten(1) for each in (errors, batch.is_class))  # (K, pixels)
        if params.reduction == "flattened":
            return _lovasz_extension(errors.reshape(1, -1), is_class.reshape(1, -1))[0]
        if self.classes == "all":
            return weighted_mean(_lovasz_extension(errors, is_class), batch.weights[1:])
        chosen = batch.present.nonzero()[:, 0]  # before sorting, which is the expensive part
        return weighted_mean(_lovasz_extension(errors[chosen], is_class[chosen]), batch.weights[1:][chosen])


@register_loss("tversky")
@param_block
class Tversky(LossBlock):
    """Tversky loss: false positives and false negatives weigh differently.

    Dice is alpha = beta = 1/2, IoU alpha = beta = 1. An absent class is left out of a per-class mean, having no
    overlap.

    References:
        Salehi et al. 2017 (arXiv 1706.05721), whose alpha and beta these are.
    """

    alpha: Positive = 0.3
    """weight of false positives"""
    beta: Positive = 0.7
    """weight of false negatives"""
    smooth: NotNegative = 1.0
    """pixels added to the Tversky index"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """1 - (TP + s) / (TP + alpha FP + beta FN + s)."""
        return tversky_loss(batch, params.reduction, alpha=self.alpha, beta=self.beta, smooth=self.smooth)


@register_loss("focal_tversky")
@param_block
class FocalTversky(LossBlock):
    """Focal Tversky loss: a power of the Tversky loss.

    An absent class is left out of a per-class mean, having no overlap.

    References:
        Abraham & Khan 2018 (arXiv 1810.07842), equation 4, with exponent 1/gamma = 0.75; the weight 0.7 of false
        negatives, their alpha, is beta here.
    """

    alpha: Positive = 0.3
    """weight of false positives"""
    beta: Positive = 0.7
    """weight of false negatives"""
    exponent: Positive = 0.75
    """power of 1 - TI"""
    smooth: NotNegative = 1.0
    """pixels added to the Tversky index"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """(1 - TI)^exponent with TI = (TP + s) / (TP + alpha FP + beta FN + s)."""
        return tversky_loss(
            batch,
            params.reduction,
            alpha=self.alpha,
            beta=self.beta,
            smooth=self.smooth,
            exponent=self.exponent,
        )


@register_loss("asymmetric_similarity")
@param_block
class AsymmetricSimilarity(LossBlock):
    """Asymmetric similarity loss: 1 - F_beta.

    F_beta is the Tversky index whose weight is 1 / (1 + beta^2) on false positives and beta^2 / (1 + beta^2) on false
    negatives. An absent class is left out of a per-class mean, having no overlap.

    References:
        Hashemi et al. 2018, Asymmetric loss functions and deep densely connected networks for highly imbalanced
        medical image segmentation (arXiv 1803.11078).
    """

    beta: Positive = 1.5
    """how many times as important recall is as precision; 1 is Dice"""
    smooth: NotNegative = 1.0
    """pixels added to the Tversky index"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """1 - (1 + beta^2) (TP + s) / ((1 + beta^2) (TP + s) + beta^2 FN + FP)."""
        precision, recall = 1 / (1 + self.beta**2), self.beta**2 / (1 + self.beta**2)
        return tversky_loss(batch, params.reduction, alpha=precision, beta=recall, smooth=self.smooth)


@register_loss("penalty_generalized_dice")
@param_block
class PenaltyGeneralizedDice(LossBlock):
    """Generalised Dice loss that penalises a bad overlap more.

    The rest of its settings are in the block `generalized_dice`, and an absent class is left out as there. The slope
    grows from 1 / (1 + k) where L = 0 to 1 + k where L = 1.

    References:
        Yang et al. 2019, Major vessel segmentation on X-ray coronary angiography using deep networks with a novel
        penalty loss function (openreview.net/forum?id=H1lTh8unKN); in this form Ma et al. 2021, Loss odyssey in
        medical image segmentation (doi 10.1016/j.media.2021.102035).
    """

    k: NotNegative = 2.5
    """how much false positives and false negatives are penalised; 0 is generalised Dice"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """L / (1 + k (1 - L)) with the generalised Dice loss L."""
        distance = params[GeneralizedDice](batch, params)
        return distance / (1 + self.k * (1 - distance))


@register_loss("sensitivity_specificity")
@param_block
class SensitivitySpecificity(LossBlock):
    """Sensitivity and specificity: squared errors on a class, and outside of it.

    Values of r from 0.01 to 0.1 do alike, according to the authors. Flattened, each of the four sums is over all
    classes. An absent class has no sensitivity, and is left out of a per-class mean.

    References:
        Brosch et al. 2015, Deep convolutional encoder networks for multiple sclerosis lesion segmentation
        (doi 10.1007/978-3-319-24574-4_1).
    """

    sensitivity: Share = 0.05
    """weight r of errors on the class; the rest is of errors outside"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """Sum of r (sum g (1 - p)^2) / sum g and (1 - r) (sum (1 - g) p^2) / sum (1 - g)."""
        squares = (batch.is_class.to(batch.probs) - batch.probs).square() * batch.valid[:, None]
        missed, claimed = all_sum(
            torch.stack([(squares * batch.is_class).sum((0, 2, 3)), (squares * ~batch.is_class).sum((0, 2, 3))])
        )  # (K,) each
        inside = batch.class_sizes[1:]
        outside = batch.class_sizes.sum() - inside
        if params.reduction == "flattened":
            missed, claimed, inside, outside = (each.sum() for each in (missed, claimed, inside, outside))
        on_class, elsewhere = missed / inside.clamp(min=1), claimed / outside.clamp(min=1)
        values = self.sensitivity * on_class + (1 - self.sensitivity) * elsewhere
        return values if params.reduction == "flattened" else batch.mean_over_classes(values)


def tversky_loss(
    batch: BatchStatistics,
    reduction: Reduction,
    *,
    alpha: float,
    beta: float,
    smooth: float,
    exponent: float = 1.0,
) -> Tensor:
    """(1 - TI)^exponent with TI = (TP + s) / (TP + alpha FP + beta FN + s), of all as one or a mean over classes."""
    counts = batch.counts
    if reduction == "flattened":
        return power(tversky_distance(counts.pooled(), alpha, beta, smooth), exponent)
    return batch.mean_over_classes(power(tversky_distance(counts, alpha, beta, smooth), exponent))


def binary_dice(batch: BatchStatistics, smooth: float) -> Tensor:
    """1 - Dice of all classes as one against background: how good the areas are, whatever their classes."""
    return tversky_distance(batch.binary_counts, 0.5, 0.5, smooth)


def tversky_distance(counts: Counts, alpha: float, beta: float, smooth: float) -> Tensor:
    """1 - TI, of the shape of the counts; written as one fraction, which loses no digits near TI = 1."""
    errors = alpha * counts.fp + beta * counts.fn
    return errors / (counts.tp + errors + smooth).clamp(min=EPSILON)


def power(distance: Tensor, exponent: float) -> Tensor:
    """Raise to a power; below 1e-7 a straight line to 0, as the gradient of a power below 1 has no bound."""
    return distance * distance.clamp(min=EPSILON).pow(exponent - 1.0)


def _lovasz_extension(errors: Tensor, is_class: Tensor) -> Tensor:
    """Lovász extension of 1 - IoU of each row: errors (R, P), is_class bool (R, P) -> (R,)."""
    errors, order = errors.sort(dim=1, descending=True, stable=True)
    # Counts as integers: their running sums are exact, and deterministic on every device.
    hits = is_class.gather(1, order).long()
    size = hits.sum(1, keepdim=True)
    intersection = size - hits.cumsum(1)
    union = size + (1 - hits).cumsum(1)
    distance = 1.0 - intersection.to(errors) / union.to(errors)
    return (errors * distance.diff(dim=1, prepend=distance.new_zeros(len(distance), 1))).sum(1)
