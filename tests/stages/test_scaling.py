"""The scaling of images from ingest to predict: what was packed, what the model says of it, equal predictions."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import Workspace

from seepseg.base.params import load_params
from seepseg.commands.predict_tiles import predict_tiles
from seepseg.data.packed import open_packed
from seepseg.detection.model_file import load_model, save_model
from seepseg.detection.proposal import DetectParams
from seepseg.io.raw_data import DataParams
from seepseg.models.trained_networks import load_networks
from seepseg.passes.params import PassesParams

pytestmark = pytest.mark.e2e

SCALING = [-35.123456789, 5.0]


def in_decibels(packed):
    low, high = SCALING
    numbers = (packed.astype(np.float64) - 1) / 65_534 * (high - low) + low
    return np.where(packed, numbers, np.nan).astype(np.float32)


@pytest.fixture
def sample_in_decibels(finished, tmp_path):
    """A workspace with the raw data of the small run, their images in dB."""
    workspace = Workspace(tmp_path)
    workspace.take(finished, "data/tiles")
    for path in (tmp_path / "data/tiles/images").iterdir():
        tifffile.imwrite(path, in_decibels(tifffile.imread(path)))
    workspace.set("data", scaling=SCALING)
    return workspace


def test_images_in_decibels_are_packed_and_the_manifest_says_how(finished, sample_in_decibels):
    sample_in_decibels.run("ingest")
    packed = open_packed(sample_in_decibels.folder / "data/packed")
    plain = open_packed(finished.folder / "data/packed")
    np.testing.assert_array_equal(packed.images, plain.images)
    assert (packed.scaling, plain.scaling) == (SCALING, [])
    metrics = json.loads((sample_in_decibels.folder / "metrics/ingest.json").read_text())["ingest"]
    assert (metrics["value_of_1"], metrics["value_of_65535"]) == (-35.123457, 5.0)


def test_networks_and_the_model_know_the_scaling(finished, sample_in_decibels):
    workspace = sample_in_decibels
    workspace.run("ingest", "split", "class_balance", "train")
    _, meta = load_networks(workspace.folder / "models/networks.safetensors")
    assert meta.scaling == SCALING
    assert load_model(finished.folder / "models/model.safetensors").meta.networks.scaling == []


def test_predict_scales_as_the_model_says(finished, tmp_path, capsys):
    workspace = Workspace(tmp_path)
    model = load_model(finished.folder / "models/model.safetensors")
    networks = replace(model.meta.networks, scaling=SCALING)
    save_model(tmp_path / "theirs.safetensors", replace(model, meta=replace(model.meta, networks=networks)))
    split = pd.read_csv(finished.folder / "data/split.csv", dtype=str)
    for folder in ("plain", "decibels"):
        (tmp_path / folder).mkdir()
    for tile in split.loc[split["split"] == "test", "tile"]:
        image = tifffile.imread(finished.folder / f"data/tiles/images/{tile}.tif")
        tifffile.imwrite(tmp_path / f"plain/{tile}.tif", image)
        tifffile.imwrite(tmp_path / f"decibels/{tile}.tif", in_decibels(image))
    workspace.set("data", scaling=[], name_pattern=r"(?P<scene>\d+)_(?P<row>\d+)_(?P<col>\d+)\.tif")
    params = tmp_path / "params.yaml"
    data, detect = load_params(DataParams, "data", params), load_params(DetectParams, "detect", params)
    sections = data, detect, PassesParams(), False
    predict_tiles(tmp_path / "plain", tmp_path / "expected", finished.folder / "models/model.safetensors", *sections)
    assert "data.scaling" not in capsys.readouterr().err
    predict_tiles(tmp_path / "decibels", tmp_path / "found", tmp_path / "theirs.safetensors", *sections)
    assert "data.scaling is [], but the model's is used, [-35.123456789, 5.0]\n" in capsys.readouterr().err
    names = sorted(path.name for path in (tmp_path / "expected").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "found").iterdir())
    for name in names:
        assert (tmp_path / "expected" / name).read_bytes() == (tmp_path / "found" / name).read_bytes()
