"""The command predict, on the images of the small run."""

import importlib
import os
import shutil
import subprocess
import sys
from contextlib import chdir
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import ROOT, Workspace

from seepseg.base.errors import InputError
from seepseg.detection.classifier import load_namers
from seepseg.detection.detector import COLUMNS
from seepseg.detection.model_file import load_model, save_model

CLASSES = [f"class_{number}" for number in range(1, 8)]


@pytest.fixture
def taken(finished, tmp_path):
    """A workspace of somebody who has got the model and a scene that was tested, and nothing else."""
    tiles = pd.read_csv(finished.folder / "data/split.csv", dtype=str)
    (tmp_path / "new images").mkdir()
    for tile in tiles.loc[tiles["split"] == "test", "tile"]:
        shutil.copy(finished.folder / f"data/sample/train_images_256/{tile}.tif", tmp_path / "new images")
    shutil.copy(finished.folder / "models/model.safetensors", tmp_path / "theirs.safetensors")
    return Workspace(tmp_path)


def run(workspace, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["predict", *arguments])
    with chdir(workspace.folder):
        importlib.import_module("stages.predict").main()


ARGUMENTS = ("new images", "out", "--model", "theirs.safetensors")


def keep_everything(finished, path, **changes):
    """Give a model a rule that keeps every outline, of which there are more than those of its own rule."""
    model = load_model(path)
    rule = replace(model.rule, object_cut=0.0, pixel_cut=0.0, threshold=0.15, **changes)
    save_model(path, replace(model, rule=rule), load_namers(finished.folder / "models/namers.safetensors")[1])


def test_it_says_what_evaluate_says_of_the_test_scenes(finished, taken, monkeypatch):
    run(taken, monkeypatch, *ARGUMENTS)
    tiles = pd.read_csv(finished.folder / "data/predictions/tiles.csv", dtype={"tile": str})
    expected = np.load(finished.folder / "data/predictions/pred.npy")
    tested = tiles.index[tiles["split"] == "test"]
    assert len(tested) == 6
    for row in tested:
        pred = tifffile.imread(taken.folder / f"out/{tiles.loc[row, 'tile']}.tif")
        assert pred.dtype == np.uint8
        np.testing.assert_array_equal(pred, expected[row])
    assert expected[tested].any()
    assert sorted(path.name for path in (taken.folder / "out").iterdir()) == sorted(
        [*(f"{tile}.tif" for tile in tiles.loc[tested, "tile"]), "slicks.csv"]
    )


@pytest.mark.parametrize("naming", ["properties", "vote", "pixel"])
def test_the_table_tells_of_each_slick_in_the_pictures(finished, taken, monkeypatch, naming):
    keep_everything(finished, taken.folder / "theirs.safetensors", naming=naming)
    run(taken, monkeypatch, *ARGUMENTS)
    slicks = pd.read_csv(taken.folder / "out/slicks.csv", dtype={"scene": str})
    assert list(slicks.columns) == list(COLUMNS)
    assert len(slicks) >= 1
    pixels = np.stack([tifffile.imread(path) for path in sorted((taken.folder / "out").glob("*.tif"))])
    assert slicks["area"].sum() == np.count_nonzero(pixels)
    if naming != "pixel":
        for number, name in enumerate(CLASSES, start=1):
            assert slicks.loc[slicks["class"] == name, "area"].sum() == np.count_nonzero(pixels == number)
    assert ((slicks["bottom"] - slicks["top"]) * (slicks["right"] - slicks["left"]) >= slicks["area"]).all()
    assert slicks[["slick_probability", "class_probability"]].stack().between(0, 1).all()


def test_sea_alone_gives_empty_targets_and_a_table_without_rows(taken, monkeypatch):
    for path in (taken.folder / "new images").iterdir():
        tifffile.imwrite(path, np.zeros((64, 64), np.uint16))
    run(taken, monkeypatch, *ARGUMENTS)
    assert pd.read_csv(taken.folder / "out/slicks.csv").empty
    assert not any(tifffile.imread(path).any() for path in (taken.folder / "out").glob("*.tif"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "out").mkdir(), "out: expected a name that is free, found something there"),
        (lambda folder: shutil.rmtree(folder / "new images"), "new images: expected a folder of images, found none"),
        (lambda folder: (folder / "theirs.safetensors").unlink(), r"theirs\.safetensors is missing"),
        (
            lambda folder: (folder / "theirs.safetensors").write_bytes(b"\x80\x04K\x01."),
            r"theirs\.safetensors: expected a safetensors file, found another",
        ),
        (
            lambda folder: tifffile.imwrite(folder / "new images/900009.000001.tif", np.zeros((64, 64), np.float32)),
            r"(?s)new images can't be used, nothing was written.*type of image: 1.*900009\.000001\.tif: found float32",
        ),
    ],
)
def test_what_can_be_wrong(taken, monkeypatch, spoil, message):
    spoil(taken.folder)
    before = taken.files()
    with pytest.raises(InputError, match=message):
        run(taken, monkeypatch, *ARGUMENTS)
    assert taken.files() == before


def test_the_command_ends_with_status_1_and_one_line(taken):
    (taken.folder / "out").mkdir()
    command = [sys.executable, "-m", "stages.predict", *ARGUMENTS]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=taken.folder, env=env, capture_output=True, text=True, check=False)
    expected = "error: out: expected a name that is free, found something there; name another one\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", expected)


def test_a_model_for_other_classes_is_refused(taken, monkeypatch):
    taken.set("data", class_names=["oil", "gas"])
    with pytest.raises(InputError, match=r"theirs\.safetensors: expected the classes \['oil', 'gas'\], found"):
        run(taken, monkeypatch, *ARGUMENTS)


def test_a_model_that_judges_by_place_is_refused(finished, taken, monkeypatch):
    path = taken.folder / "theirs.safetensors"
    model, meta = load_model(path), load_namers(finished.folder / "models/namers.safetensors")[1]
    features = ["recurrence_class_1", *meta.features[1:]]
    save_model(path, model, replace(meta, features=features))
    with pytest.raises(InputError, match=r"trained with name\.recurrence"):
        run(taken, monkeypatch, *ARGUMENTS)
