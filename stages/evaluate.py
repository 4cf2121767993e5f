"""Evaluate: measure networks, namers and decision rule on the scenes that they never saw.

Under val, those are the training scenes of all networks, each judged by a network and a namer that are blind to it;
with the rule, which was fitted on them. Under test, they are the test scenes, judged by all together.

Reads data/packed, data/split.csv, data/outlines and models/model.safetensors; takes the sections evaluate and outline
of params.yaml. Writes metrics/evaluate.json; plots/confusion.csv, plots/pr.csv and plots/reliability.csv, counts and
curves per split; data/predictions/scenes.json, the counts of each scene; and, for
the pictures, data/predictions/pred.npy (uint8 classes) with data/predictions/tiles.csv (which tile each is, and its
scores).
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from annotated_types import Ge
from seepseg.base.command import run_stage
from seepseg.base.conventions import BACKGROUND, NODATA
from seepseg.base.npy_stream import NpyStream

from seepseg.base.files import atomic_path, write_csv, write_json
from seepseg.base.params import load_params, param_block
from seepseg.data.packed import Packed, open_packed
from seepseg.data.scenes import Scene
from seepseg.detection.candidates import ARRAYS, FOLDER, OutlineParams, find_views, open_array, read_slicks
from seepseg.detection.model_file import load_model
from seepseg.detection.postprocessing import judge_outlines, kept, named, paint
from seepseg.evaluation.confusion import confusion_counts, scores
from seepseg.evaluation.scene_counts import (
    SceneCounts,
    confusion_rows,
    count_scene,
    operating_point,
    pooled_scores,
    reliability_curve,
)
from seepseg.models.network_file import check_classes

MODEL = Path("models/model.safetensors")
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

    bootstrap_samples: Annotated[int, Ge(1)]
    seed: Annotated[int, Ge(0)]


class SplitMeasures:
    """What is counted over one split, scene by scene.

    Attributes:
        counts: of each scene.
        tiles: a row per tile, for the pictures.
    """

    def __init__(self, packed: Packed, object_iou: float) -> None:
        self.packed = packed
        self.object_iou = object_iou
        self.counts: list[SceneCounts] = []
        self.tiles: list[dict[str, Any]] = []

    def add(self, scene: Scene, pred: npt.NDArray[np.uint8], foreground: npt.NDArray[np.float16]) -> None:
        """Count one scene with its predicted classes and the probabilities of any class, (N, h, w) each."""
        num_classes = len(self.packed.class_names) + 1
        images, target = self.packed.images[scene.indices], self.packed.targets[scene.indices]
        valid = images != NODATA
        self.counts.append(
            count_scene(
                scene.name,
                scene.stitch(pred),
                scene.stitch(target),
                scene.stitch(valid),
                scene.stitch(foreground).astype(np.float32),
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


def main() -> None:
    """Run the stage."""
    params, object_iou = load_params(EvaluateParams, "evaluate"), load_params(OutlineParams, "outline").object_iou
    packed = open_packed()
    model = load_model(MODEL)
    check_classes(MODEL, model.meta.class_names, packed.class_names, "train")
    rule = model.rule
    views = find_views(packed, len(model.networks))
    tiles = sum(len(view.scene.indices) for view in views)
    labels, foreground, by_pixel = (open_array(name, tiles) for name in ARRAYS)
    outlined = judge_outlines(
        read_slicks("outlined").drop(columns="split"), model.namers if rule.needs_namers else None
    )
    stay, classes, scenes = kept(outlined, rule), named(outlined, rule), outlined.table["scene"].to_numpy()

    measures: dict[str, SplitMeasures] = {}
    first = 0
    with atomic_path(PRED) as partial, NpyStream.open(partial, "u1") as stream:
        stream.write_header(tiles, packed.targets.shape[1:])
        for number, (split, scene, _) in enumerate(views):
            rows = slice(first, first + len(scene.indices))
            first = rows.stop
            here = scenes == number
            pixels = by_pixel[rows] if rule.naming == "pixel" else None
            pred = paint(labels[rows], stay[here], classes[here], pixels)
            measures.setdefault(split, SplitMeasures(packed, object_iou)).add(scene, pred, foreground[rows])
            stream.append(pred)

    documents = {
        name: pooled_scores(split.counts, packed.class_names, params.bootstrap_samples, params.seed)
        for name, split in measures.items()
    }
    write_csv(TILES, _by_split({name: pd.DataFrame(split.tiles) for name, split in measures.items()}))
    write_csv(CONFUSION, _by_split({name: split.confusion() for name, split in measures.items()}))
    write_csv(PR, _precision_recall(measures))
    write_csv(RELIABILITY, _by_split({name: reliability_curve(split.counts) for name, split in measures.items()}))
    write_json(SCENES, {name: [each.to_json() for each in split.counts] for name, split in measures.items()})
    write_json(METRICS, documents)
    for name, document in documents.items():
        print(_line(name, document))


def _precision_recall(measures: dict[str, SplitMeasures]) -> pd.DataFrame:
    """The curves of the networks, and the point where the decision rule stands, as a row without a threshold."""
    curves = pd.read_csv(FOLDER / "curves.csv", dtype={"split": "str", "class": "str"}, keep_default_na=False)
    tables = {}
    for name, split in measures.items():
        point = pd.DataFrame([operating_point(split.counts)])
        tables[name] = pd.concat([curves[curves["split"] == name].drop(columns="split"), point], ignore_index=True)
    return _by_split(tables)


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
