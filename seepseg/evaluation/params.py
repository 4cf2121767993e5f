"""Parameters of evaluation, which classify reads too: what counts as a detected slick."""

from typing import Annotated

from annotated_types import Ge, Gt, Le

from seepseg.base.params import param_block


@param_block
class EvaluateParams:
    """Scores on scenes that the model was not trained on."""

    object_iou: Annotated[float, Gt(0), Le(1)] = 0.3
    """a slick is detected where a candidate overlaps it at least this much, one to one"""
    bootstrap_samples: Annotated[int, Ge(1)] = 1000
    """draws of scenes for the 95 % intervals"""
    seed: Annotated[int, Ge(0)] = 1
    """of those draws"""
