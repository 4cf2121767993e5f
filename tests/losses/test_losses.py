"""Losses: values by hand, closed forms, MONAI's values, gradients, no-data, absent classes, parameters."""

import json
import math
from functools import partial
from pathlib import Path

import monai.losses
import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter

from seepseg.base.errors import InputError
from seepseg.base.params import load_params
from seepseg.losses import LOSSES, LossParams, build_loss, loss_name_at
from seepseg.losses.boundary import signed_distances
from seepseg.losses.comparison import compare

SETTINGS = {
    "name": "dicece",
    "reduction": "per_class",
    "class_weights": "none",
    "outline_weight": 0.0,
    "schedule": [],
    "bce": {"pos_weight": 1.0},
    "ce": {"label_smoothing": 0.0},
    "weighted_ce": {"weights": "sqrt_balanced"},
    "focal": {"gamma": 2.0},
    "topk": {"fraction": 0.5},
    "dice": {"smooth": 1.0},
    "generalized_dice": {"smooth": 1.0},
    "iou": {"smooth": 1.0},
    "lovasz": {"classes": "present"},
    "tversky": {"alpha": 0.3, "beta": 0.7, "smooth": 1.0},
    "focal_tversky": {"alpha": 0.3, "beta": 0.7, "exponent": 0.75, "smooth": 1.0},
    "dicebce": {"bce_weight": 0.5},
    "dicece": {"ce_weight": 0.5},
    "dicefocal": {"focal_weight": 0.5},
    "dicetopk": {"topk_weight": 0.5},
    "unified_focal": {"weight": 0.5, "delta": 0.6, "gamma": 0.5},
    "boundary": {"region_weight": 0.5},
}
NEEDS_SOFTMAX = ["ce", "weighted_ce", "topk", "dicece", "dicetopk"]
BOTH_HEADS = [name for name in LOSSES if name not in NEEDS_SOFTMAX]
EVERY = [(name, "softmax") for name in LOSSES] + [(name, "sigmoid") for name in BOTH_HEADS]
OVERLAP = ["dice", "generalized_dice", "iou", "lovasz", "tversky", "focal_tversky"]

# Four pixels in a row, two classes: probabilities of background, class 1 and class 2.
PROBS = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.8, 0.2, 0.5, 0.5], [0.1, 0.6, 0.2, 0.1]]).view(1, 3, 1, 4)
# Class 1: TP 0.8, FP 1.2, FN 0.2. Class 2: TP 0.6, FP 0.4, FN 0.4. Together: TP 1.4, FP 1.6, FN 0.6.
TARGET = torch.tensor([1, 2, 0, 0]).view(1, 1, 4)
# Class 1 as above. Class 2, now of two pixels: TP 0.8, FP 0.2, FN 1.2. Together: TP 1.6, FP 1.4, FN 1.4.
LARGER = torch.tensor([1, 2, 2, 0]).view(1, 1, 4)


def make_params(**changes):
    """Settings as above, with some blocks or keys of blocks changed."""
    merged = {k: v | changes.pop(k, {}) if isinstance(v, dict) else v for k, v in SETTINGS.items()}
    return TypeAdapter(LossParams).validate_json(json.dumps(merged | changes))


def loss_of(name, logits, target, *, head="softmax", valid=None, weights=None, **changes):
    valid = torch.ones_like(target, dtype=torch.bool) if valid is None else valid
    return build_loss(name, make_params(**changes), head, weights or {})(logits, target, valid)


def by_hand(name, target=TARGET, head="softmax", **changes):
    """The loss of PROBS."""
    logits = PROBS.log() if head == "softmax" else torch.logit(PROBS[:, 1:])
    return loss_of(name, logits, target, head=head, **changes).item()


def random_batch(head="softmax", classes=3, dtype=torch.float32, size=8):
    generator = torch.Generator().manual_seed(1)
    channels = classes + (head == "softmax")
    logits = torch.randn(2, channels, size, size, generator=generator, dtype=dtype)
    target = torch.randint(0, classes + 1, (2, size, size), generator=generator)
    valid = torch.rand(2, size, size, generator=generator) > 0.2
    return logits, target, valid


def uniform_weights(classes=3):
    return {"balanced": torch.ones(classes + 1), "sqrt_balanced": torch.ones(classes + 1)}


def log_mean(*probs):
    return -sum(math.log(p) for p in probs) / len(probs)


