"""Runs on EC2 from your own computer: ``python -m ec2 launch|show|fetch|stop``."""

import argparse
import shlex
import sys
from itertools import pairwise

from ec2 import fetch, launch, show, stop
from ec2.account import plain_errors
from seepseg.base.command import run_stage
from seepseg.base.errors import InputError

COMMANDS = {
    "launch": (launch, "start a machine that runs a dvc command, or goes on with a run"),
    "show": (show, "runs, their states and logs, and machines that cost money"),
    "fetch": (fetch, "bring the experiment of a run into this repository"),
    "stop": (stop, "end the machine of a run"),
}


def main() -> None:
    """Run the command that the command line names.

    Raises:
        InputError: the `--` before a dvc command is missing.
    """
    parser = argparse.ArgumentParser(prog="python -m ec2", description="Runs on EC2; docs/ec2.md tells all.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, what) in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=module.__doc__)
        module.arguments(command)
        command.set_defaults(main=module.main, parser=command)
    words = sys.argv[1:]
    if "--" not in words and (start := start_of_dvc(words)):
        right = shlex.join(["python", "-m", "ec2", *words[:start], "--", *words[start:]])
        raise InputError(f"put -- before the dvc command:\n  {right}")
    end = words.index("--") if "--" in words else len(words)
    given, unknown = parser.parse_known_args(words[:end])
    if unknown:
        given.parser.error(f"unrecognized arguments: {shlex.join(unknown)}")
    given.command = words[end + 1 :]
    with plain_errors():
        given.main(given)


def start_of_dvc(words: list[str]) -> int | None:
    """Where a dvc command starts; a run may be called dvc, too."""
    return next(
        (i for i, (word, then) in enumerate(pairwise(words)) if word == "dvc" and then in {"exp", "repro"}), None
    )


if __name__ == "__main__":
    run_stage(main)
