"""The section `loss` of params.yaml."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from seepseg.base.params import param_block

LossName = Literal[
    "bce", "ce", "weighted_ce", "focal", "topk",
    "dice", "generalized_dice", "iou", "lovasz", "tversky", "focal_tversky",
    "dicebce", "dicece", "dicefocal", "dicetopk", "unified_focal", "boundary",
]  # fmt: skip
Reduction = Literal["per_class", "flattened"]
Weighting = Literal["balanced", "sqrt_balanced"]

Share = Annotated[float, Ge(0.0), Le(1.0)]
Positive = Annotated[float, Gt(0.0)]
NotNegative = Annotated[float, Ge(0.0)]


@param_block
class BceParams:
    """Binary cross-entropy: what a pixel of the class weighs against one without it."""

    pos_weight: Positive


@param_block
class CeParams:
    """Cross-entropy: the share of the target that is spread evenly over all classes."""

    label_smoothing: Annotated[float, Ge(0.0), Lt(1.0)]


@param_block
class WeightedCeParams:
    """Cross-entropy with class weights of its own, whatever `loss.class_weights` says."""

    weights: Weighting


@param_block
class FocalParams:
    """Focal loss: 0 is cross-entropy, more looks away from what is already right."""

    gamma: NotNegative


@param_block
class TopkParams:
    """The share of the valid pixels, the hardest, that cross-entropy is averaged over."""

    fraction: Annotated[float, Gt(0.0), Le(1.0)]


@param_block
class OverlapParams:
    """Dice, generalised Dice and IoU: the pixels added to numerator and denominator of the Tversky index."""

    smooth: NotNegative


@param_block
class LovaszParams:
    """Classes averaged over: those in the batch, or all, where an absent one pays for its worst pixel."""

    classes: Literal["present", "all"]


@param_block
class TverskyParams:
    """Tversky index: alpha weighs false positives, beta false negatives."""

    alpha: Positive
    beta: Positive
    smooth: NotNegative


@param_block
class FocalTverskyParams:
    """Tversky index, and the power to which its distance from 1 is raised."""

    alpha: Positive
    beta: Positive
    exponent: Positive
    smooth: NotNegative


@param_block
class DiceBceParams:
    """Weight of `bce`; `dice` has the rest."""

    bce_weight: Share


@param_block
class DiceCeParams:
    """Weight of `ce`; `dice` has the rest."""

    ce_weight: Share


@param_block
class DiceFocalParams:
    """Weight of `focal`; `dice` has the rest."""

    focal_weight: Share


@param_block
class DiceTopkParams:
    """Weight of `topk`; `dice` has the rest."""

    topk_weight: Share


@param_block
class UnifiedFocalParams:
    """Unified focal loss: weight of its focal part (the paper's lambda), delta of false negatives, gamma."""

    weight: Share
    delta: Share
    gamma: Annotated[float, Ge(0.0), Lt(1.0)]


@param_block
class BoundaryParams:
    """Weight of `generalized_dice`; the boundary term has the rest."""

    region_weight: Share


@param_block
class LossParams:
    """What is minimised: the section `loss` of params.yaml.

    Attributes:
        name: the loss, unless `schedule` names others.
        reduction: of the overlap losses. per_class: counts pooled over the batch per class, and the mean of
            the classes in it; flattened: one index over all classes and the whole batch.
        class_weights: from the class balance; weighs pixels by their class, and classes in a per-class mean.
        outline_weight: so many times the Dice loss of all classes as one against background is added to the loss.
        schedule: losses with the number of epochs of each; the last one stays. Empty: `name` throughout.

    The other blocks hold the settings of the loss that they are named after. A mixture takes those of its
    parts from their blocks: dicece from ce and dice, boundary from generalized_dice.
    """

    name: LossName
    reduction: Reduction
    class_weights: Literal["none", "balanced", "sqrt_balanced"]
    outline_weight: NotNegative
    schedule: tuple[tuple[LossName, Annotated[int, Ge(1)]], ...]
    bce: BceParams
    ce: CeParams
    weighted_ce: WeightedCeParams
    focal: FocalParams
    topk: TopkParams
    dice: OverlapParams
    generalized_dice: OverlapParams
    iou: OverlapParams
    lovasz: LovaszParams
    tversky: TverskyParams
    focal_tversky: FocalTverskyParams
    dicebce: DiceBceParams
    dicece: DiceCeParams
    dicefocal: DiceFocalParams
    dicetopk: DiceTopkParams
    unified_focal: UnifiedFocalParams
    boundary: BoundaryParams


def loss_name_at(params: LossParams, epoch: int) -> LossName:
    """Name the loss of an epoch: by the schedule, whose last entry stays, or else `params.name`.

    Args:
        params: the section `loss`.
        epoch: counted from 0.
    """
    name, end = params.name, 0
    for name, epochs in params.schedule:  # noqa: B007
        end += epochs
        if epoch < end:
            break
    return name
