"""How well annotated slicks are classified, and by which of their features.

    python -m benchmarks.classification               # of the last `dvc repro` here
    python -m benchmarks.classification --root FOLDER  # of another workspace

Takes the annotated slicks of the training scenes, as the stage detect measured them. Each is classified out of fold: by
an ensemble that was fitted on the other inner folds, with the probabilities of the network that was not trained on its
own. Writes docs/results/classification.json and docs/results/classification.md.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from benchmarks.repository import RESULTS
from benchmarks.spread import spread
from seepseg.base.command import run_stage
from seepseg.base.files import write_bytes, write_json
from seepseg.base.params import load_params
from seepseg.data.packed import PIXELS
from seepseg.detection.classifier import ClassifierMeta, average_probs, fit_classifier
from seepseg.detection.ensemble import ClassifierParams
from seepseg.detection.slick_table import LOG_SHARE, feature_columns, out_of_fold, read_slick_table
from seepseg.evaluation.annotated_slicks import annotated_slick_scores, annotated_slick_tables
from stages.classify import ANNOTATED, PARAMS, ClassifyParams

SEEDS = (1, 2, 3)
# By the start of their names.
GROUPS = {
    "shape": ("log_area", "length", "width", "elongation", "half_width", "mean_half_width", "perimeter", "box_"),
    "contrast": ("contrast", "edge"),
    "sea": ("intensity", "sea_"),
    "cover": ("cover_",),
    "foreground probabilities": ("prob_", "log_odds_", "above_"),
    "class probabilities": (LOG_SHARE,),
}


def main() -> None:
    """Measure every variant and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(), help="where the pipeline ran (default: here)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder to write to (default: docs/results)")
    arguments = parser.parse_args()
    params = load_params(ClassifyParams, "classify", arguments.root / PARAMS)
    table = read_slick_table(arguments.root / ANNOTATED, [])
    names = [column.removeprefix(PIXELS) for column in table.columns if column.startswith(PIXELS)]
    slicks = out_of_fold(table)
    document: dict[str, Any] = {"slicks": len(slicks), "seeds": list(SEEDS)}
    for variant, columns in variants(feature_columns(slicks)).items():
        by_seed = [measure(slicks, columns, names, replace(params, seed=seed)) for seed in SEEDS]
        document[variant] = {
            "macro_dice": spread([scores["macro_dice"] for scores in by_seed]),
            "macro_slick_f1": spread([scores["macro_slick_f1"] for scores in by_seed]),
            # A class without slicks has no score with any seed.
            "dice": {
                name: None if by_seed[0]["dice"][name] is None else median(scores["dice"][name] for scores in by_seed)
                for name in names
            },
        }
        print(f"{variant}: macro Dice {document[variant]['macro_dice']['median']:.3f}", flush=True)
    write_json(arguments.out / "classification.json", document)
    write_bytes(arguments.out / "classification.md", page(document).encode())


def variants(features: list[str]) -> dict[str, list[str]]:
    """Selections of the features, by what they are called in the table."""

    def of(group: str) -> list[str]:
        return [name for name in features if name.startswith(GROUPS[group])]

    def without(*groups: str) -> list[str]:
        return [name for name in features if not any(name in of(group) for group in groups)]

    return {
        "all": features,
        **{f"without {group}": without(group) for group in GROUPS},
        "without probabilities": without("foreground probabilities", "class probabilities"),
        **{f"{group} alone": of(group) for group in GROUPS},
    }


def measure(slicks: pd.DataFrame, columns: list[str], names: list[str], params: ClassifierParams) -> dict[str, Any]:
    """Scores of classification by some of the features, over all inner folds together."""
    meta = ClassifierMeta(
        class_names=names,
        features=columns,
        classifiers=int(slicks["network"].max()) + 1,
        members=params.members,
        hidden=params.hidden,
    )
    classifiers = [
        fit_classifier(slicks[slicks["network"] != number], slicks[:0], meta, params, min_iou=1.0)
        for number in range(meta.classifiers)
    ]
    pixels = slicks[[PIXELS + name for name in names]].to_numpy()
    classes = average_probs(classifiers, slicks).classes.argmax(axis=1)
    return annotated_slick_scores(*annotated_slick_tables(pixels, classes), names)


def page(document: dict[str, Any]) -> str:
    """The table for people."""
    rows = {variant: document[variant] for variant in variants([])}
    names = list(document["all"]["dice"])
    lines = [
        "# Classes of annotated slicks, by their features",
        "",
        f"Written by `python -m benchmarks.classification`: {document['slicks']} annotated slicks of whole scenes,",
        "each classified out of fold. Median of three seeds, range in brackets.",
        "",
        "| features | macro Dice | macro F1 of slicks | " + " | ".join(names) + " |",
        "| --- | --- | --- |" + " --- |" * len(names),
    ]
    for variant, entry in rows.items():
        cells = [
            f"{s['median']:.3f} ({s['low']:.3f} – {s['high']:.3f})"
            for s in (entry["macro_dice"], entry["macro_slick_f1"])
        ]
        cells += ["-" if dice is None else f"{dice:.2f}" for dice in (entry["dice"][name] for name in names)]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_stage(main)
