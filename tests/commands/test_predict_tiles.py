"""The command predict on plain tiles without a place on earth: those of the small run."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
import tifffile
import torch
from conftest import ROOT, Workspace

from seepseg.base.errors import InputError
from seepseg.commands.options import PredictOptions
from seepseg.commands.predict_scenes import predict
from seepseg.detection.detection import COLUMNS
from seepseg.detection.model_file import load_model, save_model
from seepseg.detection.slick_table import ENDS
from seepseg.io import image_checks

pytestmark = pytest.mark.e2e

CLASSES = [f"class_{number}" for number in range(1, 8)]


@pytest.fixture
def taken(finished, tmp_path):
    """A workspace of somebody who has got the model and a scene that was tested, as plain tiles, and nothing else."""
    (tmp_path / "new images").mkdir()
    for tile, plain in plain_names(finished).items():
        pixels = tifffile.imread(finished.folder / f"data/tiles/images/{tile}.tif")
        tifffile.imwrite(tmp_path / f"new images/{plain}.tif", pixels)
    shutil.copy(finished.folder / "models/model.safetensors", tmp_path / "theirs.safetensors")
    workspace = Workspace(tmp_path)
    workspace.set("data", grid_columns={"9": 3})
    return workspace


def plain_names(finished):
    """Names of the tiles of the test scene, and what they are called as plain tiles, numbered row by row."""
    tiles = pd.read_csv(finished.folder / "data/split.csv", dtype=str)
    names = sorted(tiles.loc[tiles["split"] == "test", "tile"])
    return {name: f"{name[:6]}.{number:06d}" for number, name in enumerate(names, start=1)}


def run(workspace):
    folder = workspace.folder
    try:
        predict(
            PredictOptions(
                scenes=folder / "new images",
                out=folder / "out",
                model=folder / "theirs.safetensors",
                params=folder / "params.yaml",
            )
        )
    finally:
        torch.use_deterministic_algorithms(False)


def change_model(path, threshold, class_names=CLASSES, **postprocessing):
    """Write a model anew that proposes from another threshold on, with other names or post-processing."""
    model = load_model(path)
    meta = model.meta
    renamed = {f"log_share_{old}": f"log_share_{new}" for old, new in zip(CLASSES, class_names, strict=True)}
    features = [renamed.get(name, name) for name in meta.classifiers.features]
    meta = replace(
        meta,
        networks=replace(meta.networks, class_names=class_names),
        proposal=replace(meta.proposal, threshold=threshold),
        classifiers=replace(meta.classifiers, class_names=class_names, features=features),
        postprocessing=replace(meta.postprocessing, **postprocessing),
    )
    save_model(path, replace(model, meta=meta))


# Accepts every candidate, of which there are more than those of the model as it was fitted.
EVERYTHING = {"object_threshold": 0.0, "pixel_threshold": 0.0, "min_area": 1}


def test_it_gives_what_evaluate_gives_for_the_test_scenes(finished, alone, taken):
    run(taken)
    tiles = pd.read_csv(alone.folder / "data/predictions/tiles.csv", dtype={"tile": str})
    expected = np.load(alone.folder / "data/predictions/pred.npy")
    index_of = dict(zip(tiles["tile"], tiles["index"], strict=True))
    names = plain_names(finished)
    assert len(names) == 6
    for tile, plain in names.items():
        index = index_of[tile]
        pred = tifffile.imread(taken.folder / f"out/{plain}.tif")
        assert pred.dtype == np.uint8
        np.testing.assert_array_equal(pred, expected[index])
    assert expected[[index_of[tile] for tile in names]].any()
    assert sorted(path.name for path in (taken.folder / "out").iterdir()) == sorted(
        [*(f"{plain}.tif" for plain in names.values()), "slicks.csv", "candidates.csv", "footprints.csv"]
    )


def test_candidates_and_footprints_are_those_of_detect(finished, taken):
    """Which knew the scene by the same networks: those that were not trained on it."""
    run(taken)
    candidates, footprints = (pd.read_csv(taken.folder / f"out/{name}.csv") for name in ("candidates", "footprints"))
    before, seen = (
        pd.read_csv(finished.folder / f"data/candidates/{name}.csv") for name in ("candidates", "footprints")
    )
    before = before[(before["split"] == "test") & (before["network"] == 0)]
    assert len(before) and list(candidates["slick"]) == list(range(1, len(before) + 1))
    pd.testing.assert_frame_equal(candidates[ENDS], before[ENDS].reset_index(drop=True))
    of_classes = [f"p_of_{name}" for name in CLASSES]
    assert list(candidates.columns) == ["scene", "slick", "area", *ENDS, "p_slick", *of_classes]
    assert candidates[of_classes].sum(axis=1).to_numpy() == pytest.approx(1)
    seen = seen[seen["scene"] == before["scene"].iloc[0]]
    assert shapely.equals(shapely.from_wkt(footprints["wkt"][0]), shapely.from_wkt(seen["wkt"].iloc[0]))


def test_images_in_subfolders_give_masks_in_subfolders(taken):
    run(taken)
    masks = {path.stem: path.read_bytes() for path in (taken.folder / "out").glob("*.tif")}
    shutil.rmtree(taken.folder / "out")
    for path in list((taken.folder / "new images").iterdir()):
        scene, number = path.stem.split(".")
        (path.parent / scene).mkdir(exist_ok=True)
        path.rename(path.parent / scene / f"{number}.TIF")
    taken.set("data", name_pattern=r"(?P<scene>\d+)/(?P<tile>\d+)\.tif")
    run(taken)
    found = {path.relative_to(taken.folder / "out") for path in (taken.folder / "out").rglob("*.tif")}
    assert {path.as_posix() for path in found} == {f"{name.replace('.', '/')}.tif" for name in masks}
    for name, mask in masks.items():
        assert (taken.folder / f"out/{name.replace('.', '/')}.tif").read_bytes() == mask


@pytest.mark.parametrize("class_from", ["classifier", "mean_probability", "pixel"])
def test_the_table_tells_of_each_slick_in_the_pictures(taken, class_from):
    change_model(taken.folder / "theirs.safetensors", 0.15, class_from=class_from, **EVERYTHING)
    run(taken)
    slicks = pd.read_csv(taken.folder / "out/slicks.csv", dtype={"scene": str})
    assert list(slicks.columns) == list(COLUMNS)
    assert len(slicks) >= 1
    pixels = np.stack([tifffile.imread(path) for path in sorted((taken.folder / "out").glob("*.tif"))])
    assert slicks["area"].sum() == np.count_nonzero(pixels)
    if class_from != "pixel":
        for number, name in enumerate(CLASSES, start=1):
            assert slicks.loc[slicks["class"] == name, "area"].sum() == np.count_nonzero(pixels == number)
    assert ((slicks["bottom"] - slicks["top"]) * (slicks["right"] - slicks["left"]) >= slicks["area"]).all()
    assert slicks[["p_slick", "p_class"]].stack().between(0, 1).all()


def test_classes_are_those_of_the_model(taken):
    """Whatever data.class_names says: the model may be from elsewhere."""
    theirs = [f"theirs {number}" for number in range(1, 8)]
    change_model(taken.folder / "theirs.safetensors", 0.15, theirs, **EVERYTHING)
    taken.set("data", class_names=["oil", "gas"])
    run(taken)
    slicks = pd.read_csv(taken.folder / "out/slicks.csv")
    assert len(slicks) and set(slicks["class"]) <= set(theirs)


def test_each_image_is_read_once(taken, monkeypatch):
    read, original = Counter(), image_checks.read_raster

    def counted(path, *arguments):
        read[Path(path).name] += 1
        return original(path, *arguments)

    monkeypatch.setattr(image_checks, "read_raster", counted)
    run(taken)
    assert read == {path.name: 1 for path in (taken.folder / "new images").iterdir()}


def test_sea_alone_gives_empty_masks_and_a_table_without_rows(taken):
    for path in (taken.folder / "new images").iterdir():
        tifffile.imwrite(path, np.zeros((64, 64), np.uint16))
    run(taken)
    assert all(pd.read_csv(taken.folder / f"out/{name}.csv").empty for name in ("slicks", "candidates", "footprints"))
    assert not any(tifffile.imread(path).any() for path in (taken.folder / "out").glob("*.tif"))


def write(pixels):
    return lambda folder: tifffile.imwrite(folder / "new images/900009.000001.tif", pixels)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "out").mkdir(), "out: expected a name that is free, found something there"),
        (
            lambda folder: shutil.rmtree(folder / "new images"),
            "new images: expected a scene or a folder of scenes, found nothing",
        ),
        (
            lambda folder: [path.unlink() for path in (folder / "new images").iterdir()],
            "new images: expected scenes .* found nothing",
        ),
        (lambda folder: (folder / "theirs.safetensors").unlink(), r"theirs\.safetensors is missing"),
        (
            lambda folder: (folder / "theirs.safetensors").write_bytes(b"\x80\x04K\x01."),
            r"theirs\.safetensors: expected a safetensors file, found another",
        ),
        (
            write(np.zeros((64, 64), np.float32)),
            r"(?s)new images can't be used, nothing was written.*type of image: 1.*900009\.000001\.tif: found float32",
        ),
        (write(np.ones((32, 64), np.uint16)), r"(?s)new images can't be used.*900009\.000001\.tif: found 32 x 64"),
    ],
)
def test_what_can_be_wrong(taken, spoil, message):
    spoil(taken.folder)
    before = taken.files()
    with pytest.raises(InputError, match=message):
        run(taken)
    assert taken.files() == before


def command(workspace, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "seepseg", "predict", *arguments],
        cwd=workspace.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_takes_the_model_of_the_pipeline_unless_another_is_named(taken):
    """test_predict.py has what the command says where there is none."""
    (taken.folder / "models").mkdir()
    (taken.folder / "theirs.safetensors").rename(taken.folder / "models/model.safetensors")
    result = command(taken, "new images", "out")
    assert result.returncode == 0, result.stderr
    assert (taken.folder / "out/slicks.csv").is_file()
