import sys
import time

import pytest

from ec2.command import Command, completed
from seepseg.base.errors import InputError


def test_a_run_is_an_experiment_of_its_name_that_fetches_what_it_can():
    fetched = ["dvc", "exp", "run", "--pull", "--allow-missing", "--name", "night"]
    assert completed("dvc repro train", "night") == [*fetched, "train"]
    words = completed("dvc exp run -S 'data.class_names=[oil, other]'", "night")
    assert words == [*fetched, "-S", "data.class_names=[oil, other]"]


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("", "found: none"),
        ("rm -rf /", "'dvc repro' or 'dvc exp run', with options; found: rm -rf /"),
        ("dvc push", "found: dvc push"),
        ("dvc exp run 'a", "No closing quotation"),
        ("dvc exp run --queue", "without --queue"),
        ("dvc exp run --name=other", "without --name=other"),
        ("dvc exp run -n other", "without -n;"),
        ("dvc exp run -nother", "without -nother;"),
    ],
)
def test_other_commands_are_refused(command, complaint):
    with pytest.raises(InputError) as refusal:
        completed(command, "night")
    assert complaint in str(refusal.value)


def test_stages_are_counted_by_what_became_of_them(capfd):
    said = ["Stage 'tile' didn't change, skipping", "Stage 'train' is cached - skipping run, checking out outputs"]
    said += ["Running stage 'detect':", "> python -m stages detect", "Running stage 'classify':"]
    command = Command([sys.executable, "-c", f"print({chr(10).join(said)!r}); raise SystemExit(3)"])
    while command.status() is None:
        time.sleep(0.01)
    assert command.status() == 3
    assert command.outcomes == {"unchanged": 1, "fetched": 1, "run": 2}
    assert capfd.readouterr().out.splitlines() == said


def test_stopping_a_command_stops_what_it_has_started_and_waits_for_it(tmp_path):
    """As with a training below DVC, which writes a checkpoint."""
    child = f"""
import pathlib, signal, sys, time
def stop(*_):
    time.sleep(1)
    pathlib.Path({str(tmp_path / "checkpoint")!r}).touch()
    sys.exit()
signal.signal(signal.SIGTERM, stop)
pathlib.Path({str(tmp_path / "started")!r}).touch()
time.sleep(60)
"""
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    command = Command([sys.executable, "-c", parent])
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    command.stop()
    assert (tmp_path / "checkpoint").exists()
