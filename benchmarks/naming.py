"""How well slicks can be named where their outlines are given, and by which of their properties.

    python -m benchmarks.naming --data ../my_tiles

Every scene is named by an ensemble that learned from the annotated slicks of all scenes outside its fold
(docs/results/folds.csv). Writes docs/results/naming.json and docs/results/naming.md.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from benchmarks.data_path import spread
from seepseg.files import write_bytes, write_json
from seepseg.metrics import name_tables, named_slick_scores
from seepseg.naming import NamingParams, fit_namer
from seepseg.packed import Packed, open_packed
from seepseg.params import load_params
from seepseg.slick_features import AnnotatedSlicks, annotated_slicks

ROOT = Path(__file__).parents[1]
FOLDS = Path("docs/results/folds.csv")
FOLDER = Path("docs/results")
SEEDS = (1, 2, 3)
GROUPS = {
    "shape": ("log_area", "length", "width", "elongation", "half_width", "mean_half_width", "perimeter_per_area",
              "box_fill", "box_side"),
    "contrast": ("contrast_near", "contrast", "contrast_low", "contrast_std", "edge", "contrast_in_stds"),
    "sea": ("intensity", "sea_near", "sea_around", "sea_wide", "sea_std", "sea_texture"),
    "cover": ("cover_near", "cover_wide"),
}  # fmt: skip


def main() -> None:
    """Measure every variant and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of tiles")
    data = parser.parse_args().data.resolve()
    params = load_params(NamingParams, "name")
    with tempfile.TemporaryDirectory() as folder:
        packed = pack(data, Path(folder))
        names = packed.class_names
        slicks = annotated_slicks(packed, np.arange(len(packed.manifest)))
    folds = pd.read_csv(FOLDS, dtype={"scene": str}).query("split == 'test'").set_index("scene")["fold"]
    fold = folds.loc[slicks.scenes].to_numpy()
    everything = list(slicks.properties.columns)
    variants = {"all": everything}
    variants |= {f"without {group}": [c for c in everything if c not in left_out] for group, left_out in GROUPS.items()}
    variants |= {f"{group} alone": list(kept) for group, kept in GROUPS.items()}
    document: dict[str, Any] = {"slicks": len(slicks.scenes), "seeds": list(SEEDS)}
    for variant, columns in variants.items():
        chosen = replace(slicks, properties=slicks.properties[columns])
        by_seed = [measure(chosen, fold, names, replace(params, seed=seed)) for seed in SEEDS]
        document[variant] = {
            "macro_dice": spread([scores["macro_dice"] for scores in by_seed]),
            "macro_slick_f1": spread([scores["macro_slick_f1"] for scores in by_seed]),
            "dice": {name: float(np.median([scores["dice"][name] for scores in by_seed])) for name in names},
        }
        print(f"{variant}: macro Dice {document[variant]['macro_dice']['median']:.3f}", flush=True)
    write_json(FOLDER / "naming.json", document)
    write_bytes(FOLDER / "naming.md", page(document, list(variants), names).encode())


def pack(data: Path, folder: Path) -> Packed:
    """Ingest a delivery into a folder of its own."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["root"] = str(data)
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from stages import ingest; ingest.main()",
    ]
    if subprocess.run(command, cwd=folder, check=False).returncode:
        sys.exit("error: the tiles could not be packed; the messages are above")
    return open_packed(folder / "data/packed")


def measure(
    slicks: AnnotatedSlicks, fold: npt.NDArray[np.int64], names: list[str], params: NamingParams
) -> dict[str, Any]:
    """Scores of names over all folds together."""
    pred = np.zeros(len(fold), dtype=np.int64)
    for held_out in np.unique(fold):
        train, test = fold != held_out, fold == held_out
        namer = fit_namer(
            slicks.properties[train], slicks.classes[train], slicks.pixels[train].sum(axis=1), names, params
        )
        pred[test] = namer.probs(slicks.properties[test]).argmax(axis=1)
    return named_slick_scores(*name_tables(slicks.pixels, pred), names)


def page(document: dict[str, Any], variants: list[str], names: list[str]) -> str:
    """The table for people."""
    lines = [
        "# Names of slicks whose outlines are given",
        "",
        f"Written by `python -m benchmarks.naming`: {document['slicks']} annotated slicks of whole scenes, each named",
        "by an ensemble that learned from the scenes outside its fold. Median of three seeds, range in brackets.",
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
