"""What holds for every loss: no-data, absent classes, extremes, gradients, precision, both heads."""

import pytest
import torch
import torch.nn.functional as F
from loss_cases import BOTH_HEADS, EVERY, loss_of, make_params, random_batch, uniform_weights

from seepseg.losses import build_loss
from seepseg.losses.batch_statistics import BatchStatistics

DISTANCES = ["boundary", "distance_penalized_ce", "hausdorff"]


@pytest.mark.parametrize("reduction", ["per_class", "flattened"])
@pytest.mark.parametrize("name", BOTH_HEADS)
def test_two_softmax_channels_are_one_sigmoid_channel(name, reduction):
    logits, target, valid = random_batch("sigmoid", classes=1)
    pair = torch.cat([torch.zeros_like(logits), logits], dim=1)
    options = {
        "valid": valid,
        "reduction": reduction,
        "class_weights": "balanced",
        "weights": {"balanced": torch.tensor([1.0, 5.0])},
    }
    one, two = (
        loss_of(name, logits, target, head="sigmoid", **options),
        loss_of(name, pair, target, head="softmax", **options),
    )
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize(("name", "head"), [(n, h) for n, h in EVERY if n not in DISTANCES])
def test_counts_are_pooled_over_the_batch(name, head):
    """Two tiles side by side are the same as two tiles in a batch. (Distance maps are each tile's own.)"""
    logits, target, valid = random_batch(head)
    wide = [torch.cat(list(tensor.split(1)), dim=-1) for tensor in (logits, target, valid)]
    options = {"head": head, "weights": uniform_weights()}
    in_batch = loss_of(name, logits, target, valid=valid, **options)
    torch.testing.assert_close(loss_of(name, *wide[:2], valid=wide[2], **options), in_batch)


@pytest.mark.parametrize("reduction", ["per_class", "flattened"])
@pytest.mark.parametrize(("name", "head"), EVERY)
def test_nodata_pixels_change_nothing_and_get_no_gradient(name, head, reduction):
    logits, target, valid = random_batch(head)
    options = {"valid": valid, "head": head, "reduction": reduction, "weights": uniform_weights()}
    logits.requires_grad_()
    value = loss_of(name, logits, target, **options)
    value.backward()
    spatial = logits.grad.abs().sum(1)
    assert not spatial[~valid].any()
    assert spatial[valid].any()
    changed = loss_of(name, logits.detach() + 50.0 * ~valid[:, None], target.where(valid, 255), **options)
    torch.testing.assert_close(changed, value.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("reduction", ["per_class", "flattened"])
@pytest.mark.parametrize(("name", "head"), EVERY)
def test_a_batch_without_valid_pixels_gives_0_and_no_gradient(name, head, reduction):
    logits, target, valid = random_batch(head)
    logits.requires_grad_()
    options = {"head": head, "reduction": reduction, "weights": uniform_weights()}
    value = loss_of(name, logits, target, valid=torch.zeros_like(valid), **options)
    value.backward()
    assert value.item() == 0.0
    assert not logits.grad.any()


@pytest.mark.parametrize("reduction", ["per_class", "flattened"])
@pytest.mark.parametrize(("name", "head"), EVERY)
def test_a_batch_without_any_class_has_a_value_and_finite_gradients(name, head, reduction):
    logits, target, valid = random_batch(head)
    logits.requires_grad_()
    options = {"valid": valid, "head": head, "reduction": reduction, "weights": uniform_weights()}
    value = loss_of(name, logits, torch.zeros_like(target), **options)
    value.backward()
    assert value.isfinite() and value >= 0
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("reduction", ["per_class", "flattened"])
@pytest.mark.parametrize(("name", "head"), [(n, h) for n, h in EVERY if n != "boundary"])
def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_much(name, head, reduction):
    _, target, valid = random_batch()
    options = {"valid": valid, "head": head, "reduction": reduction, "weights": uniform_weights()}

    def value(pred):
        onehot = F.one_hot(pred, 4).movedim(3, 1).float()
        logits = 30.0 * (2 * onehot - 1)
        return loss_of(name, logits if head == "softmax" else logits[:, 1:], target, **options).item()

    assert value(target) == pytest.approx(0.0, abs=2e-5)
    assert value((target + 1) % 4) > 0.5


@pytest.mark.parametrize("scale", [0.0, 100.0])
@pytest.mark.parametrize(("name", "head"), EVERY)
def test_gradients_stay_finite_for_extreme_logits(name, head, scale):
    logits, target, valid = random_batch(head)
    logits = (scale * logits.sign()).requires_grad_()
    value = loss_of(name, logits, target, valid=valid, head=head, weights=uniform_weights())
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize(("name", "head"), EVERY)
def test_gradients_stay_finite_at_certain_mistakes(name, head, smooth):
    _, target, valid = random_batch()
    onehot = F.one_hot((target + 1) % 4, 4).movedim(3, 1).float()
    logits = 100.0 * (2 * onehot - 1)
    logits = (logits if head == "softmax" else logits[:, 1:]).clone().requires_grad_()
    smoothed = {key: {"smooth": smooth} for key in ("dice", "generalized_dice", "asymmetric_similarity")}
    value = loss_of(name, logits, target, valid=valid, head=head, weights=uniform_weights(), **smoothed)
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(("name", "head"), EVERY)
def test_gradients_are_those_of_the_values(name, head):
    logits, target, valid = random_batch(head, dtype=torch.float64, size=4)
    logits.requires_grad_()
    weights = {"balanced": torch.arange(1.0, 5.0), "sqrt_balanced": torch.ones(4)}
    params = make_params(class_weights="balanced", ce={"label_smoothing": 0.1}, binary_dice_weight=0.5)
    loss = build_loss(name, params, head, weights)
    assert torch.autograd.gradcheck(lambda z: loss(z, target, valid), logits, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("name", "head"), EVERY)
def test_half_precision_is_widened(name, head, dtype):
    logits, target, valid = random_batch(head)
    options = {"valid": valid, "head": head, "weights": uniform_weights()}
    value = loss_of(name, logits.to(dtype), target, **options)
    assert value.dtype == torch.float32
    assert value == loss_of(name, logits.to(dtype).float(), target, **options)


def test_rounding_makes_no_negative_counts():
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(0, 21, (2, 64, 64), generator=generator)
    # Probabilities between 1/2 and 1 where they belong, and 0 elsewhere: there is no false positive.
    logits = torch.rand(2, 20, 64, 64, generator=generator)
    logits = logits.where(F.one_hot(target, 21).movedim(3, 1)[:, 1:] > 0, -200.0)
    valid = torch.ones_like(target, dtype=torch.bool)
    counts = BatchStatistics.of_batch(logits, target, valid, "sigmoid", None).counts
    assert (counts.fp >= 0).all()
    assert counts.fp.max() < 1e-3
