"""Parameters of detection: how candidates are proposed, and where that is computed."""

from dataclasses import fields
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from seepseg.base.device import DeviceName
from seepseg.base.params import param_block

Backend = Literal["eager", "compile"]
Tta = Literal[1, 4, 8]


@param_block
class ProposalParams:
    """How candidates are proposed; belongs to a model, whose classifiers were fitted for it."""

    tta: Tta = 4
    """test-time augmentation: passes over each pixel, mirrored and shifted by half a tile: 1 | 4 | 8 (also turned)"""
    norm_prior_tiles: Annotated[int, Ge(0)] = 32
    """batch-norm adaptation to the scene: training weighs as much as so many of its tiles; 0: training alone"""
    threshold: Annotated[float, Gt(0), Lt(1)] = 0.3
    """probability of any class that all pixels of a candidate reach"""
    min_area: Annotated[int, Ge(1)] = 5
    """pixels of the smallest candidate"""


@param_block
class DetectParams(ProposalParams):
    """Candidates for slicks: in training scenes by networks that were not trained on them, in test scenes by all."""

    batch_size: Annotated[int, Ge(1)] = 8
    """tiles at a time"""
    threads: Annotated[int, Ge(1)] = 2
    """of the CPU"""
    device: DeviceName = "auto"
    """auto (cuda, then mps, then cpu) | cuda | mps | cpu"""
    amp: bool = True
    """mixed precision, as in train"""
    backend: Backend = "eager"
    """eager | compile (needs a C++ compiler): docs/inference.md"""

    @property
    def proposal(self) -> ProposalParams:
        """What of it belongs to a model."""
        return ProposalParams(**{field.name: getattr(self, field.name) for field in fields(ProposalParams)})
