"""Kill trainings at random moments, in every way that DVC runs them, and compare what comes of them in the end.

    python -m benchmarks.kills              # 30 SIGKILLs and 8 SIGTERMs, in about ten minutes
    python -m benchmarks.kills --kills 4    # fewer

Clones the repository into a temporary folder, with parameters that make the pipeline small, and runs it once without a
kill. Then the same run is started again and again, as `dvc repro`, `dvc exp run`, `dvc exp run --temp` and from the
queue, and killed at random moments until it has been killed often enough; the last start is left alone. dvc.lock, which
has the hashes of all outputs, must then be the same to the byte. Writes what happened to docs/results/kills.json.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from seepseg.base.files import write_json

RESULT = Path("docs/results/kills.json")
ROOT = Path(__file__).parents[1]
# Makes a training of a minute, of two networks.
SMALL: dict[str, dict[str, Any]] = {
    "sample": {"n_scenes": 4, "tiles_per_scene": 6, "tile_size": 64},
    "split": {"n_folds": 4},
    "model": {"width": 4, "depth": 3},
    "sampling": {"crop": 32, "crops_per_tile": 4},
    "train": {"networks": 2, "epochs": 150, "threads": 1, "batch_size": 4},
    "outline": {"threads": 1},
    "name": {"members": 2, "hidden": 8, "epochs": 5},
    "evaluate": {"bootstrap_samples": 50},
    "plot": {"n_tiles": 2, "n_worst": 2, "dpi": 40},
}
LATEST = 4.0  # seconds after the training has begun, before which it is killed
PATIENCE = 300.0  # seconds


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
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        reference = make_clone(Path(folder, "reference"))
        dvc(reference, "repro")
        expected = (reference / "dvc.lock").read_bytes()
        plan = [(mode, "SIGKILL", -(-arguments.kills // len(MODES))) for mode in MODES]
        plan += [(mode, "SIGTERM", 2) for mode in MODES]
        for number, (mode, how, kills) in enumerate(plan):
            clone = make_clone(Path(folder, f"clone{number}"))
            outcome = run_with_kills(clone, mode, signal.Signals[how], kills, moments)
            outcome.identical = (clone / "dvc.lock").read_bytes() == expected
            outcomes.append(outcome)
            print(
                f"{mode.name}, {how}: {outcome.kills} kills, {outcome.resumed} times from a checkpoint, "
                f"{'identical' if outcome.identical else 'NOT IDENTICAL'}",
                flush=True,
            )
    write_json(RESULT, {"runs": [asdict(outcome) for outcome in outcomes]})
    if not all(outcome.identical for outcome in outcomes):
        sys.exit("error: a run that was killed gave other results")


def make_clone(folder: Path) -> Path:
    """Clone what is committed, with small parameters, which are committed there."""
    git = ["git", "-c", "user.name=kills", "-c", "user.email=kills@localhost"]
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    set_params(folder / "params.yaml", SMALL)
    subprocess.run([*git, "commit", "--quiet", "--all", "--message", "small"], cwd=folder, check=True)
    return folder


def set_params(path: Path, changes: dict[str, dict[str, Any]]) -> None:
    """Change parameters by section, with the library that DVC reads them with: PyYAML drops quotes that it needs."""
    yaml = YAML()
    yaml.preserve_quotes = True
    params = yaml.load(path)
    for section, values in changes.items():
        params[section].update(values)
    yaml.dump(params, path)


def dvc(folder: Path, *arguments: str) -> str:
    """Run a DVC command to its end and return what it says."""
    command = [sys.executable, "-m", "dvc", *arguments]
    finished = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    said = finished.stdout + finished.stderr
    if finished.returncode:
        sys.exit(f"error: dvc {' '.join(arguments)} failed:\n{said}")
    return said


def environment() -> dict[str, str]:
    """That of this process, with its own Python first."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run_with_kills(clone: Path, mode: Mode, how: signal.Signals, kills: int, moments: random.Random) -> Outcome:
    """Start a mode, kill its training at a random moment, and again; at last, let it come to its end."""
    outcome = Outcome(mode.name, how.name)
    while outcome.kills < kills:
        before = _checkpoint(clone)
        process = _start(clone, mode)
        trainer = _wait(partial(_trainer_or_end, clone, None if mode.in_queue else process))
        outcome.resumed += before is not None
        seconds = moments.uniform(0, LATEST)
        time.sleep(seconds)
        if trainer > 0 and _is_running(trainer):
            os.kill(trainer, how)
            outcome.kills += 1
            outcome.seconds.append(round(seconds, 2))
        elif not mode.in_queue and process.wait() == 0:
            break  # it was done before
        _wait(partial(_has_ended, trainer))
        if how is signal.SIGKILL and not mode.in_queue:
            os.killpg(process.pid, signal.SIGKILL)  # DVC as well
        process.wait()
        if mode.in_queue:
            dvc(clone, "queue", "stop", "--kill")
            dvc(clone, "queue", "remove", "--all")
    outcome.resumed += _checkpoint(clone) is not None
    process = _start(clone, mode)
    process.wait()
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
