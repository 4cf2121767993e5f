"""Trains the networks of a model one after the other, and goes on where an earlier process had to stop."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from seepseg.base.distributed import ProcessGroup, gather
from seepseg.base.errors import InputError, StoppedError
from seepseg.data.channels import InputMaker
from seepseg.data.loading import TileLoader, in_order
from seepseg.data.packed import Indices, Packed
from seepseg.losses import Loss, loss_name_at
from seepseg.models import build_model
from seepseg.training.captured_step import make_step
from seepseg.training.checkpoints import Checkpoints
from seepseg.training.interrupts import StopRequest
from seepseg.training.monitoring import History, Monitor, is_better
from seepseg.training.network_run import NetworkRun, PartialEpoch
from seepseg.training.recipe import Settings, build_losses, build_optimization, build_sampler
from seepseg.training.sampling import Sampler
from seepseg.training.step import BatchMaker, Step, draw_inputs, train_epoch, validate
from seepseg.training.validation import predict

CURRENT = "current"  # the checkpoint of the network in training


@dataclass(frozen=True)
class Fold:
    """The tiles that one network is trained on, and those that validate it.

    Attributes:
        train: rows of the packed arrays, int64, ascending.
        val: likewise; an inner fold.
    """

    train: Indices
    val: Indices


class Trainer:
    """Trains networks.

    Args:
        settings: what decides what comes of it.
        packed: the tiles.
        class_weights: see `seepseg.training.recipe.build_losses`.
        curves: where the history is written to after each epoch: by epoch, and by epoch and class.
        checkpoints: of this training, in the main process.
        stop: whether to stop.
        group: the processes that train together.

    Attributes:
        history: of all networks together.
    """

    def __init__(
        self,
        settings: Settings,
        packed: Packed,
        class_weights: Mapping[str, Any],
        curves: tuple[Path, Path],
        checkpoints: Checkpoints | None,
        stop: StopRequest,
        group: ProcessGroup,
    ) -> None:
        self.settings = settings
        self.packed = packed
        self.make_input = InputMaker(settings.input)
        self.make_batch = BatchMaker(self.make_input, settings.sampling.crop, settings.augment)
        self.losses = build_losses(settings.loss, settings.model.head, packed.class_names, class_weights, group.device)
        self.curves = curves
        self.checkpoints = checkpoints
        self.stop = stop
        self.group = group
        self.history = History()
        self._saved: dict[str, Any] | None = group.of_main(checkpoints and checkpoints.load(CURRENT))
        if self._saved is not None:
            self.history.restore(self._saved["history"], self._monitor_of(1))

    def train(self, number: int, fold: Fold) -> dict[str, Tensor]:
        """Train network `number` on a fold, or what is left of that; return its weights, on the CPU.

        Raises:
            StoppedError: it was asked to stop, and has left a checkpoint.
            InputError: the loss is no longer a number, or a checkpoint is damaged.
        """
        name = f"network{number}"
        if (finished := self._finished(number, name)) is not None:
            return finished
        params, group = self.settings.train, self.group
        torch.manual_seed(params.seed + number)
        model = build_model(self.settings.model, len(self.settings.input.channels), len(self.packed.class_names) + 1)
        # Convolutions and norms are faster in this layout; mypy lacks the overload.
        model = model.to(group.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        sampler = build_sampler(self.settings.sampling, self.packed, fold.train, params.batch_size)
        run = NetworkRun(
            build_optimization(params, model, sampler.num_batches, group),
            torch.Generator().manual_seed(params.seed + number),
        )
        weights = sum(weight.numel() for weight in model.parameters())
        where = f"{group.device}" if group.size == 1 else f"{group.size} x {group.device.type}"
        which = f"{self.settings.model.name} {number + 1} of {params.networks}"
        self._print(f"{which} with {weights:,} weights, {len(fold.train)} training tiles, on {where}")
        if self._saved is not None and number == self._saved["network"]:
            run.restore(self._saved["run"])
            self._print(f"going on after {run.progress}")
        loaders = TileLoader(self.packed, fold.train, group.device), TileLoader(self.packed, fold.val, group.device)
        step = make_step(run.optimization, self.make_batch, params.batch_size, group)
        while not run.is_done:
            self._train_epoch(number, run, step, sampler, loaders, fold.val)
        if self.checkpoints is not None:
            self.checkpoints.save(name, run.kept)
        return run.kept

    def _train_epoch(
        self,
        number: int,
        run: NetworkRun,
        step: Step,
        sampler: Sampler,
        loaders: tuple[TileLoader, TileLoader],
        val_tiles: Indices,
    ) -> None:
        params, group, epoch = self.settings.train, self.group, run.epoch + 1
        monitor = self._monitor_of(epoch)
        train, lr, speed = self._steps(number, run, step, sampler, loaders[0], monitor())
        predictions = predict(
            run.optimization.average.module,
            loaders[1],
            [group.share(batch) for batch in in_order(val_tiles, params.batch_size)],
            make_input=self.make_input,
            dtype=run.optimization.dtype,
        )
        val = validate(predictions, monitor()).pool(group)
        row = self.history.add(epoch, loss_name_at(self.settings.loss, epoch - 1), lr, train, val)
        improved = run.best is None or is_better(row["val_macro_dice"], run.best["val_macro_dice"])
        run.best = row if run.best is None or improved else run.best
        run.epoch, run.stopped = epoch, None
        stale = epoch - run.best["epoch"]
        run.is_done = epoch == params.epochs or (bool(params.early_stopping) and stale >= params.early_stopping)
        if improved if params.keep == "best" else run.is_done:
            run.kept = {
                name: tensor.detach().to("cpu", copy=True)
                for name, tensor in run.optimization.average.module.state_dict().items()
            }
        self._print(_line(row, params.epochs, speed) + (" *" if improved else ""))
        if run.is_done and epoch < params.epochs:
            self._print(f"stopped early: no better epoch since {run.best['epoch']}")
        self._save(number, run)

    def _steps(
        self, number: int, run: NetworkRun, step: Step, sampler: Sampler, loader: TileLoader, monitor: Monitor
    ) -> tuple[Monitor, float, str]:
        """Take the steps of an epoch, behind a progress bar; return what was measured, the rate and the speed."""
        group, optimization, before = self.group, run.optimization, run.stopped
        if before is None:
            before = PartialEpoch(
                float(optimization.schedule.get_last_lr()[0]),
                run.generator.get_state(),
                0,
                torch.zeros(group.size, len(monitor.counts), dtype=torch.float64),
            )
        monitor.counts = before.counts[group.rank].numpy()
        already, started = monitor.tiles, time.monotonic()
        inputs = draw_inputs(loader, run.draw(sampler), run.generator, group)
        hidden = None if group.is_main else True  # None: shown on a terminal only
        optimization.model.train()
        with tqdm(
            total=sampler.num_samples, desc=f"epoch {run.epoch + 1}", unit="tile", leave=False, disable=hidden
        ) as bar:
            for batches in train_epoch(step, inputs, monitor, before.batches):
                bar.set_postfix(loss=f"{monitor.mean_loss:.4f}", refresh=False)
                bar.update(monitor.tiles * group.size - bar.n)
                if self.stop.is_due(group):
                    counts = torch.from_numpy(monitor.counts)[None]
                    if group.size > 1:
                        counts = gather(counts.to(group.device)).cpu()
                    run.stopped = before._replace(batches=batches, counts=counts)
                    self._save(number, run)
                    where = f"{run.progress} of network {number + 1}"
                    raise StoppedError(f"after {where}; the same command goes on from there")
        tiles = group.sum(np.array([monitor.tiles - already]))[0]
        what = "crops" if self.settings.sampling.crop else "tiles"
        return monitor.pool(group), before.lr, f"{tiles / (time.monotonic() - started):.1f} {what}/s"

    def _monitor_of(self, epoch: int) -> Callable[[], Monitor]:
        """What makes empty monitors of an epoch."""
        loss: Loss = self.losses[loss_name_at(self.settings.loss, epoch - 1)]
        return partial(Monitor, loss, self.settings.model.head, self.packed.class_names)

    def _save(self, number: int, run: NetworkRun) -> None:
        """Write a checkpoint, then the curves."""
        if self.checkpoints is not None:
            self.checkpoints.save(CURRENT, {"network": number, "run": run.state, "history": self.history.state})
            if run.epoch:
                self.history.write(*self.curves)

    def _finished(self, number: int, name: str) -> dict[str, Tensor] | None:
        """The weights of a network if it was finished before."""
        if self._saved is None or number > self._saved["network"]:
            return None
        finished: tuple[Path, dict[str, Tensor] | None] = self.group.of_main(
            self.checkpoints and (self.checkpoints.folder, self.checkpoints.load(name))
        )
        folder, state = finished
        if state is None and number < self._saved["network"]:
            raise InputError(f"{folder}: {name}.pt is damaged or missing; delete the folder and run this again")
        return state

    def _print(self, text: str) -> None:
        if self.group.is_main:
            print(text, flush=True)


def _line(row: dict[str, Any], epochs: int, speed: str) -> str:
    measures = ("train_loss", "val_loss", "val_dice", "val_macro_dice")
    shown = " ".join(f"{name} {row[name]:.4f}" for name in measures if row[name] is not None)
    return f"epoch {row['epoch']}/{epochs} {shown} {speed}"
