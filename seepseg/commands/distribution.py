"""Tasks in this process, in processes of this machine, or on the workers of a Dask cluster: one way to ask for them."""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from seepseg.base.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, Future

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

SCHEDULER_VARIABLE = "DASK_SCHEDULER_ADDRESS"
CONNECT_SECONDS = 10
# Tasks that the scheduler knows at a time: two for each of 500 workers, and a start that doesn't grow with the archive.
WINDOW = 1000


def run_tasks(
    function: Callable[[Task], Outcome], tasks: Iterable[Task], workers: int = 0, scheduler: str | None = None
) -> Iterator[tuple[Task, Outcome | Exception]]:
    """Call a function on every task, and give what comes of each as soon as it is there.

    A task whose worker dies is given to another one, until it has taken several with it. What the function itself
    raises is not tried again.

    Args:
        function: of a module, so that workers can import it. It may run more than once on a task whose worker died, so
            it must write atomically.
        tasks: paths and plain values, which are sent to workers; taken one by one as there is room.
        workers: processes to start on this machine; 0 with no scheduler: all is done in this process.
        scheduler: address of a Dask scheduler, such as tcp://host:8786, whose workers see the same paths; without it
            and without `workers`, the one in the environment variable DASK_SCHEDULER_ADDRESS, if any.

    Yields:
        Each task with what the function returned or the exception that it raised, in any order.

    Raises:
        InputError: both workers and a scheduler are asked for, or the scheduler can't be reached or is lost.
    """
    if workers and scheduler:
        raise InputError(f"expected either workers on this machine or a scheduler, found {workers} and {scheduler}")
    address = scheduler or (None if workers else os.environ.get(SCHEDULER_VARIABLE))
    if address or workers:
        yield from _on_cluster(function, tasks, workers, address)
        return
    for task in tasks:
        try:
            outcome: Outcome | Exception = function(task)
        except Exception as error:  # as a cluster gives it back
            outcome = error
        yield task, outcome


def _on_cluster(
    function: Callable[[Task], Outcome], tasks: Iterable[Task], workers: int, address: str | None
) -> Iterator[tuple[Task, Outcome | Exception]]:
    from distributed import as_completed  # noqa: PLC0415 - it takes a second, which only an archive needs

    remaining = iter(tasks)
    with _quiet_logs(), _local_cluster(workers) if address is None else _remote_cluster(address) as client:
        where = address or "of the workers on this machine"

        def submit(task: Task) -> "Future":
            # Impure: each call is a task of its own, also where two have equal arguments.
            future: Future = client.submit(function, task, pure=False)
            waiting[future] = task
            return future

        waiting: dict[Future, Task] = {}
        completed = as_completed([submit(task) for task in islice(remaining, WINDOW)], loop=client.loop)
        for future in completed:
            outcome = _outcome(future, where)
            task = waiting.pop(future)
            for following in islice(remaining, 1):
                completed.add(submit(following))
            yield task, outcome


def _outcome(future: "Future", where: str) -> Any:
    """What the function returned or raised."""
    from distributed.scheduler import KilledWorker  # noqa: PLC0415 - as above

    if future.cancelled():  # what the client does with all of them where it loses the scheduler
        raise InputError(
            f"the scheduler {where} was lost; start it and its workers again, then this command: what is finished "
            "is not repeated"
        )
    if future.status != "error":
        return future.result()
    error = future.exception()
    if isinstance(error, KilledWorker):
        return InputError(
            f"every worker that tried it died, {error.allowed_failures + 1} in all; most often memory is short: give "
            "workers more of it, or start fewer on a machine"
        )
    return error


@contextmanager
def _local_cluster(workers: int) -> Iterator["Client"]:
    """A cluster of processes, each with one thread, on this machine; a worker that dies is replaced."""
    from distributed import Client, LocalCluster  # noqa: PLC0415 - as above

    with (
        tempfile.TemporaryDirectory(prefix="seepseg-") as scratch,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # any free port, lest two commands on a machine want the same
            silence_logs=logging.CRITICAL,
            # Tasks leave nothing in a worker. Past a limit, Dask would pause or kill it, which helps no scene.
            memory_limit=0,
            local_directory=scratch,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
        with suppress(TimeoutError):  # a worker that is stopped while it starts complains
            client.wait_for_workers(workers, timeout=CONNECT_SECONDS)


@contextmanager
def _remote_cluster(address: str) -> Iterator["Client"]:
    from distributed import Client  # noqa: PLC0415 - as above
    from distributed.comm import resolve_address  # noqa: PLC0415

    try:
        resolve_address(address)  # a client that is given what is no address complains where it is collected
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # no answer; no address
        raise InputError(
            f"expected a Dask scheduler at {address}, found none: {str(error).splitlines()[0]}; start one with "
            "`dask scheduler`, and name the address that it prints"
        ) from None
    with client:
        if not client.nthreads():
            print(f"notice: the scheduler {address} has no workers yet; waiting for one", file=sys.stderr)
        yield client


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """What Dask logs of lost connections says nothing that isn't raised or mended."""
    import distributed  # noqa: F401, PLC0415 - gives its loggers the levels that are changed here

    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
