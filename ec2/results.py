"""What a run leaves in the remote: data and models by DVC, records of its stages, its experiment as a git bundle."""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from ec2.command import call
from ec2.run_folder import RunFolder

PUSH_STAGES = ("python", "-m", "tools.push_runs")


def experiment(name: str) -> str:
    """The ref of the experiment of this name that starts from HEAD."""
    head = _output("git", "rev-parse", "HEAD")
    return f"refs/exps/{head[:2]}/{head[2:]}/{name}"


def push_stages() -> None:
    """Push the stages that are finished, so that no machine repeats them.

    Raises:
        CalledProcessError: the remote did not take them.
    """
    call(*PUSH_STAGES)


def push_results(run: RunFolder) -> None:
    """Push data, models, and the experiment, which bears the name of the run.

    Raises:
        CalledProcessError: a remote did not take them.
        OSError: likewise.
    """
    call("dvc", "push")
    push_stages()
    with TemporaryDirectory() as folder:
        bundle = Path(folder, "results.bundle")
        call("git", "bundle", "create", "--quiet", str(bundle), experiment(run.name), "^HEAD")
        run.files.pipe_file(run.results_bundle, bundle.read_bytes())
    if not _output("git", "remote", "get-url", "origin").endswith(".bundle"):
        try:
            call("dvc", "exp", "push", "--no-cache", "origin", run.name)
        except subprocess.CalledProcessError:
            print("the git remote takes no experiment from here; it is in results.bundle", flush=True)


def _output(*words: str) -> str:
    return subprocess.check_output(words, text=True).strip()
