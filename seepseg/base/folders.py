"""Folders that are there whole or not at all."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO

from seepseg.base.disk import explain_full_disk
from seepseg.base.files import name_the_file

LOCK = "lock"


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill, which takes the place of `folder` when the block ends well, else goes.

    Several processes may do so at a time, each with a folder of its own; a whole one stays.

    Args:
        folder: to write; missing parent folders are made.

    Yields:
        The temporary folder, in a hidden one beside `folder`.

    Raises:
        OSError: it can't be written; with `folder` as its file, and what is there stays.
    """
    with _own_folder(folder) as own:
        new, old = own / "new", own / "old"
        try:
            new.mkdir()
            with explain_full_disk(new):
                yield new
            _put(new, folder, old)
        except OSError as error:
            if old.exists() and not folder.exists():
                old.rename(folder)
            raise name_the_file(folder, own, error) from None


def _put(new: Path, folder: Path, old: Path) -> None:
    if folder.exists():  # a folder can't replace another at once, but is away for an instant only
        with suppress(FileNotFoundError):  # another process is doing the same
            folder.rename(old)
    try:
        new.rename(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # what another one has just put there is whole, too
            raise


@contextmanager
def _own_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder beside another, for this process alone, which goes at the end."""
    numbers, lock = count(), None
    while lock is None:
        own = folder.with_name(f".{folder.name}.{next(numbers)}.partial")
        try:
            lock = _make_or_take(own)
        except OSError as error:
            with suppress(OSError):
                own.rmdir()
            raise name_the_file(folder, own, error) from None
    with lock:
        try:
            for left_by_a_killed_run in own.iterdir():
                shutil.rmtree(left_by_a_killed_run, ignore_errors=True)  # which does not remove the lock, a file
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)
    with suppress(OSError):  # on NFS, a folder can't go before its open files are closed
        own.rmdir()


def _make_or_take(own: Path) -> IO[str] | None:
    """Make a folder with a lock in it, or take one that a killed process left; None where another may be at it."""
    try:
        own.mkdir(parents=True)
        is_new = True
    except FileExistsError:
        is_new = False
    try:
        lock = (own / LOCK).open("w")
    except OSError as error:
        if is_new and not isinstance(error, FileNotFoundError):
            raise
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # where a file system has no locks, what is there already may be in use
        is_ours = is_new and not isinstance(error, BlockingIOError)
    else:
        is_ours = _is(own / LOCK, lock)
    if not is_ours:
        lock.close()
    return lock if is_ours else None


def _is(path: Path, file: IO[str]) -> bool:
    """Whether an open file still has its name, which whoever had the lock before may have removed."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
