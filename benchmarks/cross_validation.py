"""How good the default recipe and others are on test scenes: recorded experiments, fold by fold.

    python -m benchmarks.cross_validation --data ../my_tiles                  # what is missing of the five folds
    python -m benchmarks.cross_validation --data ../my_tiles --plan leakage   # or another plan of recipes.yaml

Each run is a `dvc exp run` of what is committed, in a clone of the repository under benchmarks/local/runs, so that the
working tree can be edited meanwhile. Its result goes to docs/results/runs as it ends; a run whose result is there
already is not repeated, so an interrupted command is taken up again by the same command. After each run all results are
pooled into docs/results/cross_validation.json and docs/results/README.md.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks import results
from benchmarks.held_out_seeps import held_out_slicks
from benchmarks.recipe import assignments, overrides_of, read_document
from benchmarks.repository import LOCAL, RESULTS, ROOT, environment
from benchmarks.result_pages import HEADINGS, summary
from seepseg.base.command import run_stage
from seepseg.base.errors import InputError
from seepseg.base.files import read_json, write_bytes
from seepseg.evaluation.annotated_slicks import ALONE, PREDICTED, given_classes_tables

FOLDS = RESULTS / "folds.csv"
RUNS = RESULTS / "runs"
CLONE = LOCAL / "runs"
INNER_FOLDS = 4  # of the scenes that are not test scenes


@dataclass(frozen=True)
class Run:
    """One experiment.

    Attributes:
        recipe: its name in benchmarks/recipes.yaml, after that of its base and a plus sign where it has one.
        fold: whose scenes are the test scenes, a number of docs/results/folds.csv; None for tiles at random.
        seed: of the networks and of the slick classifiers.
        overrides: parameters that differ from params.yaml, as key and value.
    """

    recipe: str
    fold: int | None
    seed: int
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the experiment and of its result."""
        where = "random" if self.fold is None else f"fold{self.fold}"
        return f"{self.recipe}-{where}-seed{self.seed}"


