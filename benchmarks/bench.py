"""Measure seepseg on this machine, beside the loop that it grew from, in one run: `make bench`.

Writes benchmarks/results.json, benchmarks/RESULTS.md and benchmarks/results.png; with a GPU also benchmarks/gpu.json.
With --quick, which only shows that everything works, or --data, which measures on other tiles, they go to
benchmarks/local/, which git ignores.
"""

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml

from benchmarks import backends, data_path, gpu, report, worker
from benchmarks.ours import SAME_ARCHITECTURE
from benchmarks.reference import BATCH_SIZE, NUM_CLASSES
from benchmarks.repository import LOCAL, ROOT, Changes, merge
from benchmarks.spread import spread
from benchmarks.worker import Measured, Spec, Task
from seepseg.base.command import run_stage
from seepseg.base.device import amp_dtype, choose_device
from seepseg.base.errors import InputError
from seepseg.base.files import write_json
from seepseg.base.params import load_params
from seepseg.data.packed import open_packed
from seepseg.models import ModelParams

COMMITTED = ROOT / "benchmarks"
TASKS: tuple[Task, ...] = ("predict", "train")  # in this order, training needs more memory, and the peak only rises
T = TypeVar("T")


@dataclass(frozen=True)
class Effort:
    """How long and how often to measure.

    Attributes:
        rounds: each measures every subject once, so that a slow minute of the machine hits all alike.
        seconds: of each task in a round, one batch at least.
        original_batch: tiles in a batch of the reference and of the same network in our loop.
        params: changes to params.yaml.
        product_repeats: matrix products of each round.
        backend_repeats: of each inference backend.
        detection_repeats: of the detection of a scene.
        growth: numbers of tiles, ascending.
        compiled: whether to measure what torch compiles, too.
        apart: whether each subject has a process to itself, without which its memory isn't its own.
    """

    rounds: int
    seconds: float
    original_batch: int
    params: Changes
    product_repeats: int
    backend_repeats: int
    detection_repeats: int
    growth: list[int]
    compiled: bool
    apart: bool


FULL = Effort(
    rounds=3,
    seconds=10.0,
    original_batch=BATCH_SIZE,
    params={},
    product_repeats=10,
    backend_repeats=10,
    detection_repeats=5,
    growth=[1000, 10_000],
    compiled=True,
    apart=True,
)
QUICK = Effort(
    rounds=1,
    seconds=0.1,
    original_batch=2,
    params={
        "sample": {"n_scenes": 5, "height": 128, "width": 128},
        "scenes": {"tile_size": 64},
        "train": {"batch_size": 2},
        "detect": {"batch_size": 2},
    },
    product_repeats=1,
    backend_repeats=1,
    detection_repeats=1,
    growth=[8],
    compiled=False,
    apart=False,
)


def main() -> None:
    """Measure, and write the results."""
    arguments = _parse(sys.argv[1:])
    effort = QUICK if arguments.quick else FULL
    out = arguments.out or (LOCAL if arguments.quick or arguments.data else COMMITTED)
    LOCAL.mkdir(exist_ok=True)  # beside the code, as temporary folders may lie in memory, which files then take away
    with tempfile.TemporaryDirectory(dir=LOCAL) as folder:
        workspace = Path(folder)
        params = prepare(workspace, effort, arguments.data, arguments.threads)
        results = measure_all(workspace, params, effort)
    results["run"] = {
        "quick": arguments.quick,
        "data": "own tiles" if arguments.data else "synthetic sample",
        "rounds": effort.rounds,
        **results["run"],
    }
    if (on_gpu := results.pop("on_gpu")) is not None:
        write_json(out / "gpu.json", on_gpu)
    write_json(out / "results.json", results)
    report.write(out)
    _say(f"results are in {out}" + ("; quick, so no measurement" if arguments.quick else ""))


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smoke run in about a minute, on small tiles")
    parser.add_argument("--data", type=Path, help="folder of tiles as data.root, instead of the synthetic sample")
    parser.add_argument("--out", type=Path, help="folder for the results (default: benchmarks or benchmarks/local)")
    parser.add_argument("--threads", type=int, default=worker.usable_cores(), help="default: all cores")
    parsed = parser.parse_args(arguments)
    if parsed.threads < 1:
        raise InputError(f"--threads: expected 1 or more, found {parsed.threads}")
    if parsed.data is not None and not parsed.data.is_dir():
        raise InputError(f"--data: expected a folder of tiles, found none at {parsed.data}")
    return parsed


