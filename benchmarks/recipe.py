"""Recipes: named changes of params.yaml, which benchmarks/recipes.yaml lists.

python -m benchmarks.recipe original                        # an experiment with the changes of a recipe
python -m benchmarks.recipe original+narrow -S train.seed=2  # ... of two, and options of `dvc exp run`
"""

import argparse
import json
import shlex
import subprocess
import sys
from functools import cache
from typing import Any

import yaml

from benchmarks.repository import ROOT, environment
from seepseg.base.command import run_stage
from seepseg.base.errors import InputError

RECIPES = ROOT / "benchmarks/recipes.yaml"


def main() -> None:
    """Run a recipe in the workspace, by `dvc exp run`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="its name in benchmarks/recipes.yaml; a+b has the changes of a, then those of b")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="of dvc exp run, such as -S key=value")
    arguments = parser.parse_args()
    command = ["dvc", "exp", "run"]
    for assignment in assignments(overrides_of(arguments.recipe)):
        command += ["-S", assignment]
    command += arguments.options
    print(shlex.join(command), flush=True)
    sys.exit(subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment(), check=False).returncode)


@cache
def read_document() -> dict[str, Any]:
    """The content of recipes.yaml: `recipes` and `plans`."""
    document: dict[str, Any] = yaml.safe_load(RECIPES.read_text(encoding="utf-8"))
    return document


def read_recipes() -> dict[str, dict[str, Any]]:
    """All recipes by name: `what` it is, its `overrides`, or the commit that it was `removed` after."""
    recipes: dict[str, dict[str, Any]] = read_document()["recipes"]
    return recipes


def overrides_of(name: str) -> dict[str, Any]:
    """What a recipe changes: values by dotted key.

    Args:
        name: of a recipe, or several with plus signs between them, of which later ones prevail.

    Raises:
        InputError: there is none, or an option that it needs was removed.
    """
    recipes, overrides = read_recipes(), dict[str, Any]()
    for part in name.split("+"):
        if part not in recipes:
            raise InputError(f"{RECIPES.name}: expected one of {', '.join(recipes)}, found {part}")
        if commit := recipes[part].get("removed"):
            raise InputError(f"recipe {part} needs an option that was removed: `git checkout {commit}` has it")
        overrides |= recipes[part]["overrides"]
    return overrides


def assignments(settings: dict[str, Any]) -> list[str]:
    """Parameters as `dvc exp run -S` takes them."""
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


if __name__ == "__main__":
    run_stage(main)
