"""What the losses share: sums by class and their gradients, in both ways; and that no loss waits for its device."""

import pytest
import torch
from loss_cases import EVERY, make_params, random_batch

from seepseg.losses import build_loss
from seepseg.losses.batch_statistics import (
    add_at_target,
    add_at_target_by_comparison,
    sum_by_class,
    sum_by_class_by_comparison,
)

# Their sorting and distance transforms need the host.
WAITING = ["topk", "dicetopk", "lovasz", "boundary", "distance_penalized_ce", "hausdorff"]
SUMS = pytest.mark.parametrize("sum_by_class", [sum_by_class, sum_by_class_by_comparison])
ADDITIONS = pytest.mark.parametrize("add_at_target", [add_at_target, add_at_target_by_comparison])


@SUMS
def test_sums_by_class_by_hand(sum_by_class):
    values = torch.tensor([[[1.0, 2.0], [4.0, 8.0]], [[16.0, 32.0], [64.0, 128.0]]], requires_grad=True)
    target = torch.tensor([[[0, 1], [3, 1]], [[1, 0], [0, 3]]])
    sums = sum_by_class(values, target, 4)
    assert sums.tolist() == [1 + 32 + 64, 2 + 8 + 16, 0, 4 + 128]
    (sums * torch.tensor([10.0, 11.0, 12.0, 13.0])).sum().backward()
    assert values.grad.equal(10.0 + target)


@ADDITIONS
def test_additions_at_the_target_by_hand(add_at_target):
    channels = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]])  # (1, 3, 1, 2)
    added = add_at_target(channels, torch.tensor([[[2, 0]]]), torch.tensor([[[[10.0, 20.0]]]]))
    assert added.tolist() == [[[[1.0, 22.0]], [[3.0, 4.0]], [[15.0, 6.0]]]]


def test_comparisons_give_what_scattering_gives():
    channels, target, _ = random_batch(size=37)
    values = torch.rand(2, 37, 37, generator=torch.Generator().manual_seed(2)).requires_grad_()
    both = [each(values, target, 4) for each in (sum_by_class, sum_by_class_by_comparison)]
    torch.testing.assert_close(*both)
    gradients = [torch.autograd.grad(sums.square().sum(), values)[0] for sums in both]
    torch.testing.assert_close(*gradients)
    added = add_at_target_by_comparison(channels, target, values[:, None])
    assert added.equal(add_at_target(channels, target, values[:, None].detach()))


@pytest.mark.parametrize("reduction", ["per_class", "flattened"])
@pytest.mark.parametrize(("name", "head"), [(name, head) for name, head in EVERY if name not in WAITING])
def test_no_value_goes_to_the_host(name, head, reduction):
    """On a device of shapes without values, whatever asks for a value raises."""
    logits, target, valid = (tensor.to("meta") for tensor in random_batch(head))
    weights = {kind: torch.empty(4, device="meta") for kind in ("balanced", "sqrt_balanced")}
    options = {"class_weights": "balanced", "binary_dice_weight": 0.5, "binary_surface_weight": 0.5}
    params = make_params(reduction=reduction, **options)
    loss = build_loss(name, params, head, weights)(logits.requires_grad_(), target, valid)
    loss.backward()
    assert loss.is_meta and logits.grad.shape == logits.shape
