"""A repository with runs that are recorded as DVC does it, without any stage."""

import hashlib
import json
import subprocess

import numpy as np
import yaml

from seepseg.evaluation.scene_counts import SceneCounts

CACHE = ".dvc/cache/files/md5"
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost")


def scene(name, right, missed=10, false=0, number=1):
    """Pixels, slicks and edge pixels of one class, the last one of as many: right, missed, false."""
    confusion, objects = np.zeros((number + 1, number + 1), int), np.zeros((number + 1, 3), int)
    edges, of_class = np.zeros((number + 1, 3, 2, 2)), [0, number]
    confusion[np.ix_(of_class, of_class)] = [[100, false], [missed, right]]
    objects[of_class] = [right, right + false, right + missed]
    edges[of_class] = [[right, right + missed], [right, right + false]]
    return SceneCounts(name, confusion, objects, np.zeros((64, 3)), edges)


class RecordedRuns:
    """A git repository with a cache of DVC."""

    def __init__(self, folder):
        self.folder = folder
        (folder / CACHE).mkdir(parents=True)
        (folder / ".dvc/config").touch()
        (folder / ".gitignore").write_text("/.dvc/cache\n/.dvc/tmp\n/report\n")
        self.git("init", "--quiet")

    def git(self, *arguments):
        done = subprocess.run([*GIT, *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, test=(), oof=(), networks="n1", images="i1", classes=("oil",), params=None, seeps=None):
        """What a run leaves in the workspace and in the cache; returns where the counts are."""
        scenes = {"test": [each.to_json() for each in test], "oof": [each.to_json() for each in oof]}
        content = json.dumps(scenes).encode()
        digest = hashlib.md5(content).hexdigest()
        path = self.folder / CACHE / digest[:2] / digest[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        hashes = {"models/networks.safetensors": networks, "data/packed/images.npy": images, "seepseg/a.py": "c1"}
        deps = [{"path": each, "hash": "md5", "md5": md5} for each, md5 in hashes.items()]
        outs = [{"path": "data/predictions/scenes.json", "hash": "md5", "md5": digest}]
        of_stage = {"train": {"seed": 1}, "loss": {"name": "dice"}} | (params or {})
        stage = {"cmd": "x", "deps": deps, "params": {"params.yaml": of_stage}, "outs": outs}
        (self.folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"evaluate": stage}}))
        for name in ("plots", "metrics"):
            (self.folder / name).mkdir(exist_ok=True)
        rows = [f"test,{name},{name},1" for name in ("background", *classes)]
        (self.folder / "plots/confusion.csv").write_text("\n".join(["split,actual,predicted,count", *rows]) + "\n")
        (self.folder / "metrics/evaluate.json").write_text(json.dumps({"md5": digest}))
        (self.folder / "metrics/seeps.json").write_text(json.dumps(seeps or {}))
        return path

    def commit(self, **run):
        """A commit with a run."""
        self.write(**run)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "run")
        return self.git("rev-parse", "HEAD")

    def experiment(self, name, **run):
        """As `dvc exp run` records it, of the commit that is checked out."""
        base = self.git("rev-parse", "HEAD")
        commit = self.commit(**run)
        self.git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", commit)
        self.git("reset", "--quiet", "--hard", base)
