"""Several processes compute what one computes, and end together, with one message."""

import logging
import os
import signal
import time
from pathlib import Path

import numpy as np
import parallel_worker as worker
import pytest
import torch
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from seepseg.base.distributed import ProcessGroup, all_sum, gather
from seepseg.base.errors import InputError
from seepseg.training.data_parallel import distribute
from seepseg.training.processes import LAUNCHED, describe_failure, join, launch

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.e2e

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Launch two processes for a task, in a folder of their own, which is returned."""

    def run(task):
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        with pytest.MonkeyPatch.context() as patch:
            folder = tmp_path_factory.mktemp("processes")
            patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, ROOT / "tests/training"))))
            patch.setenv("OMP_NUM_THREADS", "1")
            patch.setenv("TASK", task)
            patch.setenv("FOLDER", str(folder))
            patch.setenv(LAUNCHED, "")  # launch sets it, and all else that is taken back here
            try:
                launch(("-m", "parallel_worker"), 2, worker.DEVICE)
            finally:
                logging.disable(logging.NOTSET)
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        return folder

    return run


@pytest.fixture(scope="module")
def computed(start):
    """What two processes computed, by rank."""
    folder = start("compute")
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def test_two_processes_take_the_step_that_one_does(computed):
    first, second = computed
    np.testing.assert_array_equal(first["counts"], [2, 21])
    for case, rows in worker.ROWS.items():
        images, target = worker.make_batch(rows)
        expected = worker.train_step(worker.make_model(), images, target)
        for result, share in ((first, slice(0, None, 2)), (second, slice(1, None, 2))):
            # Before DistributedDataParallel takes the mean, gradients are those of the sum over two processes.
            result[case]["images.grad"] = result[case]["images.grad"] / 2
            for name, value in expected.items():
                shared = value[share] if name in ("logits", "images.grad") else value
                torch.testing.assert_close(result[case][name], shared, rtol=1e-9, atol=1e-12, msg=f"{case}: {name}")
            gathered = torch.cat([target[0::2], target[1::2]])
            assert torch.equal(result[f"{case} target"], gathered)


def test_every_loss_of_two_processes_is_that_of_one(computed):
    for (name, head, reduction), loss in worker.make_losses().items():
        for rows in worker.ROWS.values():
            prediction = worker.make_prediction(rows, worker.CHANNELS[head])
            value, gradient = worker.loss_and_gradient(loss, *prediction)
            for rank, results in enumerate(computed):
                found, found_gradient = results[name, head, reduction, rows]
                what = f"{name}, {head}, {reduction}, {rows} tiles"
                torch.testing.assert_close(found, value, rtol=1e-9, atol=1e-12, msg=what)
                share = gradient[rank::2]  # of the sum over two processes, of which the mean is taken later
                torch.testing.assert_close(found_gradient, 2 * share, rtol=1e-6, atol=1e-12, msg=what)


def test_a_killed_process_ends_the_run_with_one_message(start, capfd, caplog):
    started = time.monotonic()
    with pytest.raises(SystemExit) as stop:
        start("killed")
    assert stop.value.code == (
        "error: training process 2 of 2 was killed by SIGKILL; the others were stopped, and nothing was written after "
        "the last finished epoch. If memory ran out, lower train.batch_size"
    )
    assert capfd.readouterr() == ("", "")
    assert not caplog.records  # the launcher would log it at length
    assert time.monotonic() - started < 30  # a few seconds on a free machine


def test_an_input_error_of_all_processes_is_shown_once(start, capfd):
    with pytest.raises(SystemExit) as stop:
        start("input error")
    assert stop.value.code == "error: train.lr: expected less"
    assert capfd.readouterr() == ("", "")


def test_a_defect_shows_its_own_traceback_not_the_lost_connection_of_the_others(start, capfd):
    with pytest.raises(SystemExit) as stop:
        start("defect")
    assert stop.value.code.count("Traceback") == 1
    assert stop.value.code.rstrip().endswith("ZeroDivisionError: a bug")
    assert capfd.readouterr() == ("", "")


def failed(exitcode, **record):
    failure = ProcessFailure(local_rank=0, pid=1, exitcode=exitcode, error_file="")
    if record:
        failure.error_file_data = record
        failure.message = record["message"]
    return failure


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        (
            {0: failed(1, message="lost", lost_others=True, timestamp=1.0), 1: failed(-9)},
            "process 2 of 2 was killed by",
        ),
        ({0: failed(-15), 1: failed(1, message="late", timestamp=1.0)}, "late"),
        ({0: failed(1, message="b", timestamp=1.2), 1: failed(1, message="a", timestamp=1.1)}, "a"),
        ({0: failed(-15), 1: failed(7)}, "process 2 of 2 ended with status 7"),
    ],
)
def test_the_cause_is_told_from_its_consequences(failures, message):
    assert message in describe_failure(failures, 2)


@pytest.mark.parametrize(("started", "wanted"), [(3, 2), (2, 1)])
def test_torchrun_must_start_as_many_processes_as_the_parameter_says(monkeypatch, started, wanted):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    monkeypatch.setenv("WORLD_SIZE", str(started))
    message = f"train.devices: expected {started}, the number of processes that torchrun started, found {wanted}"
    with pytest.raises(InputError, match=message), join(wanted, worker.DEVICE):
        pass


def test_more_devices_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"train.devices: expected at most 1, the GPUs of this machine, found 2"):
        launch(("-m", "parallel_worker"), 2, torch.device("cuda"))
    with pytest.raises(InputError, match=r"train.devices 2 needs train.device 'cuda' or 'cpu', found 'mps'"):
        launch(("-m", "parallel_worker"), 2, torch.device("mps"))


def test_one_process_is_left_alone():
    model, rows = nn.BatchNorm2d(2), torch.ones(3, 2)
    with join(1, worker.DEVICE) as group:
        assert group == ProcessGroup(0, 1, worker.DEVICE)
        assert group.is_main
        assert all_sum(rows) is rows
        assert gather(rows) is rows
        assert distribute(model, group) is model
        assert type(model) is nn.BatchNorm2d
        assert torch.equal(group.share(rows), rows)


def test_shares_of_a_batch_part_it():
    rows = np.arange(7)
    shares = [ProcessGroup(rank, 3, worker.DEVICE).share(rows).tolist() for rank in range(3)]
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]
