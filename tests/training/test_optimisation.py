"""Schedules against their closed forms, the optimiser's groups and the weight average."""

import math

import pytest
import torch
from torch import nn

from seepseg.training.optimisation import WeightAverage, build_optimizer, build_schedule


def rates(name, steps=20, warmup_steps=0):
    optimizer = build_optimizer("adamw", nn.Linear(1, 1), lr=2.0, weight_decay=0.1)
    schedule = build_schedule(
        name,
        optimizer,
        steps=steps,
        warmup_steps=warmup_steps,
        poly_power=0.9,
        step_every=5,
        step_factor=0.1,
    )
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("constant", lambda t: 1.0),
        ("cosine", lambda t: (1 + math.cos(math.pi * t / 20)) / 2),
        ("poly", lambda t: (1 - t / 20) ** 0.9),
        ("step", lambda t: 0.1 ** (t // 5)),
    ],
)
def test_schedule_equals_its_closed_form(name, factor):
    assert rates(name) == pytest.approx([2.0 * factor(t) for t in range(20)])


@pytest.mark.parametrize("name", ["constant", "cosine", "poly", "step"])
def test_warm_up_rises_linearly_then_the_schedule_starts_at_the_full_rate(name):
    seen = rates(name, steps=24, warmup_steps=4)
    assert seen[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
    assert seen[4:] == pytest.approx(rates(name, steps=20))


def test_weight_decay_acts_on_kernels_only():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1))
    optimizer = build_optimizer("adam", model, lr=0.1, weight_decay=0.5)
    decayed = {id(weight): group["weight_decay"] for group in optimizer.param_groups for weight in group["params"]}
    assert decayed[id(model[0].weight)] == 0.5
    assert [decayed[id(weight)] for weight in (model[0].bias, model[1].weight, model[1].bias)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        (0.0, 3.0),
        (0.2, 0.2 * (2 / 11 * 1 + 9 / 11 * 2) + 0.8 * 3),
        (0.9, 3 / 12 * (2 / 11 * 1 + 9 / 11 * 2) + 9 / 12 * 3),
    ],
)
def test_average_follows_its_recursion(decay, expected):
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, decay)
    for value in (1.0, 2.0, 3.0):
        nn.init.constant_(model.weight, value)
        average.update_parameters(model)
    assert average.module.weight.item() == pytest.approx(expected)


def test_average_holds_running_statistics_too():
    model = nn.BatchNorm2d(1)
    average = WeightAverage(model, 0.5)
    average.update_parameters(model)
    model.running_mean.fill_(4.0)
    average.update_parameters(model)
    torch.testing.assert_close(average.module.running_mean, torch.tensor([9 / 11 * 4]))


def test_the_share_that_is_kept_by_hand():
    average = WeightAverage(nn.Linear(1, 1), 0.9)
    kept = {0: 0, 1: 2 / 11, 2: 3 / 12, 79: 80 / 89, 80: 0.9, 1000: 0.9}
    assert {step: average.kept_share(step) for step in kept} == kept
    assert WeightAverage(nn.Linear(1, 1), 0.0).kept_share(5) == 0


@pytest.mark.parametrize("decay", [0.0, 0.2, 0.9])
def test_an_average_on_the_device_is_the_same(decay):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
    usual, on_device = WeightAverage(model, decay), WeightAverage(model, decay)
    for step in range(5):
        for weight in model.parameters():  # from the first step on, another model than the one that was copied
            nn.init.normal_(weight)
        model(torch.randn(2, 1, 8, 8))  # which changes the running statistics
        usual.update_parameters(model)
        on_device.update_on_device(model, torch.tensor(1 - on_device.kept_share(step)))
        found, expected = on_device.state_dict(), usual.state_dict()
        count = found.pop("module.1.num_batches_tracked")
        del expected["module.1.num_batches_tracked"]  # an average, rounded down
        assert expected.pop("n_averaged") == count == step + 1
        assert found.pop("n_averaged") == 0, "the host counts"
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
        assert not any(tensor.requires_grad and tensor.grad_fn for tensor in on_device.parameters())
