"""Candidates of a scene, and how networks are averaged, on scenes that can be checked by eye."""

import numpy as np

from seepseg.data.scenes import Scene
from seepseg.detection.candidates import average, find_candidates, most_probable_classes
from seepseg.detection.tta import SceneProbs

FOREGROUND = np.array(
    [
        [0.9, 0.5, 0.0, 0.6, 0.6, 0.0],
        [0.0, 0.0, 0.4, 0.0, 0.6, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.8, 0.0, 0.3, 0.0, 0.7, 0.4],
    ],
    dtype=np.float32,
)


def probs_of(foreground, *class_probs, tiles=1):
    """A scene of equal tiles side by side."""
    height, width = foreground.shape
    side = width // tiles
    scene = Scene("s", np.arange(tiles), np.zeros(tiles, int), np.arange(tiles) * side, (height, side))
    classes = np.stack(class_probs or [foreground, 0 * foreground])
    return SceneProbs(scene, foreground.astype(np.float32), scene.cut(classes).astype(np.float16))


def test_candidates_by_eye():
    labels, n = find_candidates(FOREGROUND, 0.4, 2)
    assert n == 2
    assert labels.tolist() == [[1, 1, 0, 1, 1, 0], [0, 0, 1, 0, 1, 0], [0] * 6, [0, 0, 0, 0, 2, 2]]
    assert find_candidates(FOREGROUND, 0.4, 1)[1] == 3
    assert find_candidates(np.zeros((3, 3), np.float32), 0.4, 1)[1] == 0


def test_networks_are_averaged_by_their_log_odds():
    one, other = (probs_of(np.full((2, 2), p)) for p in (0.9, 0.5))
    # Odds of 9 and 1: their geometric mean is 3.
    np.testing.assert_allclose(average([one, other]), 0.75, atol=1e-6)
    unseen = probs_of(np.zeros((2, 2)))
    assert not average([unseen, unseen]).any()
    assert average([one]) is one.foreground
    apart = Scene("s", np.arange(2), np.zeros(2, int), np.array([0, 4]), (2, 2))
    first, second = (SceneProbs(apart, p * apart.stitch(np.ones((2, 2, 2), np.float32)), None) for p in (0.9, 0.5))
    np.testing.assert_allclose(average([first, second]), [[0.75, 0.75, 0, 0, 0.75, 0.75]] * 2, atol=1e-6)


def test_the_most_probable_class_is_that_of_the_networks_together():
    first, second = np.array([[0.8, 0.3, 0.1, 0.0]] * 2), np.array([[0.1, 0.2, 0.6, 0.5]] * 2)
    one = probs_of(np.full((2, 4), 0.9), first, second, tiles=2)
    assert most_probable_classes([one]).tolist() == [[1, 1, 2, 2]] * 2
    # Sums of 0.8 and 0.6, of 0.3 and 0.7, of 0.1 and 1.1, of 0.0 and 1.0.
    other = probs_of(np.full((2, 4), 0.5), np.zeros((2, 4)), np.full((2, 4), 0.5), tiles=2)
    classes = most_probable_classes([one, other])
    assert classes.dtype == np.uint8 and classes.tolist() == [[1, 2, 2, 2]] * 2
