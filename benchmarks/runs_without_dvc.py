"""Recorded experiments on a machine without DVC, such as a rented GPU: the stages themselves, one after the other.

    python -m benchmarks.runs_without_dvc --packed data/packed --plan gpu --commit $(git rev-parse HEAD) --out results

does what is missing in `--out` of a plan of recipes.yaml. One run at a time trains and detects, as a GPU that processes
share in turns is slow for each of them; the other stages of several runs go on beside it, on the CPU. Copy the files to
docs/results/runs and pool them: `python -m benchmarks.cross_validation`. Recipes that only change what comes after the
training train again here, which DVC avoids.
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

BEFORE, ON_GPU, AFTER = ("split", "class_balance"), ("train", "detect"), ("classify", "evaluate")
WORKSPACES = LOCAL / "without_dvc"


def main() -> None:
    """Run what is missing of a plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", type=Path, required=True, help="what the stage ingest wrote, of the data set")
    parser.add_argument("--plan", required=True, help="a plan of benchmarks/recipes.yaml")
    parser.add_argument("--commit", required=True, help="of the code, for the record")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no training after so long")
    parser.add_argument("--runs", type=int, default=4, help="under way at a time (default: 4)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each (default: 2)")
    arguments = parser.parse_args()
    ends = time.monotonic() + 60 * arguments.minutes
    arguments.out.mkdir(parents=True, exist_ok=True)
    gpu = threading.Lock()

    def execute(run: Run) -> None:
        result = arguments.out / record_name(run)
        if result.exists():
            print(f"{run.name}: done before", flush=True)
            return
        folder = prepare(run, arguments.packed.resolve(), arguments.threads)
        for stage in BEFORE:
            run_alone(folder, stage)
        with gpu:
            if time.monotonic() > ends:
                print(f"{run.name}: no time left", flush=True)
                return
            seconds = sum(run_alone(folder, stage) for stage in ON_GPU)
        seconds += sum(run_alone(folder, stage) for stage in AFTER)
        write_run(result, collect(run, folder, arguments.commit, round(seconds)))
        print(
            f"{run.name}: {(folder / 'evaluate.log').read_text(encoding='utf-8').strip()} in {seconds:.0f} s",
            flush=True,
        )
        shutil.rmtree(folder / "data")  # models and logs stay

    with ThreadPoolExecutor(arguments.runs) as pool:
        futures = [pool.submit(execute, run) for run in planned(arguments.plan)]
    if failed := [str(error) for future in futures if (error := future.exception())]:
        raise InputError("\n".join(failed))


def prepare(run: Run, packed: Path, threads: int) -> Path:
    """Make a folder in which the stages of a run find the packed data set and their parameters."""
    folder = WORKSPACES / run.name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    (folder / "data/packed").symlink_to(packed)
    shutil.copy(ROOT / "params.yaml", folder)
    settings = settings_of(run, packed) | {f"{section}.threads": threads for section in ("train", "detect")}
    for key, value in settings.items():
        set_params(folder / "params.yaml", nested(key, value))
    return folder


def nested(key: str, value: Any) -> Changes:
    """A value by its dotted key, as a tree."""
    *sections, name = key.split(".")
    tree: Any = {name: value}
    for section in reversed(sections):
        tree = {section: tree}
    changes: Changes = tree
    return changes


def run_alone(folder: Path, stage: str) -> float:
    """Run a stage in a folder; what it prints goes to `<stage>.log`, and its time is returned.

    Raises:
        InputError: it failed.
    """
    started, log = time.monotonic(), folder / f"{stage}.log"
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
    return time.monotonic() - started


if __name__ == "__main__":
    run_stage(main)