# --- values by hand -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
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


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_generalized_dice_by_hand(head):
    # Weights 1 and 1/4: TP 0.8 + 0.2, (FP + FN) / 2 = 0.7 + 0.175, in either reduction.
    for reduction in ("per_class", "flattened"):
        value = by_hand("generalized_dice", LARGER, head, reduction=reduction)
        assert value == pytest.approx(0.875 / 2.875, abs=1e-6)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
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


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_bce_by_hand(head):
    rest = -math.log(0.8 * 0.5 * 0.5) - math.log(0.9 * 0.8 * 0.9)
    hits = -math.log(0.8 * 0.6)
    assert by_hand("bce", head=head) == pytest.approx((hits + rest) / 8, abs=1e-6)
    assert by_hand("bce", head=head, bce={"pos_weight": 3.0}) == pytest.approx((3 * hits + rest) / 8, abs=1e-6)


def test_pixel_losses_by_hand():
    assert by_hand("ce") == pytest.approx(log_mean(0.8, 0.6, 0.3, 0.4), abs=1e-6)
    focal = 0.2**2 * log_mean(0.8) + 0.4**2 * log_mean(0.6) + 0.7**2 * log_mean(0.3) + 0.6**2 * log_mean(0.4)
    assert by_hand("focal") == pytest.approx(focal / 4, abs=1e-6)
    assert by_hand("topk") == pytest.approx(log_mean(0.3, 0.4), abs=1e-6)
    assert by_hand("topk", topk={"fraction": 0.26}) == pytest.approx(log_mean(0.3, 0.4), abs=1e-6)
    assert by_hand("topk", topk={"fraction": 0.25}) == pytest.approx(log_mean(0.3), abs=1e-6)


def test_sigmoid_focal_by_hand():
    truths = [0.8, 0.8, 0.5, 0.5, 0.9, 0.6, 0.8, 0.9]
    expected = sum((1 - p) ** 2 * log_mean(p) for p in truths) / 8
    assert by_hand("focal", head="sigmoid") == pytest.approx(expected, abs=1e-6)


def test_unified_focal_by_hand():
    foreground = 0.6 * (log_mean(0.8) + log_mean(0.6))
    background = 0.4 * (math.sqrt(0.7) * log_mean(0.3) + math.sqrt(0.6) * log_mean(0.4))
    focal = (foreground + background) / 4
    # Background: TP 0.7, FP 0.3, FN 1.3; 0.4 FP + 0.6 FN = 0.9. Classes: 0.48 + 0.12 and 0.16 + 0.24.
    tversky = (0.9 / 1.6 + math.sqrt(0.6 / 1.4) + math.sqrt(0.4 / 1.0)) / 3
    flattened = (0.9 / 1.6 + math.sqrt(1.0 / 2.4)) / 2
    assert by_hand("unified_focal", unified_focal={"weight": 1.0}) == pytest.approx(focal, abs=1e-6)
    assert by_hand("unified_focal", unified_focal={"weight": 0.0}) == pytest.approx(tversky, abs=1e-6)
    assert by_hand("unified_focal") == pytest.approx((focal + tversky) / 2, abs=1e-6)
    value = by_hand("unified_focal", unified_focal={"weight": 0.0}, reduction="flattened")
    assert value == pytest.approx(flattened, abs=1e-6)


def test_boundary_by_hand():
    # Distances 1, 0, -1, 0, 1.
    target = torch.tensor([0, 1, 1, 1, 0]).view(1, 1, 5)
    logits = torch.logit(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])).view(1, 1, 1, 5)
    only_boundary = {"boundary": {"region_weight": 0.0}, "head": "sigmoid"}
    assert loss_of("boundary", logits, target, **only_boundary).item() == pytest.approx(0.3 / 5)
    valid = torch.tensor([True, True, True, True, False]).view(1, 1, 5)
    # Beyond the last valid pixel the class ends too: distances 1, 0, -1, 0.
    value = loss_of("boundary", logits, target, valid=valid, **only_boundary)
    assert value.item() == pytest.approx(-0.2 / 4)
    region = loss_of("generalized_dice", logits, target, head="sigmoid").item()
    assert loss_of("boundary", logits, target, head="sigmoid").item() == pytest.approx((region + 0.06) / 2)


def test_signed_distances_count_pixels_from_the_outline_and_are_0_without_one():
    mask = torch.zeros(1, 3, 5, 5, dtype=torch.bool).numpy()
    mask[0, 0, 1:4, 1:4] = True
    mask[0, 1] = True
    distances = signed_distances(mask)
    assert distances[0, 0, 2].tolist() == [1, 0, -1, 0, 1]
    assert distances[0, 0, 0, 0] == pytest.approx(math.sqrt(2))
    assert not distances[0, 1:].any()  # full, empty


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


