"""Name: learn to tell the classes of slicks by their measurable properties, from those annotated in training scenes.

Reads data/packed and data/split.csv; takes the section name of params.yaml. Writes models/namer.safetensors and, of
the annotated slicks of the other splits, that is, given perfect outlines, metrics/name.json (how well it names them)
and plots/names.csv (what it calls them).
"""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from seepseg.errors import run_stage
from seepseg.files import write_csv, write_json
from seepseg.metrics import name_tables, named_slick_scores
from seepseg.naming import NamingParams, fit_namer, save_namer
from seepseg.packed import open_packed, read_split
from seepseg.params import load_params
from seepseg.slick_features import annotated_slicks

NAMER = Path("models/namer.safetensors")
METRICS = Path("metrics/name.json")
NAMES = Path("plots/names.csv")


def main() -> None:
    """Run the stage."""
    params = load_params(NamingParams, "name")
    torch.set_num_threads(1)  # the layers are tiny: more threads only wait for each other
    packed = open_packed()
    names = packed.class_names
    slicks = {split: annotated_slicks(packed, indices) for split, indices in read_split(packed).items() if len(indices)}
    train = slicks["train"]
    namer = fit_namer(train.properties, train.classes, train.pixels.sum(axis=1), names, params)
    save_namer(NAMER, namer)
    document: dict[str, Any] = {"slicks": {split: len(found.classes) for split, found in slicks.items()}}
    rows = []
    for split in ("val", "test"):
        if split in slicks:
            found = slicks[split]
            by_pixel, by_slick = name_tables(found.pixels, namer.probs(found.properties).argmax(axis=1))
            document[split] = named_slick_scores(by_pixel, by_slick, names)
            rows += [
                (split, actual, predicted, by_pixel[i, j], by_slick[i, j])
                for i, actual in enumerate(names)
                for j, predicted in enumerate(names)
            ]
            print(
                f"{split}: names of {by_slick.sum()} slicks, given their outlines: macro Dice {_shown(document[split])}"
            )
    write_csv(NAMES, pd.DataFrame(rows, columns=["split", "actual", "predicted", "count", "slicks"]))
    write_json(METRICS, {"given_outlines": document})


def _shown(document: dict[str, Any]) -> str:
    return "-" if document["macro_dice"] is None else f"{document['macro_dice']:.3f}"


if __name__ == "__main__":
    run_stage(main)
