"""Parameters of passes over the same ground, and of the seeps that they show."""

from dataclasses import field
from typing import Annotated

from annotated_types import Ge, Gt, Le, Len

from seepseg.base.params import param_block


@param_block
class PassesParams:
    """Which scenes are passes over the same ground, and how near ends of slicks are that belong together."""

    origins: Annotated[dict[str, Annotated[list[int], Len(2, 2)]], "by the start of a scene's name"] = field(
        default_factory=lambda: {"0418": [0, 0], "0455": [0, -1]}
    )
    """row and column of the first tile of a scene's grid on the common ground, in tiles, by the start of the scene's
    name, in quotes; only for tiles without a place on earth"""
    radius: Annotated[float, Ge(0)] = 32.0
    """around an end of a slick, in pixels, where ends of slicks of other passes tell of its class; 0: they tell
    nothing"""


@param_block
class SeepsParams:
    """Seeps, from the slicks of all passes."""

    radius: Annotated[float, Gt(0)] = 20.0
    """in pixels of the scenes, within which ends of slicks may come from one seep: 20 pixels of 40 m are 800 m"""
    draws: Annotated[int, Ge(1)] = 100
    """times that all passes are shifted at random, to tell how many seeps chance alone would show; at most so many,
    fewer where there are more than 20,000 slicks"""
    seed: Annotated[int, Ge(0)] = 1
    """of these draws"""
    max_fdr: Annotated[float, Gt(0), Le(1)] = 0.05
    """share of the seeps that are reported which may be none"""
    bright: Annotated[float, Gt(1)] = 2.0
    """how many times as bright as the sea around is a target that counts as a platform or a ship"""
    known: str = "data/sample/seeps.gpkg"
    """points of seeps that are known, any vector file, to compare with; an empty file: none, as DVC needs a file"""
    conditions: str = "data/sample/passes.csv"
    """wind and current of each scene, for the flux of seeps: CSV with columns scene, wind_speed, wind_to,
    current_speed, current_to, in metres per second, and in degrees clockwise from north where they go; an empty file:
    none, as DVC needs a file"""
    wind_factor: Annotated[float, Ge(0), Le(1)] = 0.03
    """share of the wind speed at which oil drifts, beside the current"""
