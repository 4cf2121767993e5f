"""Split: divide the packed tiles into train, val and test, and measure what leaks between them.

Reads data/packed/manifest.csv; takes the section split of params.yaml. Writes data/split.csv (the split of each tile,
and the inner fold of those that aren't tested, see `seepseg.data.splits`), metrics/split.json (tiles, scenes,
foreground share and leakage of each split) and plots/split_pixels.csv (pixels and tiles of each class in each split).
A class that train or val lacks is named on stderr.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from annotated_types import Ge, Gt, Lt
from pydantic import BeforeValidator, ValidationInfo, field_validator

from seepseg.base.files import write_csv, write_json
from seepseg.base.params import load_params, param_block
from seepseg.data.packed import class_names, class_pixels, read_manifest
from seepseg.data.splits import MIN_FOLDS, SPLITS, TEST, leakage, split_by_scene, split_by_tile, split_of

PARAMS = "params.yaml"
MANIFEST = "data/packed/manifest.csv"
SPLIT = "data/split.csv"
METRICS = "metrics/split.json"
PIXELS_PLOT = "plots/split_pixels.csv"


def _quoted(name: object) -> object:
    if isinstance(name, int):
        raise ValueError("a scene's name in quotes, as YAML reads bare digits as a number, and 045551 as octal")
    return name


SceneNames = tuple[Annotated[str, BeforeValidator(_quoted)], ...]


@param_block
class SplitParams:
    """Which tiles are tested, and the inner folds, into which the tiles that are not tested are divided."""

    by: Literal["scene", "tile"] = "scene"
    """scene: no scene in two splits | tile: tiles at random, which leaks"""
    seed: Annotated[int, Ge(0)] = 1
    """of the random choice by tile, and of ties between folds"""
    n_folds: Annotated[int, Ge(MIN_FOLDS)] = 5
    """by scene: one fold is tested, each of the others is an inner fold for train.networks; at least 3"""
    fold: Annotated[int, Ge(0)] = 0
    """the one that is tested"""
    test_scenes: SceneNames = ()
    """by hand and in quotes, instead of a fold: ['041869', '045590']"""
    val_scenes: SceneNames = ()
    """likewise, the first inner fold; a list left empty is filled from folds of the other scenes"""
    val_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    """by tile only, of the first inner fold"""
    test_fraction: Annotated[float, Ge(0), Lt(1)] = 0.0
    """by tile only"""

    @field_validator("fold")
    @classmethod
    def _fold_exists(cls, fold: int, others: ValidationInfo) -> int:
        n_folds = others.data.get("n_folds")  # missing where it is wrong itself
        if n_folds is not None and fold >= n_folds:
            raise ValueError(f"at most {n_folds - 1}, as split.n_folds is {n_folds} and folds count from 0")
        return fold

    @field_validator("test_fraction")
    @classmethod
    def _some_train(cls, test_fraction: float, others: ValidationInfo) -> float:
        val_fraction = others.data.get("val_fraction")
        if val_fraction is not None and val_fraction + test_fraction >= 1:
            raise ValueError(f"less than 1 together with split.val_fraction, {val_fraction}")
        return test_fraction


def main(root: Path = Path()) -> None:
    """Run the stage."""
    params = load_params(SplitParams, "split", root / PARAMS)
    manifest = read_manifest(root / MANIFEST)
    folds = _inner_folds(params, manifest)
    # Missing for test, so that no one takes it for an inner fold.
    numbers = pd.array([None if fold == TEST else fold for fold in folds], dtype="Int64")
    table = manifest.assign(split=[split_of(fold) for fold in folds], inner_fold=numbers)
    pixels = _class_table(table)
    _warn_of_absent_classes(pixels)
    write_csv(root / SPLIT, table[["tile", "scene", "split", "inner_fold"]])
    write_json(root / METRICS, {"split": _summary(table)})
    write_csv(root / PIXELS_PLOT, pixels)


def _inner_folds(params: SplitParams, manifest: pd.DataFrame) -> list[int]:
    if params.by == "tile":
        return split_by_tile(
            manifest["tile"].tolist(),
            n_folds=params.n_folds,
            val_fraction=params.val_fraction,
            test_fraction=params.test_fraction,
            seed=params.seed,
        )
    return split_by_scene(
        manifest["scene"].tolist(),
        class_pixels(manifest),
        n_folds=params.n_folds,
        fold=params.fold,
        test_scenes=params.test_scenes,
        val_scenes=params.val_scenes,
        seed=params.seed,
    )


def _summary(table: pd.DataFrame) -> dict[str, Any]:
    """What metrics/split.json holds; metric first, then split."""
    tiles = {split: table[table["split"] == split] for split in SPLITS}
    return {
        "tiles": {split: len(rows) for split, rows in tiles.items()},
        "scenes": {split: rows["scene"].nunique() for split, rows in tiles.items()},
        "foreground_share": {split: _foreground_share(rows) for split, rows in tiles.items()},
        "leakage": leakage(table),
    }


def _foreground_share(tiles: pd.DataFrame) -> float | None:
    """Pixels of any class among the valid ones; None where there are none."""
    counts = class_pixels(tiles).sum(axis=0)
    return float(counts[1:].sum() / counts.sum()) if counts.sum() else None


def _class_table(table: pd.DataFrame) -> pd.DataFrame:
    """Pixels of each class in each split, and tiles that hold any; background would dwarf the bars."""
    rows = []
    for split in SPLITS:
        counts = class_pixels(table[table["split"] == split])[:, 1:]
        for name, pixels, tiles in zip(class_names(table), counts.sum(axis=0), (counts > 0).sum(axis=0), strict=True):
            rows.append({"split": split, "class": name, "pixels": int(pixels), "tiles": int(tiles)})
    return pd.DataFrame(rows)


def _warn_of_absent_classes(pixels: pd.DataFrame) -> None:
    consequences = {"train": "it can't be learnt", "val": "it has no say in which epoch is kept"}
    for split, consequence in consequences.items():
        for name in pixels[(pixels["split"] == split) & (pixels["pixels"] == 0)]["class"]:
            print(f"warning: {name} has no pixel in {split}: {consequence}", file=sys.stderr)
