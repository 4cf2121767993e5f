"""How a stage ends: one message and status 1 for what a user can mend, a traceback for a defect."""

import pytest

from seepseg.base.command import run_stage
from seepseg.base.errors import InputError


def failing(error):
    def main():
        raise error

    return main


def test_input_errors_become_one_message():
    with pytest.raises(SystemExit) as stop:
        run_stage(failing(InputError("a.tif: expected uint16, found float32")))
    assert stop.value.code == "error: a.tif: expected uint16, found float32"  # a text means status 1


def test_a_full_disk_names_the_file():
    with pytest.raises(SystemExit) as stop:
        run_stage(failing(OSError(28, "No space left on device", "models/model.safetensors")))
    expected = "error: No space left on device: models/model.safetensors; make room there and run this again"
    assert stop.value.code == expected


def test_defects_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_stage(failing(ZeroDivisionError()))
