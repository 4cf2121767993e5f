"""The packed tiles that ingest writes and every later stage reads: two arrays and a table, a row per tile."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.base.conventions import BACKGROUND
from seepseg.base.errors import InputError
from seepseg.base.radiometry import Radiometry

# In the folder of packed tiles.
IMAGES, TARGETS, MANIFEST, SCENES = "images.npy", "targets.npy", "manifest.csv", "scenes.json"

Indices = npt.NDArray[np.int64]

PIXELS = "pixels_"  # prefix of the manifest's columns with pixel counts: background first, then the classes

REMEDY = "run `dvc repro ingest`"

# Names and numbers that only look alike must not be mixed up: tile 041869.000100 is no float.
# Int64 has room for missing values.
MANIFEST_TYPES = {
    "tile": "str",
    "scene": "str",
    "position": "int64",
    "row": "Int64",
    "col": "Int64",
    "nodata_fraction": "float64",
    "mean": "float64",
    "std": "float64",
    "min": "Int64",
    "max": "Int64",
}


# Only of images that were scaled: which numbers became 1 and 65535, as text, for a table is written with few digits.
SCALING = ("value_of_1", "value_of_65535")


@dataclass(frozen=True)
class Packed:
    """The tiles of a data set; index i of each array and row i of the manifest are the same tile.

    Attributes:
        images: uint16 (N, H, W), mapped from disk; `NODATA` where nothing was seen.
        targets: uint8 (N, H, W), mapped from disk; 0 is background, 1..K are the classes.
        manifest: N rows, see `read_manifest`.
        scenes: what is known of the scenes, as stage tile wrote it; empty for tiles from elsewhere.
    """

    images: npt.NDArray[np.uint16]
    targets: npt.NDArray[np.uint8]
    manifest: pd.DataFrame
    scenes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def class_names(self) -> list[str]:
        """Names of the K classes, in the order of their target values, without background."""
        return class_names(self.manifest)

    @property
    def scaling(self) -> list[float]:
        """The numbers that became 1 and 65535; empty where numbers were packed as they are."""
        return [float(self.manifest[name].iloc[0]) for name in SCALING if name in self.manifest]

    @property
    def radiometry(self) -> Radiometry:
        """What the packed numbers measure: no quantity if scaled; of tiles from elsewhere the mean alone is known."""
        known = Radiometry(**self.scenes["radiometry"]) if self.scenes else Radiometry()
        if self.scaling:
            known = replace(known, quantity="unknown")
        valid = (1 - self.manifest["nodata_fraction"]).to_numpy()
        means = self.manifest["mean"].fillna(0.0).to_numpy()
        return replace(known, mean=round(float(means @ valid / valid.sum()), 6) if valid.any() else 0.0)


def open_packed(folder: Path) -> Packed:
    """Open the packed tiles without reading the arrays into memory.

    Args:
        folder: holds `images.npy`, `targets.npy`, `manifest.csv` and `scenes.json`.

    Returns:
        The arrays, read-only, and the manifest.

    Raises:
        InputError: a file is missing or damaged, or they do not belong together.
    """
    images = _map_array(folder / IMAGES, np.uint16)
    targets = _map_array(folder / TARGETS, np.uint8)
    manifest = read_manifest(folder / MANIFEST)
    if images.shape != targets.shape or len(images) != len(manifest):
        raise InputError(
            f"{folder}: expected images, targets and manifest of the same tiles, found images "
            f"{images.shape}, targets {targets.shape} and {len(manifest)} rows; {REMEDY}"
        )
    return Packed(images, targets, manifest, _read_scenes(folder / SCENES))


def read_manifest(path: Path) -> pd.DataFrame:
    """Read the table of tiles.

    Args:
        path: the CSV file that ingest wrote.

    Returns:
        One row per tile, in array order: `tile` and `scene` (str), `position` (int64 index in the scene's
        grid), `row` and `col` (Int64, missing where the grid's width is unknown), `nodata_fraction`, `mean`,
        `std`, `min`, `max` (intensity over valid pixels, missing where there are none), and the counts of
        valid pixels `pixels_background`, `pixels_<class name>`, ... (int64); of scaled images also `SCALING`.

    Raises:
        InputError: the file is missing or no such table.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: {REMEDY}")
    try:
        # Only an empty field is missing: a scene may be called NA.
        types = {**MANIFEST_TYPES, **dict.fromkeys(SCALING, "str")}
        manifest = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
    except ValueError as error:  # pandas' parser errors are ValueErrors, too
        raise InputError(f"{path}: expected a table of tiles, found {error}; {REMEDY}") from None
    expected = [*MANIFEST_TYPES, PIXELS + BACKGROUND]
    if absent := [name for name in expected if name not in manifest.columns]:
        raise InputError(f"{path}: columns {', '.join(absent)} are missing; {REMEDY}")
    return manifest


def read_split(packed: Packed, path: Path) -> dict[str, Indices]:
    """Read which tile belongs to which split.

    Args:
        packed: the tiles that were split.
        path: the list that the split stage wrote: tile, scene, split, inner_fold.

    Returns:
        Array indices, int64 and ascending, under "train", "val" and "test"; any but "train" may be empty.

    Raises:
        InputError: the list is missing or names other tiles than the packed ones.
    """
    splits = _read_split_file(packed, path)["split"].to_numpy()
    return {name: np.flatnonzero(splits == name).astype(np.int64) for name in ("train", "val", "test")}


def read_inner_folds(packed: Packed, path: Path) -> list[Indices]:
    """Read the inner folds, into which the tiles that aren't tested are divided.

    Args:
        packed: the tiles that were split.
        path: as in `read_split`.

    Returns:
        Of each inner fold, array indices, int64 and ascending; at least two, the first of which is val.

    Raises:
        InputError: as `read_split`.
    """
    folds = pd.to_numeric(_read_split_file(packed, path)["inner_fold"]).to_numpy()
    return [np.flatnonzero(folds == number).astype(np.int64) for number in range(int(np.nanmax(folds)) + 1)]


def _read_split_file(packed: Packed, path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro split`")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    columns = {"tile", "split", "inner_fold"}
    if not columns <= set(table.columns) or table["tile"].tolist() != packed.manifest["tile"].tolist():
        raise InputError(f"{path}: lists other tiles than the packed ones; run `dvc repro split`")
    return table


def class_names(manifest: pd.DataFrame) -> list[str]:
    """Names of the K classes in a manifest, in the order of their target values, without background."""
    return [name.removeprefix(PIXELS) for name in _pixel_columns(manifest) if name != PIXELS + BACKGROUND]


def class_pixels(manifest: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Valid pixels per tile and class.

    Args:
        manifest: N rows, see `read_manifest`; any selection of rows will do.

    Returns:
        int64 (N, K + 1), background first; sum over axis 0 for the counts of a split.
    """
    counts: npt.NDArray[np.int64] = manifest[_pixel_columns(manifest)].to_numpy(dtype=np.int64)
    return counts


def _pixel_columns(manifest: pd.DataFrame) -> list[str]:
    return [name for name in manifest.columns if name.startswith(PIXELS)]


def _read_scenes(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path} is missing: {REMEDY}")
    try:
        scenes: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError:
        raise InputError(f"{path}: expected JSON, found a damaged file; {REMEDY}") from None
    return scenes


def _map_array(path: Path, dtype: type[np.generic]) -> npt.NDArray[Any]:
    if not path.is_file():
        raise InputError(f"{path} is missing: {REMEDY}")
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: expected an array, found a damaged file ({error}); {REMEDY}") from None
    if array.ndim != 3 or array.dtype != dtype:
        found = f"{array.dtype} {array.shape}"
        raise InputError(f"{path}: expected {np.dtype(dtype)} (N, H, W), found {found}; {REMEDY}")
    return array
