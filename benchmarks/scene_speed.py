"""How fast whole scenes are predicted, from file to files, and how time and memory grow with a scene.

    python -m benchmarks.scene_speed

Takes the model of the last `make repro` and lays the sample's scenes side by side to scenes of any size. Each measure
has a process to itself, so that its peak of memory is its own. Beside the command, the plain way to do the same with
one network: windows of 256 pixels one by one, a softmax, and polygons of the whole mask at once.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import rasterio
import rasterio.features
import rasterio.windows
import torch
from affine import Affine

from benchmarks import report
from benchmarks.repository import LOCAL, ROOT
from benchmarks.spread import spread
from benchmarks.worker import peak_memory, usable_cores
from seepseg.base.command import run_stage
from seepseg.base.errors import InputError
from seepseg.base.files import fingerprint, write_json
from seepseg.commands.predict_scene import SceneTask, predict_scene
from seepseg.data.channels import InputMaker
from seepseg.detection.model_file import load_model
from seepseg.detection.proposal import DetectParams
from seepseg.detection.tta import ScenePredictor
from seepseg.geo.params import ScenesParams

MODEL = ROOT / "models/model.safetensors"
SAMPLE = ROOT / "data/sample/scenes"
COMMITTED = ROOT / "benchmarks"
TILE = 256
DEFAULT_SIZE = (2560, 3840)  # 10 million pixels
GROWTH = ((2560, 3840), (5120, 7680), (10240, 15360), (16705, 26102))  # the last is a Sentinel-1 scene
REPEATS = 3
MEGA = 1_000_000


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scene_speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run on small scenes, into benchmarks/local")
    quick: bool = parser.parse_args().quick
    if not MODEL.is_file():
        raise InputError(f"{MODEL.relative_to(ROOT)} is missing: run `make repro`")
    LOCAL.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=LOCAL) as folder:
        results = measure(Path(folder), quick)
    folder_of_results = LOCAL if quick else COMMITTED
    write_json(folder_of_results / "scene.json", results)
    if (folder_of_results / "results.json").is_file():
        report.write(folder_of_results)


def measure(folder: Path, quick: bool) -> dict[str, Any]:
    """All measures; speeds in million pixels a second, memory in MiB."""
    first = (512, 512) if quick else DEFAULT_SIZE
    sizes = ((512, 512), (512, 1024)) if quick else GROWTH
    repeats = 1 if quick else REPEATS
    scene = write_scene(folder / "scene.tif", first)
    results: dict[str, Any] = {"threads": usable_cores(), "pixels": first[0] * first[1]}
    rounds: dict[str, list[dict[str, float]]] = {"default": [], "fast": [], "plain": []}
    for _ in range(repeats):
        rounds["default"].append(alone(predicted, scene, folder, False))
        rounds["fast"].append(alone(predicted, scene, folder, True))
        rounds["plain"].append(alone(plainly, scene))
    for name, measured in rounds.items():
        results[name] = {key: spread([each[key] for each in measured]) for key in measured[0]}
        print(name, results[name], flush=True)
    scene.unlink()
    kinds = {"all of it": (sizes, 1.0), "a tenth of it": (sizes[1:2], 0.1)}
    results["growth"] = []
    for seen, (shapes, share) in kinds.items():
        for shape in shapes:
            scene = write_scene(folder / "large.tif", shape, share)
            row = {"pixels": shape[0] * shape[1], "seen": seen, **alone(predicted, scene, folder, True)}
            results["growth"].append(row)
            print(row, flush=True)
            scene.unlink()
    return results


def write_scene(path: Path, shape: tuple[int, int], seen: float = 1.0) -> Path:
    """Write the sample's scenes side by side, mirrored in turns, as a tiled GeoTIFF; `seen` is the share with data."""
    parts = []
    for name in sorted(SAMPLE.glob("*.tif")):
        with rasterio.open(name) as file:
            parts.append(file.read(1)[: TILE * 2, : TILE * 4])
    height, width = shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint16", "nodata": 0}
    place = {"crs": "EPSG:32615", "transform": Affine(40, 0, 300_000, 0, -40, 3_100_000)}
    layout = {"tiled": True, "blockxsize": TILE, "blockysize": TILE, "compress": "deflate", "bigtiff": "if_safer"}
    with rasterio.open(path, "w", **profile, **place, **layout) as file:
        file.set_band_description(1, "VV")
        for number, top in enumerate(range(0, round(height * seen), TILE * 2)):
            row = [np.flip(part, axis=((), (0,), (1,), (0, 1))[(number + at) % 4]) for at, part in enumerate(parts)]
            band = np.tile(np.concatenate(row, axis=1), (1, -(-width // (TILE * 4 * len(parts)))))[:, :width]
            rows = min(TILE * 2, height - top)
            file.write(band[:rows], 1, window=rasterio.windows.Window(0, top, width, rows))
    return path


def alone(function: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """Call a function in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def predicted(scene: Path, folder: Path, fast: bool) -> dict[str, float]:
    """Predict a scene as the command does; what it took, and the share of the time that networks took.

    Before that, a scene of one tile loads the model, as for all but the first scene of a run.
    """
    in_networks = 0.0
    run = ScenePredictor._run

    def timed(*given: Any) -> Any:
        nonlocal in_networks
        started = time.perf_counter()
        result = run(*given)
        in_networks += time.perf_counter() - started
        return result

    task = SceneTask(
        scene=scene,
        folder=folder / "found",
        model=MODEL,
        land=None,
        scenes=ScenesParams(),
        detect=DetectParams(threads=usable_cores()),
        fast=fast,
        rasters=False,
        settings={"model_fingerprint": fingerprint(MODEL)},
        watched=False,
    )
    predict_scene(replace(task, scene=write_scene(folder / "first.tif", (TILE, TILE)), folder=folder / "first"))
    started = time.perf_counter()
    with patch.object(ScenePredictor, "_run", timed):
        record = predict_scene(task)
    seconds = time.perf_counter() - started
    return {
        "mpx_per_second": record["height"] * record["width"] / MEGA / seconds,
        "share_of_networks": in_networks / seconds,
        "peak_mib": peak_memory(),
        "slicks": record["slicks"],
    }


def plainly(scene: Path) -> dict[str, float]:
    """Predict a scene as one writes it first: window by window, the most probable class, polygons of the whole."""
    torch.set_num_threads(usable_cores())
    started = time.perf_counter()
    model = load_model(MODEL)
    network, make_input = model.networks[0].eval(), InputMaker(model.meta.networks.input)
    with rasterio.open(scene) as file, torch.inference_mode():
        classes = np.zeros(file.shape, np.uint8)
        for top in range(0, file.height, TILE):
            for left in range(0, file.width, TILE):
                window = rasterio.windows.Window(left, top, TILE, TILE)
                pixels = file.read(1, window=window, boundless=True, fill_value=0).astype(np.float32)
                image = torch.from_numpy(pixels)[None, None]
                probs = network(make_input(image, image[:, 0] > 0)).softmax(1)[0]
                part = classes[top : top + TILE, left : left + TILE]
                part[:] = probs.argmax(0).numpy()[: part.shape[0], : part.shape[1]]
        shapes = list(rasterio.features.shapes(classes, mask=classes > 0, transform=file.transform))
        pixels_in_all = file.height * file.width
    seconds = time.perf_counter() - started
    return {"mpx_per_second": pixels_in_all / MEGA / seconds, "peak_mib": peak_memory(), "slicks": len(shapes)}


if __name__ == "__main__":
    run_stage(main)
