"""A small run of the whole pipeline, shared by the tests of the stages."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from s3_server import Server

from seepseg.base.command import run_stage
from seepseg.data.scenes import read_padded
from seepseg.detection.postprocessing import Postprocessing
from seepseg.models import ModelParams
from seepseg.models.registry import NETWORKS

ROOT = Path(__file__).parents[1]
STAGES = (
    "sample",
    "tile",
    "ingest",
    "split",
    "class_balance",
    "train",
    "detect",
    "classify",
    "evaluate",
    "seeps",
    "plot",
    "report",
)

# What makes the default small enough for a test.
SMALL = {
    "sample": {"n_scenes": 4, "height": 128, "width": 192},
    "scenes": {"tile_size": 64},
    "split": {"n_folds": 4},
    "model": {name: {"width": 4, "depth": 3} for name in ("unet", "attention_unet", "resnet_unet")},
    # Without amp, whose results depend on the CPU.
    "sampling": {"crop": 32, "crops_per_tile": 2},
    "train": {"networks": 2, "epochs": 3, "threads": 1, "batch_size": 4, "amp": False, "ema_decay": 0.9},
    "detect": {"threads": 1, "amp": False},
    "classify": {"members": 2, "hidden": 8, "epochs": 5},
    "evaluate": {"bootstrap_samples": 50},
    "plot": {"n_tiles": 2, "dpi": 40},
}


# Of two classes.
POSTPROCESSING = Postprocessing(
    accept="classifier",
    min_area=2,
    object_threshold=0.5,
    pixel_threshold=0.6,
    mean_area=100.0,
    peak=0.0,
    class_from="classifier",
    class_weights=[1.0, 1.5],
)


def small_model(name="unet", head="softmax", **values):
    """Section `model` for a small network of any kind, with further parameters of that kind."""
    return ModelParams(name=name, head=head, **{name: NETWORKS[name](**{"width": 4, "depth": 3} | values)})


class Whole:
    """A scene in memory, which gives its pixels by window."""

    def __init__(self, image, name="s"):
        self.name = name
        self.image = image
        self.shape = image.shape

    def read(self, window):
        return read_padded(self.image, window)


def merge(block, changes):
    """Change values of nested parameters, in place."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(block.get(key), dict):
            merge(block[key], value)
        else:
            block[key] = value


@pytest.fixture
def one_thread():
    """One thread and one seed of torch, and its settings as they were afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


class Workspace:
    """A folder with a params.yaml, in which stages run."""

    def __init__(self, folder):
        self.folder = folder
        self.params = yaml.safe_load((ROOT / "params.yaml").read_text())
        for section, values in SMALL.items():
            self.set(section, **values)
        self.set("data", corrections="")

    def set(self, section, **values):
        """Change parameters; those of a nested block one by one."""
        merge(self.params[section], values)
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params))

    def run(self, *stages):
        """Run stages in this process; what other passes tell of classes is kept, though so few slicks teach little."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("seepseg.detection.fitting.keep_passes", lambda *_: True)
            try:
                for stage in stages:
                    importlib.import_module(f"stages.{stage}").main(self.folder)
            finally:
                torch.use_deterministic_algorithms(False)

    def refusal(self, stage):
        """Run one stage in this process; return the message with which it ends."""
        with pytest.raises(SystemExit) as end:
            run_stage(lambda: self.run(stage))
        return end.value.code

    def command(self, stage):
        """Run one stage as DVC does, and return the finished process."""
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "stages", stage]
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)

    def take(self, other, *names):
        """Copy files and folders from another workspace."""
        for name, content in other.files().items():
            if name.startswith(names):
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def files(self):
        """Content of every file, by its path."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def workspace(tmp_path):
    """An empty workspace with small parameters."""
    return Workspace(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A workspace in which every stage has run once. Read it only."""
    workspace = Workspace(tmp_path_factory.mktemp("finished"))
    workspace.run(*STAGES)
    return workspace


@pytest.fixture(scope="session")
def alone(finished, tmp_path_factory):
    """The same, with classes told without other passes, of which a single scene has none. Read it only."""
    workspace = Workspace(tmp_path_factory.mktemp("alone"))
    workspace.take(finished, "data/packed", "data/split.csv", "data/candidates", "models/networks")
    workspace.set("passes", radius=0.0)
    workspace.run("classify", "evaluate")
    return workspace


@pytest.fixture
def prepared(finished, tmp_path):
    """A workspace of its own with everything that training needs."""
    workspace = Workspace(tmp_path)
    workspace.take(finished, "data/packed", "data/split.csv", "data/class_weights.json")
    return workspace


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An S3 server for the tests of a module."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()