# --- class weights ------------------------------------------------------------------------------------------

WEIGHTS = {"balanced": torch.tensor([1.0, 2.0, 4.0]), "sqrt_balanced": torch.tensor([1.0, 1.0, 3.0])}


def test_class_weights_weigh_pixels_by_their_class():
    log = math.log
    weighted = -(2 * log(0.8) + 4 * log(0.6) + log(0.3) + log(0.4)) / 8
    assert by_hand("ce", weights=WEIGHTS, class_weights="balanced") == pytest.approx(weighted, abs=1e-6)
    pixels = [log(0.8 * 0.9), log(0.8 * 0.6), log(0.5 * 0.8), log(0.5 * 0.9)]
    weighted = -(2 * pixels[0] + 4 * pixels[1] + pixels[2] + pixels[3]) / 2 / 8
    for head in ("softmax", "sigmoid"):
        value = by_hand("bce", head=head, weights=WEIGHTS, class_weights="balanced")
        assert value == pytest.approx(weighted, abs=1e-6)
    # Weighted, the hardest two are class 2 (4 * 0.51) and the first background pixel (1.2).
    weighted = -(4 * log(0.6) + log(0.3)) / 5
    assert by_hand("topk", weights=WEIGHTS, class_weights="balanced") == pytest.approx(weighted, abs=1e-6)


def test_class_weights_weigh_classes_in_a_per_class_mean_and_do_nothing_to_a_flattened_index():
    value = by_hand("dice", weights=WEIGHTS, class_weights="sqrt_balanced")
    assert value == pytest.approx((0.28 + 3 * 0.2) / 4, abs=1e-6)
    value = by_hand("lovasz", LARGER, weights=WEIGHTS, class_weights="sqrt_balanced")
    assert value == pytest.approx((0.4 + 3 * 0.6) / 4, abs=1e-6)
    value = by_hand("dice", weights=WEIGHTS, class_weights="sqrt_balanced", reduction="flattened")
    assert value == pytest.approx(by_hand("dice", reduction="flattened"))


def test_weighted_ce_has_weights_of_its_own():
    sqrt = -(math.log(0.8) + 3 * math.log(0.6) + math.log(0.3) + math.log(0.4)) / 6
    assert by_hand("weighted_ce", weights=WEIGHTS) == pytest.approx(sqrt, abs=1e-6)
    assert by_hand("weighted_ce", weights=WEIGHTS, class_weights="balanced") == pytest.approx(sqrt, abs=1e-6)
    own = by_hand("weighted_ce", weights=WEIGHTS, weighted_ce={"weights": "balanced"})
    assert own == pytest.approx(by_hand("ce", weights=WEIGHTS, class_weights="balanced"), abs=1e-6)


# --- closed forms -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("reduction", ["per_class", "flattened"])
def test_special_cases_of_focal_tversky(head, reduction):
    logits, target, valid = random_batch(head)
    cases = {
        "dice": {"alpha": 0.5, "beta": 0.5},
        "iou": {"alpha": 1.0, "beta": 1.0},
        "tversky": {"alpha": 0.3, "beta": 0.7},
    }
    for name, weights in cases.items():
        general = {"focal_tversky": weights | {"exponent": 1.0}, "reduction": reduction}
        value = loss_of("focal_tversky", logits, target, head=head, valid=valid, **general)
        special = loss_of(name, logits, target, head=head, valid=valid, reduction=reduction)
        torch.testing.assert_close(value, special)


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


def test_pixel_losses_without_their_twist_are_cross_entropy():
    logits, target, valid = random_batch()
    expected = loss_of("ce", logits, target, valid=valid)
    torch.testing.assert_close(loss_of("focal", logits, target, valid=valid, focal={"gamma": 0.0}), expected)
    torch.testing.assert_close(loss_of("topk", logits, target, valid=valid, topk={"fraction": 1.0}), expected)
    weighted = loss_of("weighted_ce", logits, target, valid=valid, weights=uniform_weights())
    torch.testing.assert_close(weighted, expected)
    sigmoid = random_batch("sigmoid")
    focal = loss_of("focal", *sigmoid[:2], valid=sigmoid[2], head="sigmoid", focal={"gamma": 0.0})
    torch.testing.assert_close(focal, loss_of("bce", *sigmoid[:2], valid=sigmoid[2], head="sigmoid"))


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


