"""Requests to stop, and processes that end with the one that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from seepseg.base.distributed import ProcessGroup
from seepseg.training.interrupts import STARTED_BY_DVC, stop_requests

ROOT = Path(__file__).parents[2]
ALONE = ProcessGroup(0, 1, torch.device("cpu"))


def test_a_request_to_stop_is_sigterm():
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as stop:
        assert not stop.is_due(ALONE)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.is_due(ALONE)
    assert signal.getsignal(signal.SIGTERM) == before


def outlive(child, **env):
    """Kill the parent of a process that runs some code; return what that prints then, at once or in a minute."""
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=ROOT, env=os.environ | env, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.kill()
        return process.stdout.read()  # which ends when the child, too, has closed its output


@pytest.mark.e2e
def test_a_process_ends_with_the_one_that_started_it():
    started = time.monotonic()
    child = (
        "import os, time; from seepseg.training.interrupts import when_parent_ends;"
        "when_parent_ends(lambda: os._exit(1)); print('ready', flush=True); time.sleep(60)"
    )
    assert outlive(child) == ""
    assert time.monotonic() - started < 40


@pytest.mark.e2e
def test_the_end_of_dvc_is_a_request_to_stop():
    child = """
import time, torch
from seepseg.base.distributed import ProcessGroup
from seepseg.training.interrupts import stop_requests, stop_with_dvc
stop_with_dvc()
with stop_requests() as stop:
    print('ready', flush=True)
    while not stop.is_due(ProcessGroup(0, 1, torch.device('cpu'))):
        time.sleep(0.1)
    print('asked to stop', flush=True)
"""
    assert outlive(child, **{STARTED_BY_DVC: "train"}) == "asked to stop\n"
