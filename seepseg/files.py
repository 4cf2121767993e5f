"""Atomic, byte-stable writers: the same content gives the same bytes, and a file is there whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FLOAT_DIGITS = 6


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, else delete it.

    Args:
        path: the file to write; missing parent folders are made.

    Yields:
        The temporary path, in the same folder, so that the rename is atomic.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes to a file, flushed to disk before the file gets its name."""
    with atomic_path(path) as partial, partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON object: keys sorted, floats rounded to 6 decimals, NaN refused.

    Args:
        path: the file.
        document: nested dicts and lists of plain Python values; `None` becomes `null`.

    Raises:
        ValueError: a float is NaN or infinite.
    """
    text = json.dumps(_rounded(document), indent=2, sort_keys=True, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV: no index, Unix line ends, floats with at most 6 significant decimals, NaN empty."""
    rounded = table.round(FLOAT_DIGITS)
    write_bytes(path, rounded.to_csv(index=False, lineterminator="\n").encode())


def write_npy(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array as NPY, which later stages map from disk."""
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)


@contextmanager
def new_npy(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Iterator[npt.NDArray[Any]]:
    """Fill an NPY file piece by piece, without holding it in memory.

    Args:
        path: the file, which is there once the block ends well.
        shape: of the array.
        dtype: of the array.

    Yields:
        The array, mapped to disk and zero at first.
    """
    with atomic_path(path) as partial:
        array = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
        yield array
        array.flush()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that a stage wrote."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, FLOAT_DIGITS) if isinstance(value, float) else value
