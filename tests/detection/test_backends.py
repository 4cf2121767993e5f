"""Backends give the logits of the network they are made from, for any size, or say in one line why not."""

import shutil
import sys
import tomllib
from importlib.util import find_spec

import pytest
import torch
from conftest import ROOT, SMALL_MODEL
from torch import nn
from torch.testing import assert_close

from seepseg.base.errors import InputError
from seepseg.detection.runtime import OPENVINO, fold_batch_norm, prepare
from seepseg.models import ModelParams, build_model

CPU = torch.device("cpu")
KEY = "outline.backend"
NETWORKS = ("unet", "attention_unet", "resnet_unet")


def network(**values):
    """A small network whose batch norms have statistics, as after training."""
    torch.manual_seed(0)
    model = build_model(ModelParams(**SMALL_MODEL | values), 1, num_classes=8)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.2, 0.2),
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 2.0),
            ):
                nn.init.uniform_(tensor, low, high)
    return model.eval()


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def check_equal(prepared, model, *shapes):
    for shape in shapes:
        with torch.inference_mode():
            assert_close(prepared(images(*shape)), model(images(*shape)), rtol=0, atol=1e-4)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", NETWORKS)
def test_eager_equals_the_network(name, head, norm):
    model = network(name=name, head=head, norm=norm)
    check_equal(prepare(model, "eager", CPU, KEY), model, (2, 1, 64, 64), (1, 1, 37, 53), (1, 1, 1, 1))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_batch_norm_is_folded_and_the_network_left_alone(name):
    model = network(name=name, upsampling="transposed").train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    folded = fold_batch_norm(model)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(module.training for module in folded.modules())
    assert model.training
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compile_equals_the_network(capsys):
    model = network(depth=2)
    prepared = prepare(model, "compile", CPU, KEY)
    check_equal(prepared, model, (3, 1, 32, 48), (1, 1, 32, 48))
    assert len(prepared.programs) == 1, "the smaller batch runs in the program of the larger"
    assert capsys.readouterr().err == ""


def test_compile_without_a_compiler_goes_on_with_one_line(monkeypatch, capsys, tmp_path):
    import torch._inductor.config as inductor  # noqa: PLC0415 - a second's import

    torch._dynamo.reset()
    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = network(depth=2, width=3)
    check_equal(prepare(model, "compile", CPU, KEY), model, (2, 1, 32, 32), (1, 1, 32, 32))
    notice = capsys.readouterr().err
    assert notice.startswith("notice: outline.backend: compile failed, going on with eager: ")
    assert "no-such-compiler" in notice
    assert notice.count("\n") == 1


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", NETWORKS)
def test_openvino_equals_the_network(name, head, capfd):
    if find_spec("openvino") is None:  # to import it here would load its telemetry
        pytest.skip("openvino is not installed")
    model = network(name=name, head=head)
    prepared = prepare(model, "openvino", CPU, KEY)
    check_equal(prepared, model, (3, 1, 64, 64), (1, 1, 64, 64), (1, 1, 37, 53), (4, 1, 37, 53))
    with torch.inference_mode():
        first = prepared(images(3, 1, 64, 64))
        kept = first.clone()
        prepared(-images(3, 1, 64, 64))
        assert torch.equal(first, kept), "a later batch does not overwrite an earlier one's logits"
        with torch.autocast("cpu", torch.bfloat16):
            rounded = prepared(images(3, 1, 64, 64))
        difference = (rounded - first).abs().max() / first.abs().max()
        assert 1e-4 < difference < 0.1, "bfloat16 has 8 bits"
        assert torch.equal(prepared(images(3, 1, 64, 64)), kept), "float32 again after autocast"
    assert sys.modules["openvino_telemetry"] is None
    assert capfd.readouterr().err == ""


def test_openvino_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError) as caught:
        prepare(network(), "openvino", CPU, KEY)
    assert str(caught.value) == (
        f"outline.backend: openvino is not installed; run `pip install {OPENVINO}`, or set outline.backend to eager"
    )


def test_openvino_on_a_gpu_is_refused():
    with pytest.raises(InputError, match=r"found device 'meta'; set outline\.device to cpu, or outline\.backend"):
        prepare(network().to("meta"), "openvino", torch.device("meta"), KEY)


def test_the_version_named_is_that_of_the_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["openvino"] == [OPENVINO]


def test_outline_without_openvino_ends_in_one_line(prepared, finished, monkeypatch):
    for name, content in finished.files().items():
        if name.startswith("models/"):
            (prepared.folder / name).parent.mkdir(exist_ok=True)
            (prepared.folder / name).write_bytes(content)
    prepared.set("outline", backend="openvino", device="cpu")
    monkeypatch.setitem(sys.modules, "openvino", None)
    before = prepared.files()
    with pytest.raises(InputError, match=r"outline\.backend: openvino is not installed"):
        prepared.run("outline")
    assert prepared.files() == before
