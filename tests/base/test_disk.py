"""Errors on a full disk."""

import errno
from types import SimpleNamespace

import pytest

from seepseg.base import disk
from seepseg.base.disk import explain_full_disk


class LibraryError(Exception):
    errno = 1  # of its own, as GDAL's has


def fail(folder, error):
    with explain_full_disk(folder):
        raise error


@pytest.mark.parametrize("error", [LibraryError("IO error writing tag data"), OSError("Write failed")])
def test_a_full_disk_is_told_as_such(tmp_path, monkeypatch, error):
    with pytest.raises(type(error)) as end:
        fail(tmp_path, error)
    assert end.value is error
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="No space left on device") as end:
        fail(tmp_path, error)
    assert (end.value.errno, end.value.filename) == (errno.ENOSPC, str(tmp_path))
    with pytest.raises(PermissionError):
        fail(tmp_path, PermissionError(errno.EACCES, "not yours"))
