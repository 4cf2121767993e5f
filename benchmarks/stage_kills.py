"""Kill stages at random moments and look at what they leave: of every output the old file or the new one, whole.

    python -m benchmarks.stage_kills            # 12 SIGKILLs a stage, in about six minutes
    python -m benchmarks.stage_kills --kills 4  # fewer

Runs a small pipeline twice in a temporary clone, on two different samples. Then it starts each stage, without DVC,
where its inputs are those of the second run and its outputs those of the first, and kills it: about every other time at
any moment, else in the first twentieth of a second after it has begun to write. In the end the stage is left alone, and
must write what it wrote before. Train, which goes on where it was, has benchmarks.kills for itself. Writes what
happened to docs/results/stage_kills.json.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.kills import dvc, environment, make_clone, set_params
from seepseg.base.files import write_json

RESULT = Path("docs/results/stage_kills.json")
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
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        new = make_clone(Path(folder, "new"))
        dvc(new, "repro")
        old = Path(folder, "old")
        shutil.copytree(new, old)
        set_params(new / "params.yaml", OTHER)
        dvc(new, "repro")
        stages = outputs_of(new)
        del stages["train"]
        for stage, outputs in stages.items():
            outcome = kill_stage(old, new, stage, outputs, arguments.kills, moments)
            outcomes.append(outcome)
            print(
                f"{stage}: {outcome.kills} kills, {outcome.in_writing} in writing; outputs old {outcome.old}, "
                f"new {outcome.new}, neither {outcome.other}; {'finished' if outcome.finished else 'NOT FINISHED'}",
                flush=True,
            )
    write_json(RESULT, {"stages": [asdict(outcome) for outcome in outcomes]})
    if any(outcome.other or not outcome.finished for outcome in outcomes):
        sys.exit("error: a stage that was killed left something else than its old or its new outputs")


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
        target.unlink(missing_ok=True)  # it may be a link into DVC's cache
        shutil.copy(source, target)


def _start(place: Path, stage: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}"],
        cwd=place,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _seconds(place: Path, stage: str) -> float:
    started = time.monotonic()
    _start(place, stage).wait()
    return time.monotonic() - started


if __name__ == "__main__":
    main()
