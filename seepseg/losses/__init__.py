"""The losses, by name: what a network is trained to make small.

Each compares logits (N, C, H, W) with a target (N, H, W) over the valid pixels. No-data pixels have no part
in any sum, count or mean, and get no gradient; a batch without a valid pixel gives 0.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from seepseg.base.errors import InputError
from seepseg.losses.boundary import boundary
from seepseg.losses.comparison import Comparison, compare
from seepseg.losses.overlap import generalized_dice, lovasz, outline, tversky
from seepseg.losses.params import LossName, LossParams, loss_name_at
from seepseg.losses.pixel import bce, ce, focal, topk
from seepseg.losses.unified_focal import unified_focal
from seepseg.models.heads import Head

__all__ = ["LOSSES", "Loss", "LossName", "LossParams", "build_loss", "loss_name_at"]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

LOSSES: dict[LossName, Callable[[Comparison, LossParams], Tensor]] = {
    "bce": lambda c, p: bce(c, p.bce.pos_weight),
    "ce": lambda c, p: ce(c, p.ce.label_smoothing),
    "weighted_ce": lambda c, p: ce(c, label_smoothing=0.0),  # build_loss gives it its own weights
    "focal": lambda c, p: focal(c, p.focal.gamma),
    "topk": lambda c, p: topk(c, p.topk.fraction),
    "dice": lambda c, p: tversky(c, p.reduction, alpha=0.5, beta=0.5, smooth=p.dice.smooth),
    "generalized_dice": lambda c, p: generalized_dice(c, p.generalized_dice.smooth),
    "iou": lambda c, p: tversky(c, p.reduction, alpha=1.0, beta=1.0, smooth=p.iou.smooth),
    "lovasz": lambda c, p: lovasz(c, p.reduction, only_present=p.lovasz.classes == "present"),
    "tversky": lambda c, p: tversky(
        c, p.reduction, alpha=p.tversky.alpha, beta=p.tversky.beta, smooth=p.tversky.smooth
    ),
    "focal_tversky": lambda c, p: tversky(
        c,
        p.reduction,
        alpha=p.focal_tversky.alpha,
        beta=p.focal_tversky.beta,
        smooth=p.focal_tversky.smooth,
        exponent=p.focal_tversky.exponent,
    ),
    "dicebce": lambda c, p: _mix(p.dicebce.bce_weight, LOSSES["bce"](c, p), LOSSES["dice"](c, p)),
    "dicece": lambda c, p: _mix(p.dicece.ce_weight, LOSSES["ce"](c, p), LOSSES["dice"](c, p)),
    "dicefocal": lambda c, p: _mix(p.dicefocal.focal_weight, LOSSES["focal"](c, p), LOSSES["dice"](c, p)),
    "dicetopk": lambda c, p: _mix(p.dicetopk.topk_weight, LOSSES["topk"](c, p), LOSSES["dice"](c, p)),
    "unified_focal": lambda c, p: unified_focal(
        c,
        p.reduction,
        weight=p.unified_focal.weight,
        delta=p.unified_focal.delta,
        gamma=p.unified_focal.gamma,
    ),
    "boundary": lambda c, p: _mix(p.boundary.region_weight, LOSSES["generalized_dice"](c, p), boundary(c, p.reduction)),
}
# They compare the classes with each other, which needs channels that exclude each other.
SOFTMAX_ONLY: frozenset[LossName] = frozenset({"ce", "weighted_ce", "topk", "dicece", "dicetopk"})


def build_loss(name: LossName, params: LossParams, head: Head, class_weights: Mapping[str, Tensor]) -> Loss:
    """Make a loss function of logits, target and valid mask.

    Args:
        name: one of LOSSES; `params.name` or, by epoch, what `loss_name_at` says.
        params: the section `loss`, for the settings of that loss.
        head: what the channels of the logits mean.
        class_weights: float (K + 1,), background first, under "balanced" and "sqrt_balanced"; best on the
            device of the logits. May be empty where `params` asks for none.

    Returns:
        `loss(logits, target, valid)`, a scalar, computed in float32 even from half precision. Its logits are
        float (N, C, H, W), C = K + 1 for softmax and K for sigmoid; target integer (N, H, W), 0 is background;
        valid bool (N, H, W).

    Raises:
        InputError: the loss needs a softmax head and `head` is sigmoid.
    """
    if head == "sigmoid" and name in SOFTMAX_ONLY:
        key = "loss.schedule" if name in dict(params.schedule) else "loss.name"
        raise InputError(
            f"{key} '{name}' needs model.head 'softmax', found 'sigmoid': change either of them, "
            "for instance the loss to bce, focal or dicebce"
        )
    weighting = params.weighted_ce.weights if name == "weighted_ce" else params.class_weights
    weights = None if weighting == "none" else class_weights[weighting]
    function = LOSSES[name]

    def loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        comparison = compare(logits, target, valid, head, weights)
        value = function(comparison, params)
        if params.outline_weight:
            value = value + params.outline_weight * outline(comparison, params.dice.smooth)
        return value

    return loss


def _mix(weight: float, first: Tensor, second: Tensor) -> Tensor:
    return weight * first + (1.0 - weight) * second
