"""Draw the pictures of a run, from files only.

Reads data/packed, data/split.csv, data/predictions (pred.npy, tiles.csv) and, in plots/, class_balance.csv,
history.csv, class_history.csv, confusion.csv, annotated_confusion.csv, pr.csv and reliability.csv, and
metrics/evaluate.json. Takes the section `plot` of params.yaml. Writes PNG files into plots/: samples (training tiles
with targets), class_balance, history, predictions (best, median and worst tiles by binary Dice), worst (more of those),
confusion, annotated_confusion (the same of annotated slicks, as the slick classifier classifies them),
precision_recall and reliability.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
from annotated_types import Ge, Le

from seepseg import figures
from seepseg.base.errors import InputError
from seepseg.base.files import read_json, write_bytes
from seepseg.base.params import load_params, param_block
from seepseg.data.packed import Packed, class_pixels, open_packed, read_split
from seepseg.figures import Tile

PARAMS = "params.yaml"
PACKED = "data/packed"
SPLIT = "data/split.csv"
PREDICTIONS = "data/predictions"
PLOTS = "plots"
METRICS = "metrics/evaluate.json"

Ranking = tuple[str, pd.DataFrame, npt.NDArray[np.uint8]]

# Names that look like numbers are names all the same.
NAME_COLUMNS = dict.fromkeys(("tile", "scene", "split", "class", "actual", "predicted"), "str")


@param_block
class PlotParams:
    """How the pictures are drawn."""

    n_tiles: Annotated[int, Ge(1), Le(48)] = 6
    """tiles in the pictures of samples and of predictions; best, median and worst share them"""
    n_worst: Annotated[int, Ge(1), Le(48)] = 12
    """tiles in the picture of the worst"""
    dpi: Annotated[int, Ge(30), Le(600)] = 100
    """pixels per inch"""


def main(root: Path = Path()) -> None:
    """Draw every picture of plots/."""
    params = load_params(PlotParams, "plot", root / PARAMS)
    packed = open_packed(root / PACKED)
    names = packed.class_names
    plots = root / PLOTS
    ranking = _ranked(root / PREDICTIONS, len(packed.images))
    curves = _read(plots / "history.csv"), _read(plots / "class_history.csv")
    pictures = {
        "samples": figures.samples_figure(_samples(packed, root / SPLIT, params.n_tiles), names),
        "class_balance": figures.class_balance_figure(_read(plots / "class_balance.csv")),
        "history": figures.history_figure(*curves),
        "predictions": figures.predictions_figure(_predictions(packed, ranking, params.n_tiles), names),
        "worst": figures.predictions_figure(_worst(packed, ranking, params.n_worst), names),
        "confusion": figures.confusion_figure(_read(plots / "confusion.csv")),
        "annotated_confusion": figures.confusion_figure(_read(plots / "annotated_confusion.csv")),
        "precision_recall": figures.precision_recall_figure(_read(plots / "pr.csv"), names),
        "reliability": figures.reliability_figure(
            _read(plots / "reliability.csv"),
            {split: scores["calibration_error"] for split, scores in read_json(root / METRICS).items()},
        ),
    }
    for name, figure in pictures.items():
        write_bytes(plots / f"{name}.png", figures.png_bytes(figure, params.dpi))


def _samples(packed: Packed, split: Path, n_tiles: int) -> list[Tile]:
    """Training tiles that show as many classes as possible."""
    rows = read_split(packed, split)["train"]
    chosen = rows[figures.choose_samples(class_pixels(packed.manifest.iloc[rows]), n_tiles)]
    names = packed.manifest["tile"]
    return [Tile(names[row], packed.images[row], packed.targets[row]) for row in chosen]


def _predictions(packed: Packed, ranking: Ranking, n_tiles: int) -> dict[str, list[Tile]]:
    """Best, median and worst tiles of the test split; where nothing is tested, of the predictions out of fold."""
    split, ranked, preds = ranking
    return {
        f"{group} ({split})": [_predicted_tile(packed, preds, ranked.iloc[rank]) for rank in ranks]
        for group, ranks in figures.choose_ranks(len(ranked), n_tiles).items()
    }


def _worst(packed: Packed, ranking: Ranking, n_tiles: int) -> dict[str, list[Tile]]:
    """The worst tiles of the same split, the very worst first, three a row."""
    split, ranked, preds = ranking
    tiles = [_predicted_tile(packed, preds, row) for _, row in ranked[::-1].head(n_tiles).iterrows()]
    return {
        f"worst {_range(start + 1, start + len(row))} ({split})": row
        for start in range(0, len(tiles), 3)
        if (row := tiles[start : start + 3])
    }


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _ranked(predictions: Path, n_packed: int) -> Ranking:
    """The split to show, its tiles from the best to the worst, and the predictions of all packed tiles."""
    tiles = _read(predictions / "tiles.csv")
    preds = _map_predictions(predictions / "pred.npy", n_packed)
    split = "test" if (tiles["split"] == "test").any() else "oof"
    # Of equal Dice, such as 0, the larger slick ranks lower: the worst tile is the one that matters most.
    ranked = tiles[(tiles["split"] == split) & tiles["binary_dice"].notna()].sort_values(
        ["binary_dice", "slick_pixels", "tile"], ascending=[False, True, True]
    )
    return split, ranked, preds


def _predicted_tile(packed: Packed, preds: npt.NDArray[np.uint8], row: pd.Series) -> Tile:
    title = f"{row['tile']} · Dice {row['binary_dice']:.2f}"
    return Tile(title, *(array[row["index"]] for array in (packed.images, packed.targets, preds)))


def _map_predictions(path: Path, n_packed: int) -> npt.NDArray[np.uint8]:
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro evaluate`")
    preds: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    if len(preds) != n_packed:
        raise InputError(f"{path}: expected the {n_packed} packed tiles, found {len(preds)}; run `dvc repro evaluate`")
    return preds


def _read(path: Path) -> pd.DataFrame:
    """Read a table that an earlier stage wrote; only an empty field is missing: a class may be called NA."""
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro`")
    return pd.read_csv(path, dtype=NAME_COLUMNS, keep_default_na=False, na_values=[""])
