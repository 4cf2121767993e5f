"""Checkpoints of a training that is under way: one that ends before its time goes on where it was."""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from seepseg.base.errors import InputError
from seepseg.base.files import write_bytes

LOCK = "lock"
FORGOTTEN = 30 * 24 * 3600  # seconds after its last checkpoint, when a training is given up


class Checkpoints:
    """The checkpoints of one training: files by name, each whole or not there.

    Attributes:
        folder: of this training alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Write a file.

        Args:
            name: of it.
            state: nested dicts and lists of tensors, numbers and texts.
        """
        buffer = BytesIO()
        torch.save(state, buffer)
        write_bytes(self.folder / f"{name}.pt", buffer.getvalue())

    def load(self, name: str) -> dict[str, Any] | None:
        """Read a file, on the CPU and without executing anything; `None` if there is none, or a damaged one."""
        path = self.folder / f"{name}.pt"
        if not path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # what torch raises on foreign bytes has no common class
            print(f"warning: {path} is damaged and not used", file=sys.stderr)
            return None
        return state

    def remove(self) -> None:
        """Delete all: the training is done."""
        shutil.rmtree(self.folder)


@contextmanager
def open_checkpoints(root: Path, fingerprint: str) -> Iterator[Checkpoints]:
    """Open the checkpoints of a training, for this process alone; the folder is made if need be.

    Those that no training has gone on from for a month are deleted.

    Args:
        root: folder of all trainings' checkpoints.
        fingerprint: see `fingerprint`.

    Raises:
        InputError: another process is at the same training.
    """
    folder = root / fingerprint
    folder.mkdir(parents=True, exist_ok=True)
    for old in root.iterdir():
        if old != folder and old.is_dir() and time.time() - old.stat().st_mtime > FORGOTTEN:
            shutil.rmtree(old, ignore_errors=True)
    with (folder / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise InputError(
                f"{folder}: process {lock.read().strip() or 'unknown'} is at this very training; "
                "wait until it is done, or end it and run the same command again"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield Checkpoints(folder)


def fingerprint(settings: Sequence[Any], files: Sequence[Path], device: str) -> str:
    """Name a training by all that decides its outcome, so that it goes on from no other's checkpoint.

    Args:
        settings: parameter blocks.
        files: what it reads; their content counts.
        device: type of the device that computes.

    Returns:
        32 hexadecimal digits; also of the program's own code, as far as it is loaded, and of torch's version.
    """
    total = hashlib.sha256(json.dumps([asdict(block) for block in settings], sort_keys=True).encode())
    for text in (device, torch.__version__):
        total.update(text.encode() + b"\0")
    for path in (*files, *_own_code()):
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:32]


def _own_code() -> list[Path]:
    """The files of all modules of this program that are loaded."""
    package = Path(__file__).parents[1]
    folders = (package, package.with_name("stages"))
    files = {Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    return sorted(file for file in files if any(file.is_relative_to(folder) for folder in folders))
