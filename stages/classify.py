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

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from seepseg.base.files import write_csv, write_json
from seepseg.base.params import load_params, param_block
from seepseg.data.packed import PIXELS, open_packed
from seepseg.detection.classifier import (
    PASSES,
    ClassifierMeta,
    SlickClassifier,
    average_probs,
    fit_classifier,
    fit_in_passes,
    seen_by_others,
)
from seepseg.detection.ensemble import ClassifierParams
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
from seepseg.evaluation.annotated_slicks import ALONE, PREDICTED, annotated_slick_scores, given_classes_tables
from seepseg.evaluation.params import EvaluateParams
from seepseg.models.trained_networks import load_networks
from seepseg.passes.other_passes import OOF, OtherPasses
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
    meta = fit_with_passes(classifiers, seen, meta, params, passes.radius)
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


def fit_classifiers(
    annotated: pd.DataFrame, candidates: pd.DataFrame, meta: ClassifierMeta, params: ClassifyParams, min_iou: float
) -> list[SlickClassifier]:
    """Fit the classifier of each network, on what the other networks say out of fold."""
    if not len(candidates):
        print(
            "warning: the networks propose no candidate in scenes that they were not trained on, so slicks can't be "
            "told from look-alikes; train longer, or lower detect.threshold",
            file=sys.stderr,
        )
    if meta.classifiers == 1:
        print(
            "warning: with one network, slicks are classified by what was learnt from them, and the scores of oof are "
            "too good; set train.networks to 2 or more, or classify.postprocessing.accept to peak and .class_from to "
            "mean_probability",
            file=sys.stderr,
        )
    slicks, proposed = (of_other_folds(table, meta.classifiers) for table in (annotated, candidates))
    return [
        fit_classifier(*each, meta=meta, params=params, min_iou=min_iou) for each in zip(slicks, proposed, strict=True)
    ]


def fit_with_passes(
    classifiers: list[SlickClassifier],
    annotated: pd.DataFrame,
    meta: ClassifierMeta,
    params: ClassifyParams,
    radius: float,
) -> ClassifierMeta:
    """Teach classifiers what other passes tell of classes, where each has slicks to learn that from and it helps.

    It is kept unless the annotated slicks of training scenes, out of fold, are classified worse with it.

    Args:
        classifiers: fitted without.
        annotated: the table that detect wrote, with what other passes tell; slicks of training scenes are learnt from.
        meta: of the classifiers.
        params: section `classify`.
        radius: for which that was measured; 0: other passes shall tell nothing.

    Returns:
        What the classifiers are now.
    """
    if not radius:
        return meta
    tables = of_other_folds(out_of_fold(annotated), meta.classifiers)
    if not all(seen_by_others(table).any() for table in tables):
        print("classes are told without other passes: too few training scenes see the same ground")
        return meta
    knowing = replace(meta, recurrence=recurrence_names(meta.class_names), recurrence_radius=radius)
    for classifier, table in zip(classifiers, tables, strict=True):
        fit_in_passes(classifier, table, knowing, params)
    if not keep_passes(annotated[annotated["split"] == OOF], classifiers, meta.class_names):
        for classifier in classifiers:
            classifier.forget_passes()
        return meta
    print(f"of slicks that other passes saw, classes are told by {', '.join(knowing.recurrence)}, too")
    return knowing


def keep_passes(annotated: pd.DataFrame, classifiers: list[SlickClassifier], names: list[str]) -> bool:
    """Whether slicks of training scenes, out of fold, are classified no worse with what other passes tell."""
    classes = annotated_classes(annotated, classifiers, names)
    known, alone = (scores_by_split(classes, column, names)[OOF]["macro_dice"] for column in (PREDICTED, ALONE))
    if known < alone:
        print(f"classes are told without other passes: with them, macro Dice is {known:.3f} instead of {alone:.3f}")
    return bool(known >= alone)


def of_other_folds(table: pd.DataFrame, classifiers: int) -> list[pd.DataFrame]:
    """What each classifier is fitted on: all that isn't of its own inner fold; a single one on everything."""
    if classifiers == 1:
        return [table]
    return [table[table["network"] != number] for number in range(classifiers)]


def annotated_classes(annotated: pd.DataFrame, classifiers: list[SlickClassifier], names: list[str]) -> pd.DataFrame:
    """The classes that are given to slicks that are outlined as annotated.

    Args:
        annotated: as detect wrote it, with what other passes tell.
        classifiers: of the inner folds.
        names: the K classes.

    Returns:
        A row for each slick: `split`, `scene`, `slick`, annotated pixels of each class, and the names of the classes
        given, `predicted`, and `predicted_alone`, as if no other pass had been seen.
    """
    parts = []
    for _, slicks in annotated.groupby("split", sort=False):
        part = slicks.drop_duplicates(SLICK)[["split", *SLICK, *(PIXELS + name for name in names)]]
        for column, table in ((PREDICTED, slicks), (ALONE, slicks.drop(columns=PASSES))):
            part[column] = np.array(names)[average_probs(classifiers, table).classes.argmax(axis=1)]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def scores_by_split(classes: pd.DataFrame, column: str, names: list[str]) -> dict[str, Any]:
    """How well a column of what `annotated_classes` gave tells the classes."""
    return {
        split: annotated_slick_scores(*given_classes_tables(slicks, column, names), names)
        for split, slicks in classes.groupby("split", sort=False)
    }


def confusion_of(classes: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Pixels and slicks by split, annotated and predicted class."""
    rows = []
    for split, slicks in classes.groupby("split", sort=False):
        by_pixel, by_slick = given_classes_tables(slicks, PREDICTED, names)
        rows += [
            (split, actual, predicted, by_pixel[i, j], by_slick[i, j])
            for i, actual in enumerate(names)
            for j, predicted in enumerate(names)
        ]
    return pd.DataFrame(rows, columns=["split", "actual", "predicted", "count", "slicks"])


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _thresholds(fitted: Postprocessing) -> str:
    if fitted.accept == "classifier":
        return f"thresholds of {fitted.object_threshold} for objects and {fitted.pixel_threshold} for pixels"
    return f"a peak of {fitted.peak} and {fitted.min_area} pixels at least"
