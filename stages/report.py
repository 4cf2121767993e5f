"""Report: the page of a run, to look at it as a whole, at its slicks on a map, and at what may be wrong with labels.

Reads data/packed, data/split.csv, data/candidates, data/predictions, data/seeps/seeps.csv, models/model.safetensors,
metrics, the pictures in plots/, params.yaml as a whole, and the file that data.corrections names. Takes the section
report and some of data, passes and evaluate of params.yaml. Writes report/index.html, one file that opens from disk and
needs no network.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seepseg.base.colours import class_colours
from seepseg.base.errors import InputError
from seepseg.base.files import read_json, write_bytes
from seepseg.base.params import load_params
from seepseg.data.corrections import no_corrections, read_corrections
from seepseg.data.out_of_fold import OutOfFoldScene, out_of_fold_scenes
from seepseg.data.packed import open_packed
from seepseg.data.tile_arrays import open_tile_array
from seepseg.detection.detector import Detector
from seepseg.detection.model_file import Model, load_model
from seepseg.detection.slick_table import read_slick_table
from seepseg.evaluation.params import EvaluateParams
from seepseg.evaluation.scene_counts import SceneCounts
from seepseg.io.raw_data import DataParams
from seepseg.models.trained_networks import check_classes
from seepseg.passes.other_passes import with_other_passes
from seepseg.passes.params import PassesParams
from seepseg.report.changed_params import changed_params, read_defaults
from seepseg.report.contents import Contents, Table
from seepseg.report.glance import TrainedModel, data_by_split, scores_at_a_glance, summary
from seepseg.report.page import render
from seepseg.report.params import ReportParams
from seepseg.report.run import Run, pages_of, reviews_of
from seepseg.report.tables import class_table, data_table, params_table, seep_tables

PARAMS = "params.yaml"
PACKED = "data/packed"
SPLIT = "data/split.csv"
CANDIDATES = "data/candidates"
PREDICTIONS = "data/predictions"
SEEPS = "data/seeps/seeps.csv"
MODEL = "models/model.safetensors"
METRICS = "metrics"
PLOTS = "plots"
PAGE = "report/index.html"

TITLE = "Slicks of a run"
FIGURES = {
    "history": "Training",
    "class_balance": "Pixels of each class",
    "precision_recall": "Precision and recall, by pixel",
    "confusion": "Annotated and predicted classes, by pixel",
    "annotated_confusion": "Annotated and predicted classes, by annotated slick",
    "reliability": "Probabilities, and how often they are right",
    "seeps": "Seeps",
}


def main(root: Path = Path()) -> None:
    """Run the stage."""
    contents = contents_of_run(root, load_params(ReportParams, "report", root / PARAMS))
    page = render(contents).encode()
    write_bytes(root / PAGE, page)
    to_look_at = ", ".join(f"{review.total} {review.key}" for review in contents.reviews)
    print(f"{PAGE}: {len(contents.scenes)} scenes, {len(page) / 1e6:.1f} MB; slicks to look at: {to_look_at}")


def contents_of_run(root: Path, params: ReportParams) -> Contents:
    """Put together what the page shows.

    Raises:
        InputError: a file is missing, or they are not of one run.
    """
    model = load_model(root / MODEL)
    run = _open_run(root, model)
    names, seeps, file = (
        run.packed.class_names,
        _read_seeps(root / SEEPS),
        load_params(DataParams, "data", root / PARAMS).corrections,
    )
    corrections = read_corrections(root / file, names) if file else no_corrections()
    parts = list(pages_of(run, corrections, seeps, params))
    pages, data = [part.page for part in parts], data_by_split(parts, names)
    evaluated, found = _read_metrics(root, "evaluate"), _read_metrics(root, "seeps")
    min_iou = load_params(EvaluateParams, "evaluate", root / PARAMS).object_iou
    leakage = _read_metrics(root, "split")["split"]["leakage"]["test"]
    learnt = TrainedModel(len(model.networks), model.meta.networks.model.name, leakage, min_iou)
    return Contents(
        TITLE,
        summary(learnt, data, evaluated, found),
        scores_at_a_glance(evaluated),
        [*_data_tables(data, evaluated, names), *seep_tables(found, seeps), _params_table(root)],
        _figures(root / PLOTS),
        class_colours(names),
        sorted(pages, key=lambda page: page.split != "test"),
        reviews_of(run, pages, params, min_iou),
        corrections,
        file,
    )


def _open_run(root: Path, model: Model) -> Run:
    packed = open_packed(root / PACKED)
    names = packed.class_names
    check_classes(root / MODEL, model.class_names, names, "train")
    table = read_slick_table(root / CANDIDATES / "candidates.csv", names)
    passes = load_params(PassesParams, "passes", root / PARAMS)
    seen = with_other_passes(table, packed, root / SPLIT, root / CANDIDATES / "footprints.csv", model, passes)
    slicks = Detector.of_model(model).classify(seen.drop(columns="split"))
    parts = out_of_fold_scenes(packed, root / SPLIT, len(model.networks))
    return Run(
        packed,
        parts,
        _read_counts(root / PREDICTIONS / "scenes.json", parts),
        open_tile_array(root / CANDIDATES / "labels.npy", packed, "detect"),
        open_tile_array(root / PREDICTIONS / "pred.npy", packed, "evaluate"),
        *slicks.probabilities(),
        slicks.candidates.table["scene"].to_numpy(),
        passes.origins,
    )


def _data_tables(data: pd.DataFrame, evaluated: dict[str, Any], names: Sequence[str]) -> list[Table]:
    """The data set, and the classes in each split of it."""
    return [data_table(data, names), *(class_table(split, evaluated[split], data, names) for split in data.index)]


def _params_table(root: Path) -> Table:
    return params_table(changed_params(root / PARAMS, read_defaults()))


def _figures(folder: Path) -> dict[str, bytes]:
    """The pictures that there are, by their titles."""
    files = {title: folder / f"{name}.png" for name, title in FIGURES.items()}
    return {title: path.read_bytes() for title, path in files.items() if path.is_file()}


def _read_seeps(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro seeps`")
    texts = dict.fromkeys(("kind", "class_name"), "str")
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])  # a class may be called NA


def _read_metrics(root: Path, stage: str) -> dict[str, Any]:
    path = root / METRICS / f"{stage}.json"
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro {stage}`")
    return read_json(path)


def _read_counts(path: Path, parts: Sequence[OutOfFoldScene]) -> list[SceneCounts]:
    """The counts of each part, as evaluate wrote them, which goes through them in the same order."""
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro evaluate`")
    document = read_json(path)
    counts = [SceneCounts.from_json(each) for split in ("oof", "test") for each in document.get(split, [])]
    if [each.scene for each in counts] != [part.scene.name for part in parts]:
        raise InputError(f"{path}: expected the scenes of {SPLIT}, found others; run `dvc repro evaluate`")
    return counts
