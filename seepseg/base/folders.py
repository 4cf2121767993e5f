"""Folders that are there whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seepseg.base.files import name_the_file


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
        raise name_the_file(folder, partial, error) from None
    finally:
        for temporary in (partial, old):
            shutil.rmtree(temporary, ignore_errors=True)
