"""How well slicks can be named where their outlines are given, and by which of their properties.

    python -m benchmarks.naming                                # of the last `dvc repro` here
    python -m benchmarks.naming --outlines DIR/data/outlines   # of another workspace

Takes the annotated slicks of the training scenes, as the stage outline measured them. Each is named by an ensemble that
learned from the other parts, with the votes of the network that never saw its part. Writes docs/results/naming.json
and docs/results/naming.md.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.data_path import spread
from seepseg.base.files import write_bytes, write_json
from seepseg.base.params import load_params
from seepseg.data.packed import PIXELS
from seepseg.detection.candidates import FOLDER as OUTLINES
from seepseg.detection.candidates import PROB_FEATURES, VOTE, read_slicks, slick_features
from seepseg.detection.classifier import NamersMeta, NamingParams, fit_namer, judge_all
from seepseg.evaluation.confusion import name_tables, named_slick_scores

FOLDER = Path("docs/results")
SEEDS = (1, 2, 3)
GROUPS = {
    "shape": ("log_area", "length", "width", "elongation", "half_width", "mean_half_width", "perimeter_per_area",
              "box_fill", "box_side"),
    "contrast": ("contrast_near", "contrast", "contrast_low", "contrast_std", "edge", "contrast_in_stds"),
    "sea": ("intensity", "sea_near", "sea_around", "sea_wide", "sea_std", "sea_texture"),
    "cover": ("cover_near", "cover_wide"),
    "probabilities": PROB_FEATURES,
}  # fmt: skip


def main() -> None:
    """Measure every variant and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outlines", type=Path, default=OUTLINES, help="the folder that the stage outline wrote")
    slicks = read_slicks("annotated", parser.parse_args().outlines)
    slicks = slicks[slicks["split"] == "val"]
    params = load_params(NamingParams, "name")
    names = [column.removeprefix(PIXELS) for column in slicks.columns if column.startswith(PIXELS)]
    everything = slick_features(names, recurrence=False)
    groups = GROUPS | {"votes": tuple(VOTE + name for name in names)}
    variants = {"all": everything}
    variants |= {f"without {group}": [c for c in everything if c not in left_out] for group, left_out in groups.items()}
    variants["without votes and probabilities"] = [
        c for c in everything if c not in (*groups["votes"], *groups["probabilities"])
    ]
    variants |= {f"{group} alone": list(kept) for group, kept in groups.items()}
    document: dict[str, Any] = {"slicks": len(slicks), "seeds": list(SEEDS)}
    for variant, columns in variants.items():
        by_seed = [measure(slicks, columns, names, replace(params, seed=seed)) for seed in SEEDS]
        document[variant] = {
            "macro_dice": spread([scores["macro_dice"] for scores in by_seed]),
            "macro_slick_f1": spread([scores["macro_slick_f1"] for scores in by_seed]),
            "dice": {name: float(np.median([scores["dice"][name] for scores in by_seed])) for name in names},
        }
        print(f"{variant}: macro Dice {document[variant]['macro_dice']['median']:.3f}", flush=True)
    write_json(FOLDER / "naming.json", document)
    write_bytes(FOLDER / "naming.md", page(document, list(variants), names).encode())


def measure(slicks: pd.DataFrame, columns: list[str], names: list[str], params: NamingParams) -> dict[str, Any]:
    """Scores of names by some of the properties, over all parts together."""
    meta = NamersMeta(
        class_names=names,
        features=columns,
        namers=int(slicks["network"].max()) + 1,
        members=params.members,
        hidden=params.hidden,
    )
    namers = [
        fit_namer(slicks[slicks["network"] != number], slicks[:0], meta, params, min_iou=1.0)
        for number in range(meta.namers)
    ]
    pixels = slicks[[PIXELS + name for name in names]].to_numpy()
    return named_slick_scores(*name_tables(pixels, judge_all(namers, slicks).classes.argmax(axis=1)), names)


def page(document: dict[str, Any], variants: list[str], names: list[str]) -> str:
    """The table for people."""
    lines = [
        "# Names of slicks whose outlines are given",
        "",
        f"Written by `python -m benchmarks.naming`: {document['slicks']} annotated slicks of whole scenes, each named",
        "by an ensemble that learned from the other parts. Median of three seeds, range in brackets.",
        "",
        "| properties | macro Dice | macro F1 of slicks | " + " | ".join(names) + " |",
        "| --- | --- | --- |" + " --- |" * len(names),
    ]
    for variant in variants:
        entry = document[variant]
        cells = [
            f"{s['median']:.3f} ({s['low']:.3f} – {s['high']:.3f})"
            for s in (entry["macro_dice"], entry["macro_slick_f1"])
        ]
        cells += [f"{entry['dice'][name]:.2f}" for name in names]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
