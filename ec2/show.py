"""Show runs and machines: ``python -m ec2 show``, or one of them with its log: ``python -m ec2 show RUN``."""

import argparse

from ec2.account import Machine, default_remote, elsewhere, machines, region
from ec2.run_folder import Launch, RunFolder, State, check_bucket, runs_url
from seepseg.base.errors import InputError

LINES = 20  # of a log


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be given at the command line."""
    parser.add_argument("run", nargs="?", help="show this run only, and the end of its log")


def main(given: argparse.Namespace) -> None:
    """Print the state of one run, or of all."""
    remote = default_remote()
    if given.run:
        show_run(RunFolder(remote, given.run))
    else:
        show_runs(remote)


def show_runs(remote: str) -> None:
    """Print one line for each run, and all machines that cost money."""
    up = machines()
    rows = [("RUN", "STATE", "SINCE", "MACHINE")]
    for name in names(remote):
        folder = RunFolder(remote, name)
        try:
            state, launch = folder.read_state(), folder.read_launch()
        except InputError as error:
            rows.append((name, "?", "", str(error)))
            continue
        if state:
            rows.append((name, state.state, state.time, f"{state.instance}, {of_machine(state, launch, up)}"))
        elif launch:
            rows.append((name, "launched", "", elsewhere(launch) or ""))
    if len(rows) > 1:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    else:
        print(f"no runs in {remote} yet")
    costly = [machine for machine in up if not machine.ends]
    print(f"\nmachines that cost money in {region()}:{'' if costly else ' none'}")
    for machine in costly:
        print(f"  {machine.run}: {machine}")


def names(remote: str) -> list[str]:
    """The names of all runs of a remote."""
    url = runs_url(remote)
    files = RunFolder(remote, "any").files
    try:
        return sorted(path.rsplit("/", 1)[1] for path in files.ls(url, detail=False))
    except FileNotFoundError as error:
        check_bucket(error)
        return []


def of_machine(state: State, launch: Launch | None, up: list[Machine]) -> str:
    """Whether the machine of a run is still there."""
    machine = next((each for each in up if each.id == state.instance), None)
    if machine:
        return f"{machine.type}, {'is ending' if machine.ends else machine.state}"
    if where := elsewhere(launch):
        return where
    if state.state != "running":
        return "gone"
    return "gone without a word" if launch else "gone, or in another region"


def in_words(state: State | None, launch: Launch | None) -> str:
    """The state of a run; that of one that is running says no more than its machine does."""
    if state is None:
        where = f" ({elsewhere(launch) or f'in {launch.region}'})" if launch else ""
        return f"launched{where}, no word from a machine yet"
    message = f": {state.message}" if state.message and state.state != "running" else ""
    return f"{state.state} since {state.time}{message}"


def next_step(name: str, state: State, launch: Launch | None, up: list[Machine]) -> str | None:
    """What to do about a run; none if there is nothing to do, or if nobody here can know."""
    if state.state == "done":
        return f"python -m ec2 fetch {name}"
    if any(not each.ends for each in up) or (launch and launch.skypilot):
        return None
    if state.state == "running" and (launch is None or elsewhere(launch)):
        return None
    again = f"python -m ec2 launch {name}"
    if state.state == "failed":
        again += ", with --revision HEAD if a commit has mended it"
    return f"in a minute or two, {again}" if up else again


def show_run(folder: RunFolder) -> None:
    """Print all that is known of a run.

    Raises:
        InputError: there is no such run.
    """
    state, launch, up = folder.read_state(), folder.read_launch(), machines(folder.name)
    if state is None and launch is None and not up:
        raise InputError(f"there is no run {folder.name} in {folder.url}; python -m ec2 show lists all")
    print(f"{folder.name}: {in_words(state, launch)}")
    if state and all(each.id != state.instance for each in up):
        print(f"machine: {state.instance}, {of_machine(state, launch, up)}")
    for machine in up:
        print(f"machine: {machine}")
    if of := state or (up[0] if up else None):
        print(f"commit {of.revision[:7]}: {of.command}")
    if state and (todo := next_step(folder.name, state, launch, up)):
        print(f"next: {todo}")
    logs = folder.files.ls(folder.logs, detail=True) if folder.files.exists(folder.logs) else []
    if not logs:
        comes = any(not each.ends for each in up)
        print("no log yet: the first comes after a few minutes, while the machine is set up" if comes else "no log")
        return
    latest = max(logs, key=lambda each: each["LastModified"])
    lines = folder.files.cat_file(latest["name"]).decode(errors="replace").splitlines()
    print(f"\ns3://{latest['name']}, the last lines:", *lines[-LINES:], sep="\n")
