"""All grounds side by side as one, in pixels, so that they are measured together."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from seepseg.passes.ground import Ground, Pass
from seepseg.passes.slick_ends import SlickEnds

GAP = 50.0  # radii between grounds: neither slicks nor shifts reach across

Floats = npt.NDArray[np.float64]


class SideBySide:
    """Where each ground lies in one that holds all.

    Args:
        grounds: at least one.
        radius: of seeps, in pixels.

    Attributes:
        ground: with the passes of all, ground by ground.
        first_pass: number of the first pass of each ground in it.
    """

    def __init__(self, grounds: Sequence[Ground], radius: float) -> None:
        self._spacings = [ground.spacing for ground in grounds]
        self._shifts, edge, passes = list[float](), 0.0, list[Pass]()
        self.first_pass = np.cumsum([0, *(len(ground.passes) for ground in grounds)])[:-1].tolist()
        for ground in grounds:
            bounds = shapely.total_bounds([each.footprint for each in ground.passes]) / ground.spacing
            self._shifts.append(0.0 if not passes else edge + GAP * radius - bounds[0])
            edge = self._shifts[-1] + bounds[2]
            number = len(self._shifts) - 1
            passes += [replace(each, footprint=self._moved(number, each.footprint)) for each in ground.passes]
        self.ground = Ground(passes, "px", 1.0, None)

    def _moved(self, number: int, footprint: shapely.Geometry) -> shapely.Geometry:
        return shapely.transform(footprint, lambda points: self.place(number, points))

    def place(self, number: int, points: Floats) -> Floats:
        """Points (..., 2) of a ground where they lie in the one that holds all."""
        placed: Floats = points / self._spacings[number]
        placed[..., 0] += self._shifts[number]
        return placed

    def slicks(self, of_grounds: Sequence[SlickEnds]) -> SlickEnds:
        """The slicks of all grounds."""
        moved = [
            replace(
                each,
                pass_number=each.pass_number + self.first_pass[number],
                ends=self.place(number, each.ends),
                area=each.area / self._spacings[number] ** 2,
                centreline=each.centreline / self._spacings[number],
                half_width=each.half_width / self._spacings[number],
            )
            for number, each in enumerate(of_grounds)
        ]
        arrays = ("pass_number", "ends", "p_slick", "p_class", "area", "centreline", "half_width", "bright")
        return SlickEnds(
            names=[name for each in moved for name in each.names],
            **{name: np.concatenate([getattr(each, name) for each in moved]) for name in arrays},
        )

    def seeps(self, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Tables with `x` and `y`, and some with `error_radius`, of all grounds in one."""
        moved = []
        for number, table in enumerate(tables):
            x, y = self.place(number, table[["x", "y"]].to_numpy(np.float64)).T
            of_lengths = {name: table[name] / self._spacings[number] for name in table if name == "error_radius"}
            moved.append(table.assign(x=x, y=y, **of_lengths))
        filled = [table for table in moved if len(table)] or moved[:1]
        return pd.concat(filled, ignore_index=True)
