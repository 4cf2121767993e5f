"""From the files of the pipeline to grounds, and to the slicks of all passes over one."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.errors import ShapelyError

from seepseg.base.errors import InputError
from seepseg.data.packed import PIXELS
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
    remedy: str = REMEDY,
) -> Grounds:
    """Find out which scenes see the same ground.

    Args:
        packed_scenes: `seepseg.data.packed.Packed.scenes`, for places on earth and times.
        footprints_csv: columns `scene` and `wkt`, polygons in pixel coordinates of the whole scene.
        origins: see `seepseg.passes.params.PassesParams`.
        tile_side: of tiles, in pixels; or height and width.
        scenes: names of those that count; all by default.
        remedy: what to do where the file can't be used.

    Raises:
        InputError: the file is missing or no such table.
    """
    footprints, known = _read_footprints(footprints_csv, remedy), packed_scenes.get("scenes", {})
    names = sorted(footprints.keys() | known.keys())
    views = [
        _view(name, footprints.get(name, shapely.Polygon()), known.get(name, {}))
        for name in names
        if scenes is None or name in scenes
    ]
    return Grounds.of_scenes(views, origins, tile_side)


def slick_ends_of(table: pd.DataFrame, p_slick: Floats, p_class: Floats, grounds: Grounds) -> list[SlickEnds]:
    """The slicks of all passes over each ground; those without a place, or on none of them, are left out.

    Args:
        table: a row per slick: `scene`, `slick`, `area` and the columns ENDS of `seepseg.detection.slick_table`.
        p_slick: float64 (n,), that each is a slick.
        p_class: float64 (n, K), of each class, if it is one.
        grounds: on which they lie.

    Returns:
        For each of `grounds.grounds`.
    """
    first, *at_first = grounds.place(table["scene"], table["x_1"], table["y_1"])
    second, *at_second = grounds.place(table["scene"], table["x_2"], table["y_2"])
    spacing = grounds.spacings(table["scene"])
    names = table["scene"].astype(str) + "_" + table["slick"].astype(str)
    everything = SlickEnds(
        names=names.tolist(),
        pass_number=grounds.pass_numbers(table["scene"]),
        ends=np.stack([np.stack(at_first, axis=1), np.stack(at_second, axis=1)], axis=1),
        p_slick=p_slick,
        p_class=p_class,
        area=table["area"].to_numpy(np.float64) * spacing**2,
        centreline=table["centreline"].to_numpy(np.float64) * spacing,
        half_width=table[["half_width_1", "half_width_2"]].to_numpy(np.float64) * spacing[:, None],
        bright=table[["bright_1", "bright_2"]].to_numpy(np.float64),
    )
    ground = np.where(first == second, first, -1)
    order = np.argsort(ground, kind="stable")
    starts = np.searchsorted(ground[order], np.arange(len(grounds.grounds) + 1))
    return [everything.take(order[start:end]) for start, end in pairwise(starts.tolist())]


def annotated_ends_of(annotated: pd.DataFrame, class_names: Sequence[str], grounds: Grounds) -> list[SlickEnds]:
    """Likewise, of annotated slicks, which are slicks for sure, and of each class by its share of their pixels.

    Args:
        annotated: a row per slick, see `slick_ends_of`, with `pixels_<class>` of all classes.
        class_names: the K classes.
        grounds: on which they lie.
    """
    pixels = annotated[[PIXELS + name for name in class_names]].to_numpy(np.float64)
    shares = pixels / np.maximum(pixels.sum(axis=1, keepdims=True), 1)
    return slick_ends_of(annotated, np.ones(len(annotated)), shares, grounds)


def _view(name: str, footprint: shapely.Geometry, record: Mapping[str, Any]) -> SceneView:
    acquired = record.get("acquired")
    time = None if acquired is None else datetime.fromisoformat(acquired)
    return SceneView(name, footprint, place_from_json(record), time)


def _read_footprints(path: Path, remedy: str) -> dict[str, shapely.Geometry]:
    if not path.is_file():
        raise InputError(f"{path} is missing: {remedy}")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if not {"scene", "wkt"} <= set(table.columns):
        raise InputError(f"{path}: expected columns scene and wkt, found {', '.join(table.columns)}; {remedy}")
    try:
        return dict(zip(table["scene"], shapely.from_wkt(table["wkt"].to_numpy(dtype=object)), strict=True))
    except ShapelyError as error:
        raise InputError(f"{path}: expected polygons as WKT, found {error}; {remedy}") from None
