"""Steps as CUDA graphs. What needs a GPU is skipped without one."""

import copy
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from seepseg.base.device import make_deterministic
from seepseg.base.distributed import ProcessGroup
from seepseg.data.channels import InputMaker, InputParams
from seepseg.data.loading import Tiles
from seepseg.losses import LossParams, build_loss
from seepseg.models import ModelParams, build_model
from seepseg.models.unet import UNetParams
from seepseg.training import captured_step
from seepseg.training.augmentation import AugmentParams, BatchRandom
from seepseg.training.captured_step import CapturedStep, FixedRandom, make_step
from seepseg.training.monitoring import Monitor
from seepseg.training.recipe import TrainParams, build_optimization
from seepseg.training.step import BatchMaker, EagerStep, StepInputs, train_epoch

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")
CPU, GPU = torch.device("cpu"), torch.device("cuda")
NAMES = ["thin", "broad"]
TILES, SIDE, CROP = 4, 96, 64


def numbers(seed):
    return BatchRandom(torch.Generator().manual_seed(seed), TILES)


def test_fixed_numbers_are_those_of_the_batch_in_the_order_of_the_first():
    fixed = FixedRandom(numbers(1), CPU)
    given = [fixed.uniform(3), fixed.normal(2, 1), fixed.uniform(1)]
    fixed.rewind()
    assert fixed.uniform(3) is given[0] and fixed.normal(2, 1) is given[1]
    for seed in (1, 2):
        if seed > 1:
            fixed.draw_anew(numbers(seed))
        source = numbers(seed)
        assert all(map(torch.equal, given, [source.uniform(3), source.normal(2, 1), source.uniform(1)]))


@pytest.mark.parametrize(("device", "size"), [("cpu", 1), ("cuda", 2)])
def test_steps_are_eager_on_a_cpu_and_in_several_processes(device, size):
    assert isinstance(make_step(None, None, TILES, ProcessGroup(0, size, torch.device(device))), EagerStep)


class FakeGraph:
    """Stands for a graph on a machine without a GPU; captures what `captures` says."""

    captures = True

    def __init__(self, eager, inputs, loss):
        self.inputs = ("fixed", inputs)

    def capture(self):
        return None if self.captures else "it waits"

    def fill(self, inputs):
        self.inputs = ("fixed", inputs)

    def replay(self):
        return "replayed", self.inputs


def fake_steps(monkeypatch, captures):
    """A captured step, a call of it for `tiles` tiles, and what was trained on eagerly."""
    monkeypatch.setattr(captured_step, "_Graph", FakeGraph)
    monkeypatch.setattr(FakeGraph, "captures", captures)
    eager = EagerStep(None, None)
    trained = []
    monkeypatch.setattr(EagerStep, "__call__", lambda self, inputs, loss: trained.append(inputs) or "eager")
    step = CapturedStep(eager, TILES)
    return lambda tiles, loss: step(StepInputs(None, torch.zeros(tiles), None), loss), trained


def test_whole_batches_are_replayed_and_others_trained_eagerly(monkeypatch):
    take, trained = fake_steps(monkeypatch, captures=True)
    first, second = take(TILES, "ce"), take(TILES, "ce")
    assert first[0] == second[0] == "replayed" and first[1] is not second[1]
    assert take(TILES - 1, "ce") == "eager" and len(trained) == 1
    assert take(TILES, "dice")[0] == "replayed"


def test_where_capture_fails_the_cause_is_told_once_a_loss_and_fixed_numbers_are_used(monkeypatch, capsys):
    take, trained = fake_steps(monkeypatch, captures=False)
    assert [take(TILES, "topk") for _ in range(3)] == ["eager"] * 3
    assert capsys.readouterr().err == ("notice: steps can't be captured as a CUDA graph, and take longer: it waits\n")
    assert trained[0][0] == "fixed" and all(isinstance(inputs, StepInputs) for inputs in trained[1:])


# Whole steps, on a GPU; and on a CPU, where a stand-in for the graph takes the step again


class SteppedGraph:
    """Stands for a CUDA graph: its capture changes nothing; its replay takes the step, but for what the host counts."""

    def __init__(self, owner):
        self.owner, self.before = owner, {}

    def capture_begin(self, capture_error_mode):
        self.before = {tensor: tensor.clone() for tensor in captured_step._changing(self.owner.optimization)}

    def capture_end(self):
        with torch.no_grad():
            for tensor, value in self.before.items():
                tensor.copy_(value)

    def replay(self):
        counter = self.owner.optimization.average.n_averaged
        before = counter.clone()
        with captured_step._rate_on_device(self.owner.optimization, self.owner.lr):
            self.owner._run()
        counter.copy_(before)


class SteppedOnCpu(captured_step._Graph):
    def __init__(self, eager, inputs, loss):
        super().__init__(eager, inputs, loss)
        self.graph = SteppedGraph(self)


