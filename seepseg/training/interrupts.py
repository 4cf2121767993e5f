"""Requests to stop that come from outside, such as the notice that a spot machine is about to be taken away."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np

from seepseg.base.distributed import ProcessGroup

STARTED_BY_DVC = "DVC_STAGE"  # DVC sets it for the commands that it runs


class StopRequest:
    """Tells whether to stop: after SIGTERM."""

    def __init__(self) -> None:
        self._signalled = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self._signalled = True

    def is_due(self, group: ProcessGroup) -> bool:
        """Whether any of the processes of a run was asked to stop; all of them must ask, and get the same answer."""
        return bool(group.sum(np.array([self._signalled], dtype=np.int64))[0])


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take SIGTERM for a request to stop, instead of being ended by it."""
    request = StopRequest()
    before = signal.signal(signal.SIGTERM, request.note)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_with_dvc() -> None:
    """Get SIGTERM when the DVC that started this process is gone, lest this goes on beside what the next one starts."""
    if STARTED_BY_DVC in os.environ:
        when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))


def when_parent_ends(act: Callable[[], None]) -> None:
    """Do something soon after the process that started this one has ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        act()

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()
