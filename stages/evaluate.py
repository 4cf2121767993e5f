"""Evaluate: measure the best model on the validation and test splits.

Reads data/packed, data/split.csv and models/model.safetensors; takes the section evaluate of params.yaml. Writes
metrics/evaluate.json; plots/confusion.csv and plots/pr.csv, counts and curves per split; and, for the pictures,
data/predictions/pred.npy (uint8 classes) with data/predictions/tiles.csv (which tile each is, and its scores).
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from annotated_types import Ge, Gt, Le

from seepseg.backends import Backend, prepare
from seepseg.checkpoint import CheckpointMeta, load_model
from seepseg.dataset import TileLoader, in_order
from seepseg.device import DeviceName, amp_dtype, choose_device, explain_full_memory, make_deterministic
from seepseg.errors import InputError, run_stage
from seepseg.files import NpyStream, atomic_path, write_csv, write_json
from seepseg.heads import class_probs, decide
from seepseg.inference import Predicted, predict
from seepseg.metrics import (
    PrHistogram,
    baseline_scores,
    bootstrap_intervals,
    confusion_counts,
    object_scores,
    scores,
)
from seepseg.objects import match_objects
from seepseg.packed import BACKGROUND, Packed, open_packed, read_split
from seepseg.params import load_params, param_block

MODEL = Path("models/model.safetensors")
METRICS = Path("metrics/evaluate.json")
CONFUSION = Path("plots/confusion.csv")
PR = Path("plots/pr.csv")
PRED = Path("data/predictions/pred.npy")
TILES = Path("data/predictions/tiles.csv")


@param_block
class EvaluateParams:
    """Section `evaluate`; params.yaml says what each key does."""

    batch_size: Annotated[int, Ge(1)]
    threads: Annotated[int, Ge(1)]
    device: DeviceName
    amp: bool
    backend: Backend
    object_iou: Annotated[float, Gt(0), Le(1)]
    bootstrap_samples: Annotated[int, Ge(1)]
    seed: Annotated[int, Ge(0)]


class SplitMeasures:
    """What is counted over one split, tile by tile.

    Attributes:
        tables: int64 (K+1, K+1) confusion per tile, rows actual, columns predicted.
        objects: sums of matched pairs, predicted objects and annotated objects.
        curve: precision and recall by probability.
        tiles: a row per tile, for the pictures.
    """

    def __init__(self, packed: Packed, object_iou: float) -> None:
        self.packed = packed
        self.object_iou = object_iou
        self.tables: list[npt.NDArray[np.int64]] = []
        self.objects = np.zeros(3, dtype=np.int64)
        self.curve = PrHistogram(packed.class_names)
        self.tiles: list[dict[str, Any]] = []

    def add(self, prediction: Predicted, meta: CheckpointMeta) -> npt.NDArray[np.uint8]:
        """Count one batch; return its predicted classes, uint8 (N, H, W)."""
        head, batch = meta.model.head, prediction.batch
        target, valid = batch.target.cpu().numpy(), batch.valid.cpu().numpy()
        pred = decide(prediction.logits, head, batch.valid).cpu().numpy()
        self.curve.update(class_probs(prediction.logits, head).cpu().numpy(), target, valid)
        for tile, index in enumerate(prediction.indices):
            self._add_tile(int(index), target[tile], pred[tile], valid[tile])
        classes: npt.NDArray[np.uint8] = pred.astype(np.uint8)
        return classes

    def _add_tile(
        self,
        index: int,
        target: npt.NDArray[np.int64],
        pred: npt.NDArray[np.int64],
        valid: npt.NDArray[np.bool_],
    ) -> None:
        names = self.packed.class_names
        table = confusion_counts(target, pred, valid, len(names) + 1)
        measured = scores(table, names)
        self.tables.append(table)
        self.objects += match_objects((pred > 0) & valid, (target > 0) & valid, self.object_iou)
        row = {"index": index, **self.packed.manifest.loc[index, ["tile", "scene"]]}
        row |= {name: measured[name] for name in ("binary_dice", "macro_dice")}
        self.tiles.append(row | {"slick_pixels": int(table[1:].sum())})

    def document(self, samples: int, seed: int) -> dict[str, Any]:
        """The metrics of the split."""
        names = self.packed.class_names
        per_scene = self._per_scene()
        pooled = per_scene.sum(axis=0)
        return {
            **scores(pooled, names),
            **bootstrap_intervals(per_scene, samples, seed),
            **object_scores(*(int(count) for count in self.objects)),
            "baseline": baseline_scores(pooled, names),
        }

    def confusion(self) -> pd.DataFrame:
        """The pooled confusion table in rows of actual, predicted, count."""
        names = [BACKGROUND, *self.packed.class_names]
        pooled = self._per_scene().sum(axis=0)
        cells = [(a, p, pooled[i, j]) for i, a in enumerate(names) for j, p in enumerate(names)]
        return pd.DataFrame(cells, columns=["actual", "predicted", "count"])

    def _per_scene(self) -> npt.NDArray[np.int64]:
        scenes = np.array([row["scene"] for row in self.tiles])
        tables = np.stack(self.tables)
        return np.stack([tables[scenes == scene].sum(axis=0) for scene in np.unique(scenes)])


def main() -> None:
    """Run the stage."""
    params = load_params(EvaluateParams, "evaluate")
    device = choose_device(params.device, "evaluate.device")
    make_deterministic(params.seed, params.threads, device)
    packed = open_packed()
    splits = {name: indices for name, indices in read_split(packed).items() if name != "train" and len(indices)}
    model, meta = load_model(MODEL)
    if meta.class_names != packed.class_names:
        raise InputError(
            f"{MODEL}: expected a model of the classes {packed.class_names}, found {meta.class_names}; "
            "run `dvc repro train`"
        )
    network = prepare(model.to(device), params.backend, device, "evaluate.backend")

    measures: dict[str, SplitMeasures] = {}
    full_memory = explain_full_memory(device, f"lower evaluate.batch_size, {params.batch_size} tiles")
    with full_memory, atomic_path(PRED) as partial, partial.open("wb") as file:
        pred = NpyStream(file, "u1")
        pred.write_header(sum(map(len, splits.values())), packed.targets.shape[1:])
        for name, indices in splits.items():
            measures[name] = SplitMeasures(packed, params.object_iou)
            for prediction in predict(
                network,
                TileLoader(packed, indices, device),
                in_order(indices, params.batch_size),
                normalization=meta.normalization,
                dtype=amp_dtype(device, params.amp),
            ):
                pred.append(measures[name].add(prediction, meta))

    documents = {name: split.document(params.bootstrap_samples, params.seed) for name, split in measures.items()}
    write_csv(TILES, _by_split({name: pd.DataFrame(split.tiles) for name, split in measures.items()}))
    write_csv(CONFUSION, _by_split({name: split.confusion() for name, split in measures.items()}))
    write_csv(PR, _by_split({name: split.curve.curve() for name, split in measures.items()}))
    write_json(METRICS, documents)
    for name, document in documents.items():
        print(_line(name, document))


def _by_split(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One table, with the split as its first column."""
    return pd.concat([table.assign(split=name) for name, table in tables.items()])[
        ["split", *next(iter(tables.values())).columns]
    ]


def _line(split: str, document: dict[str, Any]) -> str:
    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    per_class = " ".join(shown(dice) for dice in document["dice"].values())
    return (
        f"{split}: binary Dice {shown(document['binary_dice'])}, macro Dice {shown(document['macro_dice'])} "
        f"(by class {per_class}), object F1 {shown(document['object_f1'])}"
    )


if __name__ == "__main__":
    run_stage(main)