@pytest.fixture(params=[CPU, pytest.param(GPU, marks=needs_gpu)], ids=["cpu", "gpu"])
def device(request, monkeypatch):
    """Where steps are taken; on a CPU with stand-ins for what CUDA has."""
    if request.param == CPU:
        stream = SimpleNamespace(wait_stream=lambda other: None)
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
        monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", lambda mode: None)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
        monkeypatch.setattr(captured_step, "_Graph", SteppedOnCpu)
    before = torch.get_num_threads()
    yield request.param
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


def make_training(device):
    """A small network with fresh weights, and what makes its batches."""
    make_deterministic(1, 1, device)
    # A CPU's optimiser reads double precision from a number, float32 from a tensor: powers of two are the same in both.
    rate = {"lr": 2.0**-8, "schedule": "step", "step_epochs": 1, "step_factor": 0.5}
    params = TrainParams(epochs=2, warmup_epochs=0, batch_size=TILES, **rate)
    model = build_model(ModelParams(unet=UNetParams(width=8, depth=3)), 1, len(NAMES) + 1)
    model = model.to(device, memory_format=torch.channels_last)
    make_batch = BatchMaker(InputMaker(InputParams()), CROP, AugmentParams(resize=0.2, speckle=0.1))
    return build_optimization(params, model, 4, ProcessGroup(0, 1, device)), make_batch


def captured_steps(optimization, make_batch):
    return CapturedStep(EagerStep(optimization, make_batch), TILES)


def make_loss(name):
    return build_loss(name, LossParams(), "softmax", {})


def make_inputs(device, count, tiles=TILES):
    """Inputs of so many steps; tiles with a bright band of either class."""
    made = []
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(1, 20_000, (tiles, SIDE, SIDE), generator=generator, dtype=torch.int16)
        target = torch.zeros(tiles, SIDE, SIDE, dtype=torch.uint8)
        target[::2, 20:30], target[1::2, :, 40:70] = 1, 2
        classes = (torch.arange(tiles) % 2 + 1) * (torch.rand(tiles, generator=generator) < 0.6)
        random = BatchRandom(torch.Generator().manual_seed(100 + seed), tiles)
        made.append(StepInputs(Tiles((images + 9_000 * (target > 0)).to(device), target.to(device)), classes, random))
    return made


def equal(one, other):
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_captured_steps_are_those_taken_one_by_one(device):
    results = []
    for kind in (EagerStep, captured_steps):
        optimization, make_batch = make_training(device)
        optimization.model.train()
        monitor = Monitor(make_loss("dicece"), "softmax", NAMES)
        inputs = make_inputs(device, 9) + make_inputs(device, 1, TILES - 1)
        *_, done = train_epoch(kind(optimization, make_batch), inputs, monitor)
        assert done == 10
        results.append((optimization, monitor))
    (eager, by_eager), (captured, by_captured) = results
    assert equal(eager.network, captured.network)
    assert by_eager.counts.tolist() == by_captured.counts.tolist() and by_eager.tiles == 10 * TILES - 1
    assert eager.schedule.get_last_lr() == captured.schedule.get_last_lr() == [2.0**-10] * 2
    assert captured.average.n_averaged == 10
    for one, other in zip(eager.average.parameters(), captured.average.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    groups = (each.optimizer.state_dict()["param_groups"] for each in (eager, captured))
    assert next(groups) == next(groups)


def test_captured_steps_go_on_from_a_checkpoint_with_the_same_bits(device):
    loss = make_loss("dicece")
    straight, make_batch = make_training(device)
    step = captured_steps(straight, make_batch)

    def inputs():
        return make_inputs(device, 7) + make_inputs(device, 2, TILES - 1)

    for number, given in enumerate(inputs()):
        if number == 5:
            saved = copy.deepcopy(straight.state)
        step(given, loss)
    again, make_batch = make_training(device)
    again.restore(saved)
    step = captured_steps(again, make_batch)
    for given in inputs()[5:]:
        step(given, loss)
    assert equal(straight.network, again.network) and equal(straight.average, again.average)


def test_each_loss_of_a_schedule_has_its_graph(device):
    eager, make_batch = make_training(device)
    captured, make_batch = make_training(device)
    step, losses = captured_steps(captured, make_batch), [make_loss("dicece"), make_loss("focal")]
    for number, (given, same) in enumerate(zip(make_inputs(device, 6), make_inputs(device, 6), strict=True)):
        EagerStep(eager, make_batch)(same, losses[number // 3])
        step(given, losses[number // 3])
    assert equal(eager.network, captured.network)


@needs_gpu
@pytest.mark.parametrize("name", ["topk", "lovasz", "boundary"])
def test_what_makes_the_host_wait_is_told_once_and_trained_eagerly(name, capfd):
    eager, make_batch = make_training(GPU)
    captured, make_batch = make_training(GPU)
    loss, step = make_loss(name), make_step(captured, make_batch, TILES, ProcessGroup(0, 1, GPU))
    for given, same in zip(make_inputs(GPU, 3), make_inputs(GPU, 3), strict=True):
        EagerStep(eager, make_batch)(same, loss)
        step(given, loss)
    assert equal(eager.network, captured.network)
    assert capfd.readouterr().err.count("notice: steps can't be captured as a CUDA graph, and take longer: ") == 1
    make_training(GPU)  # the generators are as before
