"""Losses of areas: values by hand, class weights, absent classes, closed forms, MONAI's values, binary Dice."""

import monai.losses
import pytest
import torch
import torch.nn.functional as F
from loss_cases import LARGER, MONAI, OVERLAP, WEIGHTS, by_hand, loss_of, make_params, random_batch

from seepseg.losses import build_loss

HEADS = pytest.mark.parametrize("head", ["softmax", "sigmoid"])


@HEADS
@pytest.mark.parametrize(
    ("name", "per_class", "flattened"),
    [
        ("dice", (0.7 / 2.5 + 0.4 / 2.0) / 2, 1.1 / 3.5),
        ("iou", (1.4 / 3.2 + 0.8 / 2.4) / 2, 2.2 / 4.6),
        ("tversky", (0.5 / 2.3 + 0.4 / 2.0) / 2, 0.9 / 3.3),
        ("focal_tversky", ((0.5 / 2.3) ** 0.75 + (0.4 / 2.0) ** 0.75) / 2, (0.9 / 3.3) ** 0.75),
    ],
)
def test_tversky_family_by_hand(name, head, per_class, flattened):
    assert by_hand(name, head=head) == pytest.approx(per_class, abs=1e-6)
    assert by_hand(name, head=head, reduction="flattened") == pytest.approx(flattened, abs=1e-6)


@HEADS
def test_asymmetric_similarity_by_hand(head):
    # F_2 = 5 TP / (5 TP + 4 FN + FP), with 1 pixel added to the index: 5 in numerator and denominator.
    first = 1 - (5 * 0.8 + 5) / (5 * 0.8 + 4 * 0.2 + 1.2 + 5)
    second = 1 - (5 * 0.6 + 5) / (5 * 0.6 + 4 * 0.4 + 0.4 + 5)
    together = 1 - (5 * 1.4 + 5) / (5 * 1.4 + 4 * 0.6 + 1.6 + 5)
    weighted = {"head": head, "asymmetric_similarity": {"beta": 2.0}}
    assert by_hand("asymmetric_similarity", **weighted) == pytest.approx((first + second) / 2, abs=1e-6)
    flattened = by_hand("asymmetric_similarity", **weighted, reduction="flattened")
    assert flattened == pytest.approx(together, abs=1e-6)


@HEADS
def test_generalized_dice_by_hand(head):
    # Weights 1 and 1/4: TP 0.8 + 0.2, (FP + FN) / 2 = 0.7 + 0.175, in either reduction.
    for reduction in ("per_class", "flattened"):
        value = by_hand("generalized_dice", LARGER, head, reduction=reduction)
        assert value == pytest.approx(0.875 / 2.875, abs=1e-6)


@HEADS
def test_penalty_generalized_dice_by_hand(head):
    distance = 0.875 / 2.875  # as above
    for reduction in ("per_class", "flattened"):
        value = by_hand("penalty_generalized_dice", LARGER, head, reduction=reduction)
        assert value == pytest.approx(distance / (1 + 2.5 * (1 - distance)), abs=1e-6)
    unpenalised = by_hand("penalty_generalized_dice", LARGER, head, penalty_generalized_dice={"k": 0.0})
    assert unpenalised == pytest.approx(distance, abs=1e-6)


@HEADS
def test_sensitivity_specificity_by_hand(head):
    # Errors of class 1: 0.2 inside; 0.2, 0.5, 0.5 outside. Of class 2: 0.4, 0.8 inside; 0.1, 0.1 outside.
    inside = 0.2**2, (0.4**2 + 0.8**2) / 2
    outside = (0.2**2 + 0.5**2 + 0.5**2) / 3, (0.1**2 + 0.1**2) / 2
    together = (0.2**2 + 0.4**2 + 0.8**2) / 3, (0.2**2 + 0.5**2 + 0.5**2 + 0.1**2 + 0.1**2) / 5
    for share in (0.0, 0.25, 1.0):
        per_class = [share * error + (1 - share) * other for error, other in zip(inside, outside, strict=True)]
        options = {"head": head, "sensitivity_specificity": {"sensitivity": share}}
        value = by_hand("sensitivity_specificity", LARGER, **options)
        assert value == pytest.approx(sum(per_class) / 2, abs=1e-6)
        value = by_hand("sensitivity_specificity", LARGER, **options, reduction="flattened")
        assert value == pytest.approx(share * together[0] + (1 - share) * together[1], abs=1e-6)


