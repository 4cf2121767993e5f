"""Centrelines of slicks that can be checked by eye, and against searches slick by slick."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from seepseg.data.block_array import BlockArray
from seepseg.detection import centrelines
from seepseg.detection.centrelines import find_centrelines
from seepseg.detection.shapes import find_boxes
from seepseg.evaluation.objects import label_objects

ROOT = 2**0.5


def lines_of(mask, block=(1000, 1000), **values):
    labels, n = label_objects(np.asarray(mask) > 0, 8)
    in_blocks = BlockArray.of(labels, block)
    return find_centrelines(in_blocks, find_boxes(in_blocks, n), **values)


def many_slicks():
    """Blobs and winding bands, some with holes, at random."""
    smooth = gaussian_filter(np.random.default_rng(0).random((200, 200)), 2.0)
    return smooth > np.quantile(smooth, 0.65)


def test_a_straight_slick():
    mask = np.zeros((20, 30))
    mask[5:8, 4:24] = 1  # 20 pixels long, 3 wide
    lines = lines_of(mask, with_paths=True)
    assert lines.ends[0].tolist() == [[23.5, 7.5], [4.5, 5.5]]  # x and y, centres of the corner pixels
    assert lines.length[0] == pytest.approx(17 + 2 * ROOT)
    assert lines.half_width[0] == pytest.approx([1.34, 1.34], abs=0.01)  # less, as paths begin in corners
    path = lines.paths[0]
    assert path[0].tolist() == [23.5, 7.5] and path[-1].tolist() == [4.5, 5.5]
    assert len(path) == 4 and np.diff(path[1:, 0]).tolist() == [-8, -8]


def test_a_line_of_one_pixel_across_is_half_a_pixel_wide_to_each_side():
    lines = lines_of(np.ones((1, 8)))
    assert (lines.length[0], lines.half_width[0].tolist()) == (7, [0.5, 0.5])
    assert lines_of(np.eye(8)).length[0] == pytest.approx(7 * ROOT)


def test_one_pixel_has_both_ends_there():
    mask = np.zeros((4, 9))
    mask[2, 7] = 1
    lines = lines_of(mask, with_paths=True)
    assert lines.ends[0].tolist() == [[7.5, 2.5]] * 2 and lines.paths[0].tolist() == [[7.5, 2.5]] * 2
    assert lines.length[0] == 0 and lines.half_width[0].tolist() == [0.5, 0.5]


def test_the_wider_end_is_told():
    mask = np.zeros((40, 100))
    for column in range(100):  # a wedge from 2 to 20 pixels
        half = 1 + column // 11
        mask[20 - half : 20 + half, column] = 1
    lines = lines_of(mask)
    wide = lines.ends[0, :, 0].argmax()
    assert lines.half_width[0, wide] == pytest.approx(9, rel=0.25)
    assert lines.half_width[0, 1 - wide] == pytest.approx(1.8, rel=0.15)


def test_a_bent_slick_is_as_long_as_it_is_along_its_bend():
    mask = np.zeros((30, 30))
    mask[3, 3:28] = mask[3:28, 3] = mask[27, 3:28] = 1  # ends are 24 apart
    lines = lines_of(mask, with_paths=True)
    assert lines.length[0] == 23 + 23 + 22 + 2 * ROOT
    assert sorted(lines.ends[0].tolist()) == [[27.5, 3.5], [27.5, 27.5]]
    inside = np.floor(lines.paths[0]).astype(int)
    assert mask[inside[:, 1], inside[:, 0]].all() and inside[:, 0].min() == 3


def test_lengths_are_those_of_all_pairs_of_pixels_where_no_sea_is_enclosed():
    """In a convex slick a step diagonally and one straight make the longest of all shortest paths."""
    y, x = np.mgrid[:41, :41]
    mask = (y - 20) ** 2 / 19**2 + (x - 20) ** 2 / 7**2 <= 1
    at = np.argwhere(mask)
    far, near = cdist(at, at, "chebyshev"), cdist(at, at, "cityblock")
    assert lines_of(mask).length[0] == pytest.approx((far + (ROOT - 1) * (near - far)).max())


@pytest.mark.parametrize("block", [(64, 64), (50, 300), (17, 23)])
def test_neither_blocks_nor_batches_change_anything(block, monkeypatch):
    mask = many_slicks()
    whole = lines_of(mask, with_paths=True)
    count, longest = len(whole.length), whole.length.max()
    assert count > 100 and longest > 100
    monkeypatch.setattr(centrelines, "BATCH", 40)
    parts = lines_of(mask, block, with_paths=True)
    for name in ("ends", "length", "half_width"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    for path, expected in zip(parts.paths, whole.paths, strict=True):
        np.testing.assert_array_equal(path, expected)


def test_paths_lead_from_end_to_end_through_the_slick():
    mask = many_slicks()
    lines, labels = lines_of(mask, with_paths=True), label_objects(mask, 8)[0]
    for number, (path, ends, length) in enumerate(zip(lines.paths, lines.ends, lines.length, strict=True), start=1):
        assert path[[0, -1]].tolist() == ends.tolist()
        steps = np.hypot(*np.diff(path, axis=0).T)
        assert steps.max() <= 8 * ROOT and steps.sum() <= length + 1e-6
        x, y = np.floor(path).astype(int).T
        assert (labels[y, x] == number).all()
    assert not lines_of(mask).paths


def test_a_slick_that_is_larger_than_can_be_searched_is_decimated(monkeypatch):
    mask = np.zeros((103, 205))
    mask[90:103, 5:205] = mask[3:103, 193:205] = 1
    mask[2, 2:10] = 1
    exact = lines_of(mask, (32, 48))
    monkeypatch.setattr(centrelines, "LARGEST", 500)
    coarse = lines_of(mask, (32, 48))
    assert coarse.length[0] == exact.length[0] == 7  # the small one, as it is
    assert coarse.length[1] == pytest.approx(exact.length[1], abs=10)
    np.testing.assert_allclose(coarse.half_width[1], exact.half_width[1], rtol=0.3)
    inner = coarse.ends[1][coarse.ends[1] < [204, 102]]  # others are moved to the last pixel of the scene
    assert len(inner) >= 2 and (inner % 3 == 1.5).all()  # centres of cells of 3 x 3 pixels
    gaps = cdist(coarse.ends[1], exact.ends[1]).min(axis=0)
    assert (gaps < 8).all() and (coarse.ends < [205, 103]).all()


def test_no_slick_at_all():
    lines = lines_of(np.zeros((5, 6)), with_paths=True)
    assert lines.ends.shape == (0, 2, 2) and lines.half_width.shape == (0, 2) and not lines.paths
