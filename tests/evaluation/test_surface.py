"""Edges of slicks, and how well they are met."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_surface_dice
from scipy import ndimage

from seepseg.evaluation.surface import TOLERANCES, edge_counts, surface_dice

EVERYWHERE = np.ones((10, 12), bool)


def mask(rows, cols):
    """1 in a rectangle of rows and columns, from and to."""
    inside = np.zeros(EVERYWHERE.shape, np.uint8)
    inside[slice(*rows), slice(*cols)] = 1
    return inside


SLICK = mask((1, 4), (1, 7))  # 3 x 6 pixels, all but 4 on its edge


def of_one(pred, target=SLICK, valid=EVERYWHERE):
    """Counts of one class, which are those of any: (T, 2, 2)."""
    any_class, each = edge_counts(pred, target, valid, 2)
    np.testing.assert_array_equal(any_class, each)
    return any_class


@pytest.mark.parametrize(
    ("pred", "matched"),
    [
        (SLICK, (14, 14, 14)),
        (mask((1, 4), (2, 8)), (14, 14, 14)),  # 1 pixel to the right
        (mask((2, 5), (1, 7)), (14, 14, 14)),  # 1 pixel down
        (mask((3, 6), (1, 7)), (8, 14, 14)),  # 2 down: its own last row, which is met exactly, and the ends above
        (mask((2, 5), (2, 8)), (13, 14, 14)),  # 1 pixel each way is 1.41: the corner is not met at 1
        (mask((4, 7), (1, 7)), (6, 8, 14)),  # 3 down: at 1 the last row, at 2 the ends above it, too
        (mask((5, 8), (1, 7)), (0, 6, 8)),
        (mask((6, 9), (1, 7)), (0, 0, 6)),
    ],
)
def test_shifted_slicks_by_hand(pred, matched):
    counts = of_one(pred)
    assert counts.dtype == np.int64 and counts.tolist() == [[[each, 14], [each, 14]] for each in matched]
    expected = [[each / 14 for each in matched]] * 3  # of any class, of the one, and the mean
    np.testing.assert_allclose(surface_dice(edge_counts(pred, SLICK, EVERYWHERE, 2)), expected)


@pytest.mark.parametrize("shift", TOLERANCES)
def test_a_square_beside_itself_meets_all_from_the_tolerance_of_the_shift_on(shift):
    square = np.zeros((40, 40), np.uint8)
    square[10:30, 10:30] = 1
    met = surface_dice(edge_counts(np.roll(square, shift, axis=1), square, square < 2, 2))[0]
    # Below that, of 76 edge pixels one column is missed with the beginning of both rows, and the other one but for its
    # ends, which lie near the rows of the other square.
    missed = [40 + 2 * (shift - each - 1) - 2 * (each + 1) if each < shift else 0 for each in TOLERANCES]
    np.testing.assert_allclose(met, [1 - each / 76 for each in missed])


def test_the_target_comes_first():
    # A pixel too large on each side, the prediction has no edge above and on the left, where it meets the border. So of
    # the target only the last row, 6, and the rest of the last column, 2, are met; of the prediction all but 3 corners.
    counts = of_one(mask((0, 5), (0, 8)))[0]
    assert counts.tolist() == [[6 + 2, 14], [8 + 4 - 3, 8 + 4]]


def test_a_slick_has_no_edge_at_no_data_or_at_the_border():
    slick = mask((0, 10), (0, 3))
    assert of_one(slick, slick).tolist() == [[[10, 10]] * 2] * 3  # its last column
    for nodata in (mask((0, 10), (3, 4)), mask((0, 10), (3, 12))):
        assert of_one(slick, slick, nodata == 0).tolist() == [[[0, 0]] * 2] * 3


def test_a_hole_has_an_edge_unless_it_is_no_data():
    hole = mask((2, 3), (3, 4))
    slick = SLICK & ~hole
    assert of_one(slick, slick)[0].tolist() == [[16, 16]] * 2  # left and right of it lie two more
    assert of_one(slick, slick, hole == 0)[0].tolist() == [[14, 14]] * 2


def test_classes_have_edges_to_each_other():
    """A slick of 3 x 6, the last half of which is of class 2 in truth: so each half is one of 3 x 3, 8 on its edge."""
    target = SLICK + mask((1, 4), (4, 7))
    any_class, one, two = edge_counts(SLICK, target, EVERYWHERE, 3)[:, 0].tolist()
    assert any_class == [[14, 14]] * 2
    assert one == [[8, 8], [7 + 2, 14]]  # beyond the 3 columns of the target, one pixel of each row is near enough
    assert two == [[0, 8], [0, 0]]


def test_an_absent_class_has_no_score_and_is_in_no_mean():
    def scores(pred, target):
        return surface_dice(edge_counts(pred, target, EVERYWHERE, 4))[:, 0]

    two = SLICK * 2
    np.testing.assert_array_equal(scores(SLICK, SLICK), [1, 1, np.nan, np.nan, 1])
    np.testing.assert_array_equal(scores(two, SLICK), [1, 0, np.nan, np.nan, 0])  # class 2 was predicted, but isn't
    np.testing.assert_array_equal(scores(mask((1, 4), (1, 7)) + mask((6, 9), (1, 7)) * 2, SLICK + two[::-1])[1], 1)
    np.testing.assert_array_equal(scores(SLICK, np.maximum(SLICK, mask((6, 9), (1, 7)) * 3))[1:], [1, np.nan, 0, 0.5])


def test_no_edge_no_score():
    nothing, everything = np.zeros_like(SLICK), np.ones_like(SLICK)
    for pred, target in ((nothing, nothing), (everything, everything)):
        assert np.isnan(surface_dice(edge_counts(pred, target, EVERYWHERE, 2))).all()
    assert (surface_dice(edge_counts(nothing, SLICK, EVERYWHERE, 2)) == 0).all()
    assert (surface_dice(edge_counts(SLICK, nothing, EVERYWHERE, 2))[0] == 0).all()


def test_scores_of_several_at_once():
    counts = np.array([[[1, 2], [2, 4]], [[0, 0], [0, 0]], [[3, 3], [0, 1]]])[:, np.newaxis, np.newaxis]
    np.testing.assert_array_equal(surface_dice(counts)[:, 0, 0], [3 / 6, np.nan, 3 / 4])


def blobs(seed):
    """Two masks of uneven blobs of three classes that resemble each other, and the valid pixels."""
    fields = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(5, 60, 80)), (0, 2.5, 2.5))
    kind = np.digitize(fields[3:].cumsum(axis=0) / [[[1]], [[1.2]]], [-0.05, 0.05]) + 1
    slick = fields[0] > 0.1, 0.8 * fields[0] + 0.3 * fields[1] > 0.1
    pred, target = (np.where(here, of, 0).astype(np.uint8) for here, of in zip(slick, kind, strict=True))
    return pred, target, fields[2] > -0.2


@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_monai_off_the_border(seed):
    """There an edge is what erosion by the 4-neighbours takes off, and a distance counts up to the tolerance, too.

    MONAI takes any border of the image for an edge and knows no no-data, so that masks here keep off both.
    """
    pred, target, _ = (np.pad(each[1:-1, 1:-1], 1) for each in blobs(seed))
    found = surface_dice(edge_counts(pred, target, np.ones(pred.shape, bool), 4))

    def expected(tolerance, masks):
        one_hot = [torch.tensor(np.stack([~np.any(each, axis=0), *each])[None]) for each in masks]
        return compute_surface_dice(*one_hot, [tolerance] * len(masks[0]))[0].numpy()

    for number, tolerance in enumerate(TOLERANCES):
        any_class = expected(float(tolerance), [[each > 0] for each in (pred, target)])
        by_class = expected(float(tolerance), [[each == kind for kind in (1, 2, 3)] for each in (pred, target)])
        np.testing.assert_allclose(found[:4, number], [*any_class, *by_class], atol=1e-6)
        assert found[4, number] == pytest.approx(by_class.mean(), abs=1e-6) and 0.1 < by_class.min() < 0.98


@pytest.mark.parametrize("seed", range(3))
def test_counts_agree_with_distances_beside_no_data(seed):
    *both, valid = blobs(seed)
    pred, target = (np.where(valid, each, 0).astype(np.uint8) for each in both)
    found = edge_counts(pred, target, valid, 4)
    for number in range(4):
        masks = [each > 0 if number == 0 else each == number for each in (target, pred)]
        edges = [each & ndimage.binary_dilation(valid & ~each) for each in masks]
        away = [ndimage.distance_transform_edt(~edge) for edge in edges[::-1]]
        for which, tolerance in enumerate(TOLERANCES):
            expected = [[(edge & (far <= tolerance)).sum(), edge.sum()] for edge, far in zip(edges, away, strict=True)]
            assert found[number, which].tolist() == expected
