"""Which slicks were judged already."""

import numpy as np
import pandas as pd
import pytest
import shapely

from seepseg.report.decisions import decisions

SLICKS = pd.DataFrame({"kind": ["annotated", "predicted", "predicted"]})
OUTLINES = [shapely.box(0, 0, 10, 10), shapely.box(0, 0, 10, 10), shapely.box(50, 0, 60, 10)]


def decided(*rows):
    table = pd.DataFrame(rows, columns=["kind", "decision", "outline"]).assign(
        outline=lambda t: shapely.to_wkt(t["outline"])
    )
    return decisions(SLICKS, OUTLINES, table).tolist()


def test_kind_and_outline_tell_which_slick_was_judged():
    assert decided(("predicted", "wrong", OUTLINES[0])) == ["", "wrong", ""]
    assert decided(("annotated", "right", OUTLINES[2])) == ["", "", ""]
    assert decided() == ["", "", ""]


@pytest.mark.parametrize(("width", "decision"), [(9.1, "right"), (8.9, ""), (11.0, "right"), (11.3, "")])
def test_an_outline_that_moved_a_little_is_the_same(width, decision):
    """From an intersection over union of 0.9 on: 91 of 100 pixels, and 100 of 110; not 89 of 100, and 100 of 113."""
    assert decided(("annotated", "right", shapely.box(0, 0, width, 10))) == [decision, "", ""]


def test_the_last_decision_counts():
    rows = [("predicted", decision, OUTLINES[2]) for decision in ("right", "wrong", "other_class")]
    assert decided(*rows) == ["", "", "other_class"]
    assert decided(*rows[::-1]) == ["", "", "right"]


@pytest.mark.parametrize(("width", "predicted"), [(5, "wrong"), (4.9, ""), (100, "wrong")])
def test_where_an_annotated_slick_was_none_a_predicted_one_is_none(width, predicted):
    """From half of it on; the annotated one, where it is still there, has moved by too much."""
    assert decided(("annotated", "wrong", shapely.box(0, 0, width, 10)))[:2] == ["", predicted]
    assert decided(("annotated", "right", shapely.box(0, 0, width, 10))) == ["", "", ""]


def test_no_slick_is_no_fault():
    empty = decisions(
        SLICKS[:0], [], pd.DataFrame({"kind": ["predicted"], "decision": "wrong", "outline": "POLYGON EMPTY"})
    )
    assert empty.to_numpy(str).tolist() == np.zeros(0).tolist()
