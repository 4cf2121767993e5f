"""Tasks on workers: the outcomes of one process; a dead worker costs nothing, a lost scheduler is one clear line."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from distribution_worker import die, hang_once, slow_square, square

from seepseg.base.errors import InputError
from seepseg.commands import distribution
from seepseg.commands.distribution import run_tasks

pytestmark = pytest.mark.e2e

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Workers import what the tests define; nothing of the environment names a scheduler, and none of it is changed."""
    before = dict(os.environ)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, HERE))))
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    yield
    os.environ.clear()
    os.environ.update(before)


@contextmanager
def process(*arguments, **options):
    """A process of Python, ended at the end."""
    with subprocess.Popen([sys.executable, *map(str, arguments)], text=True, **options) as child:
        try:
            yield child
        finally:
            child.kill()


@contextmanager
def scheduler():
    """A scheduler of its own process; gives the process and its address."""
    options = ("-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    with process(*options, stderr=subprocess.PIPE) as child:
        lines = iter(child.stderr.readline, "")
        address = next(found[0] for line in lines if (found := re.search(r"tcp://127\.0\.0\.1:\d+", line)))
        threading.Thread(target=child.stderr.read, daemon=True).start()  # or it waits for room in the pipe
        yield child, address


def worker_of(address):
    return process("-m", "dask", "worker", address, "--no-dashboard", "--no-nanny", stderr=subprocess.DEVNULL)


def once_written(path, action):
    """Act on the process whose number is written to a file, as soon as it is."""

    def wait():
        while not (path.exists() and path.read_text()):
            time.sleep(0.05)
        action(int(path.read_text()))

    threading.Thread(target=wait, daemon=True).start()


def by_task(outcomes):
    return {task: str(outcome) if isinstance(outcome, Exception) else outcome[0] for task, outcome in outcomes}


def test_workers_give_what_one_process_gives():
    tasks = [3, -1, 4, 4.5, 0]
    alone = list(run_tasks(slow_square, tasks))
    assert [task for task, _ in alone] == tasks and alone[0][1] == (9, os.getpid())
    expected = {3: 9, -1: "-1: expected no negative number", 4: 16, 4.5: 20.25, 0: 0}
    assert by_task(alone) == expected
    outcomes = list(run_tasks(slow_square, tasks, workers=2))
    assert by_task(outcomes) == expected
    assert isinstance(dict(outcomes)[-1], InputError)
    processes = {outcome[1] for task, outcome in outcomes if task != -1}
    assert len(processes) == 2 and os.getpid() not in processes


def test_a_killed_worker_costs_no_task(tmp_path, capfd):
    first, second = tmp_path / "first", tmp_path / "second"
    second.touch()
    once_written(first, lambda pid: os.kill(pid, signal.SIGKILL))
    start = time.monotonic()
    assert sorted(run_tasks(hang_once, [str(first), str(second)], workers=2)) == [
        (str(first), "first done"),
        (str(second), "second done"),
    ]
    assert time.monotonic() - start < 15
    assert capfd.readouterr().err == ""


def test_a_task_that_kills_every_worker_is_an_outcome(capfd):
    [(task, outcome)] = run_tasks(die, ["scene"], workers=1)
    assert task == "scene" and isinstance(outcome, InputError)
    assert str(outcome).startswith("every worker that tried it died, 4 in all; most often memory is short")
    assert capfd.readouterr().err == ""


def test_a_cluster_beside_another_is_no_cause_for_a_warning(recwarn, capfd):
    with socket.create_server(("", 8787), reuse_port=True) if _is_free(8787) else nullcontext():
        assert by_task(run_tasks(square, [3], workers=1)) == {3: 9}
    assert not [warning for warning in recwarn if "8787" in str(warning.message)] and capfd.readouterr().err == ""


def _is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_tasks_are_taken_as_there_is_room(monkeypatch):
    monkeypatch.setattr(distribution, "WINDOW", 3)
    taken = []
    outcomes = run_tasks(square, (taken.append(number) or number for number in range(10)), workers=1)
    for finished in range(1, 11):
        next(outcomes)
        assert len(taken) == min(3 + finished, 10)
    assert list(outcomes) == []


def test_whoever_stops_asking_ends_the_cluster(tmp_path):
    hanging = tmp_path / "hanging"
    outcomes = run_tasks(hang_once, [str(tmp_path), str(hanging)], workers=1)  # the folder is there: done at once
    assert next(outcomes)[1] == f"{tmp_path.name} done"
    while not (hanging.exists() and hanging.read_text()):
        time.sleep(0.05)
    start = time.monotonic()
    outcomes.close()
    assert time.monotonic() - start < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int(hanging.read_text()), 0)


