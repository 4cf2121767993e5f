"""Atomic, byte-stable writers: the same content gives the same bytes, and a file is there whole or not at all."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

FLOAT_DIGITS = 6
SHOWN = 12  # hex digits of a fingerprint
PART = 1 << 20  # bytes that are read at a time


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
        raise name_the_file(path, partial, error) from None
    finally:
        with suppress(OSError):  # what hindered the writing may hinder this, too, and is already said
            partial.unlink(missing_ok=True)


def name_the_file(path: Path, partial: Path, error: OSError) -> OSError:
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


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that a stage wrote."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex digits; of a folder, as some vector formats are, that of all files in it."""
    digest = hashlib.sha256()
    for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if not each.is_dir():
            with each.open("rb") as file:
                while part := file.read(PART):
                    digest.update(part)
    return digest.hexdigest()


def fingerprint(path: Path) -> str:
    """The first digits of `sha256`, by which results tell of their model."""
    return sha256(path)[:SHOWN]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, FLOAT_DIGITS) if isinstance(value, float) else value
