"""End the machines of a run: ``python -m ec2 stop RUN``."""

import argparse

from ec2.account import client, default_remote, elsewhere, machines, region
from ec2.run_folder import RunFolder, State, unless_broken
from seepseg.base.errors import InputError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be given at the command line."""
    parser.add_argument("run")


def main(given: argparse.Namespace) -> None:
    """Terminate every machine with the tag of the run, and write that it is interrupted.

    Raises:
        InputError: there is none.
    """
    folder = RunFolder(default_remote(), given.run)
    up = machines(folder.name)
    if not up:
        raise InputError(why_none(folder))
    if costly := [each for each in up if not each.ends]:
        client("ec2").terminate_instances(InstanceIds=[each.id for each in costly])
    print(*(f"{'is ending already' if each.ends else 'ends'}: {each}" for each in up), sep="\n")
    before = unless_broken(folder.read_state)
    if before is None or before.state == "running":  # the machine says more itself, if it still can
        of = before or up[-1]
        folder.write_state(State("interrupted", up[-1].id, of.command, of.revision, "stopped"))
    if before and before.state == "done":
        print(f"It was done: python -m ec2 fetch {folder.name}")
        return
    if folder.files.exists(folder.checkpoints):
        print(f"Checkpoints that it has sent stay in {folder.checkpoints}.")
    print(f"To go on, in a minute or two:\n  python -m ec2 launch {folder.name}")


def why_none(folder: RunFolder) -> str:
    """Why a run has no machine here."""
    launch = unless_broken(folder.read_launch)
    if launch is None and unless_broken(folder.read_state) is None:
        return f"there is no run {folder.name} in {folder.url}; python -m ec2 show lists all"
    if launch and launch.skypilot:
        return f"run {folder.name} is SkyPilot's: sky jobs queue has its number, and sky jobs cancel NUMBER ends it"
    where = elsewhere(launch)
    hint = f"its machine is {where}" if where else "python -m ec2 show lists those that are up"
    return f"run {folder.name} has no machine in {region()}; {hint}"
