"""Corrections: what the file may say, and what each decision does to targets, by eye."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from seepseg.base.errors import InputError
from seepseg.data.block_array import BlockArray
from seepseg.data.corrected_targets import Corrector
from seepseg.data.corrections import COLUMNS, no_corrections, read_corrections
from seepseg.geo.polygons import trace

CLASSES = ["oil", "gas"]
HEADER = ",".join(COLUMNS)
# Two tiles of 3 x 4 pixels side by side, in the second row and from the second column of their grid: the first pixel
# is at x 4, y 3. On the last row of the second tile there is no data.
SHAPE = (3, 4)
TARGET = np.array(
    [
        [0, 1, 1, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 2, 2, 0, 0],
        [0, 0, 0, 0, 2, 2, 0, 1],
    ],
    np.uint8,
)
IMAGE = np.ones((3, 8), np.uint16)
IMAGE[2, 4:] = 0
MIDDLE = "POLYGON ((7 3, 10 3, 10 6, 7 6, 7 3))"  # columns 3 to 5 of TARGET
LEFT = "POLYGON ((4 3, 7 3, 7 6, 4 6, 4 3))"  # columns 0 to 2


def table_of(*rows):
    return pd.DataFrame([dict(zip(COLUMNS, row, strict=True)) for row in rows], index=range(2, len(rows) + 2))


def corrector_of(*rows, scenes=("bay", "bay"), cells=((1, 1), (1, 2))):
    corrector = Corrector(table_of(*rows), CLASSES)
    corrector.place(scenes, cells, SHAPE)
    return corrector


def corrected(corrector, scene="bay"):
    """Both tiles, side by side again."""
    parts = [(TARGET[:, part], IMAGE[:, part]) for part in (slice(4), slice(4, 8))]
    return np.hstack([corrector.correct(i, scene, *part) for i, part in enumerate(parts)]).tolist()


@pytest.mark.parametrize(
    ("kind", "decision", "name", "expected", "changed"),
    [
        ("annotated", "right", "oil", TARGET.tolist(), 0),
        (
            "annotated",
            "wrong",
            "",
            [
                [0, 1, 1, 0, 0, 0, 0, 0],
                [0, 0, 1, 0, 0, 0, 0, 0],
                [0, 0, 0, 0, 2, 2, 0, 1],
            ],
            5,
        ),
        (
            "annotated",
            "other_class",
            "gas",
            [
                [0, 1, 1, 2, 2, 0, 0, 0],
                [0, 0, 1, 2, 2, 2, 0, 0],
                [0, 0, 0, 0, 2, 2, 0, 1],
            ],
            3,
        ),
        (
            "predicted",
            "right",
            "oil",
            [
                [0, 1, 1, 1, 1, 1, 0, 0],
                [0, 0, 1, 1, 1, 1, 0, 0],
                [0, 0, 0, 1, 2, 2, 0, 1],
            ],
            4,
        ),
        (
            "predicted",
            "other_class",
            "gas",
            [
                [0, 1, 1, 2, 2, 2, 0, 0],
                [0, 0, 1, 2, 2, 2, 0, 0],
                [0, 0, 0, 2, 2, 2, 0, 1],
            ],
            5,
        ),
        ("predicted", "wrong", "", TARGET.tolist(), 0),
    ],
)
def test_what_each_decision_does_across_the_border_of_two_tiles_where_there_is_data(
    kind, decision, name, expected, changed
):
    before = TARGET.copy()
    corrector = corrector_of(("bay", kind, decision, name, MIDDLE))
    assert corrected(corrector) == expected
    assert corrector.changed.tolist() == [changed] and corrector.changed_pixels == changed
    assert corrector.within.tolist() == [9]
    corrector.check(Path("c.csv"))
    np.testing.assert_array_equal(TARGET, before)


def test_later_rows_find_what_earlier_ones_made():
    make, remove = ("bay", "predicted", "right", "gas", MIDDLE), ("bay", "annotated", "wrong", "", MIDDLE)
    assert corrected(corrector_of(make, remove)) == corrected(corrector_of(remove))
    both = corrector_of(remove, make)
    assert corrected(both) == corrected(corrector_of(make))
    assert both.changed.tolist() == [5, 7] and both.changed_pixels == 5
    assert both.summary() == {
        "rows": {"right": 1, "wrong": 1, "other_class": 0},
        "rows_with_effect": 2,
        "changed_pixels": 5,
    }


def test_outlines_that_trace_pixel_edges_meet_just_these_pixels():
    pixels = np.random.default_rng(1).random((3, 8)) < 0.5  # holes, and pixels that touch at corners
    (outline,) = trace(BlockArray.of(pixels.astype(np.int32), (2, 4)), 1)
    outline = shapely.transform(outline, lambda points: points + np.array([4, 3]))
    corrector = corrector_of(("bay", "predicted", "right", "gas", outline.wkt))
    has_data = IMAGE > 0
    assert corrected(corrector) == np.where(pixels & has_data, 2, TARGET).tolist()
    assert corrector.within.tolist() == [np.count_nonzero(pixels)]


def test_a_correction_is_of_its_scene_alone():
    rows = ("cove", "annotated", "wrong", "", LEFT), ("bay", "annotated", "wrong", "", "POLYGON ((0 0, 3 0, 3 3, 0 0))")
    corrector = corrector_of(*rows, scenes=("bay", "cove"), cells=((1, 1), (1, 1)))
    tile, image = TARGET[:, :4], IMAGE[:, :4]
    assert corrector.correct(0, "bay", tile, image).tolist() == tile.tolist()
    assert corrector.correct(1, "cove", tile, image).tolist() == [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_a_single_tile_without_a_place_is_a_scene_of_its_own():
    row = ("pond", "annotated", "wrong", "", "POLYGON ((0 0, 3 0, 3 3, 0 3, 0 0))")
    corrector = corrector_of(row, scenes=("bay", "pond"), cells=((1, 1), (None, None)))
    tile, image = TARGET[:, :4], IMAGE[:, :4]
    assert corrector.correct(1, "pond", tile, image).tolist() == [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    corrector.check(Path("c.csv"))


@pytest.mark.parametrize("cells", [((None, None), (None, None)), ((1, 1), (None, None)), ((1, 1), (1, 1))])
def test_rows_that_belong_nowhere_are_listed_together(cells):
    rows = [
        ("bay", "predicted", "wrong", "", MIDDLE),
        ("Bay", "predicted", "wrong", "", MIDDLE),
        ("pond", "annotated", "right", "oil", MIDDLE),
        ("pond", "annotated", "right", "oil", "POLYGON ((0 0, 3 0, 3 3, 0 3, 0 0))"),
    ]
    corrector = corrector_of(*rows, scenes=("bay", "bay", "pond"), cells=(*cells, (0, 0)))
    assert corrected(corrector) == TARGET.tolist()
    corrector.correct(2, "pond", TARGET[:, :4], IMAGE[:, :4])
    with pytest.raises(InputError) as caught:
        corrector.check(Path("c.csv"))
    assert str(caught.value).splitlines() == [
        "c.csv can't be used, nothing was written; name the corrections of this data set in data.corrections, or "
        "remove these rows",
        "    row 2: expected scene bay with each tile at a place of its own (data.grid_columns), found others",
        "    row 3: expected a scene of the data set, found Bay",
        "    row 4: expected an outline on tiles of scene pond, found one beside them",
    ]


def write(folder, *lines):
    path = folder / "c.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


@pytest.mark.parametrize("content", ["", f"{HEADER}\n", f"{HEADER}\n\n,,,,\n"])
def test_a_file_without_rows_corrects_nothing(tmp_path, content):
    path = tmp_path / "c.csv"
    path.write_text(content)
    assert read_corrections(path, CLASSES).empty
    corrector = Corrector(no_corrections(), CLASSES)
    corrector.place(["bay"], [(0, 0)], SHAPE)
    target = TARGET[:, :4]
    assert corrector.correct(0, "bay", target, IMAGE[:, :4]) is target
    corrector.check(path)


def test_rows_are_text_and_know_their_number_in_the_file(tmp_path):
    path = write(tmp_path, f'NA,annotated,right,oil,"{LEFT}"', "", f'007,predicted,wrong,,"{LEFT}"')
    pd.testing.assert_frame_equal(
        read_corrections(path, CLASSES),
        table_of(("NA", "annotated", "right", "oil", LEFT), ("007", "predicted", "wrong", "", LEFT)).set_axis([2, 4]),
        check_index_type=False,
    )


def test_files_of_spreadsheets_are_read(tmp_path):
    """With a byte order mark, Windows' line ends, another order of columns, and one more."""
    path = tmp_path / "c.csv"
    lines = "note,outline,class_name,decision,kind,scene", f'?,"{LEFT}",gas,right,predicted,bay'
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode("utf-8-sig"))
    assert read_corrections(path, CLASSES).to_numpy().tolist() == [["bay", "predicted", "right", "gas", LEFT]]


