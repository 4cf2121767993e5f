"""Mixtures: values by hand, sums of their parts, closed forms, MONAI's values, gradients at both ends."""

import math

import monai.losses
import pytest
import torch
import torch.nn.functional as F
from loss_cases import MONAI, WEIGHTS, by_hand, log_mean, loss_of, random_batch

HEADS = pytest.mark.parametrize("head", ["softmax", "sigmoid"])


@pytest.mark.parametrize(
    ("name", "key", "part", "other"),
    [
        ("dicebce", "bce_weight", "bce", "dice"),
        ("dicece", "ce_weight", "ce", "dice"),
        ("dicefocal", "focal_weight", "focal", "dice"),
        ("dicetopk", "topk_weight", "topk", "dice"),
    ],
)
def test_mixtures_are_weighted_sums_of_their_parts(name, key, part, other):
    expected = 0.1 * by_hand(part) + 0.9 * by_hand(other)
    assert by_hand(name, **{name: {key: 0.1}}) == pytest.approx(expected, abs=1e-6)


@HEADS
def test_combo_by_hand(head):
    hits = -math.log(0.8 * 0.6)
    rest = -math.log(0.8 * 0.5 * 0.5) - math.log(0.9 * 0.8 * 0.9)
    cross_entropy = (0.8 * hits + 0.2 * rest) / 8
    dice = (0.7 / 2.5 + 0.4 / 2.0) / 2
    options = {"head": head, "combo": {"alpha": 0.3, "beta": 0.8}}
    assert by_hand("combo", **options) == pytest.approx(0.3 * cross_entropy + 0.7 * dice, abs=1e-6)
    flattened = by_hand("combo", **options, reduction="flattened")
    assert flattened == pytest.approx(0.3 * cross_entropy + 0.7 * 1.1 / 3.5, abs=1e-6)


@HEADS
def test_special_cases_of_combo(head):
    options = {"head": head, "weights": WEIGHTS, "class_weights": "balanced"}
    assert by_hand("combo", **options, combo={"alpha": 0.0}) == pytest.approx(by_hand("dice", **options), abs=1e-6)
    half = by_hand("bce", **options) / 2
    assert by_hand("combo", **options, combo={"alpha": 1.0, "beta": 0.5}) == pytest.approx(half, abs=1e-6)
    third = by_hand("bce", **options, bce={"pos_weight": 2.0}) / 3
    assert by_hand("combo", **options, combo={"alpha": 1.0, "beta": 2 / 3}) == pytest.approx(third, abs=1e-6)


def test_combo_agrees_with_torch_and_monai():
    logits, target, _ = random_batch("sigmoid")
    onehot = F.one_hot(target, 4).movedim(3, 1)[:, 1:].float()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, onehot, weight=0.7 * onehot + 0.3 * (1 - onehot))
    dice = monai.losses.DiceLoss(sigmoid=True, batch=True, smooth_nr=2.0, smooth_dr=2.0)(logits, onehot)
    value = loss_of("combo", logits, target, head="sigmoid", combo={"alpha": 0.4, "beta": 0.7})
    torch.testing.assert_close(value, 0.4 * cross_entropy + 0.6 * dice)


@pytest.mark.parametrize(
    ("head", "truths"),
    [("softmax", [0.8, 0.6, 0.3, 0.4]), ("sigmoid", [0.8, 0.8, 0.5, 0.5, 0.9, 0.6, 0.8, 0.9])],
)
def test_exp_log_by_hand(head, truths):
    root = {"head": head, "exp_log": {"gamma": 0.5}}
    cross_entropy = sum(math.sqrt(-math.log(p)) for p in truths) / len(truths)
    # Dice of the classes 1 - 0.28 and 1 - 0.2, of both as one 1 - 1.1 / 3.5.
    dice = (math.sqrt(-math.log(0.72)) + math.sqrt(-math.log(0.8))) / 2
    assert by_hand("exp_log", **root) == pytest.approx(0.8 * dice + 0.2 * cross_entropy, abs=1e-6)
    flattened = by_hand("exp_log", **root, reduction="flattened")
    assert flattened == pytest.approx(0.8 * math.sqrt(-math.log(2.4 / 3.5)) + 0.2 * cross_entropy, abs=1e-6)