def test_a_class_that_fills_the_batch_has_no_specificity():
    logits = torch.logit(torch.tensor([0.8, 0.6])).view(1, 1, 1, 2)
    value = loss_of("sensitivity_specificity", logits, torch.ones(1, 1, 2, dtype=torch.long), head="sigmoid")
    assert value.item() == pytest.approx(0.5 * (0.2**2 + 0.4**2) / 2)


@HEADS
def test_lovasz_by_hand(head):
    # Class 1, errors in order: 0.5, 0.5 outside, 0.2 inside, 0.2 outside; 1 - IoU grows to 1/2, 2/3, 1, 1.
    # Class 2: 0.8, 0.4 inside, 0.1, 0.1 outside; 1 - IoU grows to 1/2, 1, 1, 1.
    assert by_hand("lovasz", LARGER, head) == pytest.approx((0.4 + 0.6) / 2, abs=1e-6)
    # Together: 0.8 in, 0.5, 0.5 out, 0.4 in, 0.2 in, ...; 1/3, 1/2, 3/5, 4/5, 1.
    assert by_hand("lovasz", LARGER, head, reduction="flattened") == pytest.approx(0.52, abs=1e-6)


def test_lovasz_of_all_classes_charges_an_absent_one_for_its_worst_pixel():
    only_first = torch.tensor([1, 0, 0, 0]).view(1, 1, 4)
    assert by_hand("lovasz", only_first) == pytest.approx(0.4, abs=1e-6)
    assert by_hand("lovasz", only_first, lovasz={"classes": "all"}) == pytest.approx((0.4 + 0.6) / 2, abs=1e-6)


def test_class_weights_weigh_classes_in_a_per_class_mean_and_do_nothing_to_a_flattened_index():
    value = by_hand("dice", weights=WEIGHTS, class_weights="sqrt_balanced")
    assert value == pytest.approx((0.28 + 3 * 0.2) / 4, abs=1e-6)
    value = by_hand("lovasz", LARGER, weights=WEIGHTS, class_weights="sqrt_balanced")
    assert value == pytest.approx((0.4 + 3 * 0.6) / 4, abs=1e-6)
    value = by_hand("dice", weights=WEIGHTS, class_weights="sqrt_balanced", reduction="flattened")
    assert value == pytest.approx(by_hand("dice", reduction="flattened"))


# --- closed forms -------------------------------------------------------------------------------------------


@HEADS
@pytest.mark.parametrize("reduction", ["per_class", "flattened"])
def test_special_cases_of_focal_tversky(head, reduction):
    logits, target, valid = random_batch(head)
    cases = {
        "dice": {"alpha": 0.5, "beta": 0.5},
        "iou": {"alpha": 1.0, "beta": 1.0},
        "tversky": {"alpha": 0.3, "beta": 0.7},
        "asymmetric_similarity": {"alpha": 1 / (1 + 1.5**2), "beta": 1.5**2 / (1 + 1.5**2)},
    }
    for name, weights in cases.items():
        general = {"focal_tversky": weights | {"exponent": 1.0}, "reduction": reduction}
        value = loss_of("focal_tversky", logits, target, head=head, valid=valid, **general)
        special = loss_of(name, logits, target, head=head, valid=valid, reduction=reduction)
        torch.testing.assert_close(value, special)
    equal = {"asymmetric_similarity": {"beta": 1.0}, "reduction": reduction}
    value = loss_of("asymmetric_similarity", logits, target, head=head, valid=valid, **equal)
    torch.testing.assert_close(value, loss_of("dice", logits, target, head=head, valid=valid, reduction=reduction))


