"""Losses by distance: maps of distances, values by hand, no-data, closed forms, MONAI's values."""

import math

import monai.losses
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from loss_cases import MONAI, WEIGHTS, by_hand, loss_of, random_batch

from seepseg.losses.boundary import distances_from_boundary, proximity, signed_distances

ROW = torch.tensor([0, 1, 1, 1, 0]).view(1, 1, 5)  # one class, within the first four pixels where the last is no-data
FOUR = torch.tensor([True, True, True, True, False]).view(1, 1, 5)


def row_of(*probs):
    """Logits of a sigmoid head."""
    return torch.logit(torch.tensor(probs)).view(1, 1, 1, -1)


def as_pair(logits):
    """The two channels of a softmax head that say the same."""
    return torch.cat([torch.zeros_like(logits), logits], dim=1)


# --- maps ---------------------------------------------------------------------------------------------------


def test_distances_count_pixels_from_the_boundary_and_are_0_without_one():
    mask = np.zeros((1, 3, 5, 5), dtype=bool)
    mask[0, 0, 1:4, 1:4] = True
    mask[0, 1] = True
    signed, unsigned = signed_distances(mask), distances_from_boundary(mask)
    assert signed[0, 0, 2].tolist() == [1, 0, -1, 0, 1]
    assert unsigned[0, 0, 2].tolist() == [1, 1, 2, 1, 1]
    assert signed[0, 0, 0, 0] == unsigned[0, 0, 0, 0].astype(np.float32) == pytest.approx(math.sqrt(2))
    assert not signed[0, 1:].any() and not unsigned[0, 1:].any()  # full, empty


def test_proximity_falls_from_1_at_the_boundary_to_0_within_each_mask():
    target = np.array([0, 0, 0, 1, 1, 1, 1, 2])
    masks = (target == np.arange(4)[:, None])[None, :, None]
    near = proximity(masks, np.ones((1, 1, 8), dtype=bool))
    assert near[0, 0, 0].tolist() == [0, 0.5, 1, 0, 0, 0, 0, 0]
    assert near[0, 1, 0].tolist() == [0, 0, 0, 1, 0, 0, 1, 0]
    assert near[0, 2, 0].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]  # all of it is at the boundary
    assert not near[0, 3].any() and not proximity(np.ones_like(masks), np.ones((1, 1, 8), dtype=bool)).any()
    valid = np.array([False, True, True, True, True, True, True, True]).reshape(1, 1, 8)
    assert proximity(masks, valid)[0, 0, 0, 1:3].tolist() == [0, 1]  # the farthest valid pixel is one nearer


# --- boundary -----------------------------------------------------------------------------------------------


def test_boundary_by_hand():
    # Distances 1, 0, -1, 0, 1.
    logits = row_of(0.1, 0.2, 0.3, 0.4, 0.5)
    only_boundary = {"boundary": {"region_weight": 0.0}, "head": "sigmoid"}
    assert loss_of("boundary", logits, ROW, **only_boundary).item() == pytest.approx(0.3 / 5)
    # Beyond the last valid pixel the class ends too: distances 1, 0, -1, 0.
    value = loss_of("boundary", logits, ROW, valid=FOUR, **only_boundary)
    assert value.item() == pytest.approx(-0.2 / 4)
    region = loss_of("generalized_dice", logits, ROW, head="sigmoid").item()
    assert loss_of("boundary", logits, ROW, head="sigmoid").item() == pytest.approx((region + 0.06) / 2)


def test_boundary_agrees_with_monai():
    logits, target, _ = random_batch()
    expected = monai.losses.BoundaryLoss(include_background=False, to_onehot_y=True, softmax=True)(logits, target)
    options = {"boundary": {"region_weight": 0.0}, "reduction": "flattened"}
    torch.testing.assert_close(loss_of("boundary", logits, target, **options), expected)


def test_the_true_boundary_is_the_least_boundary_loss():
    target = torch.zeros(1, 9, 9, dtype=torch.long)
    target[:, 2:7, 2:7] = 1
    inner = torch.zeros_like(target)
    inner[:, 3:6, 3:6] = 1

    def value(pred):
        logits = 60.0 * pred[:, None] - 30.0
        return loss_of("boundary", logits, target, head="sigmoid", boundary={"region_weight": 0.1}).item()

    assert value(target) < value(inner) < value(1 - target)
    assert value(target) < value(torch.ones_like(target))


# --- distance-penalised cross-entropy -----------------------------------------------------------------------


def test_distance_penalized_ce_by_hand():
    logits = row_of(0.1, 0.2, 0.3, 0.4, 0.5)
    # Inside the distances are 1, 2, 1, outside 1 and 1: all pixels weigh 1 + 1 but the one in the middle.
    expected = -(2 * math.log(0.9 * 0.2 * 0.4 * 0.5) + math.log(0.3)) / 5
    for head, channels in (("sigmoid", logits), ("softmax", as_pair(logits))):
        assert loss_of("distance_penalized_ce", channels, ROW, head=head).item() == pytest.approx(expected)
    # With half the penalty, and the last pixel no-data, beyond which the class ends too.
    expected = -(1.5 * math.log(0.9 * 0.2 * 0.4) + math.log(0.3)) / 4
    options = {"valid": FOUR, "head": "sigmoid", "distance_penalized_ce": {"penalty": 0.5}}
    assert loss_of("distance_penalized_ce", logits, ROW, **options).item() == pytest.approx(expected)


