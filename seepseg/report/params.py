"""Parameters of the page of a run."""

from typing import Annotated

from annotated_types import Ge, Le

from seepseg.base.params import param_block


@param_block
class ReportParams:
    """The page of a run, report/index.html."""

    n_review: Annotated[int, Ge(0)] = 50
    """slicks of each kind to look at next"""
    sure: Annotated[float, Ge(0), Le(1)] = 0.5
    """probability of a slick that nobody annotated, or of a class that is not the annotated one, from which on it is
    among those to look at"""
    max_side: Annotated[int, Ge(64)] = 2048
    """pixels of the longer side of a scene's picture, at most"""
    quality: Annotated[int, Ge(1), Le(95)] = 60
    """of its JPEG"""
