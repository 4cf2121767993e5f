"""Edges of slicks, and how well they are met."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_surface_dice
from scipy import ndimage

from seepseg.evaluation.surface import edge_counts, surface_dice

EVERYWHERE = np.ones((10, 12), bool)


def mask(rows, cols):
    """True in a rectangle of rows and columns, from and to."""
    inside = np.zeros_like(EVERYWHERE)
    inside[slice(*rows), slice(*cols)] = True
    return inside


SLICK = mask((1, 4), (1, 7))  # 3 x 6 pixels, all but 4 on its edge


@pytest.mark.parametrize(
    ("pred", "matched", "score"),
    [
        (SLICK, 14, 1.0),
        (mask((1, 4), (2, 8)), 14, 1.0),  # 1 pixel to the right
        (mask((2, 5), (1, 7)), 14, 1.0),  # 1 pixel down
        (mask((3, 6), (1, 7)), 8, 8 / 14),  # 2 down: its own last row, which is met exactly, and the ends above
        (mask((2, 5), (2, 8)), 13, 13 / 14),  # 1 pixel each way is 1.41: the corner is not met
        (mask((6, 9), (1, 7)), 0, 0.0),
    ],
)
def test_shifted_slicks_by_hand(pred, matched, score):
    counts = edge_counts(pred, SLICK, EVERYWHERE)
    assert counts.dtype == np.int64 and counts.tolist() == [[matched, 14], [matched, 14]]
    assert surface_dice(counts) == pytest.approx(score)


def test_the_target_comes_first():
    # A pixel too large on each side, the prediction has no edge above and on the left, where it meets the border. So of
    # the target only the last row, 6, and the rest of the last column, 2, are met; of the prediction all but 3 corners.
    counts = edge_counts(mask((0, 5), (0, 8)), SLICK, EVERYWHERE)
    assert counts.tolist() == [[6 + 2, 14], [8 + 4 - 3, 8 + 4]]


def test_a_slick_has_no_edge_at_no_data_or_at_the_border():
    slick = mask((0, 10), (0, 3))
    assert edge_counts(slick, slick, EVERYWHERE).tolist() == [[10, 10]] * 2  # its last column
    for nodata in (mask((0, 10), (3, 4)), mask((0, 10), (3, 12))):
        assert edge_counts(slick, slick, ~nodata).tolist() == [[0, 0]] * 2


def test_a_hole_has_an_edge_unless_it_is_no_data():
    hole = mask((2, 3), (3, 4))
    slick = SLICK & ~hole
    assert edge_counts(slick, slick, EVERYWHERE).tolist() == [[16, 16]] * 2  # left and right of it lie two more
    assert edge_counts(slick, slick, ~hole).tolist() == [[14, 14]] * 2


def test_no_edge_no_score():
    nothing = np.zeros_like(SLICK)
    assert np.isnan(surface_dice(edge_counts(nothing, nothing, EVERYWHERE)))
    assert np.isnan(surface_dice(edge_counts(EVERYWHERE, EVERYWHERE, EVERYWHERE)))
    assert surface_dice(edge_counts(nothing, SLICK, EVERYWHERE)) == 0
    assert surface_dice(edge_counts(SLICK, nothing, EVERYWHERE)) == 0


def test_scores_of_several_at_once():
    counts = np.array([[[1, 2], [2, 4]], [[0, 0], [0, 0]], [[3, 3], [0, 1]]])
    np.testing.assert_array_equal(surface_dice(counts), [3 / 6, np.nan, 3 / 4])


def blobs(seed):
    """Two masks of uneven blobs that resemble each other, and the valid pixels."""
    fields = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(3, 60, 80)), (0, 2.5, 2.5))
    return fields[0] > 0.1, 0.8 * fields[0] + 0.3 * fields[1] > 0.1, fields[2] > -0.2


@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_monai_off_the_border(seed):
    pred, target, _ = (np.pad(each[1:-1, 1:-1], 1) for each in blobs(seed))
    expected = compute_surface_dice(*(torch.tensor(np.stack([~each, each])[None]) for each in (pred, target)), [1.0])
    assert 0.2 < expected.item() < 0.98
    assert surface_dice(edge_counts(pred, target, np.ones_like(pred))) == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_counts_agree_with_distances_beside_no_data(seed):
    *masks, valid = blobs(seed)
    pred, target = (each & valid for each in masks)
    edges = [each & ndimage.binary_dilation(valid & ~each) for each in (target, pred)]
    matched = [one & (ndimage.distance_transform_edt(~other) <= 1) for one, other in (edges, edges[::-1])]
    expected = [[one.sum(), edge.sum()] for one, edge in zip(matched, edges, strict=True)]
    assert edge_counts(pred, target, valid).tolist() == expected
