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
from seepseg.base.scaling import Scaling
from seepseg.data.packed import MANIFEST_TYPES
from seepseg.data.scenes import find_scenes
from seepseg.detection.detector import COLUMNS, Detector
from seepseg.detection.model_file import load_model
from seepseg.detection.proposal import DetectParams
from seepseg.io.edges import EdgeCheck
from seepseg.io.grid import Place, place_tiles
from seepseg.io.image_checks import ImageReader
from seepseg.io.raw_data import DataParams
from seepseg.io.report import Report, present_report
from seepseg.io.tiff import write_tiff
from seepseg.io.tile_files import Tile, find_images

PARAMS = Path("params.yaml")
MODEL = Path("models/model.safetensors")
SLICKS = "slicks.csv"
REPORT = Path("predict_report.txt")


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
        manifest, pixels = _read(images, data, loaded.meta.networks.scaling, Path(scratch, "images.npy"))
        for scene in find_scenes(manifest, np.arange(len(manifest)), pixels.shape[1:]):
            pred, slicks = detector.detect(scene, pixels[scene.indices])
            for index, mask in zip(scene.indices.tolist(), scene.cut(pred), strict=True):
                path = folder / f"{manifest['tile'][index]}.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_tiff(path, mask)
            tables.append(slicks)
            print(f"{scene.name}: {len(slicks)} slicks on {len(scene.indices)} tiles", flush=True)
        write_csv(folder / SLICKS, pd.concat(tables, ignore_index=True)[list(COLUMNS)])


def _read(
    folder: Path, data: DataParams, scaling: Scaling, packed: Path
) -> tuple[pd.DataFrame, npt.NDArray[np.uint16]]:
    """Check all images of a folder, and pack them into a file, so that each is read once and all are known to be sound.

    Returns:
        Scene and place of each tile, as far as `find_scenes` needs them, and uint16 (N, H, W), mapped from that file.

    Raises:
        InputError: anything is wrong with any of them.
    """
    report = Report()
    # Where images and targets lie in one folder, they do so here, too.
    has_targets = data.target_pattern and Path(data.images) == Path(data.targets)
    target_pattern = re.compile(data.target_pattern) if has_targets else None
    tiles = find_images(folder, re.compile(data.name_pattern), report, target_pattern)
    if scaling != data.scaling:
        print(f"data.scaling is {data.scaling}, but the model's is used, {scaling}", file=sys.stderr)
    reader, edges = ImageReader(report, scaling), EdgeCheck(tiles)
    with NpyStream.open(packed, "<u2") as stream:
        for number, tile in enumerate(tiles):
            found = reader.read_image(tile)
            if found:
                edges.see(tile, found[0])
            if found and not reader.has_faults:
                if number == 0:
                    stream.write_header(len(tiles), found[0].shape)
                stream.append(found[0])
    cells = place_tiles(tiles, reader.finish(), data.grid_columns, report)
    edges.note(report)
    text = present_report(report, REPORT)
    if report.has_errors:
        raise InputError(f"{folder} can't be used, nothing was written\n{text}")
    if text:
        print(text, file=sys.stderr)
    pixels: npt.NDArray[np.uint16] = np.load(packed, mmap_mode="r", allow_pickle=False)
    return _manifest(tiles, cells), pixels


def _manifest(tiles: list[Tile], cells: list[Place]) -> pd.DataFrame:
    rows = [(tile.name, tile.scene, *cell) for tile, cell in zip(tiles, cells, strict=True)]
    types = {name: MANIFEST_TYPES[name] for name in ("tile", "scene", "row", "col")}
    return pd.DataFrame(rows, columns=list(types)).astype(types)