@pytest.fixture
def program(tmp_path):
    """A program that hangs on a task once, on a worker of its own or of the scheduler that it is given."""
    path = tmp_path / "program.py"
    path.write_text(
        "import sys\n"
        "from distribution_worker import hang_once\n"
        "from seepseg.base.command import run_stage\n"
        "from seepseg.commands.distribution import run_tasks\n"
        "if __name__ == '__main__':\n"
        "    task, *address = sys.argv[1:]\n"
        "    run_stage(lambda: list(run_tasks(hang_once, [task], not address, address[0] if address else None)))\n"
    )
    return path


def test_an_interruption_ends_the_workers(program, tmp_path):
    task = tmp_path / "task"
    with process(program, task, stderr=subprocess.PIPE) as child:
        once_written(task, lambda _: child.send_signal(signal.SIGINT))
        assert child.communicate(timeout=15)[1].strip() == "interrupted"
        assert child.returncode == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(task.read_text()), 0)


def test_a_scheduler_serves_by_argument_or_by_environment(monkeypatch, capfd):
    with scheduler() as (_, address), worker_of(address) as worker:
        assert by_task(run_tasks(square, [2, -3], scheduler=address)) == {2: 4, -3: "-3: expected no negative number"}
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        [(_, (value, pid))] = run_tasks(square, [5])
        assert (value, pid) == (25, worker.pid)
    assert capfd.readouterr().err in {"", f"notice: the scheduler {address} has no workers yet; waiting for one\n"}


def test_a_scheduler_that_goes_is_one_clear_line(program, tmp_path):
    task = tmp_path / "task"
    with scheduler() as (served, address), worker_of(address):
        once_written(task, lambda _: served.kill())
        with process(program, task, address, stderr=subprocess.PIPE) as child:
            printed = child.communicate(timeout=15)[1].splitlines()
            assert child.returncode == 1
    if len(printed) == 2:  # the worker was late
        assert printed.pop(0) == f"notice: the scheduler {address} has no workers yet; waiting for one"
    assert printed == [
        f"error: the scheduler {address} was lost; start it and its workers again, then this command: what is finished "
        "is not repeated"
    ]


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("tcp://127.0.0.1:9", "Timed out trying to connect to tcp://127.0.0.1:9 after 1 s"),
        ("somewhere", "missing port number in address 'somewhere'"),
        ("ftp://somewhere:8786", "unknown address scheme 'ftp'"),
    ],
)
def test_no_scheduler_is_one_clear_line(address, found, monkeypatch):
    monkeypatch.setattr(distribution, "CONNECT_SECONDS", 1)
    start = time.monotonic()
    with pytest.raises(InputError, match=f"^expected a Dask scheduler at {address}, found none: {found}.*; start one"):
        list(run_tasks(square, [1], scheduler=address))
    assert (time.monotonic() - start > 0.9) == address.startswith("tcp")  # what is no address is not waited for


def test_workers_and_a_scheduler_exclude_each_other():
    with pytest.raises(InputError, match=r"^expected either workers .* or a scheduler, found 2 and tcp:"):
        list(run_tasks(square, [1], workers=2, scheduler="tcp://host:8786"))
