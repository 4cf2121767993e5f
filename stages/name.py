"""Name: learn to judge slicks by their properties: which class one is, and whether an outline is a slick at all.

Reads data/outlines and the manifest of data/packed; takes the sections name and outline of params.yaml. For each
network there is a namer, which learns from the slicks of the scenes that the other networks never saw, and so never
meets those of its own part. Writes models/namers.safetensors and, of the annotated slicks, that is, given perfect
outlines, metrics/name.json (how well they are named) and plots/names.csv (what they are called).
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from seepseg.base.command import run_stage

from seepseg.base.errors import InputError
from seepseg.base.files import read_json, write_csv, write_json
from seepseg.base.params import load_params
from seepseg.data.packed import PIXELS, class_names, read_manifest
from seepseg.detection.candidates import FOLDER, RECURRENCE, OutlineParams, read_slicks, slick_features
from seepseg.detection.classifier import SLICK, Namer, NamersMeta, NamingParams, fit_namer, judge_all, save_namers
from seepseg.evaluation.confusion import name_tables, named_slick_scores

NAMERS = Path("models/namers.safetensors")
METRICS = Path("metrics/name.json")
NAMES = Path("plots/names.csv")
VIEWS = FOLDER / "views.json"


def main() -> None:
    """Run the stage."""
    params, min_iou = load_params(NamingParams, "name"), load_params(OutlineParams, "outline").object_iou
    torch.set_num_threads(1)  # the layers are tiny: more threads only wait for each other
    names = class_names(read_manifest())
    annotated, outlined = read_slicks("annotated"), read_slicks("outlined")
    if params.recurrence and annotated[[RECURRENCE + name for name in names]].nunique().max() <= 1:
        raise InputError(
            "name.recurrence: expected training scenes that share a ground with slicks on it, found none; "
            "name the starts of their names in outline.origins, or set it to false"
        )
    meta = NamersMeta(
        class_names=names,
        features=slick_features(names, params.recurrence),
        namers=read_json(VIEWS)["networks"],
        members=params.members,
        hidden=params.hidden,
    )
    namers = fit_namers(annotated, outlined, meta, params, min_iou)
    save_namers(NAMERS, namers, meta)
    document: dict[str, Any] = {"slicks": {}}
    rows = []
    for split in annotated["split"].unique():
        slicks = annotated[annotated["split"] == split]
        pixels = slicks.drop_duplicates(SLICK)[[PIXELS + name for name in names]].to_numpy()
        by_pixel, by_slick = name_tables(pixels, judge_all(namers, slicks).classes.argmax(axis=1))
        document["slicks"][split] = len(pixels)
        document[split] = named_slick_scores(by_pixel, by_slick, names)
        rows += [
            (split, actual, predicted, by_pixel[i, j], by_slick[i, j])
            for i, actual in enumerate(names)
            for j, predicted in enumerate(names)
        ]
        print(f"{split}: names of {len(pixels)} slicks, given their outlines: macro Dice {_shown(document[split])}")
    write_csv(NAMES, pd.DataFrame(rows, columns=["split", "actual", "predicted", "count", "slicks"]))
    write_json(METRICS, {"given_outlines": document})


def fit_namers(
    annotated: pd.DataFrame, outlined: pd.DataFrame, meta: NamersMeta, params: NamingParams, min_iou: float
) -> list[Namer]:
    """Fit the namer of each network, on what the others say of scenes that they never saw."""
    annotated, outlined = (table[table["split"] == "val"] for table in (annotated, outlined))
    if not len(outlined):
        print(
            "warning: the networks outline nothing in scenes that they never saw, so slicks can't be told from "
            "look-alikes; train longer, or lower outline.threshold",
            file=sys.stderr,
        )
    if meta.namers > 1:
        return [
            fit_namer(
                annotated[annotated["network"] != number],
                outlined[outlined["network"] != number],
                meta,
                params,
                min_iou,
            )
            for number in range(meta.namers)
        ]
    print(
        "warning: with one network, slicks are judged by what was learnt from them, and the scores of val are too "
        "good; set train.networks to 2 or more, or decide.keep to peak and decide.naming to vote",
        file=sys.stderr,
    )
    return [fit_namer(annotated, outlined, meta, params, min_iou)]


def _shown(document: dict[str, Any]) -> str:
    return "-" if document["macro_dice"] is None else f"{document['macro_dice']:.3f}"


if __name__ == "__main__":
    run_stage(main)
