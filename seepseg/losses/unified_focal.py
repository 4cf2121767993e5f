"""The unified focal loss: a focal and a focal Tversky loss that share their parameters."""

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt
from torch import Tensor

from seepseg.base.distributed import all_sum
from seepseg.base.params import param_block
from seepseg.losses.batch_statistics import EPSILON, BatchStatistics, Counts, weighted_mean
from seepseg.losses.overlap import power, tversky_distance
from seepseg.losses.pixel import focus
from seepseg.losses.registry import LossBlock, LossSection, Reduction, Share, register_loss


@register_loss("unified_focal")
@param_block
class UnifiedFocal(LossBlock):
    """Asymmetric unified focal loss: a focal and a focal Tversky loss that share their parameters.

    Focal: -delta log p_t of foreground pixels, -(1 - delta) (1 - p_t)^gamma log p_t of background pixels.
    Focal Tversky: mean of 1 - TI of the background and (1 - TI)^(1 - gamma) of each foreground class in the
    batch (flattened: of all as one), with delta on false negatives and 1 - delta on false positives. An absent class
    has no overlap and is left out; false alarms cost all the same, as misses of the background.
    Of a sigmoid head each channel is a foreground; what lies outside of each, taken together, the background.

    References:
        Yeung et al. 2021 (arXiv 2102.04525), with lambda as weight. That the Tversky terms are averaged, and
        guarded against 0 / 0 rather than smoothed, is from the authors' code (mlyg/unified-focal-loss).
    """

    weight: Share = 0.5
    """weight of the focal part, the paper's lambda"""
    delta: Share = 0.6
    """weight of false negatives; the rest is of false positives"""
    gamma: Annotated[float, Ge(0.0), Lt(1.0)] = 0.5
    """how much easy background is suppressed, and rare classes are enhanced"""

    def __call__(self, batch: BatchStatistics, params: LossSection) -> Tensor:
        """Sum of weight * focal and (1 - weight) * focal Tversky."""
        focal = self._focal(batch)
        return self.weight * focal + (1 - self.weight) * self._focal_tversky(batch, params.reduction)

    def _focal(self, batch: BatchStatistics) -> Tensor:
        log_p = batch.log_probs_of_target
        foreground = batch.is_class if batch.head == "sigmoid" else (batch.target > 0)[:, None]
        factor = torch.where(foreground, self.delta, (1 - self.delta) * focus(log_p, self.gamma))
        return batch.mean_over_pixels(-(factor * log_p).mean(1))

    def _focal_tversky(self, batch: BatchStatistics, reduction: Reduction) -> Tensor:
        alpha, beta = 1 - self.delta, self.delta
        background_term = tversky_distance(_background_counts(batch), alpha, beta, EPSILON)
        counts = batch.counts.pooled() if reduction == "flattened" else batch.counts
        foreground = power(tversky_distance(counts, alpha, beta, EPSILON), 1 - self.gamma)
        if reduction == "flattened":
            return (background_term + foreground) / 2
        terms = torch.cat([background_term[None], foreground])
        return weighted_mean(terms, batch.weights * F.pad(batch.present, (1, 0), value=True))


def _background_counts(batch: BatchStatistics) -> Counts:
    """Counts of the background, shape (): one class under softmax, every channel's outside under sigmoid."""
    if batch.head == "sigmoid":
        outside = batch.class_sizes.sum() * len(batch.present) - batch.class_sizes[1:].sum()
        _, fp, fn = batch.counts.pooled()
        return Counts(outside - fp, fn, fp)  # what one side misses, the other claims
    p, is_background = batch.log_probs[:, 0].exp(), batch.target == 0
    hits, false_alarms = (p * (is_background & batch.valid)).sum(), (p * ~is_background).sum()
    tp, fp = all_sum(torch.stack([hits, false_alarms]))
    return Counts(tp, fp, batch.class_sizes[0] - tp)