def test_distance_penalized_ce_weighs_pixels_by_their_class():
    # Of TARGET all pixels are at a boundary but the last: 1, 2, 0, 0.
    log = math.log
    expected = -(2 * 2 * log(0.8) + 2 * 4 * log(0.6) + 2 * log(0.3) + log(0.4)) / 8
    value = by_hand("distance_penalized_ce", weights=WEIGHTS, class_weights="balanced")
    assert value == pytest.approx(expected, abs=1e-6)


def test_distance_penalized_ce_without_penalty_or_boundary_is_cross_entropy():
    for head, name in (("softmax", "ce"), ("sigmoid", "bce")):
        logits, target, valid = random_batch(head)
        options = {"head": head, "valid": valid, "distance_penalized_ce": {"penalty": 0.0}}
        value = loss_of("distance_penalized_ce", logits, target, **options)
        torch.testing.assert_close(value, loss_of(name, logits, target, head=head, valid=valid))
        empty = torch.zeros_like(target)
        value = loss_of("distance_penalized_ce", logits, empty, head=head)
        torch.testing.assert_close(value, loss_of(name, logits, empty, head=head))


def test_distance_penalized_ce_agrees_with_distances_by_brute_force():
    logits, target, _ = random_batch(size=12)
    target[:, 2:9, 3:10] = 1
    target[0, 4:12, 1:6] = 2
    places = torch.cartesian_prod(torch.arange(12.0), torch.arange(12.0))
    apart = torch.cdist(places, places)
    weights = torch.ones(2, 144)
    for tile, classes in enumerate(target.flatten(1)):
        nearest = apart.where(classes[:, None] != classes, torch.inf).amin(1)
        for number in classes.unique():
            own = classes == number
            reach = nearest[own].max() - 1
            weights[tile, own] += 1 - (nearest[own] - 1) / reach if reach > 0 else 1.0
    expected = (weights.view_as(target) * F.cross_entropy(logits, target, reduction="none")).mean()
    torch.testing.assert_close(loss_of("distance_penalized_ce", logits, target), expected)


# --- Hausdorff distance -------------------------------------------------------------------------------------


def test_hausdorff_by_hand():
    logits = row_of(0.1, 0.2, 0.6, 0.7, 0.8)
    # From the boundaries of the class 1, 1, 2, 1, 1, and of what is likely 2, 1, 1, 2, 3.
    squares = [0.1**2, 0.8**2, 0.4**2, 0.3**2, 0.8**2]
    squared = sum(e * d for e, d in zip(squares, [1 + 4, 1 + 1, 4 + 1, 1 + 4, 1 + 9], strict=True)) / 5
    linear = sum(e * d for e, d in zip(squares, [1 + 2, 1 + 1, 2 + 1, 1 + 2, 1 + 3], strict=True)) / 5
    for head, channels in (("sigmoid", logits), ("softmax", as_pair(logits))):
        assert loss_of("hausdorff", channels, ROW, head=head).item() == pytest.approx(squared)
        assert loss_of("hausdorff", channels, ROW, head=head, hausdorff={"alpha": 1.0}).item() == pytest.approx(linear)
    # Beyond the last valid pixel both end: 1, 1, 2, 1 and 2, 1, 1, 1.
    squared = sum(e * d for e, d in zip(squares, [1 + 4, 1 + 1, 4 + 1, 1 + 1], strict=False)) / 4
    assert loss_of("hausdorff", logits, ROW, valid=FOUR, head="sigmoid").item() == pytest.approx(squared)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_hausdorff_agrees_with_monai(alpha):
    logits, target, _ = random_batch()
    logits[:, 1:] += 1.0
    target[1] = target[1].where(target[1] != 2, 0)  # absent from a tile
    expected = monai.losses.HausdorffDTLoss(**MONAI, alpha=alpha)(logits, target[:, None])
    options = {"reduction": "flattened", "hausdorff": {"alpha": alpha}}
    torch.testing.assert_close(loss_of("hausdorff", logits, target, **options), expected)


def test_far_false_alarms_cost_more_than_near_ones():
    target = torch.zeros(1, 1, 20, dtype=torch.long)
    target[..., :4] = 1

    def value(alarm):
        logits = torch.where(target == 1, 20.0, -20.0)[None].clone()
        logits[..., alarm] = 20.0
        return loss_of("hausdorff", logits, target, head="sigmoid").item()

    assert 0 < value(4) < value(8) < value(16)


def test_hausdorff_of_a_batch_without_classes_is_0_per_class_and_counts_false_alarms_flattened():
    logits = row_of(0.1, 0.2, 0.6, 0.7, 0.8)
    empty = torch.zeros_like(ROW)
    assert loss_of("hausdorff", logits, empty, head="sigmoid").item() == 0.0
    # Only what is likely has a boundary.
    expected = (0.1**2 * 4 + 0.2**2 * 1 + 0.6**2 * 1 + 0.7**2 * 4 + 0.8**2 * 9) / 5
    value = loss_of("hausdorff", logits, empty, head="sigmoid", reduction="flattened")
    assert value.item() == pytest.approx(expected)
