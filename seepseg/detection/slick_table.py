"""Tables of slicks that detect hands on: a row for each slick and each network that looks at it.

Columns: `split` (oof or test), `scene`, `slick` (its number in the scene), `area` in pixels, `ENDS`, `network`; the
features, see `seepseg.detection.features`; and what is annotated at its place, see `seepseg.detection.matching`.

`ENDS` tell of both ends of a slick's centreline, see `seepseg.detection.centrelines`: `x_1`, `y_1`, `x_2`, `y_2` in
pixels of the scene's whole grid, whose first pixel has its centre at 0.5, 0.5, empty where a tile has no place in it;
`centreline`, its length; `half_width_1`, `half_width_2`; `bright_1`, `bright_2`, see `seepseg.detection.brightness`.
They are no features: where a slick lies must not tell of what class it is.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seepseg.base.errors import InputError
from seepseg.data.packed import PIXELS

OOF = "oof"  # of slicks of training scenes, the split
SLICK = ["scene", "slick"]  # columns that say which slick a row is of
LOG_SHARE = "log_share_"  # prefix of features: the logarithm of each class's share in a network's probabilities
ENDS = ["x_1", "y_1", "x_2", "y_2", "centreline", "half_width_1", "half_width_2", "bright_1", "bright_2"]
NOT_FEATURES = ("split", *SLICK, "network", "area", *ENDS, "match", "iou")


def read_slick_table(path: Path, class_names: Sequence[str]) -> pd.DataFrame:
    """Read a table of slicks.

    Raises:
        InputError: the file is missing or of other classes.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro detect`")
    types = {"split": "str", "scene": "str"}
    table = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])  # a scene may be called NA
    if absent := [PIXELS + name for name in class_names if PIXELS + name not in table.columns]:
        raise InputError(f"{path}: columns {', '.join(absent)} are missing; run `dvc repro detect`")
    return table


def out_of_fold(table: pd.DataFrame) -> pd.DataFrame:
    """The slicks of training scenes, through the networks that were not trained on them."""
    return table[table["split"] == OOF].drop(columns="split")


def feature_columns(table: pd.DataFrame) -> list[str]:
    """Names of the features in a table of slicks."""
    return [name for name in table.columns if name not in NOT_FEATURES and not name.startswith(PIXELS)]


def in_whole_grid(table: pd.DataFrame, origin: tuple[int, int] | None) -> pd.DataFrame:
    """The ends of slicks in the whole grid of their scene.

    Args:
        table: with the columns `ENDS`, as they lie in the stitched scene.
        origin: of that; see `seepseg.data.scenes.Scene`.

    Returns:
        A copy; places are NaN where there is no grid.
    """
    row, column = (np.nan, np.nan) if origin is None else origin
    return table.assign(**{name: table[name] + (column if name.startswith("x") else row) for name in ENDS[:4]})
