"""Arrays with a row per packed tile that stages hand on."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seepseg.base.errors import InputError
from seepseg.data.packed import Packed


def open_tile_array(path: Path, packed: Packed, stage: str) -> npt.NDArray[Any]:
    """Open an array (N, H, W) without reading it into memory.

    Args:
        path: of a .npy file.
        packed: the N tiles.
        stage: that writes it.

    Raises:
        InputError: the file is missing or of other tiles.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro {stage}`")
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.shape != packed.targets.shape:
        raise InputError(f"{path}: expected shape {packed.targets.shape}, found {array.shape}; run `dvc repro {stage}`")
    return array
