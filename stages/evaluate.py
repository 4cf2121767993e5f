"""Evaluate: measure the model, its namer and its decision rule on the validation and test splits.

Reads data/packed, data/split.csv, models/model.safetensors, models/namer.safetensors and models/decision.json; takes
the section evaluate of params.yaml. Writes metrics/evaluate.json; plots/confusion.csv, plots/pr.csv and
plots/reliability.csv, counts and curves per split; data/predictions/scenes.json, the counts of each scene; and, for
the pictures, data/predictions/pred.npy (uint8 classes) with data/predictions/tiles.csv (which tile each is, and its
scores).
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from annotated_types import Ge, Gt, Le

from seepseg.backends import Backend
from seepseg.decision import decide_scene, load_rule
from seepseg.device import DeviceName, amp_dtype, choose_device, explain_full_memory, make_deterministic
from seepseg.errors import run_stage
from seepseg.files import NpyStream, atomic_path, write_csv, write_json
from seepseg.inference import SceneProbs
from seepseg.metrics import PrHistogram, confusion_counts, scores
from seepseg.packed import BACKGROUND, NODATA, Packed, open_packed, read_split
from seepseg.params import load_params, param_block
from seepseg.predictor import load_predictor
from seepseg.scene_counts import (
    SceneCounts,
    confusion_rows,
    count_scene,
    operating_point,
    pooled_scores,
    reliability_curve,
)
from seepseg.scenes import find_scenes

RULE = Path("models/decision.json")
METRICS = Path("metrics/evaluate.json")
CONFUSION = Path("plots/confusion.csv")
PR = Path("plots/pr.csv")
RELIABILITY = Path("plots/reliability.csv")
PRED = Path("data/predictions/pred.npy")
TILES = Path("data/predictions/tiles.csv")
SCENES = Path("data/predictions/scenes.json")


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
    """What is counted over one split, scene by scene.

    Attributes:
        counts: of each scene.
        curve: precision and recall by probability.
        tiles: a row per tile, for the pictures.
    """

    def __init__(self, packed: Packed, object_iou: float) -> None:
        self.packed = packed
        self.object_iou = object_iou
        self.counts: list[SceneCounts] = []
        self.curve = PrHistogram(packed.class_names)
        self.tiles: list[dict[str, Any]] = []

    def add(self, probs: SceneProbs, pred: npt.NDArray[np.uint8]) -> None:
        """Count one scene with its predicted classes, uint8 (N, h, w)."""
        scene, num_classes = probs.scene, len(self.packed.class_names) + 1
        images, target = self.packed.images[scene.indices], self.packed.targets[scene.indices]
        valid = images != NODATA
        self.curve.update(probs.class_probs, target, valid)
        self.counts.append(
            count_scene(
                scene.name,
                scene.stitch(pred),
                scene.stitch(target),
                probs.image != NODATA,
                probs.foreground,
                num_classes,
                self.object_iou,
            )
        )
        for tile, index in enumerate(scene.indices.tolist()):
            table = confusion_counts(target[tile], pred[tile], valid[tile], num_classes)
            measured = scores(table, self.packed.class_names)
            row = {"index": index, **self.packed.manifest.loc[index, ["tile", "scene"]]}
            row |= {name: measured[name] for name in ("binary_dice", "macro_dice")}
            self.tiles.append(row | {"slick_pixels": int(table[1:].sum())})

    def confusion(self) -> pd.DataFrame:
        """The pooled confusion table in rows of actual, predicted, count."""
        pooled = np.sum([each.confusion for each in self.counts], axis=0)
        return confusion_rows(pooled, [BACKGROUND, *self.packed.class_names])

    def precision_recall(self) -> pd.DataFrame:
        """The curves, and the point where the decision rule stands, as a row without a threshold."""
        return pd.concat([self.curve.curve(), pd.DataFrame([operating_point(self.counts)])], ignore_index=True)


def main() -> None:
    """Run the stage."""
    params = load_params(EvaluateParams, "evaluate")
    device = choose_device(params.device, "evaluate.device")
    make_deterministic(params.seed, params.threads, device)
    packed = open_packed()
    splits = {name: indices for name, indices in read_split(packed).items() if name != "train" and len(indices)}
    rule = load_rule(RULE, len(packed.class_names))
    by_properties = rule.naming == "properties"
    predictor = load_predictor(packed, device, with_namer=by_properties, backend=params.backend, key="evaluate.backend")

    measures: dict[str, SplitMeasures] = {}
    dtype = amp_dtype(device, params.amp)
    full_memory = explain_full_memory(device, f"lower evaluate.batch_size, {params.batch_size} tiles")
    with full_memory, atomic_path(PRED) as partial, partial.open("wb") as file:
        stream = NpyStream(file, "u1")
        stream.write_header(sum(map(len, splits.values())), packed.targets.shape[1:])
        for name, indices in splits.items():
            measures[name] = SplitMeasures(packed, params.object_iou)
            for scene in find_scenes(packed.manifest, indices, packed.images.shape[1:]):
                probs = predictor.predict(scene, params.batch_size, dtype, rule.flips)
                pred = decide_scene(probs, rule, predictor.namer)
                measures[name].add(probs, pred)
                stream.append(pred)

    documents = {
        name: pooled_scores(split.counts, packed.class_names, params.bootstrap_samples, params.seed)
        for name, split in measures.items()
    }
    write_csv(TILES, _by_split({name: pd.DataFrame(split.tiles) for name, split in measures.items()}))
    write_csv(CONFUSION, _by_split({name: split.confusion() for name, split in measures.items()}))
    write_csv(PR, _by_split({name: split.precision_recall() for name, split in measures.items()}))
    write_csv(RELIABILITY, _by_split({name: reliability_curve(split.counts) for name, split in measures.items()}))
    write_json(SCENES, {name: [each.to_json() for each in split.counts] for name, split in measures.items()})
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
