"""Losses that are means over pixels: values by hand, class weights, closed forms, values of torch and MONAI."""

import math

import monai.losses
import pytest
import torch
import torch.nn.functional as F
from loss_cases import WEIGHTS, by_hand, log_mean, loss_of, random_batch, uniform_weights


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


def test_weighted_ce_has_weights_of_its_own():
    sqrt = -(math.log(0.8) + 3 * math.log(0.6) + math.log(0.3) + math.log(0.4)) / 6
    assert by_hand("weighted_ce", weights=WEIGHTS) == pytest.approx(sqrt, abs=1e-6)
    assert by_hand("weighted_ce", weights=WEIGHTS, class_weights="balanced") == pytest.approx(sqrt, abs=1e-6)
    own = by_hand("weighted_ce", weights=WEIGHTS, weighted_ce={"weights": "balanced"})
    assert own == pytest.approx(by_hand("ce", weights=WEIGHTS, class_weights="balanced"), abs=1e-6)


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


def test_focal_agrees_with_monai():
    logits, target, _ = random_batch()
    # MONAI averages over the channels too, of which all but the true one are 0.
    expected = 4 * monai.losses.FocalLoss(to_onehot_y=True, use_softmax=True, gamma=2.0)(logits, target[:, None])
    torch.testing.assert_close(loss_of("focal", logits, target), expected)


def test_bce_of_a_confident_mistake_keeps_its_value_and_its_gradient():
    # 1 - p of class 1 is (1 + 1) / e^40, far below the spacing of float32 at 1.
    logits = torch.tensor([0.0, 40.0, 0.0]).view(1, 3, 1, 1).requires_grad_()
    value = loss_of("bce", logits, torch.zeros(1, 1, 1, dtype=torch.long))
    value.backward()
    assert value.item() == pytest.approx((40 - math.log(2)) / 2)
    assert logits.grad.flatten().tolist() == pytest.approx([-0.25, 0.5, -0.25])
