"""What `seepseg predict` found in several scenes or in a folder of tiles, as the seep estimator takes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyogrio
import tifffile
from affine import Affine
from pyogrio.errors import DataSourceError

from seepseg.base.errors import InputError
from seepseg.detection.detection import P_CLASS
from seepseg.detection.slick_table import ENDS
from seepseg.geo.georeference import WGS84, AffineGeoreference
from seepseg.passes.ground import Grounds, SceneView
from seepseg.passes.params import PassesParams
from seepseg.passes.reading import read_grounds

SLICKS, CANDIDATES, FOOTPRINTS_CSV = "slicks.gpkg", "candidates.csv", "footprints.csv"
CENTRELINES, FOOTPRINTS, IN_PIXELS = "centrelines", "footprints", "_in_pixels"
REMEDY = "run `seepseg predict` again, into another folder"
P_SLICK = "p_slick"
OF_ENDS = ("lon_1", "lat_1", "lon_2", "lat_2")
LENGTHS = ("half_width_1_m", "half_width_2_m")
BRIGHT = ("bright_1", "bright_2")
KEYS = ("scene_id", "candidate", P_SLICK, "area_px", *OF_ENDS, "centreline_km", *LENGTHS, *BRIGHT)
OF_FOOTPRINTS = ("scene_id", "acquired", "spacing_m")


@dataclass(frozen=True)
class PredictedSlicks:
    """The candidates of all scenes, and the grounds that these see.

    Attributes:
        table: a row for each of n candidates: `scene`, `slick`, `area` and its ends, see
            `seepseg.detection.slick_table`.
        p_slick: float64 (n,).
        p_class: float64 (n, K).
        class_names: the K classes.
        grounds: that several scenes see.
    """

    table: pd.DataFrame
    p_slick: npt.NDArray[np.float64]
    p_class: npt.NDArray[np.float64]
    class_names: list[str]
    grounds: Grounds


class _Degrees(AffineGeoreference):
    """The place of what is in longitude and latitude already; pixels of the scene are `metres` apart."""

    def __init__(self, metres: float) -> None:
        super().__init__(WGS84, Affine.identity())
        self._metres = metres

    def spacing(self, shape: tuple[int, int]) -> float:
        """As the file tells it, wherever on earth."""
        return self._metres


def read_predicted(folder: Path, params: PassesParams) -> PredictedSlicks:
    """Read what `seepseg predict` wrote.

    Args:
        folder: its OUT.
        params: where tiles without a place on earth lie.

    Raises:
        InputError: it holds something else, or results of an earlier version.
    """
    if (folder / SLICKS).is_file():
        return _of_scenes(folder / SLICKS)
    if (folder / CANDIDATES).is_file() and (folder / FOOTPRINTS_CSV).is_file():
        return _of_tiles(folder, params)
    if folder.is_file():
        raise InputError(f"{folder}: expected the folder that `seepseg predict` wrote, found a file; name its folder")
    raise InputError(
        f"{folder}: expected the results of `seepseg predict`, {SLICKS}, or {CANDIDATES} and {FOOTPRINTS_CSV} of "
        "tiles, found no such files; name its OUT, which it must have written as GeoPackage (--format gpkg)"
    )


def _of_scenes(path: Path) -> PredictedSlicks:
    try:
        layers = set(pyogrio.list_layers(path)[:, 0])
    except DataSourceError:
        raise InputError(f"{path}: expected a GeoPackage, found none that can be read; {REMEDY}") from None
    if not {CENTRELINES, FOOTPRINTS} <= layers:
        if FOOTPRINTS + IN_PIXELS in layers:
            raise InputError(
                f"{path}: expected scenes with a place on earth, found none; seeps need scenes that are georeferenced, "
                "or tiles in a grid (passes.origins)"
            )
        raise InputError(
            f"{path}: expected layers {CENTRELINES} and {FOOTPRINTS}, found {', '.join(sorted(layers))}; {REMEDY}"
        )
    lines = pyogrio.read_dataframe(path, layer=CENTRELINES, read_geometry=False)
    footprints = pyogrio.read_dataframe(path, layer=FOOTPRINTS)
    for layer, found, keys in ((CENTRELINES, lines, KEYS), (FOOTPRINTS, footprints, OF_FOOTPRINTS)):
        if absent := [key for key in keys if key not in found]:
            raise InputError(f"{path}, layer {layer}: columns {', '.join(absent)} are missing; {REMEDY}")
    spacing = dict(zip(footprints["scene_id"].astype("str"), footprints["spacing_m"], strict=True))
    metres = lines["scene_id"].astype("str").map(spacing).to_numpy(np.float64)
    of_ends = [lines[name].to_numpy(np.float64) for name in OF_ENDS]
    lengths = [lines["centreline_km"] * 1000, *(lines[name] for name in LENGTHS)]
    in_pixels = [np.asarray(length, np.float64) / metres for length in lengths]
    table = pd.DataFrame(
        {"scene": lines["scene_id"].astype("str"), "slick": lines["candidate"], "area": lines["area_px"]}
    )
    table[list(ENDS)] = np.column_stack([*of_ends, *in_pixels, *(lines[name] for name in BRIGHT)])
    columns = [name for name in lines if name.startswith("p_") and name != P_SLICK]
    probs = lines[columns].to_numpy(np.float64)
    names = [name.removeprefix("p_") for name in columns]
    grounds = Grounds.of_scenes(views_of(footprints), {}, 1)
    return PredictedSlicks(table, lines[P_SLICK].to_numpy(np.float64), probs, names, grounds)


def views_of(footprints: gpd.GeoDataFrame) -> Sequence[SceneView]:
    """The scenes of a layer `FOOTPRINTS`, in degrees instead of pixels."""
    acquired = pd.to_datetime(footprints["acquired"], utc=True)
    return [
        SceneView(str(name), shape, _Degrees(metres), None if pd.isna(when) else when.to_pydatetime())
        for name, shape, metres, when in zip(
            footprints["scene_id"], footprints.geometry, footprints["spacing_m"], acquired, strict=True
        )
    ]


def _of_tiles(folder: Path, params: PassesParams) -> PredictedSlicks:
    try:
        table = pd.read_csv(folder / CANDIDATES, dtype={"scene": "str"}, keep_default_na=False, na_values=[""])
    except ValueError as error:
        raise InputError(f"{folder / CANDIDATES}: expected a table of candidates, found {error}; {REMEDY}") from None
    if absent := [name for name in ("scene", "slick", "area", *ENDS, P_SLICK) if name not in table]:
        raise InputError(f"{folder / CANDIDATES}: columns {', '.join(absent)} are missing; {REMEDY}")
    columns = [name for name in table if name.startswith(P_CLASS)]
    grounds = read_grounds({}, folder / FOOTPRINTS_CSV, params.origins, _tile_shape(folder), remedy=REMEDY)
    p_slick, p_class = table[P_SLICK].to_numpy(np.float64), table[columns].to_numpy(np.float64)
    return PredictedSlicks(table, p_slick, p_class, [name.removeprefix(P_CLASS) for name in columns], grounds)


def _tile_shape(folder: Path) -> tuple[int, int]:
    """Height and width of a tile in pixels, by the first mask."""
    masks = sorted(folder.rglob("*.tif"))
    if not masks:
        raise InputError(f"{folder}: expected a mask of each tile, found none; {REMEDY}")
    with tifffile.TiffFile(masks[0]) as mask:
        height, width = mask.pages[0].shape
    return height, width
