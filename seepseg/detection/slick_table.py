"""Tables of slicks that detect hands on: a row for each slick and each network that looks at it.

Columns: `split` (oof or test), `scene`, `slick` (its number in the scene), `network`, `area` in pixels; the features,
see `seepseg.detection.features`; and what is annotated at its place, see `seepseg.detection.matching`.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from seepseg.base.errors import InputError
from seepseg.data.packed import PIXELS

SLICK = ["scene", "slick"]  # columns that say which slick a row is of
LOG_SHARE = "log_share_"  # prefix of features: the logarithm of each class's share in a network's probabilities
NOT_FEATURES = ("split", *SLICK, "network", "area", "match", "iou")


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
    return table[table["split"] == "oof"].drop(columns="split")


def feature_columns(table: pd.DataFrame) -> list[str]:
    """Names of the features in a table of slicks."""
    return [name for name in table.columns if name not in NOT_FEATURES and not name.startswith(PIXELS)]
