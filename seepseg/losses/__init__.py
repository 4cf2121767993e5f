"""The losses, by name: what a training makes small.

Each compares logits (N, C, H, W) with a target (N, H, W) over the valid pixels. No-data pixels have no part
in any sum, count or mean, and get no gradient; a batch without a valid pixel gives 0. All of Ma et al. 2021, "Loss
odyssey in medical image segmentation" (doi 10.1016/j.media.2021.102035), are here, and some more.

What belongs here is a number that gradients can be taken of; what is reported belongs in `seepseg.evaluation`.

Add a loss: write one class in the file of its family (pixel, overlap, compound, unified_focal, boundary), a `LossBlock`
under `register_loss` and `param_block`, with its parameters, their ranges, defaults and docs, its formula, and
`__call__`, which finds what losses share in `BatchStatistics` and the settings of other losses in the section. It can
then be chosen by its name, `make params` lists it in params.yaml, and the tests of all losses try it; a value computed
by hand goes into the file of its family in tests/losses/. A new file is imported below.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from seepseg.base.errors import InputError

# Each registers its losses; params.yaml has them in this order.
# isort: off
from seepseg.losses import pixel, overlap, compound, unified_focal, boundary  # noqa: F401

# isort: on
from seepseg.losses.batch_statistics import BatchStatistics
from seepseg.losses.overlap import Dice, binary_dice
from seepseg.losses.params import LossParams, loss_name_at
from seepseg.losses.registry import LOSSES, SOFTMAX_ONLY
from seepseg.losses.surface import binary_surface
from seepseg.models.heads import Head

__all__ = ["LOSSES", "SOFTMAX_ONLY", "Loss", "LossParams", "build_loss", "loss_name_at"]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def build_loss(name: str, params: LossParams, head: Head, class_weights: Mapping[str, Tensor]) -> Loss:
    """Make a loss function of logits, target and valid mask.

    Args:
        name: one of LOSSES; `params.name` or, by epoch, what `loss_name_at` says.
        params: the section `loss`.
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
    block = params[LOSSES[name]]
    weighting = block.weighting(params)
    weights = None if weighting == "none" else class_weights[weighting]

    def loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        batch = BatchStatistics.of_batch(logits, target, valid, head, weights)
        value = block(batch, params)
        if params.binary_dice_weight:
            value = value + params.binary_dice_weight * binary_dice(batch, params[Dice].smooth)
        if params.binary_surface_weight:
            value = value + params.binary_surface_weight * binary_surface(batch)
        return value

    return loss
