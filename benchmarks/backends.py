"""Measure what can run a network on a CPU: the backends, and what `eager` adds to the network as it was trained."""

import copy
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import get_args

import torch
from torch import Tensor, nn

from seepseg.base.device import make_deterministic
from seepseg.detection.proposal import Backend
from seepseg.detection.runtime import CompiledNetwork, fold_batch_norm, prepare
from seepseg.models import ModelParams, build_model
from seepseg.models.heads import class_probs

CPU = torch.device("cpu")
NUM_CLASSES = 8
TILE_SIZE = 256
TRAINED = "torch, as trained"

Predictor = Callable[[Tensor], Tensor]


def measure(
    params: ModelParams, batch: int, threads: int, repeats: int, compiled: bool = True
) -> dict[str, dict[str, float] | str]:
    """Measure every backend on the same tiles in turn, so that a slow second of the machine hits all alike.

    Sets torch's threads and determinism, as the stage detect does. The weights are random, with the statistics of
    batch norm from a few batches: speed doesn't depend on them.

    Args:
        params: of the network, which has one input channel here.
        batch: tiles of 256 x 256 pixels at a time.
        threads: CPU threads.
        repeats: rounds in which each backend predicts one batch.
        compiled: whether to measure what torch compiles, too, which takes ten seconds each.

    Returns:
        For each backend tiles per second (median, lowest, highest), the ratio of medians to the backend eager, the
        seconds until the first batch is there (fewer where torch has cached the compiled program), and the largest
        differences of logits and of probabilities to the network as trained; or why it was not measured.
    """
    make_deterministic(1, threads, CPU)
    model, head = build_model(params, 1, NUM_CLASSES), params.head
    images = torch.randn(batch, 1, TILE_SIZE, TILE_SIZE)
    with torch.no_grad():
        for _ in range(3):
            model(images)
        expected = model.eval()(images)

    results: dict[str, dict[str, float] | str] = {}
    predictors: dict[str, Predictor] = {}
    with torch.inference_mode():
        for name, make in candidates(model).items():
            if "compile" in name and not compiled:
                continue
            start = time.perf_counter()
            predictor = make()
            logits = predictor(images)
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


def candidates(model: nn.Module) -> dict[str, Callable[[], Predictor]]:
    """What makes each predictor from a network in evaluation mode."""

    def channels_last(network: nn.Module) -> nn.Module:
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def bfloat16(backend: Backend) -> nn.Module:
        return Bfloat16(prepare(model, backend, CPU))

    return {
        TRAINED: lambda: model,
        "torch, channels_last": lambda: channels_last(copy.deepcopy(model)),
        "torch, folded": lambda: fold_batch_norm(model),
        **{name: partial(prepare, model, name, CPU) for name in get_args(Backend)},
        **{f"{name}, bfloat16": partial(bfloat16, name) for name in get_args(Backend)},
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
