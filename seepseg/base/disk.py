"""A full disk, told as such also where a library has other words for it."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOM = 4 << 20  # bytes; a disk with less is full


@contextmanager
def explain_full_disk(path: Path) -> Iterator[None]:
    """Turn whatever error a library has for a full disk into that of the system.

    Args:
        path: file or folder that the block writes, to be named; its disk must still hold what the block wrote when an
            error leaves the block.

    Raises:
        OSError: with errno ENOSPC, where the block fails and the disk is full.
    """
    try:
        yield
    except Exception as error:
        is_told = isinstance(error, OSError) and error.errno
        folder = path if path.is_dir() else path.parent
        if not is_told and shutil.disk_usage(folder).free < ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
