"""Share DVC's records of earlier runs through its remote, `make push`: no machine repeats what another one did."""

import sys

from dvc.exceptions import DvcException, UploadError
from dvc.repo import Repo


def push_runs(repo: Repo) -> int:
    """Push the records of all runs so far, with all their outputs.

    `dvc push --run-cache` leaves out those outputs that git keeps, metrics and plot data. They are in DVC's cache all
    the same, and without them another machine finds the record of a run but can't restore the run.

    Args:
        repo: with a default remote.

    Returns:
        How many runs there are records of.

    Raises:
        DvcException: there is no such remote, or it takes not all of them.
    """
    runs = repo.stage_cache.push(None)
    for objects in repo.stage_cache.get_used_objs(runs).values():
        if failed := repo.cloud.push(objects).failed:
            raise UploadError(len(failed))
    return len(runs)


if __name__ == "__main__":
    try:
        print(f"runs of stages in the remote: {push_runs(Repo())}")
    except DvcException as error:
        sys.exit(f"error: {error}")
