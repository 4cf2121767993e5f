"""From the files of the pipeline to grounds, and to the slicks of all passes over one."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.errors import ShapelyError

from seepseg.base.errors import InputError
from seepseg.geo.place_json import place_from_json
from seepseg.passes.ground import Grounds
from seepseg.passes.slick_ends import SlickEnds
from seepseg.passes.views import SceneView

REMEDY = "run `dvc repro detect`"

Floats = npt.NDArray[np.float64]


def read_grounds(
    packed_scenes: Mapping[str, Any],
    footprints_csv: Path,
    origins: Mapping[str, Sequence[int]],
    tile_side: int | tuple[int, int],
    scenes: Collection[str] | None = None,
) -> Grounds:
    """Find out which scenes see the same ground.

    Args:
        packed_scenes: `seepseg.data.packed.Packed.scenes`, for places on earth and times.
        footprints_csv: columns `scene` and `wkt`, polygons in pixel coordinates of the whole scene.
        origins: see `seepseg.passes.params.PassesParams`.
        tile_side: of tiles, in pixels; or height and width.
        scenes: names of those that count; all by default.

    Raises:
        InputError: the file is missing or no such table.
    """
    footprints, known = _read_footprints(footprints_csv), packed_scenes.get("scenes", {})
    names = sorted(footprints.keys() | known.keys())
    views = [
        _view(name, footprints.get(name, shapely.Polygon()), known.get(name, {}))
        for name in names
        if scenes is None or name in scenes
    ]
    return Grounds.of_scenes(views, origins, tile_side)


def slick_ends_of(
    table: pd.DataFrame, p_slick: Floats, p_class: Floats, grounds: Grounds, ground_number: int
) -> SlickEnds:
    """The slicks of all passes over one ground; others, and those without a place, are left out.

    Args:
        table: a row per slick: `scene`, `slick`, `area` and the columns ENDS of `seepseg.detection.slick_table`.
        p_slick: float64 (n,), that each is a slick.
        p_class: float64 (n, K), of each class, if it is one.
        grounds: on which they lie.
        ground_number: of the ground.
    """
    places = np.stack([_place(table, grounds, end) for end in ("1", "2")], axis=1)  # (n, 2, 3)
    here = np.flatnonzero((places[:, :, 0] == ground_number).all(axis=1))
    rows, spacing = table.iloc[here], grounds.spacings(table["scene"])[here]
    names = rows["scene"].astype(str) + "_" + rows["slick"].astype(str)
    return SlickEnds(
        names=names.tolist(),
        pass_number=grounds.pass_numbers(rows["scene"]),
        ends=places[here, :, 1:],
        p_slick=p_slick[here],
        p_class=p_class[here],
        area=rows["area"].to_numpy(np.float64) * spacing**2,
        centreline=rows["centreline"].to_numpy(np.float64) * spacing,
        half_width=rows[["half_width_1", "half_width_2"]].to_numpy(np.float64) * spacing[:, None],
        bright=rows[["bright_1", "bright_2"]].to_numpy(np.float64),
    )


def _place(table: pd.DataFrame, grounds: Grounds, end: str) -> Floats:
    """Number of the ground, x and y of one end of each slick, float64 (n, 3)."""
    return np.stack(grounds.place(table["scene"], table[f"x_{end}"], table[f"y_{end}"]), axis=1)


def _view(name: str, footprint: shapely.Geometry, record: Mapping[str, Any]) -> SceneView:
    acquired = record.get("acquired")
    time = None if acquired is None else datetime.fromisoformat(acquired)
    return SceneView(name, footprint, place_from_json(record), time)


def _read_footprints(path: Path) -> dict[str, shapely.Geometry]:
    if not path.is_file():
        raise InputError(f"{path} is missing: {REMEDY}")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if not {"scene", "wkt"} <= set(table.columns):
        raise InputError(f"{path}: expected columns scene and wkt, found {', '.join(table.columns)}; {REMEDY}")
    try:
        return dict(zip(table["scene"], shapely.from_wkt(table["wkt"].to_numpy(dtype=object)), strict=True))
    except ShapelyError as error:
        raise InputError(f"{path}: expected polygons as WKT, found {error}; {REMEDY}") from None
