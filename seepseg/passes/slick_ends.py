"""Slicks of all passes over one ground, by their two ends."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SlickEnds:
    """The n slicks, or candidates for slicks, of the P passes over a ground.

    Attributes:
        names: (n,) of each slick, unique.
        pass_number: int64 (n,), 0..P-1, in which it was seen: a place in `Ground.passes`.
        ends: float64 (n, 2, 2), both ends of its centreline, x and y of each, in the unit of the ground.
        p_slick: float64 (n,), probability that it is a slick.
        p_class: float64 (n, K), probability of each class, if it is one.
        area: float64 (n,), in the unit of the ground, squared.
        centreline: float64 (n,), length in the unit of the ground.
        half_width: float64 (n, 2), of the slick near each end, likewise.
        bright: float64 (n, 2), how many times as bright as the sea around the brightest pixel at each end is.
    """

    names: Sequence[str]
    pass_number: npt.NDArray[np.int64]
    ends: Floats
    p_slick: Floats
    p_class: Floats
    area: Floats
    centreline: Floats
    half_width: Floats
    bright: Floats

    def __len__(self) -> int:
        return len(self.p_slick)

    def take(self, rows: npt.NDArray[np.int64]) -> "SlickEnds":
        """These slicks, in this order."""
        arrays = {each.name: getattr(self, each.name)[rows] for each in fields(self) if each.name != "names"}
        return SlickEnds(names=[self.names[row] for row in rows.tolist()], **arrays)
