"""A small run with planted contradictions between annotation and prediction, in memory and as files.

Scene a, of inner fold 0, is two tiles side by side that lie one tile to the right in its grid; b, of inner fold 1, is a
tile without a place; t, the test scene, lies one tile down and has a place on earth.
"""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import yaml
from affine import Affine

from seepseg.data.out_of_fold import OutOfFoldScene
from seepseg.data.packed import MANIFEST_TYPES, Packed
from seepseg.data.scenes import find_scenes
from seepseg.evaluation.scene_counts import count_scene, pooled_scores
from seepseg.geo.georeference import AffineGeoreference
from seepseg.geo.place_json import place_to_json
from seepseg.report.run import Run

NAMES = ["oil", "gas"]
OIL, GAS = 1, 2
SIDE = 64
PLACE = AffineGeoreference("EPSG:32615", Affine(40, 0, 600_000, 0, -40, 3_000_000))
ORIGINS = {"a": [0, 3]}

# Rows and columns from and to, then what is annotated and what is predicted there, the number of the candidate, p_slick
# and p_class of what is predicted.
PLANTED = {
    "a": [
        (5, 15, 5, 15, OIL, OIL, 1, 0.9, 0.9),
        (20, 22, 100, 104, 0, 0, 2, 0.1, 0.9),  # a candidate that is not accepted
        (5, 13, 40, 48, 0, OIL, 3, 0.9, 0.8),  # nobody annotated it
        (5, 9, 60, 68, 0, GAS, 4, 0.3, 0.9),  # nor this, but the model isn't sure
        (30, 36, 5, 11, GAS, 0, 0, 0, 0),  # missed
        (30, 40, 40, 44, OIL, GAS, 5, 0.9, 0.7),  # of another class
        (57, 62, 80, 90, OIL, GAS, 6, 0.9, 0.4),  # likewise, but the model isn't sure; three rows have data
        (58, 64, 100, 104, GAS, 0, 0, 0, 0),  # missed; only two rows have data
    ],
    "b": [(10, 20, 10, 12, OIL, 0, 0, 0, 0), (30, 34, 30, 34, GAS, GAS, 1, 0.8, 0.8)],
    "t": [
        (10, 16, 10, 20, 0, OIL, 1, 0.95, 0.9),  # nobody annotated it, and rightly so, people said
        (30, 33, 30, 40, GAS, 0, 0, 0, 0),
        (50, 55, 5, 15, OIL, OIL, 2, 0.7, 0.9),
    ],
}
# In the grid of t, one tile down.
JUDGED = "POLYGON ((10 74, 20 74, 20 80, 10 80, 10 74))"
CORRECTIONS = pd.DataFrame(
    [("t", "predicted", "wrong", "", JUDGED)], columns=["scene", "kind", "decision", "class_name", "outline"]
)


def scene_arrays(name):
    """Image, target, pred and candidates of a scene."""
    shape = (SIDE, 2 * SIDE if name == "a" else SIDE)
    image = (1000 + np.arange(shape[0] * shape[1]) % 97).reshape(shape).astype(np.uint16)
    target, pred, candidates = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), np.zeros(shape, np.int32)
    for top, bottom, left, right, annotated, predicted, number, *_ in PLANTED[name]:
        there = np.s_[top:bottom, left:right]
        target[there], pred[there], candidates[there] = annotated, predicted, number
    if name == "a":
        image[60:] = 0
    return image, target, pred, candidates


