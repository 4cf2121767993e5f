"""Classify: learn which candidates are slicks and of what class, and put everything into one model file.

Reads models/networks.safetensors, data/packed, data/split.csv and, of data/candidates, candidates.csv, annotated.csv
and footprints.csv; takes the sections classify and passes of params.yaml, evaluate.object_iou and what detect says of
proposals. For each network there is a slick classifier, fitted on the slicks of the other inner folds. With what all of
them say out of fold, post-processing is fitted; and, where several scenes see the same ground, what they say of the
candidates of other passes tells of the class of a slick, too.

Writes models/model.safetensors (networks, classifiers and post-processing, which evaluate and every later prediction
use), models/postprocessing.json (the last of these, for people), and, of the annotated slicks,
data/annotated_classes.csv (the class that each is given, and that without other passes), metrics/classify.json (how
well they are classified, likewise) and plots/annotated_confusion.csv.
"""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from seepseg.base.files import write_csv, write_json
from seepseg.base.params import load_params, param_block
from seepseg.data.packed import open_packed
from seepseg.detection.classifier import ClassifierMeta
from seepseg.detection.ensemble import ClassifierParams
from seepseg.detection.fitting import annotated_classes, fit_classifiers, fit_with_passes
from seepseg.detection.model_file import Model, ModelMeta, save_model
from seepseg.detection.postprocessing import (
    Postprocessing,
    PostprocessingParams,
    fit_postprocessing,
    score_candidates,
    unfitted,
)
from seepseg.detection.proposal import DetectParams
from seepseg.detection.slick_table import SLICK, feature_columns, out_of_fold, read_slick_table
from seepseg.evaluation.annotated_slicks import ALONE, PREDICTED, confusion_of, scores_by_split
from seepseg.evaluation.params import EvaluateParams
from seepseg.models.trained_networks import load_networks
from seepseg.passes.other_passes import OtherPasses
from seepseg.passes.params import PassesParams
from seepseg.passes.recurrence import recurrence_names

PARAMS = "params.yaml"
NETWORKS = "models/networks.safetensors"
PACKED = "data/packed"
SPLIT = "data/split.csv"
FOOTPRINTS = "data/candidates/footprints.csv"
CANDIDATES = "data/candidates/candidates.csv"
ANNOTATED = "data/candidates/annotated.csv"
MODEL = "models/model.safetensors"
POSTPROCESSING = "models/postprocessing.json"
CLASSES = "data/annotated_classes.csv"
METRICS = "metrics/classify.json"
CONFUSION = "plots/annotated_confusion.csv"


@param_block
class ClassifyParams(ClassifierParams):
    """Which candidates are slicks, and of what class: small ensembles of neural networks on their features."""

    postprocessing: PostprocessingParams = PostprocessingParams()


def main(root: Path = Path()) -> None:
    """Run the stage."""
    params = load_params(ClassifyParams, "classify", root / PARAMS)
    detect = load_params(DetectParams, "detect", root / PARAMS)
    min_iou = load_params(EvaluateParams, "evaluate", root / PARAMS).object_iou
    torch.set_num_threads(1)  # the layers are tiny: more threads only wait for each other
    networks, networks_meta = load_networks(root / NETWORKS)
    names = networks_meta.class_names
    annotated, candidates = read_slick_table(root / ANNOTATED, names), read_slick_table(root / CANDIDATES, names)
    meta = ClassifierMeta(
        class_names=names,
        features=feature_columns(annotated),
        classifiers=len(networks),
        members=params.members,
        hidden=params.hidden,
    )
    oof_annotated, oof_candidates = (out_of_fold(table) for table in (annotated, candidates))
    classifiers = fit_classifiers(oof_annotated, oof_candidates, meta, params, min_iou)
    start = unfitted(params.postprocessing, names, detect.min_area)
    scored = score_candidates(oof_candidates, classifiers, start)
    exponent = params.postprocessing.inverse_frequency_exponent
    fitted = fit_postprocessing(scored, oof_annotated.drop_duplicates(SLICK), start, min_iou, exponent)
    print(
        f"of {len(scored.table)} candidates at {detect.threshold}, accepted are those that pass {_thresholds(fitted)}"
    )
    passes, packed = load_params(PassesParams, "passes", root / PARAMS), open_packed(root / PACKED)
    others = OtherPasses.of(packed, root / SPLIT, root / FOOTPRINTS, candidates, classifiers, passes)
    print(*others.every.notices, sep="\n", end="\n" if others.every.notices else "")
    seen = others.add(annotated, passes.radius)
    knowing = replace(meta, recurrence=recurrence_names(names), recurrence_radius=passes.radius)
    meta = fit_with_passes(classifiers, seen, meta, knowing, params)
    model_meta = ModelMeta(networks=networks_meta, proposal=detect.proposal, classifiers=meta, postprocessing=fitted)
    save_model(root / MODEL, Model(model_meta, list(networks), classifiers))
    write_json(root / POSTPROCESSING, asdict(fitted))
    classes = annotated_classes(seen, classifiers, names)
    known, alone = (scores_by_split(classes, column, names) for column in (PREDICTED, ALONE))
    counts = classes["split"].value_counts(sort=False).to_dict()
    write_csv(root / CLASSES, classes)
    write_csv(root / CONFUSION, confusion_of(classes, names))
    metrics = {
        "annotated_slicks": {"count": counts, **known},
        "annotated_slicks_alone": alone,
        "passes": others.summary(seen),
    }
    write_json(root / METRICS, metrics)
    for split, count in counts.items():
        found, before = (_shown(each[split]["macro_dice"]) for each in (known, alone))
        print(f"{split}: classes of {count} annotated slicks: macro Dice {found}, without other passes {before}")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _thresholds(fitted: Postprocessing) -> str:
    if fitted.accept == "classifier":
        return f"thresholds of {fitted.object_threshold} for objects and {fitted.pixel_threshold} for pixels"
    return f"a peak of {fitted.peak} and {fitted.min_area} pixels at least"
