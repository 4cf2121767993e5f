"""The training of one network as far as it has come, and all that is needed to go on with it."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seepseg.training.sampling import Sampler, Samples
from seepseg.training.step import Optimization


class PartialEpoch(NamedTuple):
    """An epoch that was stopped before its end.

    Attributes:
        lr: at its beginning.
        drawn_from: state of the generator before its samples were drawn.
        batches: number of batches that were trained on.
        counts: float64 (processes, n), what the monitor of each process has counted so far.
    """

    lr: float
    drawn_from: Tensor
    batches: int
    counts: Tensor


@dataclass
class NetworkRun:
    """The training of one network, as far as it has come.

    Attributes:
        optimization: of the network.
        generator: of samples and augmentation.
        epoch: how many epochs are done.
        best: the row of the best of them.
        kept: the weights to keep, if they are known already; on the CPU.
        is_done: whether no epoch follows.
        stopped: the epoch under way, where one was stopped.
    """

    optimization: Optimization
    generator: torch.Generator
    epoch: int = 0
    best: dict[str, Any] | None = None
    kept: dict[str, Tensor] = field(default_factory=dict)
    is_done: bool = False
    stopped: PartialEpoch | None = None

    @property
    def state(self) -> dict[str, Any]:
        """All that is needed to go on with the same bits, as nested dicts and lists of tensors, numbers and texts."""
        return {
            "optimization": self.optimization.state,
            "generator": self.generator.get_state(),
            "global_generator": torch.get_rng_state(),
            "epoch": self.epoch,
            "best": self.best,
            "kept": self.kept,
            "is_done": self.is_done,
            "stopped": None if self.stopped is None else self.stopped._asdict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be as it was when this was the state."""
        self.optimization.restore(state["optimization"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["global_generator"])
        self.epoch, self.best, self.kept = state["epoch"], state["best"], state["kept"]
        self.is_done = state["is_done"]
        self.stopped = None if state["stopped"] is None else PartialEpoch(**state["stopped"])

    @property
    def progress(self) -> str:
        """How far it has come, for messages."""
        stopped = self.stopped
        return f"epoch {self.epoch}" if stopped is None else f"batch {stopped.batches} of epoch {self.epoch + 1}"

    def draw(self, sampler: Sampler) -> list[Samples]:
        """The batches of the next epoch, or those that are left of the one that was stopped."""
        if self.stopped is None:
            return sampler.epoch(self.generator)
        now = self.generator.get_state()
        self.generator.set_state(self.stopped.drawn_from)
        batches = sampler.epoch(self.generator)[self.stopped.batches :]
        self.generator.set_state(now)
        return batches
