"""How fast a GPU trains and predicts, and what share of it is used: rows of `make bench`, skipped without a GPU.

    python -m benchmarks.gpu --packed data/packed

measures these alone, of tiles that the stage ingest has packed, and writes benchmarks/gpu.json.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import worker
from benchmarks.repository import LOCAL, ROOT
from benchmarks.spread import spread
from seepseg.base.command import run_stage
from seepseg.base.device import make_deterministic
from seepseg.base.distributed import ProcessGroup
from seepseg.base.errors import InputError
from seepseg.base.files import write_json
from seepseg.base.params import load_params
from seepseg.data.channels import InputMaker, InputParams
from seepseg.data.loading import TileLoader
from seepseg.data.packed import open_packed
from seepseg.losses import LossParams, build_loss
from seepseg.models.unet import UNetParams
from seepseg.training.augmentation import AugmentParams
from seepseg.training.captured_step import make_step
from seepseg.training.recipe import TrainParams, build_optimization, build_sampler
from seepseg.training.sampling import SamplingParams
from seepseg.training.step import BatchMaker, EagerStep, StepInputs, draw_inputs

PARAMS = ROOT / "params.yaml"
DEVICE = torch.device("cuda")
BLOCKS, STEPS_A_BLOCK = 8, 15
PROFILED_STEPS = 10
REPEATS = 3  # of a scene


@dataclass(frozen=True)
class Case:
    """A way to train.

    Attributes:
        batch_size: crops a step.
        captured: whether steps are CUDA graphs.
        stem: of the network.
        depth: of the network.
    """

    batch_size: int
    captured: bool
    stem: Literal[1, 2, 4] = 2
    depth: int = 5


CASES = {
    "default, kernel by kernel": Case(16, captured=False),
    "default": Case(16, captured=True),
    "default, `train.batch_size=64`": Case(64, captured=True),
    "`finer`": Case(16, captured=True, stem=1, depth=6),
    "`finer`, `train.batch_size=64`": Case(64, captured=True, stem=1, depth=6),
}


def main() -> None:
    """Measure on packed tiles, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", type=Path, default=ROOT / "data/packed", help="what the stage ingest wrote")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/gpu.json", help="the file to write")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise InputError("expected a GPU with CUDA, found none")
    LOCAL.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=LOCAL) as folder:
        root = Path(folder)
        (root / "data").mkdir()
        (root / "data/packed").symlink_to(arguments.packed.resolve())
        write_json(arguments.out, measure(root, PARAMS))


def measure(root: Path, params_file: Path) -> dict[str, Any]:
    """Measure training steps and the detection of a scene.

    Args:
        root: where the stage ingest has run.
        params_file: a params.yaml.
    """
    ceiling = worker.matrix_product_speed("bfloat16", "cuda", 2, 10)
    steps = {}
    for name, case in CASES.items():
        steps[name] = measure_steps(root, params_file, case, ceiling)
        print(f"{name}: {steps[name]['crops_per_second']['median']:.0f} crops/s", file=sys.stderr, flush=True)
    return {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "ceiling_gflops": ceiling,
        "steps": steps,
        "detection": worker.detection_speed(params_file, root, REPEATS),
    }


def measure_steps(root: Path, params_file: Path, case: Case, ceiling: float) -> dict[str, Any]:
    """Measure training steps of one way.

    Args:
        root: where the stage ingest has run.
        params_file: a params.yaml.
        case: what to change of it.
        ceiling: GFLOP/s of a matrix product in bfloat16.

    Returns:
        Milliseconds of a step, `step_ms`, and of the kernels in it, `kernels_ms`; their number `kernels`;
        `busy`, the share of a step in which a kernel runs; crops per second; and the share of the ceiling.
    """
    step, inputs, gflop = _prepare(root, params_file, case)
    for given in itertools.islice(inputs, STEPS_A_BLOCK):
        step(given)
    torch.cuda.synchronize()
    laps = []
    for _ in range(BLOCKS):
        started = time.perf_counter()
        for given in itertools.islice(inputs, STEPS_A_BLOCK):
            step(given)
        torch.cuda.synchronize()
        laps.append(1000 * (time.perf_counter() - started) / STEPS_A_BLOCK)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for given in itertools.islice(inputs, PROFILED_STEPS):
            step(given)
        torch.cuda.synchronize()
    events = profiler.key_averages()
    kernels_ms = sum(event.self_device_time_total for event in events) / 1000 / PROFILED_STEPS
    step_ms = spread(laps)
    crops = spread([1000 * case.batch_size / lap for lap in laps])
    return {
        "step_ms": step_ms,
        "kernels_ms": kernels_ms,
        "kernels": round(sum(event.count for event in events) / PROFILED_STEPS),
        "busy": kernels_ms / step_ms["median"],
        "crops_per_second": crops,
        "share_of_ceiling": crops["median"] * gflop / ceiling,
    }


def _prepare(root: Path, params_file: Path, case: Case) -> tuple[Any, Iterator[StepInputs], float]:
    """What takes a step, its inputs without end, and the GFLOP of a crop."""
    params = replace(load_params(TrainParams, "train", params_file), batch_size=case.batch_size, devices=1)
    make_deterministic(params.seed, params.threads, DEVICE)
    packed, group = open_packed(root / "data/packed"), ProcessGroup(0, 1, DEVICE)
    tiles = np.arange(len(packed.manifest), dtype=np.int64)
    sampling = load_params(SamplingParams, "sampling", params_file)
    input_params = load_params(InputParams, "input", params_file)
    unet = UNetParams(stem=case.stem, depth=case.depth)
    network = unet.build(len(input_params.channels), len(packed.class_names) + 1)
    side = sampling.crop or packed.images.shape[1]
    gflop = worker.count_flops(network, side)[1] / 1e9
    network = network.to(DEVICE, memory_format=torch.channels_last)  # type: ignore[call-overload]
    sampler = build_sampler(sampling, packed, tiles, params.batch_size)
    optimization = build_optimization(params, network, sampler.num_batches, group)
    make_batch = BatchMaker(InputMaker(input_params), sampling.crop, load_params(AugmentParams, "augment", params_file))
    loss_params = load_params(LossParams, "loss", params_file)
    loss = build_loss(loss_params.name, loss_params, "softmax", {})
    eager = EagerStep(optimization, make_batch)
    step = make_step(optimization, make_batch, case.batch_size, group) if case.captured else eager
    loader, generator = TileLoader(packed, tiles, DEVICE), torch.Generator().manual_seed(params.seed)
    inputs = (
        given
        for _ in itertools.count()
        for given in draw_inputs(loader, sampler.epoch(generator), generator, group)
        if len(given.classes) == case.batch_size
    )
    return (lambda given: step(given, loss)), inputs, gflop


if __name__ == "__main__":
    run_stage(main)
