"""Atomic, byte-stable writers: the same content gives the same bytes, and a file is there whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

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

    Raises:
        OSError: it can't be written, say, on a full disk; with `path` as its file, and what is there stays.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _naming(path, partial, error) from None
    finally:
        with suppress(OSError):  # what hindered the writing may hinder this, too, and is already said
            partial.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill, which takes the place of `folder` when the block ends well, else goes.

    Args:
        folder: to write; missing parent folders are made.

    Yields:
        The temporary folder, beside it.

    Raises:
        OSError: it can't be written; with `folder` as its file, and what is there stays.
    """
    partial, old = (folder.with_name(f".{folder.name}.{suffix}.partial") for suffix in ("new", "old"))
    for left_by_a_killed_run in (partial, old):
        shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():  # a folder can't replace another at once, but is away for an instant only
            folder.rename(old)
        partial.rename(folder)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise _naming(folder, partial, error) from None
    finally:
        for temporary in (partial, old):
            shutil.rmtree(temporary, ignore_errors=True)


def _naming(path: Path, partial: Path, error: OSError) -> OSError:
    """The error, with a name that the user knows: a full disk shows in a write, which knows none."""
    if error.filename is None or partial in (at := Path(error.filename), *at.parents):
        return OSError(error.errno, error.strerror, str(path))
    return error


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

    @classmethod
    @contextmanager
    def open(cls, path: Path, dtype: str) -> Iterator[Self]:
        """Open a file to write; it is flushed to disk when the block ends well.

        Raises:
            OSError: it can't be written, say, on a full disk; with `path` as its file.
        """
        stream = cls(path.open("wb"), dtype)
        try:
            yield stream
            with stream._naming():
                stream.file.flush()
                os.fsync(stream.file.fileno())
        finally:
            with suppress(OSError):  # what could not be written can't be now, and has been said with its name
                stream.file.close()

    def write_header(self, count: int, shape: tuple[int, ...]) -> None:
        """Begin an array of `count` tiles of a shape."""
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (count, *shape)}
        with self._naming():
            np.lib.format.write_array_header_1_0(self.file, header)

    def append(self, tiles: npt.NDArray[Any]) -> None:
        """Write the next tile, or several: (H, W) or (N, H, W)."""
        with self._naming():
            self.file.write(np.ascontiguousarray(tiles, self.dtype).data)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Say in errors which of several files it is that can't be written."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.file.name) from None


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
