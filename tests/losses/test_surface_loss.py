"""The loss of edges: values by hand, tolerance, no-data, tiles, absent slicks, gradients."""

import numpy as np
import pytest
import torch
from loss_cases import by_hand, random_batch
from scipy.ndimage import binary_dilation, binary_erosion

from seepseg.losses.batch_statistics import BatchStatistics
from seepseg.losses.surface import binary_surface

SQUARE = np.ones((3, 3))
HEADS = pytest.mark.parametrize("head", ["softmax", "sigmoid"])


def surface(logits, target, valid=None, head="sigmoid"):
    valid = torch.ones_like(target, dtype=torch.bool) if valid is None else valid
    return binary_surface(BatchStatistics.of_batch(logits, target, valid, head, None))


def of_masks(predicted, target, valid=None):
    """The loss of crisp masks (N, H, W)."""
    return surface(100.0 * (2.0 * predicted - 1.0)[:, None], target.long(), valid).item()


def disc(row, column):
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    return ((rows - row) ** 2 + (columns - column) ** 2 < 100)[None]


@HEADS
def test_by_hand(head):
    target = torch.tensor([[[0, 1, 1, 0, 0, 0, 0]]])
    p = torch.tensor([0.1, 0.6, 0.9, 0.5, 1e-6, 0.4, 1e-6]).view(1, 1, 1, 7)
    # Edges found .5, .4, .5 at 1, 2, 3 and .4 at 5, of which the last is too far off; true ones 1 at 1 and 2, where
    # the found ones reach .5.
    precision, recall = 1.4 / 1.8, 1.0 / 2
    logits = torch.logit(p) if head == "sigmoid" else torch.cat([1 - p, p], dim=1).log()
    expected = 1 - 2 * precision * recall / (precision + recall)
    assert surface(logits, target, head=head).item() == pytest.approx(expected, abs=1e-5)


def test_edges_within_a_pixel_cost_nothing_and_others_much():
    true = disc(20, 20)
    near = [of_masks(disc(*centre), true) for centre in ((20, 20), (20, 21), (21, 21))]
    assert near == pytest.approx([0, 0, 0], abs=1e-6)
    band = torch.zeros(1, 20, 40, dtype=torch.bool)
    band[..., 10:20] = True  # has no edge at the top and at the bottom, where the tile ends
    shifts = [of_masks(band.roll(by, dims=2), band) for by in range(4)]
    assert shifts == pytest.approx([0, 0, 1, 1], abs=1e-6)


def test_crisp_masks_have_the_f1_that_scipy_gives():
    masks = disc(20, 20), disc(17, 24) | disc(5, 5)
    found, true = (each[0].numpy() & ~binary_erosion(each[0].numpy(), SQUARE, border_value=1) for each in masks)
    precision = (found & binary_dilation(true, SQUARE)).sum() / found.sum()
    recall = (true & binary_dilation(found, SQUARE)).sum() / true.sum()
    assert 0.1 < recall < precision < 0.9
    assert of_masks(*masks) == pytest.approx(1 - 2 * precision * recall / (precision + recall))


def test_classes_do_not_matter():
    logits, target, valid = random_batch()
    swapped = torch.where(target > 0, target % 3 + 1, 0)
    assert surface(logits, swapped, valid, "softmax") == surface(logits, target, valid, "softmax") > 0


def test_there_is_no_edge_towards_nodata():
    target = torch.tensor([[[0, 0, 1, 1, 1, 1, 1, 0]]])
    predicted = torch.tensor([[[0, 0, 1, 0, 0, 0, 0, 0]]])
    valid = torch.tensor([[[1, 1, 1, 1, 1, 1, 0, 0]]]) > 0  # only the left one of the true edges remains
    assert of_masks(predicted, target) == pytest.approx(1 / 3)  # precision 1, recall 1/2
    assert of_masks(predicted, target, valid) == pytest.approx(0.0, abs=1e-6)


@HEADS
def test_nodata_pixels_change_nothing_and_get_no_gradient(head):
    logits, target, valid = random_batch(head)
    logits.requires_grad_()
    value = surface(logits, target, valid, head)
    value.backward()
    assert not logits.grad.abs().sum(1)[~valid].any()
    assert logits.grad.any()
    changed = surface(logits.detach() + 50.0 * ~valid[:, None], target.where(valid, 255), valid, head)
    assert changed == value


def test_edges_are_pooled_over_the_batch():
    """Two tiles in a batch are the same as two tiles side by side, with a column of no-data between them."""
    tiles = random_batch()
    wide = [torch.cat([each[:1], torch.zeros_like(each[:1, ..., :1]), each[1:]], dim=-1) for each in tiles]
    torch.testing.assert_close(surface(*tiles, "softmax"), surface(*wide, "softmax"))


@pytest.mark.parametrize("case", ["no valid pixel", "no slick", "nothing but slick", "no tile"])
def test_without_a_true_edge_it_is_0_and_without_gradient(case):
    logits, target, valid = random_batch()
    match case:
        case "no valid pixel":
            valid = torch.zeros_like(valid)
        case "no slick":
            target = torch.zeros_like(target)
        case "nothing but slick":
            target = torch.ones_like(target)
        case "no tile":  # a process may get none of a small batch
            logits, target, valid = logits[:0], target[:0], valid[:0]
    logits.requires_grad_()
    value = surface(logits, target, valid, "softmax")
    value.backward()
    assert value == 0
    assert not logits.grad.any()


def test_a_prediction_without_any_edge_costs_1_and_has_a_finite_gradient():
    _, target, _ = random_batch()
    logits = torch.full((2, 1, 8, 8), -200.0, requires_grad=True)
    value = surface(logits, target)
    value.backward()
    assert value == 1
    assert logits.grad.isfinite().all()


@HEADS
def test_the_gradient_is_that_of_the_value(head):
    logits, target, valid = random_batch(head, dtype=torch.float64, size=6)
    assert torch.autograd.gradcheck(lambda z: surface(z, target, valid, head), logits.requires_grad_())


@HEADS
def test_binary_surface_weight_adds_it(head):
    # 1 - p(background) falls: .9 .8 .7 .6, of sigmoid .82 .68 .6 .55. Its edges are the steps, all within a pixel of
    # the true one at the second pixel.
    precision, recall = 1.0, 0.1 if head == "softmax" else 0.14
    expected = 1 - 2 * precision * recall / (precision + recall)
    plain = by_hand("dicebce", head=head)
    assert by_hand("dicebce", head=head, binary_surface_weight=2.0) == pytest.approx(plain + 2 * expected, rel=1e-5)
