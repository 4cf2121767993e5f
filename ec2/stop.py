"""End the machines of a run: ``python -m ec2 stop RUN``."""

import argparse

from ec2.account import client, default_remote, elsewhere, machines, region
from ec2.run_folder import RunFolder
from seepseg.base.errors import InputError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be given at the command line."""
    parser.add_argument("run")


def main(given: argparse.Namespace) -> None:
    """Terminate every machine with the tag of the run.

    Raises:
        InputError: there is none.
    """
    folder = RunFolder(default_remote(), given.run)
    up = machines(folder.name)
    if not up:
        where = elsewhere(folder.read_launch())
        hint = f"its machine is {where}" if where else "python -m ec2 show lists those that are up"
        raise InputError(f"run {folder.name} has no machine in {region()}; {hint}")
    if costly := [each for each in up if not each.ends]:
        client("ec2").terminate_instances(InstanceIds=[each.id for each in costly])
    print(
        *(f"{'is ending already' if each.ends else 'ends'}: {each}" for each in up),
        f"Checkpoints that it has sent stay in {folder.checkpoints}. To go on from there, in a minute or two:",
        f"  python -m ec2 launch {folder.name}",
        sep="\n",
    )