@pytest.mark.parametrize(("name", "head"), [(n, h) for n, h in EVERY if n != "boundary"])
def test_counts_are_pooled_over_the_batch(name, head):
    """Two tiles side by side are the same as two tiles in a batch. (Distance maps are each tile's own.)"""
    logits, target, valid = random_batch(head)
    wide = [torch.cat(list(tensor.split(1)), dim=-1) for tensor in (logits, target, valid)]
    options = {"head": head, "weights": uniform_weights()}
    in_batch = loss_of(name, logits, target, valid=valid, **options)
    torch.testing.assert_close(loss_of(name, *wide[:2], valid=wide[2], **options), in_batch)


# --- independent implementations ----------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_ce_agrees_with_torch(smoothing):
    logits, target, valid = random_batch()
    ignored = target.where(valid, -100)
    expected = F.cross_entropy(logits, ignored, label_smoothing=smoothing)
    value = loss_of("ce", logits, target, valid=valid, ce={"label_smoothing": smoothing})
    torch.testing.assert_close(value, expected)


def test_weighted_ce_agrees_with_torch():
    logits, target, valid = random_batch()
    weights = torch.tensor([0.1, 2.0, 3.0, 0.5])
    expected = F.cross_entropy(logits, target.where(valid, -100), weight=weights)
    value = loss_of("weighted_ce", logits, target, valid=valid, weights={"sqrt_balanced": weights})
    torch.testing.assert_close(value, expected)


def test_bce_agrees_with_torch():
    logits, target, valid = random_batch("sigmoid")
    onehot = F.one_hot(target, 4).movedim(3, 1)[:, 1:].float()
    every = F.binary_cross_entropy_with_logits(logits, onehot, pos_weight=torch.full((3, 1, 1), 2.0), reduction="none")
    value = loss_of("bce", logits, target, valid=valid, head="sigmoid", bce={"pos_weight": 2.0})
    torch.testing.assert_close(value, every.movedim(1, 3)[valid].mean())


# MONAI adds its smoothing to 2 TP and 2 TP + FP + FN in Dice: twice that of the Tversky index.
MONAI = {"include_background": False, "to_onehot_y": True, "softmax": True, "batch": True}
MONAI_CASES = {
    "dice": lambda: monai.losses.DiceLoss(**MONAI, smooth_nr=2.0, smooth_dr=2.0),
    "iou": lambda: monai.losses.DiceLoss(**MONAI, jaccard=True, smooth_nr=2.0, smooth_dr=2.0),
    "tversky": lambda: monai.losses.TverskyLoss(**MONAI, alpha=0.3, beta=0.7, smooth_nr=1.0, smooth_dr=1.0),
    # Its weights 1 / size^2 are not scaled, so that only without smoothing the two can agree.
    "generalized_dice": lambda: monai.losses.GeneralizedDiceLoss(**MONAI, smooth_nr=0.0, smooth_dr=0.0),
    "dicece": lambda: monai.losses.DiceCELoss(**MONAI, smooth_nr=2.0, smooth_dr=2.0, lambda_dice=0.5, lambda_ce=0.5),
}


@pytest.mark.parametrize("name", MONAI_CASES)
def test_softmax_losses_agree_with_monai(name):
    logits, target, _ = random_batch()
    expected = MONAI_CASES[name]()(logits, target[:, None])
    value = loss_of(name, logits, target, generalized_dice={"smooth": 0.0})
    torch.testing.assert_close(value, expected)


def test_focal_agrees_with_monai():
    logits, target, _ = random_batch()
    # MONAI averages over the channels too, of which all but the true one are 0.
    expected = 4 * monai.losses.FocalLoss(to_onehot_y=True, use_softmax=True, gamma=2.0)(logits, target[:, None])
    torch.testing.assert_close(loss_of("focal", logits, target), expected)


def test_dicefocal_agrees_with_monai():
    # Of a softmax without background MONAI takes the focal part from a softmax over the classes alone.
    logits, target, _ = random_batch("sigmoid")
    onehot = F.one_hot(target, 4).movedim(3, 1)[:, 1:]
    expected = monai.losses.DiceFocalLoss(
        sigmoid=True, batch=True, smooth_nr=2.0, smooth_dr=2.0, lambda_dice=0.5, lambda_focal=0.5
    )(logits, onehot)
    torch.testing.assert_close(loss_of("dicefocal", logits, target, head="sigmoid"), expected)