def main() -> None:
    """Run what is missing, then pool."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of tiles; without it the results are only pooled")
    parser.add_argument("--plan", default="folds", help="a plan of benchmarks/recipes.yaml (default: folds)")
    arguments = parser.parse_args()
    if arguments.data is not None:
        for run in planned(arguments.plan):
            result = RUNS / record_name(run)
            if result.exists():
                print(f"{run.name}: done before")
            else:
                write_run(result, execute(run, arguments.data.resolve()))
                results.write_all(RUNS)  # the page is always that of the runs that are there
    document = results.write_all(RUNS)
    if not document:
        print(f"{RUNS}: no results yet")
    for name, pooled in document.items():
        print(f"{name}: {summary(pooled)}")


def planned(plan: str) -> list[Run]:
    """The runs of a plan, in the order in which they should be done.

    Raises:
        InputError: there is no such plan, or one of its recipes can't be run any more.
    """
    plans = read_document()["plans"]
    if plan not in plans:
        raise InputError(f"--plan: expected one of {', '.join(plans)}, found {plan}")
    runs = []
    for entry in plans[plan]:
        recipe = "+".join(entry[key] for key in ("base", "recipe") if key in entry)
        runs += [
            Run(recipe, None if fold == "random" else fold, seed, overrides_of(recipe))
            for fold in entry["folds"]
            for seed in entry["seeds"]
        ]
    return runs


def settings_of(run: Run, data: Path) -> dict[str, Any]:
    """All parameters of a run that may differ from params.yaml, by dotted key."""
    seeds = {"train.seed": run.seed, "classify.seed": run.seed}
    return {"data.root": str(data), **seeds, **split_of(run), **run.overrides}


def execute(run: Run, data: Path) -> dict[str, Any]:
    """Run one experiment in the clone and collect its result."""
    commit = prepare_clone()
    dvc = [sys.executable, "-m", "dvc", "exp"]
    # An interrupted run may have left an experiment of this name.
    subprocess.run([*dvc, "remove", run.name], cwd=CLONE, capture_output=True, check=False)
    command = [*dvc, "run", "--name", run.name]
    for assignment in assignments(settings_of(run, data)):
        command += ["--set-param", assignment]
    print(f"{run.name}: {' '.join(f'{key}={value}' for key, value in run.overrides.items()) or 'as params.yaml says'}")
    started, trained = time.monotonic(), True
    with subprocess.Popen(command, cwd=CLONE, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "it is a pipe"
        for line in process.stdout:
            print(line, end="", flush=True)
            trained &= not line.startswith(("Stage 'train' is cached", "going on after"))
    if process.returncode:
        sys.exit(f"error: the experiment {run.name} failed; its messages are above")
    seconds = round(time.monotonic() - started)
    return collect(run, CLONE, commit, seconds if trained else None)


def collect(run: Run, folder: Path, commit: str, seconds: int | None) -> dict[str, Any]:
    """The result of a run, from the files that its stages wrote.

    Args:
        run: what was run.
        folder: where its stages ran.
        commit: of the code.
        seconds: that it took with its whole training in one piece, on a machine of its own; None where it didn't.
    """
    scenes, scores = (read_json(folder / path) for path in ("data/predictions/scenes.json", "metrics/evaluate.json"))
    rows = pd.read_csv(folder / "plots/annotated_confusion.csv")
    annotated = {split: rows[rows["split"] == split].drop(columns="split").to_dict("list") for split in ("test", "oof")}
    names = list(dict.fromkeys(rows["actual"]))
    classes = pd.read_csv(folder / "data/annotated_classes.csv", dtype={"split": str, "scene": str}, na_filter=False)
    by_scene = {split: annotated_by_scene(classes[classes["split"] == split], names) for split in ("test", "oof")}
    return {
        "recipe": run.recipe,
        "fold": run.fold,
        "seed": run.seed,
        "overrides": run.overrides,
        "commit": commit,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "seconds": seconds,
        "epochs": len(pd.read_csv(folder / "plots/history.csv")),
        "leakage": read_json(folder / "metrics/split.json")["split"]["leakage"]["test"],
        "postprocessing": read_json(folder / "models/postprocessing.json"),
        "oof_scores": {key: scores["oof"][key] for key in HEADINGS},
        "scenes": scenes["test"],
        "annotated": annotated["test"],
        "annotated_by_scene": by_scene["test"],
        "seeps": read_json(folder / "metrics/seeps.json"),
        "held_out": held_out_slicks(folder),
        "oof": {
            "scenes": [
                {key: scene[key] for key in ("scene", "confusion", "objects", "edges", "alone")}
                for scene in scenes["oof"]
            ],
            "annotated": annotated["oof"],
            "annotated_by_scene": by_scene["oof"],
        },
    }


def annotated_by_scene(classes: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Pixels of annotated slicks by actual and given class, (K, K), of each scene: by all that is known, and alone."""
    return {
        scene: {
            key: given_classes_tables(slicks, column, names)[0].tolist()
            for key, column in (("count", PREDICTED), ("alone", ALONE))
        }
        for scene, slicks in classes.groupby("scene")
    }


def record_name(run: Run) -> str:
    """The file of a run's result: a GPU gives other bits than a CPU, and so another run."""
    return f"{run.name}{'-gpu' if torch.cuda.is_available() else ''}.json"


def write_run(path: Path, result: dict[str, Any]) -> None:
    """Write the result of a run: JSON with a line for each key, as tables of numbers are long."""
    values = {key: json.dumps(value, sort_keys=True, allow_nan=False) for key, value in sorted(result.items())}
    lines = [f"{json.dumps(key)}: {value}" for key, value in values.items()]
    write_bytes(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def split_of(run: Run) -> dict[str, Any]:
    """The parameters that make a fold's scenes the test scenes, or tiles at random in shares like a fold's."""
    if run.fold is None:
        return {"split.by": "tile", "split.val_fraction": 0.2, "split.test_fraction": 0.2, "split.seed": run.seed}
    table = pd.read_csv(FOLDS, dtype={"scene": str})
    return {"split.test_scenes": table.loc[table["fold"] == run.fold, "scene"].tolist(), "split.n_folds": INNER_FOLDS}


def prepare_clone() -> str:
    """Bring the clone to the commit that is checked out here; return that commit."""
    commit = _git(ROOT, "rev-parse", "HEAD")
    if not (CLONE / ".git").exists():
        CLONE.parent.mkdir(parents=True, exist_ok=True)
        _git(ROOT, "clone", "--quiet", ".", str(CLONE))
    _git(CLONE, "fetch", "--quiet", "origin")
    _git(CLONE, "checkout", "--quiet", "--force", "--detach", commit)
    return commit


def _git(folder: Path, *arguments: str) -> str:
    finished = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(f"error: git {' '.join(arguments)}: {finished.stderr.strip()}")
    return finished.stdout.strip()


if __name__ == "__main__":
    run_stage(main)
