"""What runs a network gives the logits of that network, for any size; where compiling fails, it says so in one line."""

import shutil

import pytest
import torch
from conftest import small_model
from torch import nn
from torch.testing import assert_close

from seepseg.detection.runtime import CapturedNetwork, ProgramNetwork, fold_batch_norm, prepare, replace_weights
from seepseg.models import build_model
from seepseg.models.registry import NETWORKS

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")


def network(seed=0, **values):
    """A small network whose batch norms have statistics, as after training."""
    torch.manual_seed(seed)
    model = build_model(small_model(**values), 1, num_classes=8)
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
    check_equal(prepare(model, "eager", CPU), model, (2, 1, 64, 64), (1, 1, 37, 53), (1, 1, 1, 1))


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


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_prepared_network_takes_the_weights_of_another(name, norm):
    one, other = (network(seed, name=name, norm=norm) for seed in (0, 1))
    prepared, expected = (prepare(model, "eager", CPU) for model in (one, other))
    replace_weights(prepared, other)
    with torch.inference_mode():
        torch.testing.assert_close(prepared(images(2, 1, 32, 32)), expected(images(2, 1, 32, 32)), rtol=0, atol=0)


class Noted(ProgramNetwork):
    """Programs that are the network, and keep for how many images they were made, and what they were given."""

    kind = "noting"

    def __init__(self, model):
        super().__init__(model)
        self.made, self.given = [], []

    def make_program(self, images):
        self.made.append(len(images))

        def program(images):
            self.given.append(images)
            return self.model(images)

        return program


def test_a_program_for_each_size_fills_up_smaller_batches():
    noted = Noted(nn.Conv2d(1, 2, 1))
    with torch.inference_mode():
        for num, side in ((2, 4), (1, 4), (3, 4), (2, 4), (1, 5)):
            given = images(num, 1, side, side)
            assert_close(noted(given), noted.model(given))
    assert noted.made == [2, 3, 1]
    assert [len(given) for given in noted.given] == [2, 2, 3, 3, 1]
    assert noted.given[1][0].any() and not noted.given[1][1].any()


def test_where_a_network_cannot_be_captured_it_goes_on_with_one_line(capsys):
    model = network()
    captured = CapturedNetwork(model)  # on a CPU
    check_equal(captured, model, (2, 1, 32, 32), (1, 1, 32, 32), (1, 1, 16, 16))
    assert captured.falls_back
    notice = capsys.readouterr().err
    assert notice.startswith("notice: CUDA graph of the network failed, going on with eager: ")
    assert notice.count("\n") == 1


@needs_gpu
@pytest.mark.parametrize(("dtype", "atol"), [(None, 1e-4), (torch.bfloat16, 0.1)])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_captured_network_equals_its_kernels_one_by_one(name, dtype, atol, monkeypatch, capsys):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    one, other = (network(seed, name=name).to(CUDA) for seed in (0, 1))
    captured = prepare(one, "eager", CUDA)
    with torch.inference_mode(), torch.autocast("cuda", dtype, enabled=dtype is not None):
        for model in (one, other):
            replace_weights(captured, model)
            for shape in ((3, 1, 32, 48), (3, 1, 32, 48), (1, 1, 32, 48), (2, 1, 37, 53)):
                given = images(*shape).to(CUDA)
                assert_close(captured(given), fold_batch_norm(model)(given), rtol=0, atol=atol)
    assert len(captured.programs) == 2
    assert not captured.falls_back and capsys.readouterr().err == ""


@pytest.mark.e2e
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compile_equals_the_network(capsys):
    model = network(depth=2)
    prepared = prepare(model, "compile", CPU)
    check_equal(prepared, model, (3, 1, 32, 48), (1, 1, 32, 48))
    assert len(prepared.programs) == 1, "the smaller batch runs in the program of the larger"
    other = network(1, depth=2)
    replace_weights(prepared, other)
    check_equal(prepared, other, (3, 1, 32, 48))
    assert capsys.readouterr().err == ""


@pytest.mark.e2e
def test_compile_without_a_compiler_goes_on_with_one_line(monkeypatch, capsys, tmp_path):
    import torch._inductor.config as inductor  # noqa: PLC0415 - a second's import

    torch._dynamo.reset()
    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = network(depth=2, width=3)
    check_equal(prepare(model, "compile", CPU), model, (2, 1, 32, 32), (1, 1, 32, 32))
    notice = capsys.readouterr().err
    assert notice.startswith("notice: detect.backend: compile failed, going on with eager: ")
    assert "no-such-compiler" in notice
    assert notice.count("\n") == 1
