"""What revisions of the project ran with and scored: commits, experiments of DVC, and the workspace.

Read from git and from DVC's cache, without a checkout: dvc.lock says which parameters the stages ran with, and which
files in the cache are what they wrote.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from dvc.exceptions import NotDvcRepoError
from dvc.repo import Repo

from seepseg.base.conventions import BACKGROUND
from seepseg.base.errors import InputError
from seepseg.evaluation.scene_counts import SceneCounts
from seepseg.report.changed_params import flatten

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is ten times faster, and not everywhere
WORKSPACE = "workspace"
LOCK, PARAMS = "dvc.lock", "params.yaml"
SCENES = "data/predictions/scenes.json"
IMAGES, TARGETS = "data/packed/images.npy", "data/packed/targets.npy"
NETWORKS = "models/networks.safetensors"
CONFUSION = "plots/confusion.csv"
METRICS = "metrics/evaluate.json"
SEEPS = "metrics/seeps.json"
EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(.+)")


@dataclass(frozen=True)
class Revision:
    """A run of the pipeline that is recorded.

    Attributes:
        name: for people.
        commit: its hash; None: the files of the workspace.
        folder: of the repository.
        cache: of DVC, where files lie by their MD5.
        params: that the stages ran with, by dotted key.
        hashes: MD5 of each file that a stage read or wrote.
    """

    name: str
    commit: str | None
    folder: Path
    cache: Path
    params: dict[str, Any]
    hashes: dict[str, str]

    @property
    def code(self) -> dict[str, str]:
        """MD5 of each module that a stage ran."""
        return {path: digest for path, digest in self.hashes.items() if path.endswith(".py")}

    @property
    def data(self) -> list[str | None]:
        """MD5 of what it learnt from and is compared with."""
        return [self.hashes.get(path) for path in (IMAGES, TARGETS)]

    @cached_property
    def scenes(self) -> dict[str, list[SceneCounts]]:
        """Counts of each scene, by split.

        Raises:
            InputError: DVC's cache hasn't got them.
        """
        digest = self.hashes[SCENES]
        path = self.cache / digest[:2] / digest[2:]
        if not path.is_file():
            raise InputError(
                f"{self.name}: expected its {SCENES} in DVC's cache, found it missing there; where it was pushed, "
                f"`dvc fetch --all-commits {SCENES}` or `dvc exp pull` brings it; else run it again: `git checkout` or "
                "`dvc exp apply`, then `dvc repro evaluate`"
            )
        document = json.loads(path.read_text(encoding="utf-8"))
        return {split: [SceneCounts.from_json(scene) for scene in scenes] for split, scenes in document.items()}

    @cached_property
    def class_names(self) -> list[str]:
        """The classes, in the order of their target values."""
        rows = pd.read_csv(StringIO(self.text(CONFUSION) or "actual"), dtype=str, keep_default_na=False)
        return [name for name in dict.fromkeys(rows["actual"]) if name != BACKGROUND]

    def text(self, path: str) -> str | None:
        """The content of a file that git keeps; None where it isn't there."""
        return text_of(self.folder, self.commit, path)

    def seeps(self) -> dict[str, float]:
        """What metrics/seeps.json holds, by dotted key; nothing where there is none."""
        found = flatten(json.loads(self.text(SEEPS) or "{}"))
        return {key: value for key, value in found.items() if isinstance(value, int | float)}


class History:
    """The revisions of a repository.

    Attributes:
        folder: of the repository.
        cache: of DVC.
        experiments: name, commit and baseline commit of each.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.locks: dict[str | None, dict[str, Any]] = {}
        try:
            self.cache = Path(Repo(str(folder)).cache.local.path)
        except NotDvcRepoError:
            raise InputError(f"{folder.resolve()}: expected the root of the project, found no .dvc there") from None
        listed = git(folder, "for-each-ref", "refs/exps", "--format=%(objectname) %(refname)").splitlines()
        found = ((line.split()[0], EXPERIMENT.fullmatch(line.split()[1])) for line in listed)
        self.experiments = [(ref[3], commit, ref[1] + ref[2]) for commit, ref in found if ref]

    def revision(self, name: str) -> Revision:
        """A commit, a branch, an experiment or the workspace, by its name.

        Raises:
            InputError: there is none of that name, or it has no results.
        """
        if name == WORKSPACE:
            return self.read(name, None)
        commits = [commit for experiment, commit, _ in self.experiments if experiment == name]
        if len(commits) > 1:
            raise InputError(f"{name}: {len(commits)} experiments have this name, of different commits; name its hash")
        if commits:
            return self.read(name, commits[0])
        try:
            commit = git(self.folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        except InputError:
            known = ", ".join(sorted({experiment for experiment, *_ in self.experiments})) or "none"
            raise InputError(
                f"{name}: expected a commit, a branch, a tag, an experiment or {WORKSPACE}, found nothing of that "
                f"name; experiments: {known}"
            ) from None
        return self.read(name if commit.startswith(name) else f"{name} ({commit[:7]})", commit)

    def read(self, name: str, commit: str | None) -> Revision:
        """What dvc.lock of a commit tells.

        Raises:
            InputError: evaluate has not run there.
        """
        if commit not in self.locks:
            self.locks[commit] = yaml.load(text_of(self.folder, commit, LOCK) or "{}", Loader=LOADER)
        stages = self.locks[commit].get("stages", {}).values()
        files = (file for stage in stages for file in (*stage.get("deps", []), *stage.get("outs", [])))
        hashes = {file["path"]: file["md5"] for file in files if "md5" in file}
        if SCENES not in hashes:
            raise InputError(f"{name}: expected results there, found no {SCENES} in {LOCK}; run `dvc repro` there")
        params: dict[str, Any] = {}
        for stage in stages:
            params |= flatten(stage.get("params", {}).get(PARAMS, {}))
        return Revision(name, commit, self.folder, self.cache, params, hashes)

    def known(self, commit: str) -> Revision | None:
        """A run, if there was one."""
        try:
            return self.read(commit, commit)
        except InputError:
            return None

    def workspace(self) -> Revision | None:
        """The run of the workspace, where no commit or experiment has it; None without one."""
        try:
            run = self.read(WORKSPACE, None)
        except InputError:
            return None
        others = map(self.known, ("HEAD", *(commit for _, commit, _ in self.experiments)))
        return None if any(each and each.hashes[SCENES] == run.hashes[SCENES] for each in others) else run

    def run_before(self) -> str:
        """The commit to compare the workspace with: HEAD, or where that has the same scores, the last with others."""
        if text_of(self.folder, None, METRICS) != text_of(self.folder, "HEAD", METRICS):
            return "HEAD"
        commits = git(self.folder, "log", "--format=%h", "-n", "2", "--", METRICS).split()
        return commits[1] if len(commits) > 1 else "HEAD"


def differences(base: dict[str, Any], other: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Key and both values where two dictionaries differ; None where one has no such key."""
    for key in sorted(base.keys() | other.keys()):
        if base.get(key) != other.get(key):
            yield key, base.get(key), other.get(key)


def text_of(folder: Path, commit: str | None, path: str) -> str | None:
    """The content of a file of a commit or, for None, of the workspace; None where it isn't there."""
    if commit is None:
        file = folder / path
        return file.read_text(encoding="utf-8") if file.is_file() else None
    try:
        return git(folder, "show", f"{commit}:{path}")
    except InputError:
        return None


def git(folder: Path, *arguments: str) -> str:
    """What a git command says.

    Raises:
        InputError: it fails.
    """
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
