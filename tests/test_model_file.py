"""Model files: round trip, the same bytes in another process, and every way in which a file can be wrong."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from seepseg.errors import InputError
from seepseg.inputs import InputSpec
from seepseg.model_file import KEY, ModelMeta, load_model, read_model, save_model
from seepseg.models import ModelParams, build_model

MODEL = ModelParams(
    name="unet",
    head="softmax",
    width=2,
    depth=2,
    stem=1,
    norm="batch",
    upsampling="bilinear",
    encoder="resnet18",
    encoder_weights=None,
)
META = ModelMeta(
    model=MODEL,
    networks=2,
    class_names=["seep", "slick"],
    input=InputSpec(normalization="dataset", extra="none", mean=28921.123456789, std=11003.0),
    data_fingerprint="abc",
    info={"epoch": 3, "best": None},
)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    models = [build_model(MODEL, 1, num_classes=3) for _ in range(2)]
    path = tmp_path / "models" / "model.safetensors"
    save_model(path, states(models), META)
    return path, models


def states(models):
    return [model.state_dict() for model in models]


def rewrite(path, change_state=lambda state: state, change_meta=lambda document: document):
    """Change a file as this program never would."""
    with safetensors.safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()[KEY])
    state = change_state(safetensors.torch.load_file(path))
    safetensors.torch.save_file(state, path, metadata={KEY: json.dumps(change_meta(document))})


def test_round_trip(saved):
    path, models = saved
    state, meta = read_model(path)
    assert meta == META
    expected = torch.nn.ModuleList(models).state_dict()
    assert state.keys() == expected.keys()
    assert all(state[name].equal(expected[name]) and state[name].dtype == expected[name].dtype for name in state)
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


def test_loaded_model_computes_the_same(saved):
    path, models = saved
    for model in models:
        model(torch.randn(2, 1, 8, 8))  # running statistics, as training leaves them
    save_model(path, states(models), META)
    before = torch.get_rng_state()
    loaded, meta = load_model(path)
    assert torch.get_rng_state().equal(before)
    assert meta == META
    assert not loaded.training
    images = torch.randn(1, 1, 9, 7)
    assert not loaded[0](images).equal(loaded[1](images))
    assert all(one(images).equal(model.eval()(images)) for one, model in zip(loaded, models, strict=True))
    assert all(weight.requires_grad for weight in loaded.parameters())


def test_loading_needs_no_encoder_weights(tmp_path):
    params = replace(MODEL, name="resnet_unet", stem=2)
    path = tmp_path / "model.safetensors"
    meta = replace(META, model=replace(params, encoder_weights="gone.pth"), networks=1)
    save_model(path, states([build_model(params, 1, num_classes=3)]), meta)
    assert load_model(path)[1].model.encoder_weights == "gone.pth"


WRITE = """
import sys, torch
from pathlib import Path
from tests.test_model_file import META, MODEL, build_model, replace, save_model
torch.manual_seed(0)
states = [build_model(MODEL, 1, num_classes=3).state_dict() for _ in range(2)]
meta = replace(META, info=dict(reversed(META.info.items())))
save_model(Path(sys.argv[1]), [dict(reversed(state.items())) for state in states], meta)
"""


def test_another_process_writes_the_same_bytes(saved, tmp_path, pytestconfig):
    path, _ = saved
    other = tmp_path / "other.safetensors"
    subprocess.run([sys.executable, "-c", WRITE, other], check=True, cwd=pytestconfig.rootpath)
    assert other.read_bytes() == path.read_bytes()


def test_views_of_one_tensor_are_saved_each(tmp_path):
    path = tmp_path / "model.safetensors"
    tensor = torch.arange(6.0).view(2, 3)
    save_model(path, [{"a": tensor.T, "b": tensor}], META)
    state, _ = read_model(path)
    assert state["0.a"].equal(tensor.T)
    assert state["0.b"].equal(tensor)


def test_nan_in_metadata_is_refused_and_keeps_the_old_file(saved):
    path, models = saved
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_model(path, states(models), replace(META, info={"loss": float("nan")}))
    assert path.read_bytes() == before


def refuses(path, message):
    with pytest.raises(InputError, match=message) as error:
        load_model(path)
    assert str(error.value).startswith(str(path))
    assert str(error.value).endswith("write it anew with `dvc repro train`")
    assert "\n" not in str(error.value)


def test_missing_file(tmp_path):
    refuses(tmp_path / "model.safetensors", "is missing")


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_file(saved, kept):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:kept])
    refuses(path, "expected a safetensors file, found another or a damaged one")


def test_other_file(tmp_path):
    path = tmp_path / "model.safetensors"
    torch.save({"a": torch.zeros(2)}, path)
    refuses(path, "expected a safetensors file, found another or a damaged one")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_safetensors_of_another_program(tmp_path, metadata):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, path, metadata=metadata)
    refuses(path, "found no 'seepseg' in its metadata")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document | {"version": 1, "new": 1}, "expected a model file of version 3, found 1"),
        (lambda document: [document], "expected metadata with a version"),
        (lambda document: {}, "expected metadata with a version, found '{}'"),
        (lambda document: document | {"class_names": [1, 2]}, r"class_names\.0 is not as expected: .* valid string"),
        (lambda document: document | {"model": {**document["model"], "depth": 1}}, r"model\.depth is not as expected"),
        (lambda document: {k: v for k, v in document.items() if k != "model"}, "model is not as expected"),
    ],
)
def test_wrong_metadata(saved, change, message):
    path, _ = saved
    rewrite(path, change_meta=change)
    refuses(path, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: {k: v for k, v in state.items() if k != "1.head.bias"},
            r"1\.head\.bias: expected \(3,\), found none",
        ),
        (lambda state: state | {"more": torch.zeros(2)}, r"more: expected no such tensor, found \(2,\)"),
        (lambda state: state | {"1.head.bias": torch.zeros(1)}, r"1\.head\.bias: expected \(3,\), found \(1,\)"),
        (lambda state: {k: v for k, v in state.items() if k.startswith("0.")}, r"found none; .* and 35 more"),
    ],
)
def test_weights_that_do_not_fit(saved, change, message):
    path, _ = saved
    rewrite(path, change_state=change)
    refuses(path, f"the weights don't fit the model; .*{message}")


def test_more_networks_than_the_file_can_hold_are_not_built(saved):
    path, _ = saved
    rewrite(path, change_meta=lambda document: document | {"networks": 10**9})
    refuses(path, "expected 1000000000 networks, found 76 tensors")


def test_number_of_classes_must_fit_the_head(saved):
    path, _ = saved
    rewrite(path, change_meta=lambda document: document | {"class_names": ["only one"]})
    refuses(path, r"0\.head\.bias: expected \(2,\), found \(3,\); 0\.head\.weight: expected \(2, 2, 1, 1\)")
