"""Rasters of slicks for GIS: cloud-optimised GeoTIFFs on the grid of their scene, written block by block."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.io import DatasetWriter
from rasterio.shutil import copy

from seepseg.base.colours import palette
from seepseg.base.conventions import BACKGROUND
from seepseg.base.disk import explain_full_disk
from seepseg.base.files import atomic_path
from seepseg.data.block_array import BlockArray
from seepseg.data.pixels import Window
from seepseg.detection.detection import FOREGROUND_STEPS, UNSEEN

STEP = 1 / FOREGROUND_STEPS  # probability of one unit

# Tiles of 512 pixels; a file becomes a BigTIFF where it may pass 4 GB.
COG = {"BLOCKSIZE": 512, "COMPRESS": "DEFLATE", "BIGTIFF": "IF_SAFER", "NUM_THREADS": "ALL_CPUS"}
SCRATCH = {"tiled": True, "blockxsize": 512, "blockysize": 512, "bigtiff": "yes"}

Place = Mapping[str, Any]
Read = Callable[[Window], npt.NDArray[np.uint8]]


def write_classes(
    path: Path,
    place: Place,
    classes: BlockArray[np.uint8],
    foreground: BlockArray[np.uint8],
    class_names: Sequence[str],
    without: tuple[BlockArray[np.int32], npt.NDArray[np.int64]],
) -> None:
    """Write the class of each pixel: 0 background, 1..K, `UNSEEN`; with the classes' colours and names.

    Args:
        path: the file.
        place: on earth, see `seepseg.geo.georeference.Georeference.raster_profile`; empty if there is none.
        classes: uint8 (H, W), 0..K.
        foreground: uint8 (H, W), `UNSEEN` where there is no data.
        class_names: the K classes.
        without: int32 (H, W), numbers of slicks, and those of them that are background here.
    """
    labels, others = without
    colours = palette(len(class_names) + 1).tolist()
    table = {number: (*rgb, 255) for number, rgb in enumerate(colours)} | {0: (0, 0, 0, 0), UNSEEN: (0, 0, 0, 0)}

    def read(window: Window) -> npt.NDArray[np.uint8]:
        block = classes.read(window)
        if len(others):
            block[np.isin(labels.read(window), others)] = 0
        block[foreground.read(window) == UNSEEN] = UNSEEN
        return block

    def describe(file: DatasetWriter) -> None:
        file.write_colormap(1, table)
        file.set_band_description(1, "class")
        file.update_tags(1, **{f"class_{number}": name for number, name in enumerate([BACKGROUND, *class_names])})

    _write_cog(path, place, classes, read, describe, overviews="MODE")


def write_probabilities(path: Path, place: Place, foreground: BlockArray[np.uint8]) -> None:
    """Write the probability of any class: 0..200, which is to be multiplied with `STEP`, and `UNSEEN`.

    Args:
        path: the file.
        place: as in `write_classes`.
        foreground: uint8 (H, W), as it is written.
    """

    def describe(file: DatasetWriter) -> None:
        file.scales, file.offsets = (STEP,), (0.0,)
        file.set_band_description(1, "probability of any slick")

    _write_cog(path, place, foreground, foreground.read, describe, overviews="AVERAGE")


def _write_cog(
    path: Path,
    place: Place,
    like: BlockArray[np.uint8],
    read: Read,
    describe: Callable[[DatasetWriter], None],
    overviews: str,
) -> None:
    """Write a plain file by blocks first, as GDAL makes a cloud-optimised one only from a whole one."""
    height, width = like.shape
    with (
        TemporaryDirectory(dir=path.parent, prefix=".") as scratch,
        explain_full_disk(path.parent),
        rasterio.Env(GDAL_CACHEMAX=2**27),
    ):
        plain = Path(scratch, "plain.tif")
        profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint8", "nodata": UNSEEN}
        with rasterio.open(plain, "w", **profile, **SCRATCH, **place) as file:
            describe(file)
            for window in like.windows():
                top, left, rows, columns = window
                file.write(read(window), 1, window=rasterio.windows.Window(left, top, columns, rows))
        with atomic_path(path) as partial:
            copy(plain, partial, driver="COG", OVERVIEW_RESAMPLING=overviews, **COG)
