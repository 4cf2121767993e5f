"""The place of tiles in their scene: by number, by row and column in tiles, or in pixels."""

import pytest

from seepseg.io.grid import are_pixels, grid_cell, grid_columns_of, place_tiles
from seepseg.io.report import Report
from seepseg.io.tile_files import Tile

SIDE = (256, 256)


def test_the_longest_start_of_a_scene_gives_its_columns():
    columns = {"04": 7, "0418": 19, "": 3}
    assert grid_columns_of("041869", columns) == 19
    assert grid_columns_of("042", columns) == 7
    assert grid_columns_of("9", columns) == 3
    assert grid_columns_of("9", {"04": 7}) is None


def test_positions_count_from_one_row_by_row():
    assert grid_cell(1, 5) == (0, 0)
    assert grid_cell(5, 5) == (0, 4)
    assert grid_cell(6, 5) == (1, 0)
    assert grid_cell(100, 20) == (4, 19)
    assert grid_cell(6, None) == (None, None)
    assert grid_cell(0, 5) == (None, None)


def named(*cells, scene="a"):
    """Tiles whose names have these rows and columns."""
    return [
        Tile(f"{scene}_{row}_{col}", scene, i, (row, col), "image", None) for i, (row, col) in enumerate(cells, start=1)
    ]


def place(tiles, shape=SIDE):
    report = Report()
    return place_tiles(tiles, shape, {}, report), report


def test_rows_and_columns_of_tiles_are_taken_as_they_are():
    cells = [(0, 0), (0, 1), (1, 0), (3, 7)]
    assert place(named(*cells)) == (cells, Report())


def test_rows_and_columns_of_pixels_are_divided_by_the_side():
    placed, report = place(named((0, 0), (0, 200), (100, 0), (300, 1400)), shape=(100, 200))
    assert placed == [(0, 0), (0, 1), (1, 0), (3, 7)]
    assert str(report) == ""


def test_pixels_may_be_counted_from_anywhere():
    tiles = [*named((1, 1), (1, 257), (257, 1)), *named((1234, 600), (1490, 600), (1490, 856), scene="b")]
    placed, report = place(tiles)
    assert placed == [(0, 0), (0, 1), (1, 0), (4, 2), (5, 2), (5, 3)]
    assert str(report) == ""


def test_one_tile_of_pixels_that_is_moved_to_fit_the_scene_gets_no_place():
    placed, report = place(named((0, 0), (0, 256), (0, 512), (0, 744)))
    assert placed == [(0, 0), (0, 1), (0, 2), (None, None)]
    assert report.warning_counts()["tiles_off_grid"] == 1
    assert not report.has_errors
    assert "a_0_744: found row 0, column 744" in str(report)


def test_a_moved_tile_one_pixel_beside_another_does_not_make_them_numbers_of_tiles():
    assert place(named((0, 0), (0, 256), (0, 512), (0, 768), (0, 769)))[0][3:] == [(0, 3), (None, None)]


def test_overlapping_tiles_get_no_place_where_they_are_no_whole_tiles_apart():
    placed, report = place(named((0, 0), (0, 128), (0, 256)))
    assert placed == [(0, 0), (None, None), (0, 1)]
    assert report.warning_counts()["tiles_off_grid"] == 1


@pytest.mark.parametrize(
    ("cells", "pixels"),
    [
        ([(0, 0), (0, 1)], False),
        ([(3, 5), (97, 12), (40, 80), (43, 9)], False),  # few tiles of a large scene
        ([(0, 0), (0, 256)], True),
        ([(256, 512), (1024, 512)], True),
        ([(0, 0), (0, 64)], True),  # tiles that overlap
        ([(0, 0)], True),  # of one tile it doesn't matter
    ],
)
def test_what_is_counted_is_told_from_the_steps(cells, pixels):
    assert are_pixels([cells], SIDE) == pixels


def test_numbers_of_tiles_as_large_as_a_side_stay_numbers():
    cells = [(0, col) for col in range(600)]
    assert place(named(*cells))[0] == cells


def test_without_a_size_nothing_is_placed():
    assert place(named((0, 0), (0, 1)), shape=()) == ([(None, None)] * 2, Report())


def test_a_scene_that_cannot_be_put_together_is_an_error():
    tiles = [Tile(f"a_{number}", "a", number, None, "image", None) for number in (1, 20210304)]
    report = Report()
    place_tiles(tiles, SIDE, {"a": 20}, report)
    assert str(report).startswith("error: scenes too large to be true: 1\n")
    assert "    a: found 258,692,096 x 1,024" in str(report) and "data.grid_columns" in str(report)
    report = Report()
    place_tiles(tiles, SIDE, {}, report)  # which are never put together
    assert not report.has_errors


def test_what_numbers_without_a_place_mean_is_a_warning():
    report = Report()
    tiles = [Tile("a_0", "a", 0, None, "image", None), Tile("b_1", "b", 1, None, "image", None)]
    assert place_tiles(tiles, SIDE, {"a": 3}, report) == [(None, None)] * 2
    assert report.warning_counts()["scenes_without_columns"] == 1
    assert report.warning_counts()["tiles_numbered_zero"] == 1


def test_scenes_that_differ_by_their_folders_alone_are_told():
    tiles = [Tile(f"{scene}_1", scene, 1, None, "image", None) for scene in ("train/s1", "train/s2", "val/s1", "s3")]
    report = Report()
    place_tiles(tiles, (4, 4), {"": 1}, report)
    assert report.warning_counts()["scenes_of_one_name"] == 1
    assert "val/s1: found train/s1, too" in str(report)