def test_unified_focal_agrees_with_monai():
    # MONAI's is binary, takes probabilities and one tile at a time, and averages the focal part over the two
    # channels, where the authors of the loss add them up.
    logits, target, _ = random_batch(classes=1)
    logits, target = logits[:1], target[:1]
    for weight, factor in ((0.0, 1.0), (1.0, 2.0)):
        reference = monai.losses.AsymmetricUnifiedFocalLoss(to_onehot_y=True, weight=weight, gamma=0.5, delta=0.6)
        expected = factor * reference(logits.softmax(1), target[:, None])
        value = loss_of("unified_focal", logits, target, unified_focal={"weight": weight})
        torch.testing.assert_close(value, expected)


def test_boundary_agrees_with_monai():
    logits, target, _ = random_batch()
    expected = monai.losses.BoundaryLoss(include_background=False, to_onehot_y=True, softmax=True)(logits, target)
    options = {"boundary": {"region_weight": 0.0}, "reduction": "flattened"}
    torch.testing.assert_close(loss_of("boundary", logits, target, **options), expected)


# --- no-data, absent classes, extremes ----------------------------------------------------------------------


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


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", OVERLAP)
def test_a_batch_without_classes_gives_0_per_class(name, head):
    logits, target, _ = random_batch(head)
    logits.requires_grad_()
    value = loss_of(name, logits, torch.zeros_like(target), head=head)
    value.backward()
    assert value.item() == 0.0
    assert not logits.grad.any()


@pytest.mark.parametrize("name", [name for name in OVERLAP if name != "generalized_dice"])
def test_an_absent_class_is_left_out_per_class_and_counts_flattened(name):
    logits, target, _ = random_batch("sigmoid")
    target = target.where(target != 3, 0)
    present = logits[:, :2]

    def value(logits, reduction):
        return loss_of(name, logits, target, head="sigmoid", reduction=reduction)

    torch.testing.assert_close(value(logits, "per_class"), value(present, "per_class"))
    assert value(logits, "flattened") > value(present, "flattened") + 0.01


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


def test_the_true_outline_is_the_least_boundary_loss():
    target = torch.zeros(1, 9, 9, dtype=torch.long)
    target[:, 2:7, 2:7] = 1
    inner = torch.zeros_like(target)
    inner[:, 3:6, 3:6] = 1

    def value(pred):
        logits = 60.0 * pred[:, None] - 30.0
        return loss_of("boundary", logits, target, head="sigmoid", boundary={"region_weight": 0.1}).item()

    assert value(target) < value(inner) < value(1 - target)
    assert value(target) < value(torch.ones_like(target))


@pytest.mark.parametrize("scale", [0.0, 100.0])
@pytest.mark.parametrize(("name", "head"), EVERY)
def test_gradients_stay_finite_for_extreme_logits(name, head, scale):
    logits, target, valid = random_batch(head)
    logits = (scale * logits.sign()).requires_grad_()
    value = loss_of(name, logits, target, valid=valid, head=head, weights=uniform_weights())
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(("name", "head"), EVERY)
def test_gradients_are_those_of_the_values(name, head):
    logits, target, valid = random_batch(head, dtype=torch.float64, size=4)
    logits.requires_grad_()
    weights = {"balanced": torch.arange(1.0, 5.0), "sqrt_balanced": torch.ones(4)}

    def value(logits):
        options = {"class_weights": "balanced", "ce": {"label_smoothing": 0.1}, "weights": weights}
        return loss_of(name, logits, target, valid=valid, head=head, **options)

    assert torch.autograd.gradcheck(value, logits)


def test_rounding_makes_no_negative_counts():
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(0, 21, (2, 64, 64), generator=generator)
    # Probabilities between 1/2 and 1 where they belong, and 0 elsewhere: there is no false positive.
    logits = torch.rand(2, 20, 64, 64, generator=generator)
    logits = logits.where(F.one_hot(target, 21).movedim(3, 1)[:, 1:] > 0, -200.0)
    counts = compare(logits, target, torch.ones_like(target, dtype=torch.bool), "sigmoid", None).counts
    assert (counts.fp >= 0).all()
    assert counts.fp.max() < 1e-3


