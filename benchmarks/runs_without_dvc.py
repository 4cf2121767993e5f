"""Recorded experiments on a machine without DVC, such as a rented GPU: the stages themselves, one after the other.

    python -m benchmarks.runs_without_dvc --packed data/packed --plan gpu --commit $(git rev-parse HEAD) --out results

does what is missing in `--out` of plans of recipes.yaml, from the stage that an earlier command came to. One run at a
time trains and two detect, as a GPU that processes share in turns is slow for each of them; the other stages of several
runs go on beside them, on the CPU. Copy the files to docs/results/runs and pool them:
`python -m benchmarks.cross_validation`. Recipes that only change what comes after the training train again here, which
DVC avoids.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.cross_validation import Run, collect, planned, record_name, settings_of, write_run
from benchmarks.repository import LOCAL, ROOT, Changes, environment, set_params
from seepseg.base.command import run_stage
from seepseg.base.errors import InputError

STAGES = ("split", "class_balance", "train", "detect", "classify", "evaluate", "seeps")
AT_A_TIME = {"train": 1, "detect": 2}
WORKSPACES = LOCAL / "without_dvc"


def main() -> None:
    """Run what is missing of the plans."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", type=Path, required=True, help="what the stage ingest wrote, of the data set")
    parser.add_argument("--plan", required=True, nargs="+", help="plans of recipes.yaml, in this order")
    parser.add_argument("--commit", required=True, help="of the code, for the record")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no training after so long")
    parser.add_argument("--runs", type=int, default=4, help="under way at a time (default: 4)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each (default: 2)")
    arguments = parser.parse_args()
    ends = time.monotonic() + 60 * arguments.minutes
    arguments.out.mkdir(parents=True, exist_ok=True)
    turns = {stage: threading.Semaphore(AT_A_TIME.get(stage, arguments.runs)) for stage in STAGES}

    def execute(run: Run) -> None:
        result = arguments.out / record_name(run)
        if result.exists():
            print(f"{run.name}: done before", flush=True)
            return
        folder = prepare(run, arguments.commit, arguments.packed.resolve(), arguments.threads)
        seconds = 0.0
        for stage in STAGES:
            with turns[stage]:
                if stage == "train" and time.monotonic() > ends:
                    print(f"{run.name}: no time left", flush=True)
                    return
                seconds += run_alone(folder, stage)
        write_run(result, collect(run, folder, arguments.commit, round(seconds)))
        print(
            f"{run.name}: {(folder / 'evaluate.log').read_text(encoding='utf-8').strip()} in {seconds:.0f} s",
            flush=True,
        )
        shutil.rmtree(folder / "data")  # models and logs stay

    with ThreadPoolExecutor(arguments.runs) as pool:
        futures = [pool.submit(execute, run) for plan in arguments.plan for run in planned(plan)]
    if failed := [str(error) for future in futures if (error := future.exception())]:
        raise InputError("\n".join(failed))


def prepare(run: Run, commit: str, packed: Path, threads: int) -> Path:
    """Make a folder in which the stages of a run find the packed data set and their parameters, unless it is there."""
    folder = WORKSPACES / commit / run.name
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "data/packed").unlink(missing_ok=True)
    (folder / "data/packed").symlink_to(packed)
    shutil.copy(ROOT / "params.yaml", folder)
    settings = settings_of(run, packed) | {f"{section}.threads": threads for section in ("train", "detect")}
    settings |= {"seeps.known": "", "seeps.conditions": ""}  # files of the sample, which is not there
    set_params(folder / "params.yaml", nested(settings))
    return folder


def nested(settings: dict[str, Any]) -> Changes:
    """Values by their dotted keys, as a tree."""
    tree: dict[str, Any] = {}
    for key, value in settings.items():
        *sections, name = key.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = value
    return tree


def run_alone(folder: Path, stage: str) -> float:
    """Run a stage in a folder, if it wasn't done there before; what it prints goes to `<stage>.log`.

    Returns:
        The seconds that it took.

    Raises:
        InputError: it failed.
    """
    started, log, took = time.monotonic(), folder / f"{stage}.log", folder / f"{stage}.seconds"
    if took.exists():
        return float(took.read_text(encoding="utf-8"))
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(
            [sys.executable, "-m", "stages", stage],
            cwd=folder,
            env=environment() | {"PYTHONPATH": os.pathsep.join(paths)},
            stdout=file,
            stderr=file,
            check=False,
        ).returncode
    if code:
        raise InputError(f"{folder.name}: stage {stage} failed:\n{log.read_text(encoding='utf-8')}")
    seconds = time.monotonic() - started
    took.write_text(f"{seconds}\n", encoding="utf-8")
    return seconds


if __name__ == "__main__":
    run_stage(main)
