"""Fitting slick classifiers on the slicks of all scenes, one for each inner fold, and whether they know other passes.

What is fitted is asked at once, out of fold, about slicks that are outlined as annotated: their classes tell how well
the classifiers alone do.
"""

import sys

import numpy as np
import pandas as pd

from seepseg.data.packed import PIXELS
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
from seepseg.detection.slick_table import OOF, SLICK, out_of_fold
from seepseg.evaluation.annotated_slicks import ALONE, PREDICTED, scores_by_split


def fit_classifiers(
    annotated: pd.DataFrame, candidates: pd.DataFrame, meta: ClassifierMeta, params: ClassifierParams, min_iou: float
) -> list[SlickClassifier]:
    """Fit the classifier of each network, on what the other networks say out of fold.

    Args:
        annotated: see `seepseg.detection.classifier.fit_classifier`, with `network`, the number of the inner fold.
        candidates: likewise.
        meta: what to build.
        params: section `classify`.
        min_iou: with an annotated slick, from which a candidate matches it.

    Raises:
        InputError: there is no annotated slick to learn from.
    """
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
    knowing: ClassifierMeta,
    params: ClassifierParams,
) -> ClassifierMeta:
    """Teach classifiers what other passes tell of classes, where each has slicks to learn that from and it helps.

    It is kept unless the annotated slicks of training scenes, out of fold, are classified worse with it.

    Args:
        classifiers: fitted without.
        annotated: the table that detect wrote, with what other passes tell; slicks of training scenes are learnt from.
        meta: of the classifiers.
        knowing: the same with what other passes tell; with a radius of 0 they shall tell nothing.
        params: section `classify`.

    Returns:
        What the classifiers are now.
    """
    if not knowing.recurrence_radius:
        return meta
    tables = of_other_folds(out_of_fold(annotated), meta.classifiers)
    if not all(seen_by_others(table).any() for table in tables):
        print("classes are told without other passes: too few training scenes see the same ground")
        return meta
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