@pytest.mark.parametrize("name", ["tversky", "focal_tversky"])
def test_alpha_moves_only_false_positives_and_beta_only_false_negatives(name):
    target = torch.tensor([1, 1, 0, 0]).view(1, 1, 4)
    false_positive = torch.tensor([20.0, 20.0, 20.0, -20.0]).view(1, 1, 1, 4)
    false_negative = torch.tensor([20.0, -20.0, -20.0, -20.0]).view(1, 1, 1, 4)

    def value(logits, **weights):
        return loss_of(name, logits, target, head="sigmoid", **{name: weights}).item()

    assert value(false_positive, alpha=0.9) > value(false_positive, alpha=0.1) + 0.1
    assert value(false_negative, alpha=0.9) == pytest.approx(value(false_negative, alpha=0.1), abs=1e-6)
    assert value(false_negative, beta=0.9) > value(false_negative, beta=0.1) + 0.1
    assert value(false_positive, beta=0.9) == pytest.approx(value(false_positive, beta=0.1), abs=1e-6)


def test_a_larger_beta_of_asymmetric_similarity_charges_misses_more_and_false_alarms_less():
    target = torch.tensor([1, 1, 0, 0]).view(1, 1, 4)
    false_positive = torch.tensor([20.0, 20.0, 20.0, -20.0]).view(1, 1, 1, 4)
    false_negative = torch.tensor([20.0, -20.0, -20.0, -20.0]).view(1, 1, 1, 4)

    def value(logits, beta):
        options = {"head": "sigmoid", "asymmetric_similarity": {"beta": beta}}
        return loss_of("asymmetric_similarity", logits, target, **options).item()

    assert value(false_negative, 3.0) > value(false_negative, 0.5) + 0.1
    assert value(false_positive, 3.0) < value(false_positive, 0.5) - 0.1


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_each_part_of_sensitivity_specificity_sees_its_pixels_only(share):
    logits, target, valid = random_batch("sigmoid")
    logits.requires_grad_()
    options = {"head": "sigmoid", "valid": valid, "sensitivity_specificity": {"sensitivity": share}}
    loss_of("sensitivity_specificity", logits, target, **options).backward()
    seen = F.one_hot(target, 4).movedim(3, 1)[:, 1:] == share
    assert torch.equal(logits.grad != 0, seen & valid[:, None])


@pytest.mark.parametrize("reduction", ["per_class", "flattened"])
def test_lovasz_of_a_hard_prediction_is_one_minus_iou(reduction):
    _, target, valid = random_batch()
    _, pred, _ = random_batch(size=8)
    pred = pred.roll(3, dims=2).where(torch.rand(pred.shape, generator=torch.Generator().manual_seed(2)) > 0.5, target)
    logits = 100.0 * F.one_hot(pred, 4).movedim(3, 1).float()
    hard = {"valid": valid, "reduction": reduction}
    expected = loss_of("iou", logits, target, iou={"smooth": 0.0}, **hard)
    assert 0.1 < expected < 0.9
    torch.testing.assert_close(loss_of("lovasz", logits, target, **hard), expected)


# --- independent implementations ----------------------------------------------------------------------------

MONAI_CASES = {
    "dice": lambda: monai.losses.DiceLoss(**MONAI, smooth_nr=2.0, smooth_dr=2.0),
    "iou": lambda: monai.losses.DiceLoss(**MONAI, jaccard=True, smooth_nr=2.0, smooth_dr=2.0),
    "tversky": lambda: monai.losses.TverskyLoss(**MONAI, alpha=0.3, beta=0.7, smooth_nr=1.0, smooth_dr=1.0),
    "asymmetric_similarity": lambda: monai.losses.TverskyLoss(
        **MONAI, alpha=1 / (1 + 1.5**2), beta=1.5**2 / (1 + 1.5**2), smooth_nr=1.0, smooth_dr=1.0
    ),
    # Its weights 1 / size^2 are not scaled, so that only without smoothing the two can agree.
    "generalized_dice": lambda: monai.losses.GeneralizedDiceLoss(**MONAI, smooth_nr=0.0, smooth_dr=0.0),
}


