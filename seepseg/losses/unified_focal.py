"""The unified focal loss: a focal and a focal Tversky loss that share their parameters."""

import torch
import torch.nn.functional as F
from torch import Tensor

from seepseg.base.distributed import all_sum
from seepseg.losses.comparison import EPSILON, Comparison, Counts, weighted_mean
from seepseg.losses.overlap import power, tversky_distance
from seepseg.losses.params import Reduction
from seepseg.losses.pixel import focus


def unified_focal(comparison: Comparison, reduction: Reduction, *, weight: float, delta: float, gamma: float) -> Tensor:
    """Asymmetric unified focal loss: weight * focal + (1 - weight) * focal Tversky.

    Focal: -delta log p_t of foreground pixels, -(1 - delta) (1 - p_t)^gamma log p_t of background pixels.
    Focal Tversky: mean of 1 - TI of the background and (1 - TI)^(1 - gamma) of each foreground class in the
    batch (flattened: of all as one), with delta on false negatives and 1 - delta on false positives.
    Of a sigmoid head each channel is a foreground; what lies outside of each, taken together, the background.

    References:
        Yeung et al. 2021 (arXiv 2102.04525), with lambda as weight. That the Tversky terms are averaged, and
        guarded against 0 / 0 rather than smoothed, is from the authors' code (mlyg/unified-focal-loss).
    """
    focal = _asymmetric_focal(comparison, delta, gamma)
    return weight * focal + (1 - weight) * _asymmetric_focal_tversky(comparison, reduction, delta, gamma)


def _asymmetric_focal(comparison: Comparison, delta: float, gamma: float) -> Tensor:
    log_p = comparison.log_probs_of_target
    foreground = comparison.is_class if comparison.head == "sigmoid" else (comparison.target > 0)[:, None]
    factor = torch.where(foreground, delta, (1 - delta) * focus(log_p, gamma))
    return comparison.mean_over_pixels(-(factor * log_p).mean(1))


def _asymmetric_focal_tversky(comparison: Comparison, reduction: Reduction, delta: float, gamma: float) -> Tensor:
    foreground, background = comparison.counts, _background_counts(comparison)
    background_term = tversky_distance(background, 1 - delta, delta, EPSILON)
    if reduction == "flattened":
        foreground_term = power(tversky_distance(foreground.pooled(), 1 - delta, delta, EPSILON), 1 - gamma)
        return (background_term + foreground_term) / 2
    foreground_terms = power(tversky_distance(foreground, 1 - delta, delta, EPSILON), 1 - gamma)
    terms = torch.cat([background_term[None], foreground_terms])
    return weighted_mean(terms, comparison.weights * F.pad(comparison.present, (1, 0), value=True))


def _background_counts(comparison: Comparison) -> Counts:
    """Counts of the background, shape (): one class under softmax, every channel's outside under sigmoid."""
    if comparison.head == "sigmoid":
        outside = comparison.class_sizes.sum() * len(comparison.present) - comparison.class_sizes[1:].sum()
        _, fp, fn = comparison.counts.pooled()
        return Counts(outside - fp, fn, fp)  # what one side misses, the other claims
    p, is_background = comparison.log_probs[:, 0].exp(), comparison.target == 0
    hits, false_alarms = (p * (is_background & comparison.valid)).sum(), (p * ~is_background).sum()
    tp, fp = all_sum(torch.stack([hits, false_alarms]))
    return Counts(tp, fp, comparison.class_sizes[0] - tp)
