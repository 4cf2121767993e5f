"""Steps as CUDA graphs. What needs a GPU is skipped without one."""

import copy

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


# On a GPU


def make_training():
    """A small network on the GPU with fresh weights, and what makes its batches."""
    make_deterministic(1, 2, GPU)
    params = TrainParams(epochs=2, warmup_epochs=0, batch_size=TILES)
    model = build_model(ModelParams(unet=UNetParams(width=8, depth=3)), 1, len(NAMES) + 1)
    model = model.to(GPU, memory_format=torch.channels_last)
    make_batch = BatchMaker(InputMaker(InputParams()), CROP, AugmentParams(resize=0.2, speckle=0.1))
    return build_optimization(params, model, 10, ProcessGroup(0, 1, GPU)), make_batch


def make_loss(name):
    return build_loss(name, LossParams(), "softmax", {})


def make_inputs(count, tiles=TILES):
    """Inputs of so many steps; tiles with a bright band of either class."""
    made = []
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(1, 20_000, (tiles, SIDE, SIDE), generator=generator, dtype=torch.int16)
        target = torch.zeros(tiles, SIDE, SIDE, dtype=torch.uint8)
        target[::2, 20:30], target[1::2, :, 40:70] = 1, 2
        classes = torch.arange(tiles) % 2 + 1
        random = BatchRandom(torch.Generator().manual_seed(100 + seed), tiles)
        made.append(StepInputs(Tiles((images + 9_000 * (target > 0)).to(GPU), target.to(GPU)), classes, random))
    return made


def equal(one, other):
    weights = (training.network.state_dict().values() for training in (one, other))
    return all(map(torch.equal, *weights))


@needs_gpu
def test_captured_steps_give_the_bits_of_eager_ones():
    results = []
    for kind in (EagerStep, lambda *made: CapturedStep(EagerStep(*made), TILES)):
        optimization, make_batch = make_training()
        monitor, inputs = Monitor(make_loss("dicece"), "softmax", NAMES), make_inputs(9) + make_inputs(1, TILES - 1)
        optimization.model.train()
        assert list(train_epoch(kind(optimization, make_batch), inputs, monitor)) == [10]
        results.append((optimization, monitor))
    (eager, by_eager), (captured, by_captured) = results
    assert equal(eager, captured)
    assert by_eager.counts.tolist() == by_captured.counts.tolist() and by_eager.tiles == 10 * TILES - 1
    assert eager.schedule.get_last_lr() == captured.schedule.get_last_lr() != [3e-3, 3e-3]
    assert captured.average.n_averaged == 10
    for one, other in zip(eager.average.parameters(), captured.average.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert captured.optimizer.state_dict()["param_groups"] == eager.optimizer.state_dict()["param_groups"]


@needs_gpu
def test_captured_steps_go_on_from_a_checkpoint_with_the_same_bits():
    loss, inputs = make_loss("dicece"), make_inputs(8)
    straight, make_batch = make_training()
    step = make_step(straight, make_batch, TILES, ProcessGroup(0, 1, GPU))
    for given in inputs[:5]:
        step(given, loss)
    saved = copy.deepcopy(straight.state)
    for given in inputs[5:]:
        step(given, loss)
    again, make_batch = make_training()
    again.restore(saved)
    step = make_step(again, make_batch, TILES, ProcessGroup(0, 1, GPU))
    for given in make_inputs(8)[5:]:
        step(given, loss)
    assert equal(straight, again)
    assert all(map(torch.equal, straight.average.state_dict().values(), again.average.state_dict().values()))


@needs_gpu
@pytest.mark.parametrize("name", ["topk", "lovasz", "boundary"])
def test_what_makes_the_host_wait_is_told_once_and_trained_eagerly(name, capfd):
    eager, make_batch = make_training()
    captured, make_batch = make_training()
    loss, step = make_loss(name), make_step(captured, make_batch, TILES, ProcessGroup(0, 1, GPU))
    for given, same in zip(make_inputs(3), make_inputs(3), strict=True):
        EagerStep(eager, make_batch)(same, loss)
        step(given, loss)
    assert equal(eager, captured)
    assert capfd.readouterr().err.count("notice: steps can't be captured as a CUDA graph, and take longer: ") == 1
    make_training()  # the generators are as before


@needs_gpu
def test_each_loss_of_a_schedule_has_its_graph():
    eager, make_batch = make_training()
    captured, make_batch = make_training()
    step, losses = (
        make_step(captured, make_batch, TILES, ProcessGroup(0, 1, GPU)),
        [make_loss("dicece"), make_loss("focal")],
    )
    for number, (given, same) in enumerate(zip(make_inputs(6), make_inputs(6), strict=True)):
        EagerStep(eager, make_batch)(same, losses[number // 3])
        step(given, losses[number // 3])
    assert equal(eager, captured)
