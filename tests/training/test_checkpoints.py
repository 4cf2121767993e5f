"""Checkpoints of a training: whose they are, how long they are kept, and what is never loaded."""

import os
import time
from pathlib import Path

import pytest
import torch

from seepseg.base.errors import InputError
from seepseg.training import checkpoints, trainer
from seepseg.training.checkpoints import Checkpoints, fingerprint, open_checkpoints
from seepseg.training.sampling import SamplingParams


def test_what_is_saved_is_loaded_and_goes_with_the_rest(tmp_path):
    with open_checkpoints(tmp_path, "own") as opened:
        assert opened.folder == tmp_path / "own"
        assert opened.load("current") is None
        opened.save("current", {"epoch": 3, "weights": [torch.ones(2)]})
        assert opened.load("current") == {"epoch": 3, "weights": [pytest.approx(torch.ones(2))]}
        opened.remove()
    assert not (tmp_path / "own").exists()


def test_two_processes_are_not_at_one_training(tmp_path):
    message = f"own: process {os.getpid()} is at this very training"
    with open_checkpoints(tmp_path, "own"), pytest.raises(InputError, match=message), open_checkpoints(tmp_path, "own"):
        pass


def test_forgotten_checkpoints_are_deleted(tmp_path):
    for name, age in (("old", 31), ("recent", 29)):
        folder = tmp_path / name
        folder.mkdir()
        moment = time.time() - age * 24 * 3600
        os.utime(folder, (moment, moment))
    with open_checkpoints(tmp_path, "own"):
        assert {path.name for path in tmp_path.iterdir()} == {"recent", "own"}


def test_a_checkpoint_that_would_execute_something_is_not_loaded(tmp_path, capsys):
    class Trap:
        def __reduce__(self):
            return (Path.write_text, (tmp_path / "trapped", "x"))

    torch.save({"trap": Trap()}, tmp_path / "current.pt")
    assert Checkpoints(tmp_path).load("current") is None
    assert "is damaged and not used" in capsys.readouterr().err
    assert not (tmp_path / "trapped").exists()


def test_whatever_decides_the_result_changes_the_fingerprint(tmp_path, monkeypatch):
    data, code = tmp_path / "data.npy", tmp_path / "code.py"
    data.write_bytes(b"one")
    code.write_text("a = 1")
    monkeypatch.setattr(checkpoints, "_own_code", lambda: [code])

    def name(device="cpu", **changes):
        return fingerprint([SamplingParams(**changes)], [data], device)

    names = [name(), name(crop=64), name(device="cuda")]
    data.write_bytes(b"two")
    names.append(name())
    code.write_text("a = 2")
    names.append(name())
    monkeypatch.setattr(torch, "__version__", "0.0")
    names.append(name())
    assert len(set(names)) == len(names)
    assert names[-1] == name()


def test_the_code_of_the_fingerprint_is_that_of_the_program():
    own = checkpoints._own_code()
    assert Path(trainer.__file__) in own
    root = Path(__file__).parents[2]
    assert all(path.relative_to(root).parts[0] in ("seepseg", "stages") for path in own)
