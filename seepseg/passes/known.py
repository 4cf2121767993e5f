"""Seeps that are known, on the ground of passes."""

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import Transformer

from seepseg.geo.seep_files import PLATFORM
from seepseg.passes.ground import Ground

LEAST_PASSES = 2  # that saw the place of a known seep: fewer can't tell that a slick comes back


def known_on(ground: Ground, known: gpd.GeoDataFrame) -> pd.DataFrame:
    """The known seeps that passes over a ground could show.

    Args:
        ground: the ground; in pixels it has no place on earth, and no known seep lies on it.
        known: see `seepseg.geo.seep_files.read_known_seeps`.

    Returns:
        Columns `x`, `y` on the ground, and `PLATFORM`, of those that at least `LEAST_PASSES` saw.
    """
    if ground.crs is None or not len(known):
        return pd.DataFrame({"x": np.zeros(0), "y": np.zeros(0), PLATFORM: np.zeros(0, dtype=bool)})
    lon, lat = shapely.get_coordinates(known.geometry.array).T
    x, y = Transformer.from_crs(known.crs, ground.crs, always_xy=True).transform(lon, lat)
    there = np.isfinite(x) & np.isfinite(y)
    seen: npt.NDArray[np.bool_] = np.zeros(len(x), dtype=bool)
    seen[there] = ground.sees(x[there], y[there]).sum(axis=1) >= LEAST_PASSES
    return pd.DataFrame({"x": x, "y": y, PLATFORM: known[PLATFORM].to_numpy(bool)})[seen].reset_index(drop=True)
