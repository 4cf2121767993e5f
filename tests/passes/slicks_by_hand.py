"""Slicks by hand: of each, its pass and its two ends."""

import numpy as np
import shapely

from seepseg.passes.ground import Ground, Pass
from seepseg.passes.slick_ends import SlickEnds


def slick_ends(rows, p_slick=1.0, **others):
    """Rows of (pass, x1, y1, x2, y2)."""
    rows = np.array(rows, dtype=float).reshape(-1, 5)
    n = len(rows)
    arrays = {
        "p_slick": np.broadcast_to(p_slick, n).astype(float),
        "p_class": np.full((n, 2), 0.5),
        "area": np.full(n, 10.0),
        "centreline": np.ones(n),
        "half_width": np.ones((n, 2)),
        "bright": np.ones((n, 2)),
    }
    arrays.update({name: np.array(values, dtype=float) for name, values in others.items()})
    return SlickEnds(
        [f"slick_{i}" for i in range(n)], rows[:, 0].astype(np.int64), rows[:, 1:].reshape(n, 2, 2), **arrays
    )


def ground_of(*footprints, unit="px", spacing=1.0, acquired=None):
    """Ground of passes with these bounds (x0, y0, x1, y1)."""
    times = acquired or [None] * len(footprints)
    passes = [
        Pass(f"pass{i}", time, shapely.box(*box)) for i, (box, time) in enumerate(zip(footprints, times, strict=True))
    ]
    return Ground(passes, unit, spacing, None)


WHOLE = (-1000, -1000, 2000, 2000)