def test_bce_of_a_confident_mistake_keeps_its_value_and_its_gradient():
    # 1 - p of class 1 is (1 + 1) / e^40, far below the spacing of float32 at 1.
    logits = torch.tensor([0.0, 40.0, 0.0]).view(1, 3, 1, 1).requires_grad_()
    value = loss_of("bce", logits, torch.zeros(1, 1, 1, dtype=torch.long))
    value.backward()
    assert value.item() == pytest.approx((40 - math.log(2)) / 2)
    assert logits.grad.flatten().tolist() == pytest.approx([-0.25, 0.5, -0.25])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("name", "head"), EVERY)
def test_half_precision_is_widened(name, head, dtype):
    logits, target, valid = random_batch(head)
    options = {"valid": valid, "head": head, "weights": uniform_weights()}
    value = loss_of(name, logits.to(dtype), target, **options)
    assert value.dtype == torch.float32
    assert value == loss_of(name, logits.to(dtype).float(), target, **options)


# --- parameters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NEEDS_SOFTMAX)
def test_losses_between_classes_refuse_a_sigmoid_head(name):
    with pytest.raises(InputError) as error:
        build_loss(name, make_params(), "sigmoid", uniform_weights())
    assert str(error.value).startswith(f"loss.name '{name}' needs model.head 'softmax', found 'sigmoid'")
    with pytest.raises(InputError, match=r"^loss.schedule 'ce' needs"):
        build_loss("ce", make_params(schedule=[["ce", 1]]), "sigmoid", {})


# Any slick: 1 - p(background) under softmax is .9, .8, .7, .6; 1 - (1 - p1)(1 - p2) under sigmoid .82, .68, .6, .55.
@pytest.mark.parametrize(
    ("head", "tp", "fp"), [("softmax", 0.9 + 0.8, 0.7 + 0.6), ("sigmoid", 0.82 + 0.68, 0.6 + 0.55)]
)
def test_outline_weight_adds_the_dice_of_any_slick(head, tp, fp):
    distance = 1 - (tp + 1) / (tp + 0.5 * fp + 0.5 * (2 - tp) + 1)
    plain = by_hand("dicebce", head=head)
    assert by_hand("dicebce", head=head, outline_weight=2.0) == pytest.approx(plain + 2 * distance, rel=1e-5)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_the_outline_alone_has_the_gradient_of_its_formula(head):
    logits, target, valid = random_batch(head, dtype=torch.float64)
    logits.requires_grad_()
    outline = partial(loss_of, "dice", target=target, valid=valid, head=head)
    assert torch.autograd.gradcheck(lambda z: outline(z, outline_weight=1.0), logits)


def test_schedule_names_the_loss_of_each_epoch():
    scheduled = make_params(name="ce", schedule=[["dicebce", 2], ["focal_tversky", 3]])
    names = [loss_name_at(scheduled, epoch) for epoch in range(7)]
    assert names == ["dicebce"] * 2 + ["focal_tversky"] * 5
    assert loss_name_at(make_params(name="ce"), 3) == "ce"


def test_every_loss_is_a_name_and_has_its_block():
    assert set(LOSSES) == set(SETTINGS) - {"name", "reduction", "class_weights", "outline_weight", "schedule"}


def test_the_repository_has_valid_parameters():
    load_params(LossParams, "loss", Path(__file__).parents[2] / "params.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "dicecee"}, "loss.name: expected"),
        ({"schedule": [["dice", 0]]}, "loss.schedule.0.1: expected greater than or equal to 1, found 0"),
        ({"schedule": [["dyce", 3]]}, "did you mean 'dice'?"),
        ({"topk": {"fraction": 0.0}}, "loss.topk.fraction: expected greater than 0, found 0.0"),
        ({"tversky": {"alpha": 0.0}}, "loss.tversky.alpha: expected greater than 0, found 0.0"),
        (
            {"dicece": {"ce_weight": 1.5}},
            "loss.dicece.ce_weight: expected less than or equal to 1, found 1.5",
        ),
        ({"unified_focal": {"gamma": 1.0}}, "loss.unified_focal.gamma: expected less than 1, found 1.0"),
        ({"dice": {"smoth": 1.0}}, "unknown key 'loss.dice.smoth'; did you mean 'loss.dice.smooth'?"),
    ],
)
def test_wrong_parameters_are_named(tmp_path, changes, message):
    merged = {k: v | changes.get(k, {}) if isinstance(v, dict) else changes.get(k, v) for k, v in SETTINGS.items()}
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps({"loss": merged}))
    with pytest.raises(InputError) as error:
        load_params(LossParams, "loss", path)
    assert message in str(error.value)
