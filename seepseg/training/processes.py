"""The life of a run of several processes: started as by torchrun, joined, and ended together, with one message."""

import json
import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from seepseg.base.distributed import ProcessGroup
from seepseg.base.errors import InputError
from seepseg.base.files import write_bytes
from seepseg.training.interrupts import stop_with_dvc, when_parent_ends

# In the environment of processes whose failures `launch` shows.
LAUNCHED = "SEEPSEG_LAUNCHED"
# For a process that hangs; one that died is noticed at once. Between two messages lies less than a batch.
TIMEOUT = timedelta(minutes=10)


def is_worker() -> bool:
    """Whether this process was started by `launch` or torchrun."""
    return dist.is_torchelastic_launched()


def check_devices(devices: int, device: torch.device) -> None:
    """Check that this machine has the devices that are wanted.

    Args:
        devices: how many processes, each with a device of its own.
        device: its kind.

    Raises:
        InputError: there are fewer, or they can't work together.
    """
    if devices > 1 and device.type not in ("cuda", "cpu"):
        raise InputError(f"train.devices {devices} needs train.device 'cuda' or 'cpu', found '{device.type}'")
    if device.type == "cuda" and devices > (there := torch.cuda.device_count()):
        raise InputError(f"train.devices: expected at most {there}, the GPUs of this machine, found {devices}")


def launch(arguments: Sequence[str], devices: int, device: torch.device) -> None:
    """Run a Python program as several processes of this machine, as torchrun does, and wait for them.

    Args:
        arguments: of Python, such as `-m`, `stages` and `train`; each process ends in `run_processes`.
        devices: how many processes.
        device: what each of them will compute on.

    Raises:
        InputError: this machine hasn't so many devices.
        SystemExit: a process failed. All others are stopped; the message says once which it was, and why.
    """
    check_devices(devices, device)
    logging.disable()  # the launcher's own long reports; nothing else happens in this process from here on
    os.environ[LAUNCHED] = "1"
    stop_with_dvc()
    with tempfile.TemporaryDirectory(prefix="seepseg-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=devices,
            run_id="seepseg",
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(folder),
        )
        try:
            elastic_launch(config, sys.executable)(*arguments)
        except ChildFailedError as error:
            sys.exit(describe_failure(error.failures, devices))
        except SignalException:
            sys.exit("stopped; the same command goes on from the last checkpoint")


@contextmanager
def join(devices: int, device: torch.device) -> Iterator[ProcessGroup]:
    """Join the other processes of the run; a process that was started alone is a group of its own.

    Args:
        devices: the parameter `train.devices`.
        device: CUDA for one GPU a process, over nccl; the CPU for processes that talk over gloo.

    Yields:
        This process's place.

    Raises:
        InputError: torchrun started another number of processes, or more than there are GPUs.
    """
    size = int(os.environ["WORLD_SIZE"]) if is_worker() else 1
    if size != devices:
        raise InputError(
            f"train.devices: expected {size}, the number of processes that torchrun started, found {devices}; "
            "set it to --nnodes times --nproc-per-node"
        )
    if size == 1:
        stop_with_dvc()
        yield ProcessGroup(0, 1, device)
        return
    check_devices(int(os.environ["LOCAL_WORLD_SIZE"]), device)
    on_gpu = device.type == "cuda"
    if on_gpu:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    when_parent_ends(lambda: os._exit(1))  # lest it trains on unseen beside the next run
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=TIMEOUT, device_id=device if on_gpu else None)
    yield ProcessGroup(dist.get_rank(), size, device)
    # Not after an exception: what it is must be on record before the others notice that they are alone.
    dist.destroy_process_group()


def run_processes(run: Callable[[], None]) -> None:
    """Run a stage in one of several processes, and leave its message on record.

    `launch` shows it, or torchrun in its own report.

    Args:
        run: ends with a message in SystemExit where a user can mend the cause; see `seepseg.base.command.run_stage`.
    """
    lost_others = False
    try:
        run()
        return
    except SystemExit as end:
        if not end.code:
            raise
        message = str(end.code)
    except Exception as error:
        lost_others = isinstance(error, dist.DistError) or "gloo" in str(error)
        message = traceback.format_exc()
    record = {"message": message, "lost_others": lost_others, "timestamp": time.time()}
    if path := os.environ["TORCHELASTIC_ERROR_FILE"]:  # in the form that the launcher reads
        write_bytes(Path(path), json.dumps(record).encode())
    if LAUNCHED not in os.environ and os.environ["RANK"] == "0":
        print(message, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)  # the usual clean-up may wait for processes that wait for this one


def describe_failure(failures: Mapping[int, ProcessFailure], processes: int) -> str:
    """Say what ended a run of several processes: the failure that the others follow from.

    Args:
        failures: by rank, with the record that `run_processes` left, if any.
        processes: how many there were.
    """

    def order(rank: int) -> tuple[bool, bool, float]:
        failure = failures[rank]
        stopped = failure.exitcode == -signal.SIGTERM  # as the launcher does with the others of a failed process
        record = failure.error_file_data
        return stopped, record.get("lost_others", False), record.get("timestamp", 0.0)

    rank = min(failures, key=order)
    failure = failures[rank]
    if "timestamp" in failure.error_file_data:
        return failure.message
    how = f"was killed by {failure.signal_name()}" if failure.exitcode < 0 else f"ended with status {failure.exitcode}"
    advice = ". If memory ran out, lower train.batch_size" if failure.exitcode == -signal.SIGKILL else ""
    return (
        f"error: training process {rank + 1} of {processes} {how}; the others were stopped, and nothing was written "
        f"after the last finished epoch{advice}"
    )
