"""The unified focal loss: its value by hand, and MONAI's."""

import math

import monai.losses
import pytest
import torch
from loss_cases import by_hand, log_mean, loss_of, random_batch


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
