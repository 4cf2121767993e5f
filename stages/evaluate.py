"""Evaluate: measure the model on scenes that it was not trained on.

Under oof, those are the training scenes, each through the network and the slick classifier that are out of fold there;
post-processing was fitted on them. Under test, they are the test scenes, through all networks and classifiers together.

Reads data/packed, data/split.csv, data/candidates and models/model.safetensors; takes the sections evaluate and passes
of params.yaml. Where the model knows how, what other passes show tells of the class of a slick, too; under alone stands
what the scores would be without. Writes metrics/evaluate.json; plots/confusion.csv, plots/pr.csv and
plots/reliability.csv, counts and curves per split; data/predictions/scenes.json, the counts of each scene; and, for the
pictures, data/predictions/pred.npy (uint8 classes, a row per packed tile) with data/predictions/tiles.csv (the tiles
that are predicted, and their scores).
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.base.conventions import BACKGROUND, NODATA
from seepseg.base.files import atomic_path, write_csv, write_json
from seepseg.base.npy_stream import NpyStream
from seepseg.base.params import load_params
from seepseg.data.out_of_fold import out_of_fold_scenes
from seepseg.data.packed import Packed, open_packed
from seepseg.data.scenes import Scene
from seepseg.data.tile_arrays import open_tile_array
from seepseg.detection.detector import Detector
from seepseg.detection.model_file import load_model
from seepseg.detection.slick_table import read_slick_table
from seepseg.evaluation.confusion import confusion_counts, scores
from seepseg.evaluation.curves import PrHistogram
from seepseg.evaluation.named_scores import NamedCounts, count_named, named_scores
from seepseg.evaluation.params import EvaluateParams
from seepseg.evaluation.scene_counts import (
    SceneCounts,
    confusion_rows,
    count_scene,
    operating_point,
    pooled_scores,
    reliability_curve,
)
from seepseg.models.trained_networks import check_classes
from seepseg.passes.other_passes import with_other_passes
from seepseg.passes.params import PassesParams

PARAMS = "params.yaml"
PACKED = "data/packed"
SPLIT = "data/split.csv"
CANDIDATES = "data/candidates"
MODEL = "models/model.safetensors"
METRICS = "metrics/evaluate.json"
CONFUSION = "plots/confusion.csv"
PR = "plots/pr.csv"
RELIABILITY = "plots/reliability.csv"
PRED = "data/predictions/pred.npy"
TILES = "data/predictions/tiles.csv"
SCENES = "data/predictions/scenes.json"


class SplitMeasures:
    """What is counted over one split, scene by scene.

    Attributes:
        counts: of each scene.
        alone: likewise, of classes that are told without other passes.
        curves: of all pixels.
        tiles: a row per tile, for the pictures.
    """

    def __init__(self, packed: Packed, object_iou: float) -> None:
        self.packed = packed
        self.object_iou = object_iou
        self.counts: list[SceneCounts] = []
        self.alone: list[NamedCounts] = []
        self.curves = PrHistogram(packed.class_names)
        self.tiles: list[dict[str, Any]] = []

    def add(
        self,
        scene: Scene,
        pred: npt.NDArray[np.uint8],
        alone: npt.NDArray[np.uint8],
        foreground: npt.NDArray[np.float16],
        classes: npt.NDArray[np.uint8],
    ) -> None:
        """Count one scene.

        Args:
            scene: where its N tiles lie.
            pred: uint8 (N, h, w), predicted classes.
            alone: likewise, told without other passes.
            foreground: float16 (N, h, w), probability of any class.
            classes: uint8 (N, h, w), the networks' most probable class.
        """
        num_classes = len(self.packed.class_names) + 1
        images, target = self.packed.images[scene.indices], self.packed.targets[scene.indices]
        valid, probs = images != NODATA, foreground.astype(np.float32)
        self.counts.append(
            count_scene(
                scene.name,
                scene.stitch(pred),
                scene.stitch(target),
                scene.stitch(valid),
                scene.stitch(probs),
                num_classes,
                self.object_iou,
            )
        )
        if np.array_equal(pred, alone):
            self.alone.append(NamedCounts(self.counts[-1].confusion, self.counts[-1].objects[1:]))
        else:
            stitched = scene.stitch(alone), scene.stitch(target), scene.stitch(valid)
            self.alone.append(count_named(*stitched, num_classes, self.object_iou))
        self.curves.update(probs, classes, target, valid)
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
        """The curves of the networks, and the operating point of the whole model, as a row without a threshold."""
        return pd.concat([self.curves.curve(), pd.DataFrame([operating_point(self.counts)])], ignore_index=True)


def main(root: Path = Path()) -> None:
    """Run the stage."""
    params = load_params(EvaluateParams, "evaluate", root / PARAMS)
    packed, model = open_packed(root / PACKED), load_model(root / MODEL)
    names = packed.class_names
    check_classes(root / MODEL, model.class_names, names, "train")
    labels, foreground, classes = (
        open_tile_array(root / CANDIDATES / f"{name}.npy", packed, "detect")
        for name in ("labels", "foreground", "classes")
    )
    detector = Detector.of_model(model)
    table = read_slick_table(root / CANDIDATES / "candidates.csv", names)
    passes = load_params(PassesParams, "passes", root / PARAMS)
    seen = with_other_passes(table, packed, root / SPLIT, root / CANDIDATES / "footprints.csv", model, passes)
    alone, slicks = (detector.classify(each.drop(columns="split")) for each in (table, seen))
    scene_of_slick = slicks.candidates.table["scene"].to_numpy()
    measures: dict[str, SplitMeasures] = {}
    with atomic_path(root / PRED) as partial, NpyStream.open(partial, "u1") as stream:
        stream.write_header(len(packed.targets), packed.targets.shape[1:])
        for split, scene, _ in out_of_fold_scenes(packed, root / SPLIT, len(model.networks)):
            rows, here = scene.indices, scene_of_slick == scene.name
            pred, pred_alone = (
                detector.draw(labels[rows], each.accepted[here], each.classes[here], classes[rows])
                for each in (slicks, alone)
            )
            of_split = measures.setdefault(split, SplitMeasures(packed, params.object_iou))
            of_split.add(scene, pred, pred_alone, foreground[rows], classes[rows])
            stream.write_rows(rows.tolist(), pred)

    documents = {
        name: {
            **pooled_scores(split.counts, names, params.bootstrap_samples, params.seed),
            "alone": named_scores(split.alone, names),
        }
        for name, split in measures.items()
    }
    _write(measures, documents, root)
    for name, document in documents.items():
        print(_line(name, document))


def _write(measures: dict[str, SplitMeasures], documents: dict[str, dict[str, Any]], root: Path) -> None:
    """Write all but the predicted tiles."""
    write_csv(root / TILES, _by_split({name: pd.DataFrame(split.tiles) for name, split in measures.items()}))
    write_csv(root / CONFUSION, _by_split({name: split.confusion() for name, split in measures.items()}))
    write_csv(root / PR, _by_split({name: split.precision_recall() for name, split in measures.items()}))
    write_csv(
        root / RELIABILITY, _by_split({name: reliability_curve(split.counts) for name, split in measures.items()})
    )
    write_json(
        root / SCENES,
        {
            name: [
                {**counts.to_json(), "alone": alone.to_json()}
                for counts, alone in zip(split.counts, split.alone, strict=True)
            ]
            for name, split in measures.items()
        },
    )
    write_json(root / METRICS, documents)


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
        f"{split}: binary Dice {shown(document['binary_dice'])}, surface Dice {shown(document['surface_dice_1'])}, "
        f"macro Dice {shown(document['macro_dice'])} (by class {per_class}), object F1 {shown(document['object_f1'])}"
    )
