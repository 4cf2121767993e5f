"""Candidates of a scene, and how networks are averaged, on scenes that can be checked by eye."""

import numpy as np
import pytest

from seepseg.detection.candidates import PieceCollector, average, most_probable_classes
from seepseg.detection.tta import BlockProbs
from seepseg.evaluation.objects import label_objects

FOREGROUND = np.array(
    [
        [0.9, 0.5, 0.0, 0.6, 0.6, 0.0],
        [0.0, 0.0, 0.4, 0.0, 0.6, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.8, 0.0, 0.3, 0.0, 0.7, 0.4],
    ],
    dtype=np.float32,
)


def probs_of(foreground, *class_probs):
    classes = np.stack(class_probs or [foreground, 0 * foreground])
    return BlockProbs(foreground.astype(np.float32), classes.astype(np.float16))


def find_candidates(foreground, threshold, min_area, block=(1000, 1000)):
    """Labels and number of the candidates, found block by block."""
    pieces = PieceCollector(foreground.shape, block, threshold, min_area)
    of_pieces = np.zeros(foreground.shape, np.int32)
    for window in pieces.labels.windows():
        of_pieces[window.slices] = pieces.add(window, foreground[window.slices])
    numbers, n = pieces.join()
    labels = pieces.labels.whole()
    np.testing.assert_array_equal(numbers[of_pieces], labels)
    return labels, n


@pytest.mark.parametrize("block", [(1000, 1000), (1, 1), (2, 3), (3, 2)])
def test_candidates_by_eye(block):
    labels, n = find_candidates(FOREGROUND, 0.4, 2, block)
    assert n == 2
    assert labels.tolist() == [[1, 1, 0, 1, 1, 0], [0, 0, 1, 0, 1, 0], [0] * 6, [0, 0, 0, 0, 2, 2]]
    assert find_candidates(FOREGROUND, 0.4, 1, block)[1] == 3
    assert find_candidates(np.zeros((3, 3), np.float32), 0.4, 1, block)[1] == 0


@pytest.mark.parametrize("seed", range(10))
def test_candidates_and_their_numbers_do_not_depend_on_the_blocks(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(5, 60, 2)
    foreground = (rng.random((height, width)) * (rng.random((height, width)) < rng.choice([0.3, 0.5, 0.7]))).astype(
        "f4"
    )
    expected, count = label_objects(foreground >= 0.3, 8)
    labels, n = find_candidates(foreground, 0.3, 1, tuple(rng.integers(3, 30, 2).tolist()))
    assert n == count
    np.testing.assert_array_equal(labels, expected)
    kept = np.flatnonzero(np.bincount(expected.ravel())[1:] >= 5) + 1
    assert find_candidates(foreground, 0.3, 5, (7, 9))[1] == len(kept)


def test_networks_are_averaged_by_their_log_odds():
    one, other = (probs_of(np.full((2, 2), p)) for p in (0.9, 0.5))
    # Odds of 9 and 1: their geometric mean is 3.
    np.testing.assert_allclose(average([one, other]), 0.75, atol=1e-6)
    unseen = probs_of(np.zeros((2, 2)))
    assert not average([unseen, unseen]).any()
    assert average([one]) is one.foreground


def test_the_most_probable_class_is_that_of_the_networks_together():
    first, second = np.array([[0.8, 0.3, 0.1, 0.0]] * 2), np.array([[0.1, 0.2, 0.6, 0.5]] * 2)
    one = probs_of(np.full((2, 4), 0.9), first, second)
    assert most_probable_classes([one]).tolist() == [[1, 1, 2, 2]] * 2
    # Sums of 0.8 and 0.6, of 0.3 and 0.7, of 0.1 and 1.1, of 0.0 and 1.0.
    other = probs_of(np.full((2, 4), 0.5), np.zeros((2, 4)), np.full((2, 4), 0.5))
    classes = most_probable_classes([one, other])
    assert classes.dtype == np.uint8 and classes.tolist() == [[1, 2, 2, 2]] * 2
