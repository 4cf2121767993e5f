"""What the map of a ground shows."""

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer

from seepseg.figures import SeepMap
from seepseg.geo.georeference import WGS84
from seepseg.passes.finding import FoundSeeps
from seepseg.passes.ground import Ground


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
    return SeepMap(
        title=_title(ground),
        unit=ground.unit,
        edges=[shapely.get_coordinates(ring) * up for ring in rings],
        chords=found.slicks.ends * up,
        p_slick=found.slicks.p_slick,
        seeps=seeps,
        known=known * up,
        to_degrees=None if ground.crs is None else Transformer.from_crs(ground.crs, WGS84, always_xy=True).transform,
    )


def _title(ground: Ground) -> str:
    """Passes by their dates; by their names, which may be long, where dates are not known."""
    dates = sorted(each.acquired for each in ground.passes if each.acquired is not None)
    first, last = ground.passes[0].name, ground.passes[-1].name
    if len(dates) == len(ground.passes):
        first, last = (date.strftime("%Y-%m-%d") for date in (dates[0], dates[-1]))
    return f"{len(ground.passes)} passes, {first} to {last}"
