"""Train: fit the model on the training split; keep the epoch that names the validation split's classes best.

Reads data/packed, data/split.csv and data/class_weights.json; takes the sections model, loss, augment and
train of params.yaml. Writes models/model.safetensors (the epoch with the highest validation macro Dice),
plots/history.csv and plots/class_history.csv (measures by epoch) and metrics/train.json.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import nn
from tqdm import tqdm

from seepseg.checkpoint import CheckpointMeta, save_checkpoint
from seepseg.dataset import Batch, load_batch, num_batches, shuffled
from seepseg.device import DeviceName, amp_dtype, choose_device, make_deterministic
from seepseg.errors import run_stage
from seepseg.files import read_json, write_json
from seepseg.heads import Head
from seepseg.inference import predict
from seepseg.losses import Loss, LossParams, build_loss, loss_name_at
from seepseg.models import ModelParams, build_model
from seepseg.optim import OptimizerName, ScheduleName, build_average, build_optimizer, build_schedule
from seepseg.packed import BACKGROUND, MANIFEST, Indices, Packed, open_packed, read_split
from seepseg.params import load_params, param_block
from seepseg.training import History, Monitor, Optimization, is_better, train_epoch, validate
from seepseg.transforms import (
    AugmentParams,
    Normalization,
    augment,
    augment_intensity,
    fit_normalization,
    normalize,
)

CLASS_WEIGHTS = Path("data/class_weights.json")
MODEL = Path("models/model.safetensors")
HISTORY = Path("plots/history.csv")
CLASS_HISTORY = Path("plots/class_history.csv")
METRICS = Path("metrics/train.json")


@param_block
class TrainParams:
    """Section `train`; params.yaml says what each key does."""

    seed: Annotated[int, Ge(0)]
    threads: Annotated[int, Ge(1)]
    device: DeviceName
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
    early_stopping: Annotated[int, Ge(0)]
    normalization: Literal["tile", "dataset"]

    def __post_init__(self) -> None:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs below epochs {self.epochs}, so that a schedule remains")


def main() -> None:
    """Run the stage."""
    params = load_params(TrainParams, "train")
    model_params = load_params(ModelParams, "model")
    loss_params = load_params(LossParams, "loss")
    augment_params = load_params(AugmentParams, "augment")
    device = choose_device(params.device, "train.device")
    make_deterministic(params.seed, params.threads, device)

    packed = open_packed()
    splits = read_split(packed)
    normalization = fit_normalization(params.normalization, packed.manifest.iloc[splits["train"]])
    losses = _losses(loss_params, model_params.head, packed, device)
    bce = _plain_bce(loss_params, model_params.head)
    model = build_model(model_params, num_classes=len(packed.class_names) + 1).to(device)
    optimization = _optimization(params, model, len(splits["train"]), device)
    meta = CheckpointMeta(
        model=replace(model_params, encoder_weights=None),  # they are in the weights now, and the path is a machine's
        class_names=packed.class_names,
        normalization=normalization,
        data_fingerprint=hashlib.sha256(MANIFEST.read_bytes()).hexdigest(),
    )
    generator = torch.Generator().manual_seed(params.seed)
    weights = sum(weight.numel() for weight in model.parameters())
    print(f"{model_params.name} with {weights:,} weights, {len(splits['train'])} training tiles, on {device}")

    history = History()
    best: dict[str, Any] | None = None
    for epoch in range(1, params.epochs + 1):
        loss_name = loss_name_at(loss_params, epoch - 1)
        monitor = partial(Monitor, losses[loss_name], bce, model_params.head, packed.class_names)
        lr = float(optimization.schedule.get_last_lr()[0])
        batches = _batches(packed, splits["train"], params.batch_size, normalization, augment_params, generator, device)
        train, speed = _train_with_bar(optimization, batches, monitor(), epoch, len(splits["train"]))
        predictions = predict(
            optimization.average.module,
            packed,
            splits["val"],
            batch_size=params.batch_size,
            normalization=normalization,
            device=device,
            dtype=optimization.dtype,
        )
        row = history.add(epoch, loss_name, lr, train, validate(predictions, monitor()))
        history.write(HISTORY, CLASS_HISTORY)
        if improved := best is None or is_better(row["val_macro_dice"], best["val_macro_dice"]):
            best = row
            save_checkpoint(MODEL, optimization.average.module.state_dict(), meta)
        print(_line(row, params.epochs, speed) + (" *" if improved else ""), flush=True)
        if params.early_stopping and epoch - best["epoch"] >= params.early_stopping:
            print(f"stopped early: no better epoch since {best['epoch']}")
            break
    write_json(METRICS, {"train": _summary(best, len(history.epochs))})


def _losses(params: LossParams, head: Head, packed: Packed, device: torch.device) -> dict[str, Loss]:
    """The losses that this run minimises, by name."""
    weights = {
        kind: torch.tensor([by_class[name] for name in (BACKGROUND, *packed.class_names)], device=device)
        for kind, by_class in read_json(CLASS_WEIGHTS).items()
    }
    names = [name for name, _ in params.schedule] or [params.name]
    return {name: build_loss(name, params, head, weights) for name in names}


def _plain_bce(params: LossParams, head: Head) -> Loss:
    """The binary cross-entropy that is monitored: unweighted, so that runs can be compared by it."""
    plain = replace(params, class_weights="none", bce=replace(params.bce, pos_weight=1.0))
    return build_loss("bce", plain, head, {})


def _optimization(params: TrainParams, model: nn.Module, tiles: int, device: torch.device) -> Optimization:
    optimizer = build_optimizer(params.optimizer, model, params.lr, params.weight_decay)
    steps_per_epoch = num_batches(tiles, params.batch_size)
    schedule = build_schedule(
        params.schedule,
        optimizer,
        steps=params.epochs * steps_per_epoch,
        warmup_steps=params.warmup_epochs * steps_per_epoch,
        poly_power=params.poly_power,
        step_every=params.step_epochs * steps_per_epoch,
        step_factor=params.step_factor,
    )
    average = build_average(model, params.ema_decay)
    dtype = amp_dtype(device, params.amp)
    return Optimization(model, optimizer, schedule, average, params.grad_clip, dtype, device)


def _batches(
    packed: Packed,
    indices: Indices,
    batch_size: int,
    normalization: Normalization,
    augment_params: AugmentParams,
    generator: torch.Generator,
    device: torch.device,
) -> Iterator[Batch]:
    """Training tiles in a random order, augmented and normalised."""
    for chosen in shuffled(indices, batch_size, generator):
        images, target, valid = load_batch(packed, chosen, device)
        images = augment_intensity(images, valid, augment_params, generator)
        images = normalize(images, valid, normalization)
        yield Batch(*augment(images, target, valid, augment_params, generator))


def _train_with_bar(
    optimization: Optimization, batches: Iterator[Batch], monitor: Monitor, epoch: int, tiles: int
) -> tuple[Monitor, float]:
    """Train one epoch behind a progress bar; also return the tiles per second."""
    started = time.monotonic()
    with tqdm(total=tiles, desc=f"epoch {epoch}", unit="tile", leave=False, disable=None) as bar:
        for _ in train_epoch(optimization, batches, monitor):
            bar.set_postfix(loss=f"{monitor.mean_loss:.4f}", refresh=False)
            bar.update(monitor.tiles - bar.n)
    return monitor, monitor.tiles / (time.monotonic() - started)


def _line(row: dict[str, Any], epochs: int, speed: float) -> str:
    measures = ("train_loss", "val_loss", "val_dice", "val_macro_dice")
    shown = " ".join(f"{name} {row[name]:.4f}" for name in measures if row[name] is not None)
    return f"epoch {row['epoch']}/{epochs} {shown} {speed:.1f} tiles/s"


def _summary(best: dict[str, Any] | None, epochs: int) -> dict[str, Any]:
    assert best is not None, "params refuse a run without an epoch"
    measures = {f"best_{name}": best[name] for name in ("epoch", "val_loss", "val_bce", "val_macro_dice")}
    return {"epochs": epochs, **measures}


if __name__ == "__main__":
    run_stage(main)
