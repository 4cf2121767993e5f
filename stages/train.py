"""Train: fit networks, each on all parts of the split but one; keep their last epoch, or the best one in validation.

The part that a network never sees validates it. `train.networks` of them make one model: what they say of a tile is
averaged, and together they tell of every training scene what a network says that never saw it. With one network, it
trains on the split train and validates on val.

Reads data/packed, data/split.csv and data/class_weights.json; takes the sections input, model, loss, sampling,
augment and train of params.yaml. Writes models/model.safetensors (of each network the epoch that `train.keep` says),
plots/history.csv and plots/class_history.csv (measures by epoch, of all networks together) and metrics/train.json.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor
from tqdm import tqdm

from seepseg.checkpoint import CheckpointMeta, save_checkpoint
from seepseg.dataset import Batch, TileLoader, in_order
from seepseg.deep_supervision import DeeplySupervised
from seepseg.device import DeviceName, amp_dtype, choose_device, explain_full_memory, make_deterministic
from seepseg.errors import InputError
from seepseg.files import read_json, write_json
from seepseg.heads import Head
from seepseg.inference import predict
from seepseg.inputs import InputMaker, InputParams, fit_input
from seepseg.losses import Loss, LossParams, build_loss, loss_name_at
from seepseg.models import ModelParams, UNet, build_model
from seepseg.optim import OptimizerName, ScheduleName, build_average, build_optimizer, build_schedule
from seepseg.packed import BACKGROUND, MANIFEST, Indices, Packed, class_pixels, open_packed, read_parts
from seepseg.parallel import World, distribute
from seepseg.params import load_params, param_block
from seepseg.processes import is_worker, join, launch, run_processes
from seepseg.sampling import Sampler, SamplingParams
from seepseg.training import History, Monitor, Optimization, is_better, prepare_batches, train_epoch, validate
from seepseg.transforms import AugmentParams

CLASS_WEIGHTS = Path("data/class_weights.json")
MODEL = Path("models/model.safetensors")
HISTORY = Path("plots/history.csv")
CLASS_HISTORY = Path("plots/class_history.csv")
METRICS = Path("metrics/train.json")


@param_block
class TrainParams:
    """Section `train`; params.yaml says what each key does."""

    seed: Annotated[int, Ge(0)]
    networks: Annotated[int, Ge(1)]
    threads: Annotated[int, Ge(1)]
    device: DeviceName
    devices: Annotated[int, Ge(1)]
    amp: bool
    epochs: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]
    optimizer: OptimizerName
    lr: Annotated[float, Gt(0), Le(10)]
    weight_decay: Annotated[float, Ge(0), Le(1)]
    schedule: ScheduleName
    warmup_epochs: Annotated[int, Ge(0)]
    poly_power: Annotated[float, Gt(0)]
    step_epochs: Annotated[int, Ge(1)]
    step_factor: Annotated[float, Gt(0), Le(1)]
    grad_clip: Annotated[float, Ge(0)]
    ema_decay: Annotated[float, Ge(0), Lt(1)]
    keep: Literal["last", "best"]
    early_stopping: Annotated[int, Ge(0)]
    deep_supervision: bool

    def __post_init__(self) -> None:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs below epochs {self.epochs}, so that a schedule remains")
        if self.devices > max(self.batch_size // 2, 1):  # half a batch is the smallest that an epoch may end with
            raise ValueError(f"devices of at most half of batch_size {self.batch_size}, which they share")


@dataclass(frozen=True)
class Settings:
    """The sections of params.yaml that the stage takes."""

    train: TrainParams
    input: InputParams
    model: ModelParams
    loss: LossParams
    sampling: SamplingParams
    augment: AugmentParams


def main() -> None:
    """Run the stage, or start the processes that run it together."""
    settings = Settings(
        load_params(TrainParams, "train"),
        load_params(InputParams, "input"),
        load_params(ModelParams, "model"),
        load_params(LossParams, "loss"),
        load_params(SamplingParams, "sampling"),
        load_params(AugmentParams, "augment"),
    )
    params = settings.train
    device = choose_device(params.device, "train.device")
    packed = open_packed()
    folds = _folds(packed, params.networks)
    samples = min(settings.sampling.per_epoch(len(train)) for train, _ in folds)
    if samples < params.devices:
        raise InputError(
            f"train.devices: expected at most {samples}, the number of training tiles, found {params.devices}"
        )
    if params.devices > 1 and not is_worker():
        launch("stages.train", params.devices, device)
        return
    with join(params.devices, device) as world:
        make_deterministic(params.seed, params.threads, world.device)
        height, width = packed.images.shape[1:]
        cheaper = f"lower train.batch_size ({params.batch_size} tiles of {height} x {width} pixels) or model.width"
        with explain_full_memory(world.device, cheaper):
            _train_all(settings, packed, folds, world)


def _folds(packed: Packed, networks: int) -> list[tuple[Indices, Indices]]:
    """Rows of the tiles that each network trains on, and of those that validate it."""
    parts = read_parts(packed)
    if networks > len(parts):
        raise InputError(
            f"train.networks: expected at most {len(parts)}, the parts that are not tested, found {networks}; "
            "raise split.n_folds or lower train.networks"
        )
    return [
        (np.sort(np.concatenate([part for other, part in enumerate(parts) if other != number])), parts[number])
        for number in range(networks)
    ]


def _train_all(settings: Settings, packed: Packed, folds: list[tuple[Indices, Indices]], world: World) -> None:
    """Train one network after the other, and write what came of them."""
    trained_on = np.unique(np.concatenate([train for train, _ in folds]))
    spec = fit_input(settings.input, packed.manifest.iloc[trained_on])
    make_input = InputMaker(spec, packed.manifest)
    history = History()
    states = [_train(settings, packed, fold, number, make_input, history, world) for number, fold in enumerate(folds)]
    if world.is_main:
        meta = CheckpointMeta(
            # The encoder's first weights are in the weights now, and their path is a machine's.
            model=replace(settings.model, encoder_weights=None),
            networks=len(states),
            class_names=packed.class_names,
            input=spec,
            data_fingerprint=hashlib.sha256(MANIFEST.read_bytes()).hexdigest(),
        )
        save_checkpoint(MODEL, states, meta)
        write_json(METRICS, {"train": _summary(history)})


def _train(
    settings: Settings,
    packed: Packed,
    fold: tuple[Indices, Indices],
    number: int,
    make_input: InputMaker,
    history: History,
    world: World,
) -> dict[str, Tensor]:
    """Train network `number` on a fold; return its weights, on the CPU."""
    params, head, (train_tiles, val_tiles) = settings.train, settings.model.head, fold
    losses = build_losses(settings.loss, head, packed, world.device)
    torch.manual_seed(params.seed + number)
    model = build_model(settings.model, make_input.spec.channels, num_classes=len(packed.class_names) + 1)
    # Convolutions and norms are faster in this layout; mypy lacks the overload.
    model = model.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    sampler = build_sampler(settings.sampling, packed, train_tiles, params.batch_size)
    optimization = build_optimization(params, model, sampler.num_batches, world)
    train_loader, val_loader = (TileLoader(packed, tiles, world.device) for tiles in fold)
    val_batches = [world.share(batch) for batch in in_order(val_tiles, params.batch_size)]
    generator = torch.Generator().manual_seed(params.seed + number)
    if world.is_main:
        weights = sum(weight.numel() for weight in model.parameters())
        where = f"{world.device}" if world.size == 1 else f"{world.size} x {world.device.type}"
        which = f"{settings.model.name} {number + 1} of {params.networks}"
        print(f"{which} with {weights:,} weights, {len(train_tiles)} training tiles, on {where}", flush=True)

    best: dict[str, Any] | None = None
    state: dict[str, Tensor] = {}
    for epoch in range(1, params.epochs + 1):
        loss_name = loss_name_at(settings.loss, epoch - 1)
        monitor = partial(Monitor, losses[loss_name], head, packed.class_names)
        lr = float(optimization.schedule.get_last_lr()[0])
        side = settings.sampling.crop
        batches = prepare_batches(
            train_loader, sampler.epoch(generator), make_input, side, settings.augment, generator, world
        )
        train, speed = _train_with_bar(optimization, batches, monitor(), epoch, sampler.num_samples, world)
        predictions = predict(
            optimization.average.module,
            val_loader,
            val_batches,
            make_input=make_input,
            dtype=optimization.dtype,
        )
        val = validate(predictions, monitor()).pool(world)
        row = history.add(epoch, loss_name, lr, train, val)
        improved = best is None or is_better(row["val_macro_dice"], best["val_macro_dice"])
        best = row if best is None or improved else best
        last = epoch == params.epochs or (
            bool(params.early_stopping) and epoch - best["epoch"] >= params.early_stopping
        )
        if (improved if params.keep == "best" else last) and world.is_main:
            state = {
                name: tensor.detach().to("cpu", copy=True)
                for name, tensor in optimization.average.module.state_dict().items()
            }
        if world.is_main:
            history.write(HISTORY, CLASS_HISTORY)
            what = "crops" if side else "tiles"
            print(_line(row, params.epochs, f"{speed:.1f} {what}/s") + (" *" if improved else ""), flush=True)
        if last:
            if world.is_main and epoch < params.epochs:
                print(f"stopped early: no better epoch since {best['epoch']}")
            break
    return state


def build_losses(params: LossParams, head: Head, packed: Packed, device: torch.device) -> dict[str, Loss]:
    """The losses that this run minimises, by name."""
    weights = {
        kind: torch.tensor([by_class[name] for name in (BACKGROUND, *packed.class_names)], device=device)
        for kind, by_class in read_json(CLASS_WEIGHTS).items()
    }
    names = [name for name, _ in params.schedule] or [params.name]
    return {name: build_loss(name, params, head, weights) for name in names}


def build_sampler(params: SamplingParams, packed: Packed, train: Indices, batch_size: int) -> Sampler:
    """What draws the training samples from the rows of the training tiles."""
    return Sampler(params, train, class_pixels(packed.manifest.iloc[train]), batch_size)


def build_optimization(params: TrainParams, network: UNet, steps_per_epoch: int, world: World) -> Optimization:
    """All that changes the weights of a network, for epochs of so many batches."""
    model = DeeplySupervised(network).to(world.device) if params.deep_supervision else network
    optimizer = build_optimizer(params.optimizer, model, params.lr, params.weight_decay)
    schedule = build_schedule(
        params.schedule,
        optimizer,
        steps=params.epochs * steps_per_epoch,
        warmup_steps=params.warmup_epochs * steps_per_epoch,
        poly_power=params.poly_power,
        step_every=params.step_epochs * steps_per_epoch,
        step_factor=params.step_factor,
    )
    average = build_average(network, params.ema_decay)
    dtype = amp_dtype(world.device, params.amp)
    return Optimization(
        network, distribute(model, world), optimizer, schedule, average, params.grad_clip, dtype, world.device
    )


def _train_with_bar(
    optimization: Optimization, batches: Iterator[Batch], monitor: Monitor, epoch: int, tiles: int, world: World
) -> tuple[Monitor, float]:
    """Train one epoch behind a progress bar; also return the tiles per second of all processes."""
    started = time.monotonic()
    hidden = None if world.is_main else True  # None: shown on a terminal only
    with tqdm(total=tiles, desc=f"epoch {epoch}", unit="tile", leave=False, disable=hidden) as bar:
        for _ in train_epoch(optimization, batches, monitor):
            bar.set_postfix(loss=f"{monitor.mean_loss:.4f}", refresh=False)
            bar.update(monitor.tiles * world.size - bar.n)
    monitor.pool(world)
    return monitor, monitor.tiles / (time.monotonic() - started)


def _line(row: dict[str, Any], epochs: int, speed: str) -> str:
    measures = ("train_loss", "val_loss", "val_dice", "val_macro_dice")
    shown = " ".join(f"{name} {row[name]:.4f}" for name in measures if row[name] is not None)
    return f"epoch {row['epoch']}/{epochs} {shown} {speed}"


def _summary(history: History) -> dict[str, Any]:
    """Of all networks together, the epoch with the highest macro Dice in validation, the first of several."""
    best, *others = epochs = history.epochs
    for row in others:
        best = row if is_better(row["val_macro_dice"], best["val_macro_dice"]) else best
    measures = {f"best_{name}": best[name] for name in ("epoch", "val_loss", "val_bce", "val_macro_dice")}
    return {"epochs": len(epochs), **measures}


if __name__ == "__main__":
    run_processes(main)
