"""Requests to stop that come from outside, such as the notice that a spot machine is about to be taken away."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np

from seepseg.base.distributed import ProcessGroup

STARTED_BY_DVC = "DVC_STAGE"  # DVC sets it for the commands that it runs


class StopRequest:
    """Tells whether to stop: after SIGTERM, or where the DVC that started this process has gone.

    A process that outlives its DVC would go on beside the next one that is started.
    """

    def __init__(self) -> None:
        self._signalled = False
        self._parent = os.getppid() if STARTED_BY_DVC in os.environ else None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self._signalled = True

    def is_due(self, group: ProcessGroup) -> bool:
        """Whether any of the processes of a run was asked to stop; all of them must ask, and get the same answer."""
        gone = self._parent is not None and os.getppid() != self._parent
        return bool(group.sum(np.array([self._signalled or gone], dtype=np.int64))[0])


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take SIGTERM for a request to stop, instead of being ended by it."""
    request = StopRequest()
    before = signal.signal(signal.SIGTERM, request.note)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