def prepare(workspace: Path, effort: Effort, data: Path | None, threads: int) -> Changes:
    """Run the pipeline's stages up to training in a folder of their own.

    Returns:
        The parameters of the default model, as they are in params.yaml but for threads and data, and for whole tiles
        instead of crops, so that a tile of every subject is the same amount of work.

    Raises:
        InputError: the tiles can't be used, or have other classes than the reference.
    """
    params: Changes = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    merge(params, effort.params)
    params["train"] |= {"threads": threads, "devices": 1}
    params["sampling"]["crop"] = 0
    params["detect"]["threads"] = threads
    params["data"]["corrections"] = ""
    if data is not None:
        params["data"]["root"] = str(data.resolve())
    if len(params["data"]["class_names"]) != NUM_CLASSES:
        found = len(params["data"]["class_names"])
        raise InputError(f"params.yaml: data.class_names: the reference has {NUM_CLASSES} classes, found {found}")
    _write_params(workspace / "params.yaml", params)
    for stage in ("sample", "tile", "ingest", "split", "class_balance")[2 * (data is not None) :]:
        _say(f"stage {stage}")
        importlib.import_module(f"stages.{stage}").main(workspace)
    return params


def subjects(workspace: Path, params: Changes, effort: Effort) -> dict[str, Spec]:
    """Name what is measured: the reference, the same network in our loop, and the default model.

    Where these two run in reduced precision, each comes in float32, too.
    """
    train, data = params["train"], params["data"]
    root = workspace / data["root"]  # an absolute one stays as it is
    images, targets = data_path.folders_of(root, data["images"], data["targets"])
    variants = {
        "same_architecture": merged(params, SAME_ARCHITECTURE),
        "default": params,
    }
    variants["same_architecture"]["train"]["batch_size"] = effort.original_batch
    if amp_dtype(device_of(params), train["amp"]) is not None:
        in_full = {"train": {"amp": False}}
        variants |= {f"{name}_float32": merged(changed, in_full) for name, changed in variants.items()}
    specs = {
        "reference": Spec(
            root=workspace,
            params_file=None,
            images=images,
            targets=targets,
            batch_size=effort.original_batch,
            threads=train["threads"],
            device=train["device"],
        )
    }
    for name, changed in variants.items():
        file = workspace / f"{name}.yaml"
        _write_params(file, changed)
        specs[name] = replace(specs["reference"], params_file=file)
    return specs


def device_of(params: Changes) -> torch.device:
    """Where training runs."""
    return choose_device(params["train"]["device"], "train.device")


def merged(params: Changes, changes: Changes) -> Changes:
    """Change values of nested parameters, in a copy."""
    result = deepcopy(params)
    merge(result, deepcopy(changes))
    return result


