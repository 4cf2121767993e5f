"""What one process of the benchmark measures: a subject's speed, memory and parts, or the machine's ceiling.

Each subject has a process to itself, so that its peak of memory is its own; the processes wait while one works.
`describe`, `measure` and `measure_parts` are called there again and again; the subject is built the first time.
"""

import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, Literal, Protocol
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import reference
from benchmarks.ours import PARTS, OurLoop
from benchmarks.spread import spread
from seepseg.base.device import DeviceName, choose_device, make_deterministic
from seepseg.base.params import load_params
from seepseg.data.channels import InputParams
from seepseg.data.packed import open_packed
from seepseg.data.scenes import TiledScene, find_scenes
from seepseg.detection.detector import Detector
from seepseg.detection.proposal import DetectParams
from seepseg.detection.tta import ScenePredictor
from seepseg.models import ModelParams
from seepseg.models.network_file import NetworksMeta
from seepseg.models.trained_networks import build_networks
from seepseg.training.recipe import TrainParams
from stages.train import PACKED

WARM_UP_TILES = 2
SAMPLE_EVERY = 0.05  # seconds between looks at the memory in use
MIB = 2**20

Task = Literal["train", "predict"]


class Subject(Protocol):
    """A loop to measure; both of its methods go on without end and yield the tiles of each batch when it is done."""

    batch_size: int
    device: torch.device
    dtype: torch.dtype | None
    model: nn.Module

    def train(self, batch_size: int) -> Iterator[int]:
        """Train."""

    def predict(self, batch_size: int) -> Iterator[int]:
        """Predict."""


@dataclass(frozen=True)
class Spec:
    """Which subject a process measures.

    Attributes:
        root: where the stages before train have run, for our loop.
        params_file: of our loop; `None` for the reference.
        images: folder of image files, for the reference.
        targets: folder of target files, for the reference.
        batch_size: of the reference; ours is in its params.
        threads: likewise.
        device: likewise.
    """

    root: Path
    params_file: Path | None
    images: Path
    targets: Path
    batch_size: int
    threads: int
    device: DeviceName


class ReferenceLoop:
    """The reference, on tiles in files."""

    def __init__(self, spec: Spec) -> None:
        torch.set_num_threads(spec.threads)
        torch.manual_seed(1)
        self.batch_size = spec.batch_size
        self.device = choose_device(spec.device, "train.device")
        self.dtype: torch.dtype | None = None
        self.model: nn.Module = reference.PlainUNet().to(self.device)
        self._optimizer = reference.build_optimizer(self.model)
        self._train_tiles = reference.TileFiles(spec.images, spec.targets, augment=True)
        self._tiles = reference.TileFiles(spec.images, spec.targets, augment=False)

    def train(self, batch_size: int) -> Iterator[int]:
        """Train."""
        while True:
            loader = DataLoader(self._train_tiles, batch_size, shuffle=True, num_workers=0)
            yield from reference.train(self.model, self._optimizer, loader, self.device)

    def predict(self, batch_size: int) -> Iterator[int]:
        """Predict."""
        while True:
            loader = DataLoader(self._tiles, batch_size, num_workers=0)
            yield from map(len, reference.predict(self.model, loader, self.device))


@dataclass
class Measured:
    """What a task took.

    Attributes:
        tiles: of each lap: a batch, or the training steps that a GPU is asked about at once.
        seconds: of each lap.
        peak_mib: most memory that the process has had so far, mapped files in the page cache included.
        anonymous_mib: the most without those, as far as regular looks have seen it; `None` where the system can't tell.
        device_mib: the most on the GPU; `None` without one.
    """

    tiles: list[int]
    seconds: list[float]
    peak_mib: float
    anonymous_mib: float | None
    device_mib: float | None

    @property
    def tiles_per_second(self) -> float:
        """Over all batches together."""
        return sum(self.tiles) / sum(self.seconds)


def describe(spec: Spec, size: int) -> dict[str, Any]:
    """Tell what the subject is; its FLOPs are those of one tile of `size` x `size` pixels."""
    subject = _bench(spec).subject
    forward, both = count_flops(subject.model, size)
    return {
        "weights": sum(weight.numel() for weight in subject.model.parameters()),
        "batch_size": subject.batch_size,
        "dtype": str(subject.dtype or torch.float32).removeprefix("torch."),
        "device": subject.device.type,
        "gflop_per_tile": {"predict": forward / 1e9, "train": both / 1e9},
    }


