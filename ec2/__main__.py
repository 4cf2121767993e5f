"""Runs on EC2 from your own computer: ``python -m ec2 launch|show|fetch|stop``."""

import argparse
import sys

from ec2 import fetch, launch, show, stop
from ec2.account import plain_errors
from seepseg.base.command import run_stage

COMMANDS = {
    "launch": (launch, "start a machine that runs a dvc command, or goes on with a run"),
    "show": (show, "runs, their states and logs, and machines that cost money"),
    "fetch": (fetch, "bring the experiment of a run into this repository"),
    "stop": (stop, "end the machine of a run"),
}


def main() -> None:
    """Run the command that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m ec2", description="Runs on EC2; docs/ec2.md tells all.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, what) in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=module.__doc__)
        module.arguments(command)
        command.set_defaults(main=module.main)
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    given = parser.parse_args(words[:end])
    given.command = words[end + 1 :]
    with plain_errors():
        given.main(given)


if __name__ == "__main__":
    run_stage(main)
