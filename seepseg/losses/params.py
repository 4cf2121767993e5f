"""The section `loss` of params.yaml: what is common to all losses, and a block for each.

The package has imported every loss when it comes to this module.
"""

from typing import Annotated

from annotated_types import Ge

from seepseg.base.params import param_block
from seepseg.losses.registry import LOSSES, ClassWeights, LossName, NotNegative, Part, Reduction


@param_block
@LOSSES.add_fields
class LossParams:
    """What a training minimises.

    After the fields below, there is one for each registered loss, of its name: its block. A mixture takes the settings
    of its parts from their blocks: dicece from ce and dice, boundary from generalized_dice.
    """

    name: LossName = "dicece"
    """one of those below, unless schedule names others"""
    reduction: Reduction = "per_class"
    """of overlap losses: per_class (mean over the classes present) | flattened (one index)"""
    class_weights: ClassWeights = "none"
    """none | balanced | sqrt_balanced, from class_balance: of pixels, and of classes in a mean"""
    binary_dice_weight: NotNegative = 0.5
    """adds so many times the Dice loss of all classes as one against background"""
    binary_surface_weight: NotNegative = 0.0
    """adds so many times the soft surface loss at 1 pixel of all classes as one against background"""
    schedule: tuple[tuple[LossName, Annotated[int, Ge(1)]], ...] = ()
    """[[dicebce, 10], [focal_tversky, 30]]: names with their epochs, instead of name"""

    def __getitem__(self, kind: type[Part]) -> Part:
        """The block of a loss, by its class."""
        block: Part = getattr(self, next(name for name, registered in LOSSES.items() if registered is kind))
        return block


def loss_name_at(params: LossParams, epoch: int) -> str:
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
