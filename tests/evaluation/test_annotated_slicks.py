"""Scores of the slick classifier alone, on annotated slicks."""

import numpy as np
import pandas as pd
import pytest

from seepseg.evaluation.annotated_slicks import (
    annotated_slick_scores,
    annotated_slick_tables,
    confusion_of,
    scores_by_split,
)

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


def test_given_classes_by_split():
    given = {"predicted": ["oil", "gas", "gas"], "predicted_alone": ["oil", "oil", "oil"]}
    classes = pd.DataFrame({"split": ["oof", "oof", "test"], "pixels_oil": [9, 4, 1], "pixels_gas": [0, 0, 5]} | given)
    known, alone = (scores_by_split(classes, column, NAMES) for column in given)
    assert known["oof"]["macro_slick_f1"] == pytest.approx(2 / 3) and alone["oof"]["macro_slick_f1"] == 1
    assert [known["test"]["dice"]["gas"], alone["test"]["dice"]["gas"]] == [pytest.approx(10 / 11), 0]
    rows = confusion_of(classes, NAMES).to_numpy().tolist()
    assert rows[:2] == [["oof", "oil", "oil", 9, 1], ["oof", "oil", "gas", 4, 1]]
    assert rows[5:] == [["test", "oil", "gas", 1, 0], ["test", "gas", "oil", 0, 0], ["test", "gas", "gas", 5, 1]]