def measure(spec: Spec, task: Task, seconds: float) -> Measured:
    """Work on a task for so long, and for one batch at least; warm up first if the task is new."""
    bench = _bench(spec)
    subject = bench.subject
    if task not in bench.warm:
        bench.warm.add(task)
        _warm_up(subject, task, seconds)
    laps = _time(subject, task, subject.batch_size, seconds)
    return Measured(
        tiles=[tiles for tiles, _ in laps],
        seconds=[lap for _, lap in laps],
        peak_mib=peak_memory(),
        anonymous_mib=bench.memory.peak,
        device_mib=torch.cuda.max_memory_allocated(subject.device) / MIB if subject.device.type == "cuda" else None,
    )


def measure_parts(spec: Spec, seconds: float) -> dict[str, float]:
    """Split training steps into `PARTS`: milliseconds a tile, means over all steps of at least so long."""
    subject = _bench(spec).subject
    assert isinstance(subject, OurLoop), "only our loop comes in parts"
    sums, tiles, started = dict.fromkeys(PARTS, 0.0), 0, time.perf_counter()
    for count, parts in subject.train_in_parts(subject.batch_size):
        tiles += count
        sums = {part: sums[part] + parts[part] for part in PARTS}
        if time.perf_counter() - started >= seconds:
            break
    return {part: 1000 * total / tiles for part, total in sums.items()}


def detection_speed(params_file: Path, root: Path, repeats: int) -> dict[str, Any]:
    """Measure how fast a model of fresh weights proposes candidates in a scene, all networks and passes included.

    Args:
        params_file: a params.yaml.
        root: where the stage ingest has run; the scene is its first.
        repeats: how often to measure, after a first time that isn't.

    Returns:
        Number of `tiles` in the scene, of `networks` and of passes (`tta`); the spread of `tiles_per_second`, and of
        that of one network with one pass, `tiles_per_second_single`; and `ms_per_tile` of each part.
    """
    params = load_params(DetectParams, "detect", params_file)
    device = choose_device(params.device, "detect.device")
    make_deterministic(0, params.threads, device)
    packed = open_packed(root / PACKED)
    meta = NetworksMeta(
        model=load_params(ModelParams, "model", params_file),
        networks=load_params(TrainParams, "train", params_file).networks,
        class_names=packed.class_names,
        input=load_params(InputParams, "input", params_file),
        data_fingerprint="",
        radiometry=packed.radiometry,
        tile_size=max(packed.images.shape[1:]),
    )
    networks = list(build_networks(meta).eval())
    detector = Detector.of_networks(networks, meta, params, device)
    single = Detector.of_networks(networks[:1], meta, replace(params, tta=1), device)
    scene, *_ = find_scenes(packed.manifest, np.arange(len(packed.manifest)), packed.images.shape[1:])
    pixels, shape, tiles = TiledScene(scene, packed.images[scene.indices]), scene.tile_shape, len(scene.indices)

    def speed(measured: Detector) -> dict[str, float]:
        speeds = []
        for _ in range(repeats + 1):
            started = time.perf_counter()
            measured.propose(pixels, shape)
            speeds.append(tiles / (time.perf_counter() - started))
        return spread(speeds[1:])

    return {
        "tiles": tiles,
        "networks": meta.networks,
        "tta": params.tta,
        "tiles_per_second": speed(detector),
        "tiles_per_second_single": speed(single),
        "ms_per_tile": {
            part: 1000 * seconds / tiles for part, seconds in _detection_parts(detector, pixels, shape, device).items()
        },
    }


