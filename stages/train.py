"""Train: fit networks, each on all inner folds but one; keep their last epoch, or the best one in validation.

The inner fold that a network is not trained on validates it. `train.networks` of them make one model: their
probabilities are averaged, and for every training scene there is a network that was not trained on it, whose
probabilities are out of fold. With one network, it trains on the split train and validates on val.

Reads data/packed, data/split.csv and data/class_weights.json; takes the sections input, model, loss, sampling,
augment and train of params.yaml. Writes models/networks.safetensors (of each network the epoch that `train.keep` says),
plots/history.csv and plots/class_history.csv (measures by epoch, of all networks together) and metrics/train.json.

Leaves a checkpoint in .checkpoints after each epoch, and on SIGTERM; run again with the same parameters, data and code,
it goes on from there, and gives the same bits as without the stop.
"""

import hashlib
import os
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from seepseg.base.device import choose_device, explain_full_memory, make_deterministic
from seepseg.base.distributed import ProcessGroup
from seepseg.base.errors import InputError
from seepseg.base.files import read_json, write_json
from seepseg.base.params import load_params
from seepseg.data.channels import InputParams
from seepseg.data.packed import IMAGES, MANIFEST, TARGETS, Packed, open_packed, read_inner_folds
from seepseg.losses import LossParams
from seepseg.models import ModelParams
from seepseg.models.network_file import NetworksMeta, save_networks
from seepseg.training.augmentation import AugmentParams
from seepseg.training.checkpoints import fingerprint, open_checkpoints
from seepseg.training.interrupts import stop_requests
from seepseg.training.monitoring import History, is_better
from seepseg.training.processes import is_worker, join, launch
from seepseg.training.recipe import Settings, TrainParams
from seepseg.training.sampling import SamplingParams
from seepseg.training.trainer import Fold, Trainer

PARAMS = "params.yaml"
PACKED = "data/packed"
SPLIT = "data/split.csv"
CLASS_WEIGHTS = "data/class_weights.json"
NETWORKS = "models/networks.safetensors"
HISTORY = "plots/history.csv"
CLASS_HISTORY = "plots/class_history.csv"
METRICS = "metrics/train.json"
CHECKPOINTS = ".checkpoints"


def main(root: Path = Path()) -> None:
    """Run the stage, or start the processes that run it together."""
    settings = Settings(
        load_params(TrainParams, "train", root / PARAMS),
        load_params(InputParams, "input", root / PARAMS),
        load_params(ModelParams, "model", root / PARAMS),
        load_params(LossParams, "loss", root / PARAMS),
        load_params(SamplingParams, "sampling", root / PARAMS),
        load_params(AugmentParams, "augment", root / PARAMS),
    )
    params = settings.train
    device = choose_device(params.device, "train.device")
    packed = open_packed(root / PACKED)
    folds = _folds(packed, root / SPLIT, params.networks)
    samples = min(settings.sampling.per_epoch(len(fold.train)) for fold in folds)
    if samples < params.devices:
        raise InputError(
            f"train.devices: expected at most {samples}, the number of training tiles, found {params.devices}"
        )
    if params.devices > 1 and not is_worker():
        launch(("-m", "stages", "train"), params.devices, device)
        return
    with join(params.devices, device) as group:
        make_deterministic(params.seed, params.threads, group.device)
        height, width = packed.images.shape[1:]
        tiles = f"{params.batch_size} tiles of {height} x {width} pixels"
        cheaper = f"lower train.batch_size ({tiles}), or make the network smaller (model.{settings.model.name})"
        with explain_full_memory(group.device, cheaper):
            _train_all(root, settings, packed, folds, group)


def _folds(packed: Packed, split: Path, networks: int) -> list[Fold]:
    """Rows of the tiles that each network trains on, and of those that validate it."""
    inner = read_inner_folds(packed, split)
    if networks > len(inner):
        raise InputError(
            f"train.networks: expected at most {len(inner)}, the inner folds of {split}, found {networks}; "
            "raise split.n_folds or lower train.networks"
        )
    return [
        Fold(np.sort(np.concatenate([rows for other, rows in enumerate(inner) if other != number])), inner[number])
        for number in range(networks)
    ]


def _train_all(root: Path, settings: Settings, packed: Packed, folds: list[Fold], group: ProcessGroup) -> None:
    """Train one network after the other, and write what came of them."""
    with ExitStack() as stack:
        stop = stack.enter_context(stop_requests())
        checkpoints = (
            stack.enter_context(open_checkpoints(_checkpoint_folder(root), _fingerprint(root, settings, group)))
            if group.is_main
            else None
        )
        curves = root / HISTORY, root / CLASS_HISTORY
        trainer = Trainer(settings, packed, read_json(root / CLASS_WEIGHTS), curves, checkpoints, stop, group)
        states = [trainer.train(number, fold) for number, fold in enumerate(folds)]
        if checkpoints is None:
            return
        meta = NetworksMeta(
            model=settings.model.without_files(),  # whose weights went into the networks'
            networks=len(states),
            class_names=packed.class_names,
            input=settings.input,
            data_fingerprint=hashlib.sha256((root / PACKED / MANIFEST).read_bytes()).hexdigest(),
            radiometry=packed.radiometry,
            tile_size=max(packed.images.shape[1:]),
            scaling=packed.scaling,
        )
        save_networks(root / NETWORKS, states, meta)
        trainer.history.write(*curves)
        write_json(root / METRICS, {"train": _summary(trainer.history)})
        checkpoints.remove()


def _checkpoint_folder(root: Path) -> Path:
    """In the repository also where DVC runs an experiment in a temporary copy of it."""
    return Path(os.environ.get("DVC_ROOT", root), CHECKPOINTS)


def _fingerprint(root: Path, settings: Settings, group: ProcessGroup) -> str:
    """Name this training by its parameters, data and code."""
    packed = root / PACKED
    files = [packed / IMAGES, packed / TARGETS, packed / MANIFEST, root / SPLIT, root / CLASS_WEIGHTS]
    files += settings.model.network.files
    return fingerprint([getattr(settings, each.name) for each in fields(settings)], files, group.device.type)


def _summary(history: History) -> dict[str, Any]:
    """Of all networks together, the epoch with the highest macro Dice in validation, the first of several."""
    best, *others = epochs = history.epochs
    for row in others:
        best = row if is_better(row["val_macro_dice"], best["val_macro_dice"]) else best
    measures = {f"best_{name}": best[name] for name in ("epoch", "val_loss", "val_bce", "val_macro_dice")}
    return {"epochs": len(epochs), **measures}
