"""Logits of the coarser levels, and how much each of them counts."""

import pytest
import torch
from conftest import SMALL_MODEL

from seepseg.models import ModelParams, build_model
from seepseg.training.deep_supervision import DeeplySupervised, Level, loss_of_levels


@pytest.mark.parametrize("stem", [1, 2])
def test_levels_cover_the_image_and_the_first_is_the_network_itself(stem):
    torch.manual_seed(0)
    network = build_model(ModelParams(**SMALL_MODEL | {"stem": stem, "depth": 4}), 1, num_classes=3)
    model = DeeplySupervised(network)
    images = torch.randn(2, 1, 50, 33)
    levels = model(images)
    assert levels[0].logits.equal(network(images))
    assert [level.side for level in levels] == [1, 2 * stem, 4 * stem]
    assert [tuple(level.logits.shape) for level in levels] == [
        (2, 3, -(-50 // level.side), -(-33 // level.side)) for level in levels
    ]


def test_every_head_learns():
    torch.manual_seed(0)
    model = DeeplySupervised(build_model(ModelParams(**SMALL_MODEL | {"depth": 4}), 1, num_classes=3))
    target = torch.zeros(1, 32, 32, dtype=torch.uint8)
    loss_of_levels(
        lambda logits, *_: logits.square().mean(), model(torch.randn(1, 1, 32, 32)), target, target == 0
    ).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.heads.parameters())


def test_weights_halve_and_targets_are_the_middles_of_squares():
    target = torch.arange(30).view(1, 5, 6)
    valid = torch.ones(1, 5, 6, dtype=torch.bool)
    compared = []

    def loss(logits, target, valid):
        assert logits.shape[-2:] == target.shape[-2:] == valid.shape[-2:]
        compared.append((target.tolist(), valid.tolist()))
        return logits.mean()

    levels = [Level(torch.full((1, 2, 5, 6), 1.0), side=1), Level(torch.full((1, 2, 2, 2), 4.0), side=4)]
    assert loss_of_levels(loss, levels, target, valid).item() == pytest.approx((1 + 0.5 * 4) / 1.5)
    assert compared[0] == (target.tolist(), valid.tolist())
    # Squares of 4 x 4, their third row and column; what ends outside of the image is not valid.
    assert compared[1] == ([[[14, 0], [0, 0]]], [[[True, False], [False, False]]])
