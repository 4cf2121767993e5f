"""Losses that compare areas: the Tversky index, with Dice and IoU as cases, and the Lovász extension of IoU.

They look at the foreground classes only. A class without a pixel in the batch has no overlap to speak of and
is left out of a per-class mean, so a batch without any class gives 0: false alarms there cost nothing, unless
a pixel loss is mixed in. `flattened` counts them.
"""

import torch
from torch import Tensor

from seepseg.base.distributed import gather
from seepseg.losses.comparison import EPSILON, Comparison, Counts, weighted_mean
from seepseg.losses.params import Reduction


def tversky(
    comparison: Comparison,
    reduction: Reduction,
    *,
    alpha: float,
    beta: float,
    smooth: float,
    exponent: float = 1.0,
) -> Tensor:
    """(1 - TI)^exponent with TI = (TP + s) / (TP + alpha FP + beta FN + s).

    Dice is alpha = beta = 1/2, IoU alpha = beta = 1. Where Dice is written (2 TP + s') / (|p| + |g| + s'),
    s' is twice this s: its usual s' = 1 is smooth = 0.5 here.

    References:
        Salehi et al. 2017 (arXiv 1706.05721), whose alpha and beta these are.
        Abraham & Khan 2018 (arXiv 1810.07842), equation 4: focal Tversky, with exponent 1/gamma = 0.75; the
        weight 0.7 of false negatives, their alpha, is beta here.
    """
    counts = comparison.counts
    if reduction == "flattened":
        return power(tversky_distance(counts.pooled(), alpha, beta, smooth), exponent)
    return comparison.mean_over_classes(power(tversky_distance(counts, alpha, beta, smooth), exponent))


def outline(comparison: Comparison, smooth: float) -> Tensor:
    """1 - Dice of all classes as one against background: how good the outlines are, whatever the names."""
    return tversky_distance(comparison.outline_counts, 0.5, 0.5, smooth)


def tversky_distance(counts: Counts, alpha: float, beta: float, smooth: float) -> Tensor:
    """1 - TI, of the shape of the counts; written as one fraction, which loses no digits near TI = 1."""
    errors = alpha * counts.fp + beta * counts.fn
    return errors / (counts.tp + errors + smooth).clamp(min=EPSILON)


def power(distance: Tensor, exponent: float) -> Tensor:
    """Raise to a power; below 1e-7 a straight line to 0, as the gradient of a power below 1 has no bound."""
    return distance * distance.clamp(min=EPSILON).pow(exponent - 1.0)


def generalized_dice(comparison: Comparison, smooth: float) -> Tensor:
    """Dice of counts summed over the classes in the batch, each weighed by 1 / (its size)^2.

    The weights are scaled to 1 for the smallest class, so that `smooth` is a number of its pixels: unscaled,
    the sums are far below 1, and a smooth of 1 would drown them. One index whatever `loss.reduction`, and
    without `loss.class_weights`, since it brings its own.

    References:
        Sudre et al. 2017, Generalised Dice overlap (arXiv 1707.03237); there with background.
    """
    sizes = comparison.class_sizes[1:]
    smallest = sizes.where(comparison.present, torch.inf).amin()
    weights = (smallest / sizes).square().where(comparison.present, 0.0)
    tp, fp, fn = comparison.counts
    return tversky_distance(Counts(weights * tp, weights * fp, weights * fn).pooled(), 0.5, 0.5, smooth)


def lovasz(comparison: Comparison, reduction: Reduction, *, only_present: bool) -> Tensor:
    """Lovász-Softmax: the convex extension of 1 - IoU, over the errors |g - p| of each foreground class.

    Flattened, all classes together are one set of pixels with one IoU.

    References:
        Berman et al. 2018 (arXiv 1705.08790), algorithm 1; there with background.
    """
    # No-data has error 0: it is sorted to the end, weighs nothing there and changes no other pixel's weight.
    errors = (comparison.is_class.to(comparison.probs) - comparison.probs).abs() * comparison.valid[:, None]
    errors, is_class = (
        gather(each).transpose(0, 1).flatten(1) for each in (errors, comparison.is_class)
    )  # (K, pixels)
    if reduction == "flattened":
        return _lovasz_extension(errors.reshape(1, -1), is_class.reshape(1, -1))[0]
    if not only_present:
        return weighted_mean(_lovasz_extension(errors, is_class), comparison.weights[1:])
    chosen = comparison.present.nonzero()[:, 0]  # before sorting, which is the expensive part
    return weighted_mean(_lovasz_extension(errors[chosen], is_class[chosen]), comparison.weights[1:][chosen])


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
