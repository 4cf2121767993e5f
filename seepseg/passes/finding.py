"""From the candidates of all passes to the seeps of each ground."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.passes.estimate import Seeps, estimate_seeps
from seepseg.passes.flux import seep_flux, slick_flux
from seepseg.passes.ground import Ground, Grounds, some_of
from seepseg.passes.params import SeepsParams
from seepseg.passes.reading import slick_ends_of
from seepseg.passes.slick_ends import SlickEnds


@dataclass(frozen=True)
class FoundSeeps:
    """The seeps of one ground, and what they were estimated from.

    Attributes:
        ground: on which they lie.
        slicks: of its passes.
        seeps: the estimate.
        flux: a row for each seep, see `seepseg.passes.flux.seep_flux`.
    """

    ground: Ground
    slicks: SlickEnds
    seeps: Seeps
    flux: pd.DataFrame


def find_seeps(
    table: pd.DataFrame,
    p_slick: npt.NDArray[np.float64],
    p_class: npt.NDArray[np.float64],
    grounds: Grounds,
    params: SeepsParams,
    drift: Mapping[str, float],
) -> list[FoundSeeps]:
    """Estimate the seeps of all grounds.

    Args:
        table: n candidates, a row each, with their ends; see `seepseg.detection.slick_table`.
        p_slick: float64 (n,), probability that it is a slick.
        p_class: float64 (n, K), probability of each class.
        grounds: which scenes see what.
        params: section `seeps`.
        drift: of oil in scenes, see `seepseg.passes.flux.read_drift`.
    """
    found = []
    for ground, slicks in zip(grounds.grounds, slick_ends_of(table, p_slick, p_class, grounds), strict=True):
        seeps = estimate_seeps(slicks, ground, params)
        flux = seep_flux(seeps.links, slick_flux(slicks, ground, drift), len(seeps.table))
        found.append(FoundSeeps(ground, slicks, seeps, flux))
    return found


def explain_two_passes(grounds: Sequence[Ground]) -> str | None:
    """Say on which grounds seeps are less sure than they are told to be; None where three passes saw each."""
    few = [" and ".join(each.name for each in ground.passes) for ground in grounds if len(ground.passes) == 2]
    if not few:
        return None
    return (
        f"{len(few)} of {len(grounds)} grounds have only two passes, {some_of(few)}: p_seep is too sure there, so "
        "check their places; see Limits in docs/seeps.md"
    )