def _detection_parts(
    detector: Detector, scene: TiledScene, tile_shape: tuple[int, int], device: torch.device
) -> dict[str, float]:
    """Split a detection: seconds of each part. Here the host waits for the device before and after each part.

    input: cutting windows, and what the networks are given of them. network: forward passes, mirrored to and fro.
    sums: the rest of the networks' way, that is sums, probabilities, norms, and the scene's way to the device and back.
    candidates: all that follows.
    """
    seconds = dict.fromkeys(("input", "network", "adapt", "predict", "propose"), 0.0)

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            started = now()
            result = call(*arguments)
            seconds[name] += now() - started
            return result

        return run

    methods = {"input": "_make_input", "network": "_run", "adapt": "adapt", "predict": "predict"}
    with ExitStack() as patches:
        for part, method in methods.items():
            patches.enter_context(patch.object(ScenePredictor, method, timed(part, getattr(ScenePredictor, method))))
        timed("propose", detector.propose)(scene, tile_shape)
    of_networks = seconds["adapt"] + seconds["predict"]
    return {
        "input": seconds["input"],
        "network": seconds["network"],
        "sums": of_networks - seconds["input"] - seconds["network"],
        "candidates": seconds["propose"] - of_networks,
    }


class Bench:
    """A subject in its process.

    Attributes:
        subject: the loop.
        memory: watched from before the loop was built.
        warm: tasks that have run before.
    """

    def __init__(self, spec: Spec) -> None:
        self.memory = AnonymousMemory()
        self.subject: Subject = OurLoop(spec.params_file, spec.root) if spec.params_file else ReferenceLoop(spec)
        self.warm: set[Task] = set()


@cache
def _bench(spec: Spec) -> Bench:
    return Bench(spec)


def _warm_up(subject: Subject, task: Task, seconds: float) -> None:
    """Work on a small batch, and then on as many full ones as a fifth of the time allows, if any."""
    (tiles, lap), *_ = _time(subject, task, WARM_UP_TILES, 0)
    if lap / tiles * subject.batch_size < seconds / 5:
        _time(subject, task, subject.batch_size, seconds / 5)


def _time(subject: Subject, task: Task, batch_size: int, seconds: float) -> list[tuple[int, float]]:
    """Tiles and seconds of each batch."""
    steps = subject.train(batch_size) if task == "train" else subject.predict(batch_size)
    laps: list[tuple[int, float]] = []
    started = last = time.perf_counter()
    for tiles in steps:
        if subject.device.type == "cuda":
            torch.cuda.synchronize(subject.device)
        now = time.perf_counter()
        laps.append((tiles, now - last))
        last = now
        if now - started >= seconds:
            break
    return laps


class AnonymousMemory:
    """Looks at the process's memory beyond mapped files, at intervals, and keeps the most it has seen."""

    def __init__(self) -> None:
        self.peak: float | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while (used := _status("RssAnon")) is not None:
            self.peak = max(used, self.peak or 0.0)
            time.sleep(SAMPLE_EVERY)


def peak_memory() -> float:
    """Most memory that this process has had, in MiB."""
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def _status(name: str) -> float | None:
    """A line of Linux's account of this process, in MiB."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":")), None)


def count_flops(model: nn.Module, size: int) -> tuple[int, int]:
    """Count the floating-point operations of one tile of `size` x `size` pixels, without computing it.

    Returns:
        Of the forward pass, and of forward and backward together, as torch's counter sees them: two for each product
        that is added up in a convolution or matrix product, none for anything else.
    """
    model = deepcopy(model).to("meta").train()
    image = torch.empty(1, 1, size, size, device="meta")
    with FlopCounterMode(display=False) as forward:
        logits = model(image)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    return forward.get_total_flops(), forward.get_total_flops() + backward.get_total_flops()


def matrix_product_speed(dtype_name: str, device_name: DeviceName, threads: int, repeats: int) -> float:
    """Floating-point operations per second of a square matrix product, in GFLOP/s, median of the repeats."""
    torch.set_num_threads(threads)
    device = choose_device(device_name, "train.device")
    dtype = getattr(torch, dtype_name)
    side = 8192 if device.type == "cuda" else 2048
    first, second = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        torch.mm(first, second)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / median(seconds[1:]) / 1e9


def machine(threads: int) -> dict[str, Any]:
    """Say what this machine is, without its name."""
    cuda = torch.cuda.is_available()
    return {
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_has_amx_bf16": bool(torch.cpu.get_capabilities().get("amx_bf16")),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "torch": torch.__version__,
        "threads": threads,
    }


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
