"""Fetch the experiment of a run that is done into this repository: ``python -m ec2 fetch RUN``."""

import argparse
import subprocess
import tempfile
from pathlib import Path

from ec2.account import default_remote
from ec2.run_folder import RunFolder
from seepseg.base.errors import InputError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be given at the command line."""
    parser.add_argument("run")


def main(given: argparse.Namespace) -> None:
    """Print the state, fetch the experiment, and say what to do next.

    Raises:
        InputError: there is no such run, it has no results yet, or git doesn't take them.
    """
    folder = RunFolder(default_remote(), given.run)
    state, launch = folder.read_state(), folder.read_launch()
    if state is None and launch is None:
        raise InputError(f"there is no run {given.run} in {folder.url}; python -m ec2 show lists all")
    if state:
        print(f"{given.run}: {state.state} since {state.time}{f': {state.message}' if state.message else ''}")
    with tempfile.TemporaryDirectory() as temporary:
        bundle = Path(temporary) / "results.bundle"
        try:
            folder.files.get_file(folder.results_bundle, str(bundle))
        except FileNotFoundError:
            look = "sky jobs queue" if launch and launch.skypilot else f"python -m ec2 show {given.run}"
            raise InputError(f"run {given.run} has no results yet; {look} tells how far it is") from None
        run = ["git", "fetch", "--quiet", str(bundle), "refs/exps/*:refs/exps/*"]
        fetched = subprocess.run(run, check=False, capture_output=True, text=True)
    if fetched.returncode:
        raise InputError(
            f"git does not take the results of {given.run}: {fetched.stderr.strip()}\n{remedy(fetched.stderr)}"
        )
    print(
        "Its experiment is here. Next:\n"
        "  dvc exp show -A\n"
        f"  dvc exp apply {given.run}; dvc pull\n"
        "The second puts what it changed into the workspace, where it misses data and models until they are pulled."
    )


def remedy(said: str) -> str:
    """What to do about an error of `git fetch`."""
    if "prerequisite" in said:
        return "Fetch the commit that it started from first (git fetch), then this again"
    return "If an experiment of this name is here already, rename it: dvc exp rename, then fetch again"
