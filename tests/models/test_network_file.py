"""Files of networks: round trip, the same bytes in another process, and every way in which a file can be wrong."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from seepseg.base.errors import InputError
from seepseg.base.radiometry import Radiometry
from seepseg.base.tensor_file import KEY, write_tensors
from seepseg.data.channels import InputParams
from seepseg.models import ModelParams, build_model
from seepseg.models.network_file import NETWORKS, NetworksMeta, save_networks
from seepseg.models.resnet_unet import ResNetUNetParams
from seepseg.models.trained_networks import load_networks
from seepseg.models.unet import UNetParams

MODEL = ModelParams(unet=UNetParams(width=2, depth=2, stem=1))
META = NetworksMeta(
    model=MODEL,
    networks=2,
    class_names=["seep", "slick"],
    input=InputParams(channels=("intensity",)),
    data_fingerprint="abc",
    radiometry=Radiometry(quantity="sigma0", polarisation="VV", spacing=10.0, mean=29_000.5),
    tile_size=256,
)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    models = [build_model(MODEL, 1, num_classes=3) for _ in range(2)]
    path = tmp_path / "models" / "networks.safetensors"
    save_networks(path, states(models), META)
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
    loaded, meta = load_networks(path)
    assert meta == META
    state, expected = loaded.state_dict(), torch.nn.ModuleList(models).state_dict()
    assert state.keys() == expected.keys()
    assert all(state[name].equal(expected[name]) and state[name].dtype == expected[name].dtype for name in state)
    assert [file.name for file in path.parent.iterdir()] == ["networks.safetensors"]


def test_loaded_model_computes_the_same(saved):
    path, models = saved
    for model in models:
        model(torch.randn(2, 1, 8, 8))  # running statistics, as training leaves them
    save_networks(path, states(models), META)
    before = torch.get_rng_state()
    loaded, meta = load_networks(path)
    assert torch.get_rng_state().equal(before)
    assert meta == META
    assert not loaded.training
    images = torch.randn(1, 1, 9, 7)
    assert not loaded[0](images).equal(loaded[1](images))
    assert all(one(images).equal(model.eval()(images)) for one, model in zip(loaded, models, strict=True))
    assert all(weight.requires_grad for weight in loaded.parameters())


def test_loading_needs_no_encoder_weights(tmp_path):
    """Not even where the file names some, which may come from somebody else."""
    params, named = (
        ModelParams(name="resnet_unet", resnet_unet=ResNetUNetParams(width=2, depth=2, encoder_weights=weights))
        for weights in (None, "gone.pth")
    )
    path = tmp_path / "networks.safetensors"
    save_networks(path, states([build_model(params, 1, num_classes=3)]), replace(META, model=named, networks=1))
    assert load_networks(path)[1].model == named


def test_a_channel_more_takes_other_weights(tmp_path):
    path = tmp_path / "networks.safetensors"
    meta = replace(META, input=InputParams(channels=("intensity", "lee")), networks=1)
    save_networks(path, states([build_model(MODEL, 2, num_classes=3)]), meta)
    (network,), loaded = load_networks(path)
    assert loaded == meta
    assert network(torch.randn(1, 2, 4, 4)).shape == (1, 3, 4, 4)


WRITE = """
import sys, torch
from pathlib import Path
from tests.models.test_network_file import META, MODEL, build_model, save_networks
torch.manual_seed(0)
states = [build_model(MODEL, 1, num_classes=3).state_dict() for _ in range(2)]
save_networks(Path(sys.argv[1]), [dict(reversed(state.items())) for state in states], META)
"""


@pytest.mark.e2e
def test_another_process_writes_the_same_bytes(saved, tmp_path, pytestconfig):
    path, _ = saved
    other = tmp_path / "other.safetensors"
    subprocess.run([sys.executable, "-c", WRITE, other], check=True, cwd=pytestconfig.rootpath)
    assert other.read_bytes() == path.read_bytes()


def test_views_of_one_tensor_are_saved_each(tmp_path):
    path = tmp_path / "networks.safetensors"
    tensor = torch.arange(4.0).view(2, 2)
    write_tensors(path, NETWORKS, {"a": tensor.T, "b": tensor, "c": tensor}, {})
    state = safetensors.torch.load_file(path)
    assert state["a"].equal(tensor.T)
    assert state["b"].equal(tensor) and state["c"].equal(tensor)


def test_nan_in_metadata_is_refused_and_keeps_the_old_file(saved):
    path, models = saved
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_tensors(path, NETWORKS, models[0].state_dict(), {"loss": float("nan")})
    assert path.read_bytes() == before


def refuses(path, message):
    with pytest.raises(InputError, match=message) as error:
        load_networks(path)
    assert str(error.value).startswith(str(path))
    assert str(error.value).endswith("write it anew with `dvc repro train`")
    assert "\n" not in str(error.value)


def test_missing_file(tmp_path):
    refuses(tmp_path / "networks.safetensors", "is missing")


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_file(saved, kept):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:kept])
    refuses(path, "expected a safetensors file, found another or a damaged one")


def test_other_file(tmp_path):
    path = tmp_path / "networks.safetensors"
    torch.save({"a": torch.zeros(2)}, path)
    refuses(path, "expected a safetensors file, found another or a damaged one")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_safetensors_of_another_program(tmp_path, metadata):
    path = tmp_path / "networks.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, path, metadata=metadata)
    refuses(path, "found no 'seepseg' in its metadata")


def described(**changes):
    return lambda document: document | {"description": document["description"] | changes}


def modelled(**changes):
    def change(document):
        model = document["description"]["model"]
        return described(model=model | {"unet": model["unet"] | changes})(document)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document | {"version": 1}, "expected networks, version 6, found networks, version 1"),
        (lambda document: document | {"kind": "model"}, "expected networks, version 6, found model, version 6"),
        (lambda document: [document], "expected metadata with kind, version and description"),
        (lambda document: {}, "expected metadata with kind, version and description, found '{}'"),
        (lambda document: document | {"description": [1]}, "metadata is not as expected"),
        (described(class_names=[1, 2]), r"class_names\.0 is not as expected: .* valid string"),
        (described(more=1), "more is not as expected"),
        (modelled(depth=1), r"model\.unet\.depth is not as expected"),
        (modelled(depth=10**6), r"model\.unet\.depth is not as expected: .* less than or equal to 10"),
        (modelled(width=10**6), r"the weights don't fit the model; .* expected float32 \(1000000,"),
        (modelled(width=2**62), "describes what can't be built"),
        (described(input={"channels": ["sea"]}), r"input\.channels\.0 is not as expected: .*'intensity' or 'lee'"),
        (described(model=None), "model is not as expected"),
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
            r"1\.head\.bias: expected float32 \(3,\), found none",
        ),
        (lambda state: state | {"more": torch.zeros(2)}, r"more: expected no such tensor, found float32 \(2,\)"),
        (
            lambda state: state | {"1.head.bias": torch.zeros(1)},
            r"1\.head\.bias: expected float32 \(3,\), found float32 \(1,\)",
        ),
        (lambda state: {k: v for k, v in state.items() if k.startswith("0.")}, r"found none; .* and 35 more"),
        (
            lambda state: state | {"1.head.bias": torch.zeros(3, dtype=torch.float64)},
            r"1\.head\.bias: expected float32 \(3,\), found float64 \(3,\)",
        ),
        (
            lambda state: state | {"1.head.bias": torch.zeros(3, dtype=torch.bool)},
            r"1\.head\.bias: expected float32 \(3,\), found BOOL \(3,\)",
        ),
    ],
)
def test_weights_that_do_not_fit(saved, change, message):
    path, _ = saved
    rewrite(path, change_state=change)
    refuses(path, f"the weights don't fit the model; .*{message}")


def test_more_networks_than_the_file_can_hold_are_not_built(saved):
    path, _ = saved
    rewrite(path, change_meta=described(networks=10**9))
    refuses(path, "expected 1000000000 networks, found 76 tensors")


def test_number_of_classes_must_fit_the_head(saved):
    path, _ = saved
    rewrite(path, change_meta=described(class_names=["only one"]))
    refuses(
        path,
        r"0\.head\.bias: expected float32 \(2,\), found float32 \(3,\); 0\.head\.weight: ",
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_must_be_finite(saved, number):
    path, _ = saved
    rewrite(path, change_state=lambda state: state | {"1.head.bias": torch.tensor([0.0, number, 0.0])})
    refuses(path, r"1\.head\.bias: expected finite numbers, found NaN or infinity")


def test_a_header_that_claims_more_than_the_file_holds(saved):
    """Refused from the header alone, before memory is taken."""
    path, _ = saved
    header = {"0.head.bias": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}
    text = json.dumps(header | {"__metadata__": {KEY: "{}"}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(100))
    refuses(path, "expected a safetensors file, found another or a damaged one")
    path.write_bytes((10**15).to_bytes(8, "little") + text + bytes(100))
    refuses(path, "expected a safetensors file, found another or a damaged one")
