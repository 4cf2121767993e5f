"""The repository, and small copies of it in which a benchmark runs DVC."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
LOCAL = ROOT / "benchmarks/local"  # which git ignores
RESULTS = ROOT / "docs/results"

Changes = dict[str, dict[str, Any]]

# Makes the pipeline small; training takes a minute, of two networks.
SMALL: Changes = {
    "sample": {"n_scenes": 4, "height": 128, "width": 192},
    "scenes": {"tile_size": 64},
    "split": {"n_folds": 4},
    "model": {"unet": {"width": 4, "depth": 3}},
    "sampling": {"crop": 32, "crops_per_tile": 4},
    "train": {"networks": 2, "epochs": 150, "threads": 1, "batch_size": 4},
    "detect": {"threads": 1},
    "classify": {"members": 2, "hidden": 8, "epochs": 5},
    "evaluate": {"bootstrap_samples": 50},
    "plot": {"n_tiles": 2, "n_worst": 2, "dpi": 40},
}


def make_clone(folder: Path, changes: Changes) -> Path:
    """Clone the repository as it is, uncommitted files included, change parameters, and commit that there."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in set(subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        elif name:  # it is deleted
            target.unlink(missing_ok=True)
    set_params(folder / "params.yaml", changes)
    commit(folder)
    return folder


def commit(clone: Path) -> None:
    """Commit everything in a clone."""
    git = ["git", "-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    subprocess.run([*git, "add", "--all"], cwd=clone, check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "as it is"], cwd=clone, check=True)


def set_params(path: Path, changes: Changes) -> None:
    """Change parameters by section, with the library that DVC reads them with: PyYAML drops quotes that it needs."""
    yaml = YAML()
    yaml.preserve_quotes = True
    params = yaml.load(path)
    merge(params, changes)
    yaml.dump(params, path)


def merge(params: Any, changes: Changes) -> None:
    """Change values of nested parameters, in place.

    Raises:
        KeyError: a parameter is unknown.
    """
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(params[key], dict):
            merge(params[key], value)
        else:
            params[key]  # an unknown one must not be added
            params[key] = value


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
