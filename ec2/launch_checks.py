"""What must be right before a machine is paid for: the name of a run, its command, parameters, commit and settings."""

import argparse
import difflib
import os.path
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ec2.account import elsewhere, machines
from ec2.command import completed, git
from ec2.run_folder import Launch, RunFolder, State
from seepseg.base.errors import InputError

MAX_TAG = 256  # characters, of EC2
# Of dvc exp run -S; a list, a part of one, or a key to delete is left to DVC.
PARAM = re.compile(r"(?:params\.yaml:)?(?P<new>\+{0,2})(?P<key>\w+(?:\.\w+)*)=(?P<value>.*)", re.DOTALL)


def check_is_no_revision(name: str) -> None:
    """Is this the name of nothing else in git?

    Raises:
        InputError: it is; `dvc exp apply` would take that.
    """
    if git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"):
        raise InputError(
            f"git has a branch, tag or commit {name}, which dvc exp apply would take: name the run otherwise"
        )


def check_is_free(folder: RunFolder, before: State | None) -> None:
    """Is there nothing yet under this name, or what can go on?

    Raises:
        InputError: such a run has a machine, or is done.
    """
    name, up = folder.name, machines(folder.name)
    if lasting := [each for each in up if not each.ends]:
        raise InputError(
            f"run {name} has a machine already: {lasting[0]}. Take another name, or end it first: "
            f"python -m ec2 stop {name}"
        )
    if up:
        raise InputError(f"machine {up[0].id} of run {name} is ending; launch again in a minute or two")
    if before and before.state == "done":
        raise InputError(f"run {name} is done since {before.time}: python -m ec2 fetch {name}, or take another name")


def check_nothing_is_elsewhere(
    folder: RunFolder, before: State | None, launch: Launch | None, by_skypilot: bool
) -> None:
    """Can the run have no machine where nobody here looks?

    Raises:
        InputError: it may have one.
    """
    where, running = elsewhere(launch), before is not None and before.state == "running"
    if launch is None:
        may_have, where = running, "as it was launched by hand, perhaps in another region"
        todo = "Look in the EC2 console. If it is in no region"
    elif launch.skypilot:  # which goes on with what is interrupted, and tries once more what has failed
        may_have, todo = not by_skypilot, "If it isn't listed there"
    else:
        may_have = running and where is not None
        todo = f"Look there: AWS_DEFAULT_REGION={launch.region} python -m ec2 show {folder.name}. If it is gone"
    if may_have:
        raise InputError(
            f"run {folder.name} may have a machine, {where}. Of two machines, the first one that is done deletes the "
            f"other's checkpoints. {todo}, launch with --force"
        )


def check_command(name: str, command: str) -> None:
    """Is it a command that a machine runs?

    Raises:
        InputError: there is none, or it is another one.
    """
    if not command:
        raise InputError(f"which command? As python -m ec2 launch {name} -- dvc exp run -S train.epochs=100")
    completed(command, name)


def check_params(command: str, revision: str) -> None:
    """Can the parameters that a command sets be meant?

    Args:
        command: of the run.
        revision: that has params.yaml; where this clone has it not, keys are not checked.

    Raises:
        InputError: one is not in params.yaml, or leads to files that the machine doesn't see.
    """
    parser = argparse.ArgumentParser("dvc exp run", add_help=False, allow_abbrev=False)
    parser.add_argument("-S", "--set-param", action="append", default=[])
    given, _ = parser.parse_known_args(shlex.split(command))
    try:
        known = set(keys(yaml.safe_load(git("show", f"{revision}:params.yaml"))))
    except yaml.YAMLError:
        known = set()  # any stage says what is wrong there
    for param in filter(None, map(PARAM.fullmatch, given.set_param)):
        key, value = param["key"], param["value"].strip("'\"")
        path = Path(os.path.normpath(value))
        if path.is_absolute() or path.parts[:1] in {("..",), ("~",)}:
            raise InputError(
                f"{key}={value} leads out of the repository, and the machine sees only what is inside, under DVC: "
                "docs/own-data.md tells how"
            )
        # Below the sections of params.yaml there are tables that take any name, as data.grid_columns.
        adds = param["new"] and key.count(".") > 1 and key.rpartition(".")[0] in known
        if known and key not in known and not adds:
            near = difflib.get_close_matches(key, known, n=1)
            raise InputError(f"params.yaml has no {key}" + (f"; did you mean {near[0]}?" if near else ""))


def keys(params: Any, within: str = "") -> Iterator[str]:
    """The keys of parameters, as `train` and `train.epochs`."""
    for name, value in params.items() if isinstance(params, dict) else ():
        yield f"{within}{name}"
        yield from keys(value, f"{within}{name}.")


def check_settings(launch: Launch) -> None:
    """Are time limit and disk such?

    Raises:
        InputError: one is not.
    """
    if not re.fullmatch(r"[1-9][0-9]*[mhd]", launch.time_limit):
        raise InputError(
            f"expected a time limit in minutes, hours or days, as 90m, 24h or 2d; found '{launch.time_limit}'"
        )
    if launch.disk_gb < 1:
        raise InputError(f"expected a disk of at least 1 GB; found --disk-gb {launch.disk_gb}")


def check_tags(tags: dict[str, str]) -> None:
    """Does EC2 take these values?

    Raises:
        InputError: it does not.
    """
    for key, value in tags.items():
        if len(value) > MAX_TAG:
            raise InputError(
                f"{key} has {len(value)} characters, and EC2 takes {MAX_TAG} in a tag: {value}\n"
                "Write parameters to params.yaml and commit it, instead of naming them in the command"
            )
        if not value.isprintable():
            raise InputError(f"{key} has characters that can't be printed, which no tag can carry: {value!r}")


def check_is_committed(revision: str) -> None:
    """Is this commit what its user sees?

    Raises:
        InputError: it is HEAD, and tracked files differ from it.
    """
    head = git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if revision == head and (changed := git("status", "--porcelain", "--untracked-files=no")):
        raise InputError(
            f"the machine gets what is committed, and these files have changed since:\n{changed}\n"
            "Commit them, or name a --revision without them"
        )
