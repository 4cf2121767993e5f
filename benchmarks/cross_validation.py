"""How good the default recipe and others are on scenes that they never saw: recorded experiments, fold by fold.

    python -m benchmarks.cross_validation --data ../my_tiles                  # what is missing of the five folds
    python -m benchmarks.cross_validation --data ../my_tiles --plan leakage   # or seeds, original, judging, ablation

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
import yaml

from benchmarks import results
from seepseg.base.files import write_json

FOLDS = Path("docs/results/folds.csv")
RECIPES = Path("benchmarks/recipes.yaml")
RUNS = Path("docs/results/runs")
CLONE = Path("benchmarks/local/runs")
PARTS = 4  # of the scenes that are not held out
METRICS = ("train", "name", "evaluate", "split")


@dataclass(frozen=True)
class Run:
    """One experiment.

    Attributes:
        recipe: its name in benchmarks/recipes.yaml, after that of its base and a plus sign where it has one.
        fold: which scenes are held out, a number of docs/results/folds.csv; None for tiles at random.
        seed: of the network and of the namer.
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
            if (RUNS / f"{run.name}.json").exists():
                print(f"{run.name}: done before")
            else:
                write_json(RUNS / f"{run.name}.json", execute(run, arguments.data.resolve()))
                results.write_all(RUNS)  # the page is always that of the runs that are there
    document = results.write_all(RUNS)
    if not document:
        print(f"{RUNS}: no results yet")
    for name, pooled in document.items():
        print(f"{name}: {', '.join(f'{heading} {pooled[key]:.3f}' for key, heading in results.HEADINGS.items())}")


def planned(plan: str) -> list[Run]:
    """The runs of a plan, in the order in which they should be done."""
    document = yaml.safe_load(RECIPES.read_text())
    if plan not in document["plans"]:
        sys.exit(f"error: --plan: expected one of {', '.join(document['plans'])}, found {plan}")
    runs = []
    for entry in document["plans"][plan]:
        recipes = [entry[key] for key in ("base", "recipe") if key in entry]
        overrides = {
            key: value for recipe in recipes for key, value in document["recipes"][recipe]["overrides"].items()
        }
        runs += [
            Run("+".join(recipes), None if fold == "random" else fold, seed, overrides)
            for fold in entry["folds"]
            for seed in entry["seeds"]
        ]
    return runs


def execute(run: Run, data: Path) -> dict[str, Any]:
    """Run one experiment in the clone and collect its result."""
    commit = prepare_clone()
    settings = {
        "data.root": str(data),
        "train.seed": run.seed,
        "name.seed": run.seed,
        **split_of(run),
        **run.overrides,
    }
    dvc = [sys.executable, "-m", "dvc", "exp"]
    # An interrupted run may have left an experiment of this name.
    subprocess.run([*dvc, "remove", run.name], cwd=CLONE, capture_output=True, check=False)
    command = [*dvc, "run", "--name", run.name]
    for assignment in assignments(settings):
        command += ["--set-param", assignment]
    print(f"{run.name}: {' '.join(f'{key}={value}' for key, value in run.overrides.items()) or 'as params.yaml says'}")
    started, trained = time.monotonic(), True
    with subprocess.Popen(command, cwd=CLONE, stdout=subprocess.PIPE, text=True) as process:
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
    scenes = json.loads((folder / "data/predictions/scenes.json").read_text())
    metrics = {name: json.loads((folder / f"metrics/{name}.json").read_text()) for name in METRICS}
    rows = pd.read_csv(folder / "plots/names.csv")
    names = {part: rows[rows["split"] == part].drop(columns="split").to_dict("list") for part in ("test", "val")}
    return {
        "recipe": run.recipe,
        "fold": run.fold,
        "seed": run.seed,
        "overrides": run.overrides,
        "commit": commit,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "seconds": seconds,
        "epochs": len(pd.read_csv(folder / "plots/history.csv")),
        "leakage": metrics["split"]["split"]["leakage"]["test"],
        "rule": json.loads((folder / "models/decision.json").read_text()),
        "validation": {key: metrics["evaluate"]["val"][key] for key in results.HEADINGS},
        "scenes": scenes["test"],
        "names": names["test"],
        "val": {
            "scenes": [{key: scene[key] for key in ("scene", "confusion", "objects")} for scene in scenes["val"]],
            "names": names["val"],
        },
    }


def assignments(settings: dict[str, Any]) -> list[str]:
    """Parameters as `dvc exp run -S` takes them."""
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def split_of(run: Run) -> dict[str, Any]:
    """The parameters that hold out a fold's scenes, or tiles at random in shares like a fold's; 4 parts train."""
    if run.fold is None:
        return {"split.by": "tile", "split.val_fraction": 0.2, "split.test_fraction": 0.2, "split.seed": run.seed}
    table = pd.read_csv(FOLDS, dtype={"scene": str})
    return {"split.test_scenes": table.loc[table["fold"] == run.fold, "scene"].tolist(), "split.n_folds": PARTS}


def prepare_clone() -> str:
    """Bring the clone to the commit that is checked out here; return that commit."""
    commit = _git(Path(), "rev-parse", "HEAD")
    if not (CLONE / ".git").exists():
        CLONE.parent.mkdir(parents=True, exist_ok=True)
        _git(Path(), "clone", "--quiet", ".", str(CLONE))
    _git(CLONE, "fetch", "--quiet", "origin")
    _git(CLONE, "checkout", "--quiet", "--force", "--detach", commit)
    return commit


def _git(folder: Path, *arguments: str) -> str:
    finished = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(f"error: git {' '.join(arguments)}: {finished.stderr.strip()}")
    return finished.stdout.strip()


if __name__ == "__main__":
    main()
