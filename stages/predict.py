"""Predict: name the slicks of new images with a model file; no stage of the pipeline, but a command of its own.

    python -m stages.predict IMAGES OUT
    python -m stages.predict IMAGES OUT --model ../their_model.safetensors

Reads a folder of images, each named and laid out like those that ingest takes, and a model file, from whomever it is;
takes the sections data (what names mean) and outline (device, precision, threads, batch size) of params.yaml, the rest
is in the model. Writes a new folder OUT: a target for each image under its name (uint8, 0 background, 1..K the classes)
and slicks.csv, a row for each slick, see `seepseg.detection.detector.name_slicks`.
"""

import argparse
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from seepseg.base.command import run_stage
from seepseg.base.folders import new_folder

from seepseg.base.device import choose_device, explain_full_memory, make_deterministic
from seepseg.base.errors import InputError
from seepseg.base.files import write_csv
from seepseg.base.params import load_params
from seepseg.data.channels import InputMaker
from seepseg.data.packed import MANIFEST_TYPES
from seepseg.data.scenes import find_scenes
from seepseg.detection.candidates import OutlineParams, build_predictors
from seepseg.detection.detector import COLUMNS, as_fitted, name_slicks
from seepseg.detection.model_file import load_model
from seepseg.io.raw_data import DataParams, check_grid
from seepseg.io.report import Report
from seepseg.io.tiff import write_tiff
from seepseg.io.tile_checks import TileReader
from seepseg.io.tile_files import Tile, find_images, grid_cell, grid_columns_of
from seepseg.models.network_file import check_classes

MODEL = Path("models/model.safetensors")
SLICKS = "slicks.csv"
COLUMNS_KNOWN = ("tile", "scene", "row", "col", "nodata_fraction", "mean", "std")  # of the manifest


def main() -> None:
    """Check everything, then predict scene by scene."""
    parser = argparse.ArgumentParser(
        "python -m stages.predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="a folder of images")
    parser.add_argument("out", type=Path, help="a folder to write, which is not there yet")
    parser.add_argument("--model", type=Path, default=MODEL, help=f"the model file (default: {MODEL})")
    arguments = parser.parse_args()
    data, outline = load_params(DataParams, "data"), load_params(OutlineParams, "outline")
    if arguments.out.exists():
        raise InputError(f"{arguments.out}: expected a name that is free, found something there; name another one")
    model = load_model(arguments.model)
    check_classes(arguments.model, model.meta.class_names, data.class_names, "train")
    params = as_fitted(outline, model)
    device = choose_device(params.device, "outline.device")
    make_deterministic(0, params.threads, device)
    tiles, manifest, shape = _check(arguments.images, data)
    predictors = build_predictors(
        model.networks, model.meta.model.head, InputMaker(model.meta.input, manifest), params, device
    )
    reader, tables = TileReader(len(data.class_names) + 1, Report()), []  # whose report is known already
    with (
        new_folder(arguments.out) as folder,
        explain_full_memory(device, f"lower outline.batch_size, {params.batch_size} tiles"),
    ):
        for scene in find_scenes(manifest, np.arange(len(tiles)), shape):
            here = [tiles[index] for index in scene.indices]
            read = [reader.read_image(tile) for tile in here]
            if None in read:
                raise InputError(
                    f"{arguments.images}: images of scene {scene.name} have changed meanwhile; run it again"
                )
            images = np.stack([found[0] for found in read if found])
            pred, slicks = name_slicks(scene, images, model, predictors)
            for tile, pixels in zip(here, pred, strict=True):
                write_tiff(folder / f"{tile.name}.tif", pixels)
            tables.append(slicks)
            print(f"{scene.name}: {len(slicks)} slicks on {len(here)} tiles", flush=True)
        write_csv(folder / SLICKS, pd.concat(tables, ignore_index=True)[list(COLUMNS)])


def _check(folder: Path, data: DataParams) -> tuple[list[Tile], pd.DataFrame, tuple[int, int]]:
    """The tiles of a folder, all sound; what is known of each, see `seepseg.data.packed.read_manifest`; their size."""
    if not folder.is_dir() or not any(folder.iterdir()):
        raise InputError(
            f"{folder}: expected a folder of images, found {'an empty one' if folder.is_dir() else 'none'}"
        )
    report = Report()
    tiles = find_images(folder, re.compile(data.name_pattern), report)
    check_grid(tiles, data.grid_columns, report)
    reader = TileReader(len(data.class_names) + 1, report)
    rows, shape = [], (0, 0)
    for tile in tiles:
        if found := reader.read_image(tile):
            image, intensity = found
            shape = (image.shape[0], image.shape[1])
            nodata = 1 - intensity.valid / image.size
            place = grid_cell(tile.position, grid_columns_of(tile.scene, data.grid_columns))
            rows.append((tile.name, tile.scene, *place, nodata, intensity.mean, intensity.std))
    reader.check_sizes()
    if report.has_errors:
        raise InputError(f"{folder} can't be used, nothing was written\n{report}")
    if report.offenders:
        print(report, file=sys.stderr)
    types = {name: MANIFEST_TYPES[name] for name in COLUMNS_KNOWN}
    return tiles, pd.DataFrame(rows, columns=list(types)).astype(types), shape


if __name__ == "__main__":
    run_stage(main)
