"""Mixtures: a loss over pixels and a loss of areas, added up.

A mixture takes the settings of its parts from their blocks, and an absent class adds what it does in each of them.
"""

import torch
from torch import Tensor

from seepseg.base.params import param_block
from seepseg.losses.batch_statistics import EPSILON, BatchStatistics
from seepseg.losses.overlap import Dice, power
from seepseg.losses.pixel import BinaryCrossEntropy, CrossEntropy, Focal, TopK, binary_cross_entropy
from seepseg.losses.registry import LossBlock, LossSection, NotNegative, Positive, Share, register_loss


@register_loss("dicebce")
@param_block
class DiceBce(LossBlock):
    """Binary cross-entropy and Dice, with the settings of `bce` and `dice`."""

    bce_weight: Share = 0.5
    """weight w of bce; the rest is of dice"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """Sum of w BCE and (1 - w) Dice."""
        return mix(self.bce_weight, params[BinaryCrossEntropy](batch, params), params[Dice](batch, params))


@register_loss("dicece", softmax_only=True)
@param_block
class DiceCe(LossBlock):
    """Cross-entropy and Dice, with the settings of `ce` and `dice`."""

    ce_weight: Share = 0.5
    """weight w of ce; the rest is of dice"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """Sum of w CE and (1 - w) Dice."""
        return mix(self.ce_weight, params[CrossEntropy](batch, params), params[Dice](batch, params))


@register_loss("dicefocal")
@param_block
class DiceFocal(LossBlock):
    """Focal loss and Dice, with the settings of `focal` and `dice`."""

    focal_weight: Share = 0.5
    """weight w of focal; the rest is of dice"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """Sum of w focal and (1 - w) Dice."""
        return mix(self.focal_weight, params[Focal](batch, params), params[Dice](batch, params))


@register_loss("dicetopk", softmax_only=True)
@param_block
class DiceTopK(LossBlock):
    """Cross-entropy of the hardest pixels and Dice, with the settings of `topk` and `dice`."""

    topk_weight: Share = 0.5
    """weight w of topk; the rest is of dice"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """Sum of w top-k and (1 - w) Dice."""
        return mix(self.topk_weight, params[TopK](batch, params), params[Dice](batch, params))


@register_loss("combo")
@param_block
class Combo(LossBlock):
    """Combo loss: binary cross-entropy that weighs misses against false alarms, and Dice.

    Dice with the settings of `dice`; the mean is over pixels and foreground classes as in `bce`. The paper subtracts
    the sum of the classes' Dice coefficients, where here 1 - Dice is added, by class or of all as `loss.reduction`
    says: so a perfect prediction is 0, and the balance of the two parts depends on no number of classes.

    References:
        Taghanaki et al. 2019, Combo loss (arXiv 1805.02798).
    """

    alpha: Share = 0.5
    """weight of cross-entropy; the rest is of dice"""
    beta: Share = 0.5
    """in cross-entropy, weight of misses; the rest is of false alarms"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """Sum of -alpha mean(beta g log p + (1 - beta) (1 - g) log(1 - p)) and (1 - alpha) Dice."""
        cross_entropy = binary_cross_entropy(batch, self.beta, 1 - self.beta)
        return mix(self.alpha, cross_entropy, params[Dice](batch, params))


@register_loss("exp_log")
@param_block
class ExpLog(LossBlock):
    """Exponential logarithmic loss: powers of logarithms, of Dice and of the probability of the truth.

    Dice is smoothed as the block `dice` says, where the paper's constant 1 is smooth = 0.5; flattened, it is one of
    all classes. Under sigmoid p_t is of each channel's yes or no, mean over channels. `loss.class_weights` take the
    place of the paper's w_l, which is sqrt_balanced but for a factor, and weighs cross-entropy alone there.

    References:
        Wong et al. 2018, 3D segmentation with exponential logarithmic loss for highly unbalanced object sizes
        (arXiv 1809.00076), equations 1 to 3; there with background.
    """

    dice_weight: NotNegative = 0.8
    """weight of the part of Dice"""
    ce_weight: NotNegative = 0.2
    """weight of the part of cross-entropy"""
    gamma: Positive = 0.3
    """power of both logarithms; below 1, what is nearly right is improved too"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """Sum of w_dice mean((-ln Dice_c)^gamma) and w_ce mean((-ln p_t)^gamma)."""
        flattened = params.reduction == "flattened"
        tp, fp, fn = batch.counts.pooled() if flattened else batch.counts
        # -ln Dice as ln(1 + errors / hits), which loses no digits where Dice is near 1.
        logarithm = torch.log1p(0.5 * (fp + fn) / (tp + params[Dice].smooth).clamp(min=EPSILON))
        dice = power(logarithm, self.gamma)
        dice = dice if flattened else batch.mean_over_classes(dice)
        cross_entropy = batch.mean_over_pixels(power(-batch.log_probs_of_target, self.gamma).mean(1))
        return self.dice_weight * dice + self.ce_weight * cross_entropy


def mix(weight: float, first: Tensor, second: Tensor) -> Tensor:
    """Weighted mean of two losses."""
    return weight * first + (1.0 - weight) * second
