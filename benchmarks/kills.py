"""Kill trainings at random moments, in every way that DVC runs them, and compare what comes of them in the end.

    python -m benchmarks.kills              # 30 SIGKILLs and 8 SIGTERMs, in about ten minutes
    python -m benchmarks.kills --kills 4    # fewer
    python -m benchmarks.kills --quick      # one, of a training of seconds

Clones the repository into a temporary folder, with parameters that make the pipeline small, and runs copies of it. One
is not killed. The others are started again and again, as `dvc repro`, `dvc exp run`, `dvc exp run --temp` and from the
queue, and killed at random moments until that was often enough; the last start is left alone. dvc.lock, which has the
hashes of all outputs, must then be the same to the byte. Writes what happened to docs/results/kills.json.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.repository import LOCAL, RESULTS, SMALL, Changes, commit, dvc, environment, make_clone
from seepseg.base.files import write_json

PATIENCE = 300.0  # seconds
LATEST = 4.0  # seconds after a training has begun, before which it is killed
# For a training of seconds.
QUICK = SMALL | {"train": SMALL["train"] | {"networks": 1, "epochs": 4}}
QUICK_LATEST = 0.3


@dataclass
class Mode:
    """A way to run the pipeline.

    Attributes:
        name: as a user types it.
        commands: what starts it.
        in_queue: whether the last command comes back at once, and a worker runs the pipeline.
        apply: whether its result has to be brought into the workspace.
    """

    name: str
    commands: list[list[str]]
    in_queue: bool = False
    apply: bool = False


@dataclass
class Outcome:
    """What happened in one mode.

    Attributes:
        mode: its name.
        signal: what trainings were sent.
        kills: how many.
        resumed: how many of the starts after a kill went on from a checkpoint.
        identical: whether dvc.lock is that of the run without kills.
        seconds: that each training had run when it was killed.
    """

    mode: str
    signal: str
    kills: int = 0
    resumed: int = 0
    identical: bool = False
    seconds: list[float] = field(default_factory=list)


NAME = ["--name", "killed"]
MODES = (
    Mode("dvc repro", [["repro"]]),
    Mode("dvc exp run", [["exp", "run", *NAME, "--force"]]),
    Mode("dvc exp run --temp", [["exp", "run", "--temp", *NAME]], apply=True),
    Mode("dvc queue start", [["exp", "run", "--queue", *NAME], ["queue", "start"]], in_queue=True, apply=True),
)


def main() -> None:
    """Run without kills, then with them in each mode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="SIGKILLs, over all modes (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    parser.add_argument("--quick", action="store_true", help="smoke run: one kill, of `dvc repro train`")
    parser.add_argument("--out", type=Path, help="folder for the result (default: docs/results or benchmarks/local)")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    if arguments.quick:
        plan = [(Mode("dvc repro train", [["repro", "train"]]), "SIGKILL", 1)]
        outcomes = kill_all(plan, QUICK, moments, QUICK_LATEST)
    else:
        plan = [(mode, "SIGKILL", -(-arguments.kills // len(MODES))) for mode in MODES]
        plan += [(mode, "SIGTERM", 2) for mode in MODES]
        outcomes = kill_all(plan, SMALL, moments, LATEST)
    folder = arguments.out or (LOCAL if arguments.quick else RESULTS)
    write_json(folder / "kills.json", {"runs": [asdict(outcome) for outcome in outcomes]})
    if not all(outcome.identical for outcome in outcomes):
        sys.exit("error: a run that was killed gave other results")


def kill_all(
    plan: list[tuple[Mode, str, int]], params: Changes, moments: random.Random, latest: float
) -> list[Outcome]:
    """Run the first mode without kills, then each with so many of a signal."""
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        prepared, reference = Path(folder, "prepared"), Path(folder, "reference")
        make_clone(prepared, params)
        dvc(prepared, "repro", "class_balance")
        commit(prepared)
        shutil.copytree(prepared, reference)
        dvc(reference, *plan[0][0].commands[0])
        expected = (reference / "dvc.lock").read_bytes()
        for number, (mode, how, kills) in enumerate(plan):
            clone = shutil.copytree(prepared, Path(folder, f"clone{number}"))
            outcome = run_with_kills(clone, mode, signal.Signals[how], kills, moments, latest)
            outcome.identical = (clone / "dvc.lock").read_bytes() == expected
            outcomes.append(outcome)
            print(
                f"{mode.name}, {how}: {outcome.kills} kills, {outcome.resumed} times from a checkpoint, "
                f"{'identical' if outcome.identical else 'NOT IDENTICAL'}",
                flush=True,
            )
    return outcomes


def run_with_kills(
    clone: Path, mode: Mode, how: signal.Signals, kills: int, moments: random.Random, latest: float
) -> Outcome:
    """Start a mode, kill its training at a random moment, and again; at last, let it come to its end."""
    outcome = Outcome(mode.name, how.name)
    while outcome.kills < kills:
        before = _checkpoint(clone)
        process = _start(clone, mode)
        trainer = _wait(partial(_trainer_or_end, clone, None if mode.in_queue else process))
        outcome.resumed += before is not None
        seconds = moments.uniform(0, latest)
        time.sleep(seconds)
        if trainer > 0 and _is_running(trainer):
            if how is signal.SIGKILL and not mode.in_queue:
                os.killpg(process.pid, how)  # DVC, too, and at once: when a stage ends, it writes files of its own
            with suppress(ProcessLookupError):
                os.kill(trainer, how)
            outcome.kills += 1
            outcome.seconds.append(round(seconds, 2))
        elif not mode.in_queue and process.wait() == 0:
            break  # it was done before
        _wait(partial(_has_ended, trainer))
        process.wait()
        if mode.in_queue:
            dvc(clone, "queue", "stop", "--kill")
            dvc(clone, "queue", "remove", "--all")
    else:
        outcome.resumed += _checkpoint(clone) is not None
        for command in mode.commands:
            dvc(clone, *command)
    if mode.in_queue:
        _wait(lambda: "Success" in dvc(clone, "queue", "status"))
    if mode.apply:
        dvc(clone, "exp", "apply", "killed")
    return outcome


def _start(clone: Path, mode: Mode) -> "subprocess.Popen[bytes]":
    for command in mode.commands[:-1]:
        dvc(clone, *command)
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *mode.commands[-1]],
        cwd=clone,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _checkpoint(clone: Path) -> Path | None:
    return next(clone.glob(".checkpoints/*/current.pt"), None)


def _trainer(clone: Path) -> int:
    """Number of the process that trains, 0 if there is none."""
    for lock in clone.glob(".checkpoints/*/lock"):
        text = lock.read_text().strip()
        if text and _is_running(int(text)):
            return int(text)
    return 0


def _trainer_or_end(clone: Path, process: "subprocess.Popen[bytes] | None") -> int:
    """Number of the process that trains; -1 once the command has ended, 0 as long as neither is so."""
    return _trainer(clone) or (0 if process is None or process.poll() is None else -1)


def _has_ended(process: int) -> bool:
    return not _is_running(process)


def _is_running(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def _wait(condition: Callable[[], Any]) -> Any:
    started = time.monotonic()
    while not (value := condition()):
        if time.monotonic() - started > PATIENCE:
            sys.exit("error: waited in vain")
        time.sleep(0.02)
    return value


if __name__ == "__main__":
    main()
