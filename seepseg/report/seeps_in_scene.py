"""Seeps as they lie in the pixels of a scene."""

import numpy as np
import pandas as pd

from seepseg.geo.georeference import Georeference
from seepseg.report.contents import SEEP_COLUMNS


def seeps_in_scene(
    seeps: pd.DataFrame,
    box: tuple[int, int, int, int],
    georeference: Georeference | None,
    spacing: float | None,
    shift: tuple[int, int] | None,
) -> pd.DataFrame:
    """The seeps within the picture of a scene.

    Args:
        seeps: of all grounds, as stage seeps writes them.
        box: left, top, right and bottom of the picture, in pixels of the scene's grid.
        georeference: of the grid, if there is one; then seeps in degrees are looked for.
        spacing: of its pixels, in metres.
        shift: else, how far to the right and down the grid lies on the common one, where it does; then seeps in pixels
            are looked for. See `seepseg.passes.views.grid_shift`.

    Returns:
        A row for each, with `SEEP_COLUMNS`.
    """
    none = pd.Series(np.nan, seeps.index)
    if georeference is not None and spacing:
        x, y = georeference.to_pixel(seeps.get("lon", none), seeps.get("lat", none))
        radius = seeps.get("error_radius_m", none) / spacing
    elif georeference is None and shift is not None:
        x, y = seeps.get("x_px", none) - shift[0], seeps.get("y_px", none) - shift[1]
        radius = seeps.get("error_radius_px", none)
    else:
        x, y, radius = none, none, none
    placed = seeps.assign(x=x, y=y, error_radius=radius)
    left, top, right, bottom = box
    within = placed["x"].between(left, right) & placed["y"].between(top, bottom)
    return placed.loc[within, list(SEEP_COLUMNS)].astype(SEEP_COLUMNS).reset_index(drop=True)
