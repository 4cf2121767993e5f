"""Atomic, byte-stable writers: the same content gives the same bytes, and a file is there whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

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


class NpyStream:
    """An NPY file that is written piece by piece, without holding it in memory; `np.load` maps it from disk.

    Not a memory map, because a disk that fills up would kill the process instead of raising an error.
    """

    def __init__(self, file: BinaryIO, dtype: str) -> None:
        self.file = file
        self.dtype = np.dtype(dtype)

    def write_header(self, count: int, shape: tuple[int, ...]) -> None:
        """Begin an array of `count` tiles of a shape."""
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (count, *shape)}
        np.lib.format.write_array_header_1_0(self.file, header)

    def append(self, tiles: npt.NDArray[Any]) -> None:
        """Write the next tile, or several: (H, W) or (N, H, W)."""
        self.file.write(np.ascontiguousarray(tiles, self.dtype).data)


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
