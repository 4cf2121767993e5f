"""Kill stages at random moments and look at what they leave: of every output the old file or the new one, whole.

    python -m benchmarks.stage_kills            # 12 SIGKILLs a stage, in about six minutes
    python -m benchmarks.stage_kills --kills 4  # fewer
    python -m benchmarks.stage_kills --quick    # one, of the first stage

Runs the stages twice with small parameters, on two different samples. Then it starts each stage where its inputs are
those of the second run and its outputs those of the first, and kills it: about every other time at any moment, else in
the first twentieth of a second after it has begun to write. In the end the stage is left alone, and
must write what it wrote before. Train, which goes on where it was, has benchmarks.kills for itself. Writes what
happened to docs/results/stage_kills.json.
"""

import argparse
import itertools
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.repository import LOCAL, RESULTS, ROOT, SMALL, environment, set_params
from seepseg.base.files import write_json

OTHER = {"sample": {"seed": 2}}
WRITING = 0.05  # seconds after the first temporary file
PARTIAL = ".*.partial"


@dataclass
class Outcome:
    """What happened to one stage.

    Attributes:
        stage: its name.
        kills: how many.
        in_writing: how many of them hit it while a temporary file was there.
        old: outputs, over all kills, that were as before.
        new: that were the new ones.
        other: that were neither; for a folder, that was gone.
        finished: whether the run that was left alone wrote what it should, and left nothing else.
    """

    stage: str
    kills: int = 0
    in_writing: int = 0
    old: int = 0
    new: int = 0
    other: int = 0
    finished: bool = False


def main() -> None:
    """Run twice, then kill every stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=12, help="of each stage (default: 12)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    parser.add_argument("--quick", action="store_true", help="smoke run: one kill, of the first stage")
    parser.add_argument("--out", type=Path, help="folder for the result (default: docs/results or benchmarks/local)")
    arguments = parser.parse_args()
    stages = outputs_of(ROOT)
    if arguments.quick:
        stages = dict(itertools.islice(stages.items(), 1))
    outcomes = kill_stages(stages, 1 if arguments.quick else arguments.kills, random.Random(arguments.seed))
    folder = arguments.out or (LOCAL if arguments.quick else RESULTS)
    write_json(folder / "stage_kills.json", {"stages": [asdict(outcome) for outcome in outcomes]})
    if any(outcome.other or not outcome.finished for outcome in outcomes):
        sys.exit("error: a stage that was killed left something else than its old or its new outputs")


def kill_stages(stages: dict[str, list[str]], kills: int, moments: random.Random) -> list[Outcome]:
    """Run stages twice, then kill each so often.

    Args:
        stages: their outputs, in the order in which they run.
        kills: of each stage.
        moments: when.
    """
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        old, new = Path(folder, "old"), Path(folder, "new")
        new.mkdir()
        shutil.copy(ROOT / "params.yaml", new)
        set_params(new / "params.yaml", SMALL | {"data": {"corrections": ""}})
        _run(new, stages)
        shutil.copytree(new, old)
        set_params(new / "params.yaml", OTHER)
        _run(new, stages)
        for stage, outputs in stages.items():
            if stage == "train":
                continue
            outcome = kill_stage(old, new, stage, outputs, kills, moments)
            outcomes.append(outcome)
            print(
                f"{stage}: {outcome.kills} kills, {outcome.in_writing} in writing; outputs old {outcome.old}, "
                f"new {outcome.new}, neither {outcome.other}; {'finished' if outcome.finished else 'NOT FINISHED'}",
                flush=True,
            )
    return outcomes


def outputs_of(repository: Path) -> dict[str, list[str]]:
    """The outputs of every stage, files or folders."""
    stages = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    listed = {
        stage: [each for kind in ("outs", "metrics", "plots") for each in description.get(kind, [])]
        for stage, description in stages.items()
    }
    return {
        stage: [next(iter(each)) if isinstance(each, dict) else each for each in outputs]
        for stage, outputs in listed.items()
    }


def kill_stage(old: Path, new: Path, stage: str, outputs: list[str], kills: int, moments: random.Random) -> Outcome:
    """Kill one stage again and again, then let it finish."""
    place = new.with_name(stage)
    shutil.copytree(new, place)
    for name in outputs:
        _replace(old / name, place / name)
    outcome, duration = Outcome(stage), _seconds(place, stage)
    for name in outputs:
        _replace(old / name, place / name)
    while outcome.kills < kills:
        process = _start(place, stage)
        if moments.random() < 0.5:
            time.sleep(moments.uniform(0, duration))
        else:
            while not _partials(place, outputs) and process.poll() is None:
                pass
            time.sleep(moments.uniform(0, WRITING))
        outcome.kills += process.poll() is None
        process.kill()
        process.wait()
        outcome.in_writing += bool(_partials(place, outputs))
        for name in outputs:
            if content(place / name) == content(old / name):
                outcome.old += 1
            elif content(place / name) == content(new / name):
                outcome.new += 1
                _replace(old / name, place / name)
            else:
                outcome.other += 1
    _start(place, stage).wait()
    is_new = all(content(place / name) == content(new / name) for name in outputs)
    outcome.finished = is_new and not _partials(place, outputs)
    shutil.rmtree(place)
    return outcome


def content(path: Path) -> Any:
    """Of a file its bytes, of a folder those of all files in it by name; None if there is nothing."""
    if path.is_dir():
        return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    return path.read_bytes() if path.exists() else None


def _partials(place: Path, outputs: list[str]) -> list[Path]:
    return [path for folder in {(place / name).parent for name in outputs} for path in folder.glob(PARTIAL)]


def _replace(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def _run(place: Path, stages: Iterable[str]) -> None:
    for stage in stages:
        if status := _start(place, stage).wait():
            sys.exit(f"error: the stage {stage} ended with status {status}")


def _start(place: Path, stage: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "stages", stage],
        cwd=place,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )


def _seconds(place: Path, stage: str) -> float:
    started = time.monotonic()
    _start(place, stage).wait()
    return time.monotonic() - started


if __name__ == "__main__":
    main()