def test_exp_log_with_gamma_1_is_a_sum_of_logarithms():
    value = by_hand("exp_log", exp_log={"dice_weight": 2.0, "ce_weight": 3.0, "gamma": 1.0})
    assert value == pytest.approx(2 * log_mean(0.72, 0.8) + 3 * by_hand("ce"), abs=1e-6)
    sigmoid = by_hand("exp_log", head="sigmoid", exp_log={"dice_weight": 0.0, "ce_weight": 1.0, "gamma": 1.0})
    assert sigmoid == pytest.approx(by_hand("bce", head="sigmoid"), abs=1e-6)


def test_exp_log_agrees_with_monais_dice():
    logits, target, _ = random_batch()
    distances = monai.losses.DiceLoss(**MONAI, smooth_nr=2.0, smooth_dr=2.0, reduction="none")(logits, target[:, None])
    value = loss_of("exp_log", logits, target, exp_log={"dice_weight": 1.0, "ce_weight": 0.0})
    torch.testing.assert_close(value, (-(1 - distances).log()).pow(0.3).mean())


@HEADS
@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("right", [True, False])
def test_gradients_of_exp_log_have_a_bound_where_all_is_right_and_where_all_is_wrong(head, right, scale, smooth):
    _, target, _ = random_batch()
    onehot = F.one_hot(target if right else (target + 1) % 4, 4).movedim(3, 1).float()
    logits = scale * (2 * onehot - 1)
    logits = (logits if head == "softmax" else logits[:, 1:]).clone().requires_grad_()
    value = loss_of("exp_log", logits, target, head=head, dice={"smooth": smooth})
    value.backward()
    assert value.isfinite()
    assert logits.grad.abs().max() < 0.1


def test_dicece_agrees_with_monai():
    logits, target, _ = random_batch()
    monais = monai.losses.DiceCELoss(**MONAI, smooth_nr=2.0, smooth_dr=2.0, lambda_dice=0.5, lambda_ce=0.5)
    torch.testing.assert_close(loss_of("dicece", logits, target), monais(logits, target[:, None]))


def test_dicefocal_agrees_with_monai():
    # Of a softmax without background MONAI takes the focal part from a softmax over the classes alone.
    logits, target, _ = random_batch("sigmoid")
    onehot = F.one_hot(target, 4).movedim(3, 1)[:, 1:]
    expected = monai.losses.DiceFocalLoss(
        sigmoid=True, batch=True, smooth_nr=2.0, smooth_dr=2.0, lambda_dice=0.5, lambda_focal=0.5
    )(logits, onehot)
    torch.testing.assert_close(loss_of("dicefocal", logits, target, head="sigmoid"), expected)


def test_values_of_the_original_work():
    """Seven sigmoid channels, all logits 0, flattened: p = 1/2, four pixels of which two show a class."""
    logits, target = torch.zeros(1, 7, 2, 2), torch.tensor([[[1, 2], [0, 0]]])
    original = {
        "head": "sigmoid",
        "reduction": "flattened",
        "dice": {"smooth": 0.5},  # its Dice adds 1 to twice the overlap
        "focal_tversky": {"alpha": 0.7, "beta": 0.3, "exponent": 1.33, "smooth": 1.0},
        "dicebce": {"bce_weight": 0.01},
    }
    # Overlap 1, sum of p 14, sum of g 2; TP 1, FP 13, FN 1.
    dice = 1 - (2 * 1 + 1) / (14 + 2 + 1)
    assert loss_of("bce", logits, target, **original).item() == pytest.approx(math.log(2))
    assert loss_of("dice", logits, target, **original).item() == pytest.approx(dice)
    mixed = 0.01 * math.log(2) + 0.99 * dice
    assert loss_of("dicebce", logits, target, **original).item() == pytest.approx(mixed)
    focal_tversky = (1 - (1 + 1) / (1 + 0.7 * 13 + 0.3 * 1 + 1)) ** 1.33
    assert loss_of("focal_tversky", logits, target, **original).item() == pytest.approx(focal_tversky)
