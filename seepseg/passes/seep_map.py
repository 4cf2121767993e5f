"""What the map of a ground shows."""

import numpy as np
import numpy.typing as npt
import shapely

from seepseg.figures import SeepMap
from seepseg.passes.finding import FoundSeeps


def map_of(found: FoundSeeps, known: npt.NDArray[np.float64], max_fdr: float) -> SeepMap:
    """The map of one ground, upright: north is up, or the first row of images.

    Args:
        found: its seeps.
        known: float64 (m, 2), seeps that are known, on the ground.
        max_fdr: seeps with a q-value of at most this are reported.
    """
    ground, table = found.ground, found.seeps.table
    up = np.array([1, 1 if ground.unit == "m" else -1])
    seen = shapely.union_all([each.footprint for each in ground.passes])
    rings = [ring for part in shapely.get_parts(seen) for ring in (part.exterior, *part.interiors)]
    seeps = table[["x", "y", "major", "minor", "p_seep", "kind"]].assign(
        y=table["y"] * up[1], angle=90 - table["bearing"], reported=table["q_value"] <= max_fdr
    )
    first, last = ground.passes[0].name, ground.passes[-1].name
    return SeepMap(
        title=f"{len(ground.passes)} passes, {first} to {last}",
        unit=ground.unit,
        edges=[shapely.get_coordinates(ring) * up for ring in rings],
        chords=found.slicks.ends * up,
        p_slick=found.slicks.p_slick,
        seeps=seeps,
        known=known * up,
    )