def tiles():
    """The same of the four tiles: of a, b and t."""
    of_scenes = [scene_arrays(name) for name in PLANTED]
    cut = [np.split(array, array.shape[1] // SIDE, axis=1) for scene in of_scenes for array in scene]
    return [np.concatenate(cut[kind::4]) for kind in range(4)]


def manifest(images):
    table = pd.DataFrame({name: [0] * 4 for name in [*MANIFEST_TYPES, "pixels_background", "pixels_oil", "pixels_gas"]})
    table["tile"], table["scene"] = ["a_1", "a_2", "b_1", "t_1"], ["a", "a", "b", "t"]
    table["row"], table["col"] = pd.array([0, 0, None, 1], "Int64"), pd.array([1, 2, None, 0], "Int64")
    return table.assign(nodata_fraction=(images == 0).mean(axis=(1, 2)))


def candidate_table():
    """A row per candidate, in the order of scenes and numbers."""
    rows = [
        {"split": "test" if scene == "t" else "oof", "scene": scene, "slick": number, "p": p_slick}
        | {"p_oil": p_class if of != GAS else 1 - p_class, "p_gas": p_class if of == GAS else 1 - p_class}
        for scene, planted in PLANTED.items()
        for *_, of, number, p_slick, p_class in sorted(planted, key=lambda row: row[6])
        if number
    ]
    return pd.DataFrame(rows).assign(pixels_oil=0, pixels_gas=0)


def made_up_run():
    """The run, in memory."""
    images, targets, pred, candidates = tiles()
    known = {"t": {**place_to_json(PLACE), "acquired": "2021-02-03T04:05:06+00:00", "radiometry": {"spacing": 40.0}}}
    packed = Packed(images, targets, manifest(images), {"scenes": known})
    table, counts, parts = candidate_table(), [], []
    for rows, split in (([0, 1], "oof"), ([2], "oof"), ([3], "test")):
        (scene,) = find_scenes(packed.manifest, np.array(rows), (SIDE, SIDE))
        parts.append(OutOfFoldScene(split, scene, (0,)))
        image, target, predicted, _ = scene_arrays(scene.name)
        probs = np.zeros(image.shape, np.float32)
        counts.append(count_scene(scene.name, predicted, target, image > 0, probs, 3, 0.3))
    p_class = table[["p_oil", "p_gas"]].to_numpy()
    return Run(
        packed, parts, counts, candidates, pred, table["p"].to_numpy(), p_class, table["scene"].to_numpy(), ORIGINS
    )


SEEPS = pd.DataFrame(
    {
        "seep_id": [1, 2, 3],
        "kind": "seep",
        "class_name": "oil",
        "p_seep": [0.9, 0.8, 0.7],
        "reported": [True, True, False],
        "recurrence_rate": 0.5,
        "passes": 4,
        "error_radius_m": 200.0,
        **dict(zip(("lon", "lat"), PLACE.to_lonlat([20.25, 500.0, 3.0], [70.5, 70.0, 127.0]), strict=True)),
    }
)


class MadeUpModel(SimpleNamespace):
    """Stands for a model, and for the detector that knows its answers by heart."""

    def __init__(self):
        of_networks = SimpleNamespace(model=SimpleNamespace(name="unet"))
        meta = SimpleNamespace(networks=of_networks, classifiers=SimpleNamespace(recurrence=False))
        super().__init__(class_names=NAMES, networks=[0, 1], classifiers=[], meta=meta)

    @classmethod
    def of_model(cls, model):
        return model

    def classify(self, table):
        answers = table["p"].to_numpy(), table[["p_oil", "p_gas"]].to_numpy()
        return SimpleNamespace(candidates=SimpleNamespace(table=table), probabilities=lambda: answers)


def write_run(root):
    """The run as files, but for the model."""
    run = made_up_run()
    for folder in ("data/packed", "data/candidates", "data/predictions", "data/seeps", "metrics", "plots"):
        (root / folder).mkdir(parents=True)
    arrays = {"packed/images": run.packed.images, "packed/targets": run.packed.targets}
    arrays |= {"candidates/labels": run.candidates, "predictions/pred": run.pred}
    for name, array in arrays.items():
        np.save(root / f"data/{name}.npy", array)
    run.packed.manifest.to_csv(root / "data/packed/manifest.csv", index=False)
    (root / "data/packed/scenes.json").write_text(json.dumps(run.packed.scenes))
    split = pd.DataFrame({"tile": ["a_1", "a_2", "b_1", "t_1"], "split": ["val", "val", "train", "test"]})
    split.assign(inner_fold=["0", "0", "1", ""]).to_csv(root / "data/split.csv", index=False)
    candidate_table().to_csv(root / "data/candidates/candidates.csv", index=False)
    SEEPS.to_csv(root / "data/seeps/seeps.csv", index=False)
    CORRECTIONS.to_csv(root / "data/corrections.csv", index=False)
    params = {"report": {}, "passes": {"origins": ORIGINS}, "data": {}, "evaluate": {"bootstrap_samples": 7}}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    counts = {"oof": run.counts[:2], "test": run.counts[2:]}
    documents = {
        "data/predictions/scenes": {name: [each.to_json() for each in of] for name, of in counts.items()},
        "metrics/evaluate": {name: pooled_scores(of, NAMES, 5, 1) for name, of in counts.items()},
        "metrics/split": {"split": {"leakage": {"test": 0.0}}},
        "metrics/seeps": {"passes": 4, "reported": 2, "platforms": 0, "expected_false": 0.1},
    }
    for name, document in documents.items():
        (root / f"{name}.json").write_text(json.dumps(document))
    (root / "plots/history.png").write_bytes(b"a picture")
