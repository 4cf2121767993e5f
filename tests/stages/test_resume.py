"""A training that is stopped, killed or fails goes on where it was, and gives the same bits as one that is not."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from conftest import ROOT

from seepseg.base.errors import InputError, StoppedError
from seepseg.training import checkpoints
from seepseg.training.interrupts import STARTED_BY_DVC, StopRequest

pytestmark = pytest.mark.e2e

OUTPUTS = ("models/networks.safetensors", "plots/history.csv", "plots/class_history.csv", "metrics/train.json")


def outputs(workspace):
    return {name: workspace.files().get(name) for name in OUTPUTS}


def stop_every(monkeypatch, steps):
    """Ask to stop at each step of which so many came before, whichever run they belong to."""
    asked = []

    def is_due(self, group):
        asked.append(1)
        return len(asked) % steps == 0

    monkeypatch.setattr(StopRequest, "is_due", is_due)


def train_on(workspace):
    """Run the stage again and again until it is done; return the messages of the stops."""
    stops = []
    while True:
        try:
            workspace.run("train")
        except StoppedError as stop:
            stops.append(str(stop))
        else:
            return stops


@pytest.mark.parametrize(
    ("steps", "params"),
    [(7, {}), (5, {"keep": "best", "schedule": "cosine", "grad_clip": 0.0}), (4, {"early_stopping": 1, "lr": 1.0e-9})],
)
def test_stops_at_any_step_change_nothing(finished, prepared, monkeypatch, steps, params):
    prepared.set("augment", dihedral=True, resize=0.1, gain=0.1, speckle=0.1)
    prepared.set("train", **params)
    prepared.run("train")
    expected = outputs(prepared)
    for name in OUTPUTS:
        (prepared.folder / name).unlink()
    stop_every(monkeypatch, steps)
    stops = train_on(prepared)
    assert len(stops) > 3
    assert len(set(stops)) == len(stops)  # each time it came farther
    assert "the same command goes on from there" in stops[0]
    assert outputs(prepared) == expected
    assert list((prepared.folder / ".checkpoints").iterdir()) == []


def test_checkpoints_lie_in_the_repository_that_dvc_names(prepared, tmp_path_factory, monkeypatch):
    """As for an experiment, which runs in a temporary copy of it."""
    repository = tmp_path_factory.mktemp("repository")
    monkeypatch.setenv("DVC_ROOT", str(repository))
    stop_every(monkeypatch, 5)
    with pytest.raises(StoppedError):
        prepared.run("train")
    assert len(list(repository.glob(".checkpoints/*/current.pt"))) == 1
    assert not (prepared.folder / ".checkpoints").exists()


def test_a_write_that_fails_at_any_checkpoint_loses_nothing(finished, prepared, monkeypatch):
    written = []
    original = checkpoints.write_bytes

    def failing(path, content):
        written.append(path.name)
        if len(written) % 2 == 0:  # a disk that is full every other time
            path.with_name(f".{path.name}.partial").write_bytes(content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        original(path, content)

    monkeypatch.setattr(checkpoints, "write_bytes", failing)
    failures = 0
    while True:
        try:
            prepared.run("train")
            break
        except OSError:
            failures += 1
    assert failures > 3
    assert outputs(prepared) == outputs(finished)


@pytest.mark.parametrize("name", ["current", "network0"])
def test_a_damaged_checkpoint_is_never_used(finished, prepared, monkeypatch, capsys, name):
    steps = 30  # in the second network
    stop_every(monkeypatch, steps)
    with pytest.raises(StoppedError, match="of network 2"):
        prepared.run("train")
    (path,) = (prepared.folder / ".checkpoints").glob(f"*/{name}.pt")
    path.write_bytes(path.read_bytes()[:1000])
    monkeypatch.undo()
    if name == "current":
        prepared.run("train")  # from the beginning
        assert outputs(prepared) == outputs(finished)
        assert "is damaged and not used" in capsys.readouterr().err
    else:
        with pytest.raises(InputError, match=r"network0\.pt is damaged or missing; delete the folder"):
            prepared.run("train")


def command(workspace, **env):
    return subprocess.Popen(
        [sys.executable, "-m", "stages", "train"],
        cwd=workspace.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process, text):
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"{text} never came: {process.stderr.read()}")


@pytest.fixture
def long(prepared):
    """A workspace whose training takes a while."""
    prepared.set("train", epochs=400, networks=1)
    return prepared


def test_sigterm_finishes_the_step_and_says_how_to_go_on(long):
    with command(long) as process:
        wait_for(process, "epoch 2/400")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch("stopped: after .* of network 1; the same command goes on from there\n", errors)
    assert not (long.folder / "models").exists()
    with command(long) as process:
        wait_for(process, "going on after ")
        process.kill()


def test_a_second_training_of_the_same_run_ends_at_once(long):
    with command(long) as first:
        wait_for(first, "epoch 2/400")
        with command(long) as second:
            _, errors = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"process {first.pid} is at this very training" in errors
        assert first.poll() is None
        first.kill()
    with command(long) as third:  # a lock dies with its process
        wait_for(third, "going on after ")
        third.kill()


@contextmanager
def under_dvc(workspace):
    """A training that something has started which says that it is DVC; both, with the output of both."""
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'stages', 'train'], stderr=sys.stdout)\n"
        "time.sleep(600)"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT), STARTED_BY_DVC: "train"}
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=workspace.folder, env=env, stdout=subprocess.PIPE, text=True
    ) as dvc:
        yield dvc


def test_a_training_ends_when_its_dvc_is_gone(long):
    with under_dvc(long) as dvc:
        wait_for(dvc, "epoch 2/400")
        dvc.kill()
        rest = dvc.stdout.read()  # until the training has closed it, too
    assert "stopped: after " in rest


def test_two_processes_whose_dvc_is_gone_stop_and_go_on_with_the_same_bits(prepared):
    """Which sends SIGTERM to the process that started them."""
    prepared.set("train", epochs=8, devices=2, networks=1)
    assert prepared.command("train").returncode == 0
    expected = outputs(prepared)
    for name in OUTPUTS:
        (prepared.folder / name).unlink()
    with under_dvc(prepared) as dvc:
        wait_for(dvc, "epoch 1/8 ")
        dvc.kill()
        rest = dvc.stdout.read()
    assert "stopped; the same command goes on from the last checkpoint" in rest and "Traceback" not in rest
    result = prepared.command("train")
    assert result.returncode == 0 and "going on after" in result.stdout
    assert outputs(prepared) == expected


def test_killed_again_and_again_it_gets_done_with_the_same_bits(prepared):
    prepared.set("train", epochs=12)
    prepared.run("train")
    expected = outputs(prepared)
    for name in OUTPUTS:
        (prepared.folder / name).unlink()
    kills = 0
    for delay in (0.0, 0.3):
        with command(prepared) as process:
            wait_for(process, "epoch ")
            time.sleep(delay)
            if process.poll() is None:
                process.kill()
                kills += 1
    assert kills
    prepared.run("train")
    assert outputs(prepared) == expected