def test_all_faults_of_rows_are_listed(tmp_path):
    path = write(
        tmp_path,
        f'bay,annotated,right,oil,"{LEFT}"',
        f'bay,anotated,wrong,,"{LEFT}"',
        f'bay,predicted,maybe,tar,"{LEFT}"',
        f'bay,predicted,right,,"{LEFT}"',
        f'bay,predicted,other_class,tar,"{LEFT}"',
        f'bay,predicted,wrong,oil,"{LEFT}"',
        ",annotated,wrong,,POINT (1 1)",
        "bay,annotated,wrong,,POLYGON EMPTY",
        "bay,annotated,wrong,,polygon of mine",
        "bay,annotated,wrong",
        'bay,annotated,wrong,,"POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))"',
    )
    with pytest.raises(InputError) as caught:
        read_corrections(path, CLASSES)
    assert str(caught.value).splitlines() == [
        f"{path} can't be used, nothing was written; mend or remove these rows, or save the file on the page again",
        "    row 3: kind: expected annotated or predicted, found anotated",
        "    row 4: decision: expected right or wrong or other_class, found maybe",
        "    row 5: class_name: expected oil or gas, found nothing",
        "    row 6: class_name: expected oil or gas, found tar",
        "    row 7: class_name: expected nothing, found oil",
        "    row 8: scene: expected a name, found nothing",
        "    row 8: outline: expected a polygon as WKT, found POINT (1 1)",
        "    row 9: outline: expected a polygon as WKT, found POLYGON EMPTY",
        "    row 10: outline: expected a polygon as WKT, found polygon of mine",
        "    row 11: outline: expected a polygon as WKT, found nothing",
        "    row 12: outline: expected a polygon that does not cross itself, found Self-intersection[1 1]",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"scene,kind,decision,class_name\n", "found scene, kind, decision, class_name; mend outline, or"),
        (b"scene,kind,kind,decision,class_name,outline\n", "mend kind, or"),
        (b"scene;kind\n", "once, found scene;kind; mend scene, kind"),
        (HEADER.encode() + b"\na,b,c,d,e,f\n", "Expected 5 fields in line 2, saw 6"),
        (HEADER.encode() + b"\n\xff\n", "expected CSV in UTF-8 with commas, found another kind of text: "),
    ],
)
def test_what_is_no_table_of_corrections_is_refused(tmp_path, content, message):
    path = tmp_path / "c.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_corrections(path, CLASSES)
    assert str(caught.value).startswith(f"{path}: expected ") and message in str(caught.value)


def test_a_missing_file_is_no_empty_one(tmp_path):
    with pytest.raises(InputError, match=r"c\.csv is missing: .* another file in data\.corrections"):
        read_corrections(tmp_path / "c.csv", CLASSES)
