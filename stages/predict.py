"""Predict: find and classify the slicks of new images with a model file; no stage of the pipeline, but a command.

    python -m stages predict IMAGES OUT
    python -m stages predict IMAGES OUT --model ../their_model.safetensors

Reads a folder of images, each named and laid out like those that ingest takes, and a model file, from whomever it is;
takes the sections data (what file names mean) and detect (device, precision, threads, batch size) of params.yaml, the
rest is in the model. Writes a new folder OUT: a predicted mask for each image under its name (uint8, 0 background, 1..K
the classes of the model) and slicks.csv, a row for each slick, see `seepseg.detection.detector.Detector.detect`.
"""

import argparse
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.base.device import choose_device, explain_full_memory, make_deterministic
from seepseg.base.errors import InputError
from seepseg.base.files import write_csv
from seepseg.base.folders import new_folder
from seepseg.base.npy_stream import NpyStream
from seepseg.base.params import load_params
from seepseg.data.packed import MANIFEST_TYPES
from seepseg.data.scenes import find_scenes
from seepseg.detection.detector import COLUMNS, Detector
from seepseg.detection.model_file import load_model
from seepseg.detection.proposal import DetectParams
from seepseg.io.raw_data import DataParams, check_grid
from seepseg.io.report import Report
from seepseg.io.tiff import write_tiff
from seepseg.io.tile_checks import ImageReader
from seepseg.io.tile_files import Tile, find_images, grid_cell, grid_columns_of

PARAMS = Path("params.yaml")
MODEL = Path("models/model.safetensors")
SLICKS = "slicks.csv"


def main() -> None:
    """Check and read everything, then predict scene by scene."""
    parser = argparse.ArgumentParser(
        "python -m stages predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="a folder of images")
    parser.add_argument("out", type=Path, help="a folder to write, which is not there yet")
    parser.add_argument("--model", type=Path, default=MODEL, help=f"the model file (default: {MODEL})")
    predict(**vars(parser.parse_args()))


def predict(images: Path, out: Path, model: Path, params: Path = PARAMS) -> None:
    """Predict.

    Args:
        images: a folder of images.
        out: a folder to write, which is not there yet.
        model: the model file.
        params: a parameter file.
    """
    data, detect = load_params(DataParams, "data", params), load_params(DetectParams, "detect", params)
    if out.exists():
        raise InputError(f"{out}: expected a name that is free, found something there; name another one")
    loaded = load_model(model)
    device = choose_device(detect.device, "detect.device")
    make_deterministic(0, detect.threads, device)
    detector = Detector.of_model(loaded, detect, device)
    tables = []
    with (
        new_folder(out) as folder,
        TemporaryDirectory(dir=folder, prefix=".") as scratch,
        explain_full_memory(device, f"lower detect.batch_size, {detect.batch_size} tiles"),
    ):
        tiles, pixels = _read(images, data, Path(scratch, "images.npy"))
        manifest = _manifest(tiles, data)
        for scene in find_scenes(manifest, np.arange(len(tiles)), pixels.shape[1:]):
            pred, slicks = detector.detect(scene, pixels[scene.indices])
            for index, mask in zip(scene.indices.tolist(), scene.cut(pred), strict=True):
                write_tiff(folder / f"{tiles[index].name}.tif", mask)
            tables.append(slicks)
            print(f"{scene.name}: {len(slicks)} slicks on {len(scene.indices)} tiles", flush=True)
        write_csv(folder / SLICKS, pd.concat(tables, ignore_index=True)[list(COLUMNS)])


def _read(folder: Path, data: DataParams, packed: Path) -> tuple[list[Tile], npt.NDArray[np.uint16]]:
    """Check all images of a folder, and pack them into a file, so that each is read once and all are known to be sound.

    Returns:
        The tiles, and uint16 (N, H, W), mapped from that file.

    Raises:
        InputError: anything is wrong with any of them.
    """
    report = Report()
    tiles = find_images(folder, re.compile(data.name_pattern), report)
    check_grid(tiles, data.grid_columns, report)
    reader = ImageReader(report)
    with NpyStream.open(packed, "<u2") as stream:
        for number, tile in enumerate(tiles):
            found = reader.read_image(tile)
            if found and not report.has_errors:
                if number == 0:
                    stream.write_header(len(tiles), found[0].shape)
                stream.append(found[0])
    reader.check_sizes()
    if report.has_errors:
        raise InputError(f"{folder} can't be used, nothing was written\n{report}")
    if report.offenders:
        print(report, file=sys.stderr)
    pixels: npt.NDArray[np.uint16] = np.load(packed, mmap_mode="r", allow_pickle=False)
    return tiles, pixels


def _manifest(tiles: list[Tile], data: DataParams) -> pd.DataFrame:
    """Scene and place of each tile, as far as `find_scenes` needs them."""
    rows = [
        (tile.name, tile.scene, *grid_cell(tile.position, grid_columns_of(tile.scene, data.grid_columns)))
        for tile in tiles
    ]
    types = {name: MANIFEST_TYPES[name] for name in ("tile", "scene", "row", "col")}
    return pd.DataFrame(rows, columns=list(types)).astype(types)
