"""Scores of the slick classifier alone, on annotated slicks."""

import numpy as np
import pytest

from seepseg.evaluation.annotated_slicks import annotated_slick_scores, annotated_slick_tables

NAMES = ["oil", "gas"]


def test_classes_of_annotated_slicks_by_hand():
    pixels = np.array([[100, 0], [40, 0], [10, 50]])  # the third is mostly gas
    by_pixel, by_slick = annotated_slick_tables(pixels, np.array([0, 1, 1]))
    assert by_pixel.tolist() == [[100, 50], [0, 50]]
    assert by_slick.tolist() == [[1, 1], [0, 1]]
    measured = annotated_slick_scores(by_pixel, by_slick, NAMES)
    assert measured["dice"] == pytest.approx({"oil": 200 / 250, "gas": 100 / 150})
    assert measured["macro_dice"] == pytest.approx((200 / 250 + 100 / 150) / 2)
    assert measured["slick_f1"] == pytest.approx({"oil": 2 / 3, "gas": 2 / 3})
    right = annotated_slick_tables(pixels, np.array([0, 0, 1]))
    assert annotated_slick_scores(*right, NAMES)["macro_slick_f1"] == 1
    assert annotated_slick_scores(*annotated_slick_tables(pixels[:2], np.array([0, 0])), NAMES)["dice"] == {
        "oil": 1.0,
        "gas": None,
    }
