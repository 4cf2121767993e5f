"""Runs each stage where one of the folders that it writes to takes nothing any more; started by test_disk_faults.py.

Arguments: the fault, which is full, read-only or denied. The working directory is a workspace in which every stage has
run. Prints a JSON list: stage, folder, how the stage ended, and which files of the folder are not as they were.
"""

import ctypes
import importlib
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path

from benchmarks.stage_kills import outputs_of
from seepseg.base.command import run_stage

ROOT = Path(__file__).parents[2]
MS_RDONLY, MS_REMOUNT = 1, 32
LIBC = ctypes.CDLL(None, use_errno=True)


def main(fault):
    results = []
    for stage, folder in writes():
        before = contents(folder)
        with FAULTS[fault](folder, before):
            try:
                run_stage(importlib.import_module(f"stages.{stage}").main)
                ended = None
            except SystemExit as end:
                ended = end.code
            after = contents(folder)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        results.append({"stage": stage, "folder": str(folder), "ended": ended, "changed": changed})
    print(json.dumps(results))


def writes():
    """Every stage with each of the folders that it writes to."""
    for stage, names in outputs_of(ROOT).items():
        for folder in sorted({Path(name).parent for name in names}):
            yield stage, folder


def contents(folder):
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@contextmanager
def full(folder, files):
    """A disk in memory that holds the files, and has no page left."""
    size = sum(-(-len(content) // 4096) + 1 for content in files.values()) + 64
    mount("tmpfs", folder, f"size={size * 4096}")
    try:
        for name, content in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(content)
        filler = folder / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        except OSError:
            files[str(filler)] = filler.read_bytes()
        yield
    finally:
        unmount(folder)


@contextmanager
def read_only(folder, files):
    """A disk in memory that holds the files, and is then mounted read-only."""
    mount("tmpfs", folder, "")
    try:
        for name, content in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(content)
        mount("tmpfs", folder, "", MS_REMOUNT | MS_RDONLY)
        yield
    finally:
        unmount(folder)


@contextmanager
def denied(folder, files):
    """A folder that must not be written to."""
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(mode)


def mount(kind, folder, options, flags=0):
    if LIBC.mount(kind.encode(), bytes(folder), kind.encode(), flags, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))


def unmount(folder):
    if LIBC.umount2(bytes(folder), 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))


FAULTS = {"full": full, "read-only": read_only, "denied": denied}

if __name__ == "__main__":
    main(sys.argv[1])
