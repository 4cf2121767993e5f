"""What is annotated at the place of a slick, on scenes that can be checked by eye."""

import numpy as np
import pytest

from seepseg.detection.matching import annotated_slicks, match_slicks

NAMES = ["oil", "gas"]


def test_annotations_on_no_data_do_not_count():
    image = np.array([[5, 0, 5, 5]], np.uint16)
    labels, n = annotated_slicks(image, np.array([[1, 1, 1, 0]], np.uint8))
    assert labels.tolist() == [[1, 0, 2, 0]] and n == 2


def test_annotated_slicks_are_of_any_class():
    labels, n = annotated_slicks(np.ones((2, 3), np.uint16), np.array([[1, 2, 0], [0, 0, 2]], np.uint8))
    assert labels.tolist() == [[1, 1, 0], [0, 0, 1]] and n == 1


def matched(labels, target, image=None):
    target, labels = np.array(target, np.uint8), np.array(labels, np.int32)
    image = np.ones(target.shape, np.uint16) if image is None else np.array(image, np.uint16)
    return match_slicks(labels, labels.max(), annotated_slicks(image, target)[0], target, NAMES)


def test_what_is_annotated_there():
    table = matched([[1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], [2, 2, 0, 0, 3, 3]],
                    [[1, 1, 0, 2, 2, 2], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 2, 0]])  # fmt: skip
    assert list(table.columns) == ["slick", "pixels_oil", "pixels_gas", "match", "iou"]
    assert table["slick"].tolist() == [1, 2, 3]
    assert table["pixels_oil"].tolist() == [2, 0, 0]
    assert table["pixels_gas"].tolist() == [3, 0, 1]
    # The first covers two annotated slicks, of 2 and 3 pixels: the larger overlap counts.
    assert table["match"].tolist() == [2, 0, 3]
    assert table["iou"].tolist() == pytest.approx([3 / 6, 0, 1 / 2])


def test_pixels_on_no_data_match_nothing():
    table = matched([[1, 1, 1]], [[1, 1, 0]], image=[[5, 0, 5]])
    assert table[["pixels_oil", "match"]].to_numpy().tolist() == [[1, 1]]
    assert table["iou"].tolist() == pytest.approx([1 / 3])


def test_a_scene_without_a_slick():
    assert matched(np.zeros((2, 2)), [[1, 0], [0, 0]]).shape == (0, 5)
