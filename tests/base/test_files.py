"""Writers: byte-stable, and whole or not at all."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from seepseg.base import folders
from seepseg.base.files import atomic_path, fingerprint, read_json, sha256, write_bytes, write_csv, write_json
from seepseg.base.folders import new_folder
from seepseg.base.npy_stream import NpyStream


def test_json_is_sorted_rounded_and_ends_with_a_newline(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"b": 1 / 3, "a": {"z": None, "y": [0.1234567]}})
    expected = '{\n  "a": {\n    "y": [\n      0.123457\n    ],\n    "z": null\n  },\n  "b": 0.333333\n}\n'
    assert path.read_text() == expected
    assert read_json(path)["b"] == 0.333333


def test_json_refuses_what_json_cannot_say(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_csv_has_unix_lines_rounded_floats_and_empty_gaps(tmp_path):
    write_csv(tmp_path / "a.csv", pd.DataFrame({"n": [1, 2], "x": [2 / 3, None]}))
    assert (tmp_path / "a.csv").read_bytes() == b"n,x\n1,0.666667\n2,\n"


def test_npy_round_trip(tmp_path):
    array = np.arange(24, dtype=np.uint16).reshape(4, 2, 3)
    with NpyStream.open(tmp_path / "a.npy", "<u2") as stream:
        stream.write_header(4, (2, 3))
        stream.append(array[0])  # one tile ...
        stream.append(array[1:])  # ... and several
    read = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, array)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_write_that_fails_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch, number):
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")

    def failing(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match=os.strerror(number)) as error:
        write_bytes(path, b"new")
    assert (error.value.errno, error.value.filename) == (number, str(path))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_fails_to_take_the_place_of_another_leaves_it_there(tmp_path, monkeypatch):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "old").touch()
    rename = Path.rename

    def failing(path, target):
        if path.name == "new":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output error") as error, new_folder(folder) as partial:
        (partial / "new").touch()
    assert error.value.filename == str(folder)
    assert list(tmp_path.iterdir()) == [folder] and list(folder.iterdir()) == [folder / "old"]
    monkeypatch.undo()
    with new_folder(folder) as partial:
        (partial / "new").touch()
    assert list(tmp_path.iterdir()) == [folder] and list(folder.iterdir()) == [folder / "new"]


def test_two_runs_that_write_one_folder_leave_each_other_alone(tmp_path):
    folder = tmp_path / "a"
    with new_folder(folder) as first:
        (first / "first").touch()
        with new_folder(folder) as second:
            (second / "second").touch()
            assert list(first.iterdir()) == [first / "first"]
        assert list(folder.iterdir()) == [folder / "second"]
    assert list(folder.iterdir()) == [folder / "first"] and list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_another_run_puts_there_at_the_same_moment_is_whole(tmp_path, monkeypatch):
    folder, rename = tmp_path / "a", Path.rename
    folder.mkdir()

    def overtaken(path, target):
        if path.name == "new":
            folder.mkdir()
            (folder / "theirs").touch()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    with new_folder(folder) as partial:
        (partial / "ours").touch()
    assert list(folder.iterdir()) == [folder / "theirs"] and list(tmp_path.iterdir()) == [folder]


@pytest.mark.e2e
def test_what_a_killed_run_left_is_cleared_away_and_what_a_living_one_writes_is_not(tmp_path):
    folder = tmp_path / "a"
    code = (
        "import sys, time, pathlib\n"
        "from seepseg.base.folders import new_folder\n"
        "with new_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').touch()\n"
        "    print(folder, flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code, folder], env=environment, stdout=subprocess.PIPE, text=True
    ) as run:
        half = Path(run.stdout.readline().strip(), "half")
        with new_folder(folder):
            assert half.exists()
        assert half.exists()
        run.kill()
    assert half.exists()
    with new_folder(folder) as partial:
        assert list(partial.iterdir()) == [] and not half.exists()
    assert list(tmp_path.iterdir()) == [folder] and list(folder.iterdir()) == []


def test_without_locks_what_is_there_is_left_alone(tmp_path, monkeypatch):
    """As a file system may lack them."""

    def failing(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(folders.fcntl, "flock", failing)
    with new_folder(tmp_path / "a") as first, new_folder(tmp_path / "a") as second:
        assert first != second and first.is_dir()


def test_the_mode_of_a_folder_is_as_usual(tmp_path):
    (tmp_path / "plain").mkdir()
    with new_folder(tmp_path / "a"):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_fingerprints_are_of_the_content(tmp_path):
    (tmp_path / "a.gdb").mkdir()
    for name, content in (("b", b"two"), ("a", b"one")):
        (tmp_path / "a.gdb" / name).write_bytes(content)
    write_bytes(tmp_path / "file", b"onetwo")
    assert sha256(tmp_path / "file") == sha256(tmp_path / "a.gdb") == hashlib.sha256(b"onetwo").hexdigest()
    assert fingerprint(tmp_path / "file") == hashlib.sha256(b"onetwo").hexdigest()[:12]


def test_what_fails_to_be_read_meanwhile_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as error, atomic_path(tmp_path / "a.txt"):
        (tmp_path / "missing").read_bytes()
    assert error.value.filename == str(tmp_path / "missing")