@pytest.mark.parametrize("name", MONAI_CASES)
def test_overlap_losses_agree_with_monai(name):
    logits, target, _ = random_batch()
    expected = MONAI_CASES[name]()(logits, target[:, None])
    value = loss_of(name, logits, target, generalized_dice={"smooth": 0.0})
    torch.testing.assert_close(value, expected)


def test_penalty_generalized_dice_is_that_of_monais_generalized_dice():
    logits, target, _ = random_batch()
    distance = MONAI_CASES["generalized_dice"]()(logits, target[:, None])
    value = loss_of("penalty_generalized_dice", logits, target, generalized_dice={"smooth": 0.0})
    torch.testing.assert_close(value, distance / (1 + 2.5 * (1 - distance)))


# --- absent classes -----------------------------------------------------------------------------------------


@HEADS
@pytest.mark.parametrize("name", OVERLAP)
def test_a_batch_without_classes_gives_0_per_class(name, head):
    logits, target, _ = random_batch(head)
    logits.requires_grad_()
    value = loss_of(name, logits, torch.zeros_like(target), head=head)
    value.backward()
    assert value.item() == 0.0
    assert not logits.grad.any()


@pytest.mark.parametrize("name", [name for name in OVERLAP if "generalized" not in name])
def test_an_absent_class_is_left_out_per_class_and_counts_flattened(name):
    logits, target, _ = random_batch("sigmoid")
    target = target.where(target != 3, 0)
    logits[:, 2] += 1.0  # false alarms enough for a mean of squares to grow
    present = logits[:, :2]

    def value(logits, reduction):
        return loss_of(name, logits, target, head="sigmoid", reduction=reduction)

    torch.testing.assert_close(value(logits, "per_class"), value(present, "per_class"))
    assert value(logits, "flattened") > value(present, "flattened") + 0.01


# --- the Dice loss of all classes as one --------------------------------------------------------------------


# Any slick: 1 - p(background) under softmax is .9, .8, .7, .6; 1 - (1 - p1)(1 - p2) under sigmoid .82, .68, .6, .55.
@pytest.mark.parametrize(
    ("head", "tp", "fp"), [("softmax", 0.9 + 0.8, 0.7 + 0.6), ("sigmoid", 0.82 + 0.68, 0.6 + 0.55)]
)
def test_binary_dice_weight_adds_the_dice_of_any_slick(head, tp, fp):
    distance = 1 - (tp + 1) / (tp + 0.5 * fp + 0.5 * (2 - tp) + 1)
    plain = by_hand("dicebce", head=head)
    assert by_hand("dicebce", head=head, binary_dice_weight=2.0) == pytest.approx(plain + 2 * distance, rel=1e-5)


@HEADS
def test_binary_dice_alone_has_the_gradient_of_its_formula(head):
    logits, target, valid = random_batch(head, dtype=torch.float64, size=3)
    loss = build_loss("dice", make_params(binary_dice_weight=1.0), head, {})
    assert torch.autograd.gradcheck(lambda z: loss(z, target, valid), logits.requires_grad_())


@HEADS
def test_binary_dice_leaves_nodata_out(head):
    logits, target, valid = random_batch(head)
    loss = build_loss("dice", make_params(binary_dice_weight=1.0), head, {})
    value = loss(logits.requires_grad_(), target, valid)
    value.backward()
    assert not logits.grad.abs().sum(1)[~valid].any()
    assert loss(logits.detach() + 50.0 * ~valid[:, None], target.where(valid, 255), valid) == value