def measure_all(workspace: Path, params: Changes, effort: Effort) -> dict[str, Any]:
    """Measure everything there is to measure."""
    specs = subjects(workspace, params, effort)
    threads, device = params["train"]["threads"], params["train"]["device"]
    tile_size = open_packed(workspace / "data/packed").images.shape[1]
    with ExitStack() as stack:

        def process() -> "Process":
            return stack.enter_context(Process(effort.apart))

        processes = {name: process() for name in specs}
        other = process()
        described = {name: processes[name].run(worker.describe, spec, tile_size) for name, spec in specs.items()}
        dtypes = sorted({what["dtype"] for what in described.values()}, reverse=True)  # float32 first
        ceilings: dict[str, list[float]] = {dtype: [] for dtype in dtypes}

        def measure_ceilings() -> None:
            for dtype, found in ceilings.items():
                arguments = (dtype, device, threads, effort.product_repeats)
                found.append(other.run(worker.matrix_product_speed, *arguments))

        rounds: list[dict[str, dict[Task, Measured]]] = []
        for number in range(1, effort.rounds + 1):
            measure_ceilings()
            rounds.append({})
            for name, spec in specs.items():
                done = {task: processes[name].run(worker.measure, spec, task, effort.seconds) for task in TASKS}
                rounds[-1][name] = done
                speeds = " and ".join(f"{done[task].tiles_per_second:.3g} tiles/s ({task})" for task in TASKS)
                _say(f"round {number} of {effort.rounds}: {name}: {speeds}")
        measure_ceilings()
        ceiling = {dtype: spread(found) for dtype, found in ceilings.items()}
        _say("parts of a training step")
        parts = {
            name: processes[name].run(worker.measure_parts, specs[name], effort.seconds)
            for name in specs
            if name != "reference"
        }
        for name in specs:
            processes[name].close()
        default = workspace / "default.yaml"
        _say("detection")
        detection = other.run(worker.detection_speed, default, workspace, effort.detection_repeats)
        _say("inference backends")
        arguments = load_params(ModelParams, "model", default), params["detect"]["batch_size"], threads
        inference = other.run(backends.measure, *arguments, effort.backend_repeats, effort.compiled)
        on_gpu = None
        if device_of(params).type == "cuda":
            _say("training steps and a scene on the GPU")
            on_gpu = other.run(gpu.measure, workspace, gpu.PARAMS)
        _say("ingest and growth")
        ingest = other.run(data_path.ingest_speed, workspace)
        growth = other.run(data_path.growth, effort.growth, workspace)
        machine = other.run(worker.machine, threads)
    return {
        "machine": machine,
        "run": {"tile_size": int(tile_size), "seconds": effort.seconds},
        "ceiling_gflops": ceiling,
        "subjects": {name: summary(name, described[name], rounds, ceiling) for name in specs},
        "step_ms_per_tile": parts,
        "detection": detection,
        "on_gpu": on_gpu,
        "backends": inference,
        "ingest": ingest,
        "growth": growth,
    }


def summary(
    name: str,
    described: dict[str, Any],
    rounds: list[dict[str, dict[Task, Measured]]],
    ceiling: dict[str, dict[str, float]],
) -> dict[str, Any]:
    """Put together what was found of a subject.

    Args:
        name: the subject.
        described: see `worker.describe`.
        rounds: what was measured of each subject and task.
        ceiling: matrix products of each type, GFLOP/s.

    Returns:
        `described`, and for each task the tiles per second, their ratio to those of the reference in the same round,
        the share of each ceiling and the peak of memory.
    """
    result = dict(described)
    for task in TASKS:
        mine = [measured[name][task] for measured in rounds]
        speed = spread([measured.tiles_per_second for measured in mine])
        gflops = speed["median"] * described["gflop_per_tile"][task]
        # Of the first round for prediction: it came before any training, whose peak is higher.
        memory = mine[0] if task == "predict" else mine[-1]
        batches = [
            tiles / lap for measured in mine for tiles, lap in zip(measured.tiles, measured.seconds, strict=True)
        ]
        result[task] = {
            "tiles_per_second": speed,
            "tiles_per_second_of_batches": spread(batches),
            "batches": len(batches),
            "times_reference": spread(
                [
                    measured[name][task].tiles_per_second / measured["reference"][task].tiles_per_second
                    for measured in rounds
                ]
            ),
            "share_of_ceiling": {dtype: gflops / found["median"] for dtype, found in ceiling.items()},
            "peak_mib": memory.peak_mib,
            "anonymous_mib": memory.anonymous_mib,
            "device_mib": memory.device_mib,
        }
    return result


class Process:
    """Another process, in which functions run one after the other; or this one, if it isn't to be apart."""

    def __init__(self, apart: bool) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn")) if apart else None

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function there and wait for what it returns."""
        return self._pool.submit(function, *arguments).result() if self._pool else function(*arguments)

    def close(self) -> None:
        """End it, and free its memory."""
        if self._pool:
            self._pool.shutdown()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _write_params(path: Path, params: Changes) -> None:
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    run_stage(main)
