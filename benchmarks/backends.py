"""Measure what can run the default network on a CPU: the backends, and what they were chosen over.

`python -m benchmarks.backends` prints a table. OpenVINO and ONNX Runtime are measured where they are installed:
`pip install openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 onnxscript==0.7.2`.
"""

import argparse
import copy
import importlib
import io
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any, get_args

import torch
from seepseg.base.command import run_stage
from torch import Tensor, nn

from seepseg.base.device import make_deterministic
from seepseg.base.errors import InputError
from seepseg.base.params import load_params
from seepseg.detection.runtime import Backend, CompiledNetwork, fold_batch_norm, prepare
from seepseg.models import ModelParams, build_model
from seepseg.models.heads import class_probs

CPU = torch.device("cpu")
KEY = "outline.backend"
NUM_CLASSES = 8
TILE_SIZE = 256
TRAINED = "torch, as trained"

Predictor = Callable[[Tensor], Tensor]


def measure(batch: int, threads: int, repeats: int, **changes: Any) -> dict[str, dict[str, float] | str]:
    """Measure every backend on the same tiles in turn, so that a slow second of the machine hits all alike.

    Sets torch's threads and determinism, as the stage outline does. The weights are random, with the statistics of
    batch norm from a few batches: speed doesn't depend on them.

    Args:
        batch: tiles of 256 x 256 pixels at a time.
        threads: CPU threads.
        repeats: rounds in which each backend predicts one batch.
        changes: to the section model of params.yaml.

    Returns:
        For each backend tiles per second (median, lowest, highest), the ratio of medians to the backend eager, the
        seconds until the first batch is there (fewer where torch has cached the compiled program), and the largest
        differences of logits and of probabilities to the network as trained; or why it was not measured.
    """
    make_deterministic(1, threads, CPU)
    params = load_params(ModelParams, "model")
    model = build_model(replace(params, **changes), 1, NUM_CLASSES)
    head = params.head
    images = torch.randn(batch, 1, TILE_SIZE, TILE_SIZE)
    with torch.no_grad():
        for _ in range(3):
            model(images)
        expected = model.eval()(images)

    results: dict[str, dict[str, float] | str] = {}
    predictors: dict[str, Predictor] = {}
    with torch.inference_mode():
        for name, make in candidates(model, images, threads).items():
            start = time.perf_counter()
            try:
                predictor = make()
                logits = predictor(images)
            except (ModuleNotFoundError, InputError) as error:
                results[name] = f"not measured: {error}"
                continue
            if runs_as_eager(predictor):
                results[name] = "not measured: compiling failed"
                continue
            predictors[name] = predictor
            results[name] = {
                "seconds_to_first_batch": time.perf_counter() - start,
                "logit_difference": float((logits - expected).abs().max()),
                "probability_difference": float((class_probs(logits, head) - class_probs(expected, head)).abs().max()),
            }
        seconds: dict[str, list[float]] = {name: [] for name in predictors}
        for _ in range(repeats):
            for name, predictor in predictors.items():
                start = time.perf_counter()
                predictor(images)
                seconds[name].append(time.perf_counter() - start)
    for name, taken in seconds.items():
        results[name] = {
            "tiles_per_second": batch / median(taken),
            "lowest": batch / max(taken),
            "highest": batch / min(taken),
            "times_eager": median(seconds["eager"]) / median(taken),
            **dict(results[name]),  # type: ignore[arg-type]
        }
    return results


def candidates(model: nn.Module, images: Tensor, threads: int) -> dict[str, Callable[[], Predictor]]:
    """What makes each backend from a network in evaluation mode; it raises where the backend isn't installed."""

    def channels_last(network: nn.Module) -> nn.Module:
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def bfloat16(backend: Backend) -> nn.Module:
        return Bfloat16(prepare(model, backend, CPU, KEY))

    return {
        TRAINED: lambda: model,
        "torch, channels_last": lambda: channels_last(copy.deepcopy(model)),
        "torch, folded": lambda: fold_batch_norm(model),
        "eager": lambda: prepare(model, "eager", CPU, KEY),
        "compile": lambda: prepare(model, "compile", CPU, KEY),
        "openvino": lambda: prepare(model, "openvino", CPU, KEY),
        **{f"{name}, bfloat16": partial(bfloat16, name) for name in get_args(Backend)},
        "onnxruntime": lambda: onnx_predictor(fold_batch_norm(model), images, threads),
    }


class Bfloat16(nn.Module):
    """A network under torch's autocast to bfloat16, with logits in float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 1, H, W) to logits (N, C, H, W)."""
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = self.network(images)
        return logits.float()


def runs_as_eager(predictor: Predictor) -> bool:
    """Whether compiling has failed."""
    parts = predictor.modules() if isinstance(predictor, nn.Module) else ()
    return any(isinstance(part, CompiledNetwork) and part.falls_back for part in parts)


def onnx_predictor(model: nn.Module, images: Tensor, threads: int) -> Predictor:
    """Run a network by ONNX Runtime, for batches of the shape of `images`.

    Raises:
        ModuleNotFoundError: onnxruntime, onnx or onnxscript isn't installed.
    """
    runtime = importlib.import_module("onnxruntime")
    # The exporter talks about its progress and about packages that it would know, too.
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(model, (images.clone(),), dynamo=True, verbose=False)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backends", description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 1], help="tiles at a time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    for batch in arguments.batch:
        print(f"\nbatch {batch}, {arguments.threads} threads, {arguments.repeats} repeats\n")
        print("| backend | tiles/s | lowest to highest | times eager | first batch, s | logits | probabilities |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for name, found in measure(batch, arguments.threads, arguments.repeats).items():
            if isinstance(found, str):
                print(f"| {name} | {found} | | | | | |")
                continue
            print(
                f"| {name} | {found['tiles_per_second']:.1f} | {found['lowest']:.1f} to {found['highest']:.1f} "
                f"| {found['times_eager']:.2f} | {found['seconds_to_first_batch']:.1f} "
                f"| {found['logit_difference']:.1e} | {found['probability_difference']:.1e} |"
            )


if __name__ == "__main__":
    run_stage(main)
