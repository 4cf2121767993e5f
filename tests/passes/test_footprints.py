"""Footprints in cells, checked by eye, and the same from blocks."""

import numpy as np
import pytest
import shapely

from seepseg.data.block_array import BlockArray
from seepseg.detection.detection import UNSEEN
from seepseg.passes.footprints import footprint, footprint_of_blocks, footprint_table


def scene_with_gaps(height=200, width=300):
    valid = np.ones((height, width), bool)
    valid[:40, :50] = valid[100:140, 90:170] = False
    valid[:, 280:] = False
    return valid


def in_blocks(valid, block):
    return BlockArray.of(np.where(valid, 7, UNSEEN).astype(np.uint8), block)


def test_a_cell_is_seen_from_half_of_its_pixels_on():
    valid = np.zeros((32, 48), bool)
    valid[:16, :24] = True  # a cell, and half of the next
    valid[16:24, 32:47] = True  # less than half
    assert footprint(valid).equals(shapely.box(0, 0, 32, 16))
    assert footprint(np.zeros((32, 48), bool)).is_empty


def test_the_last_cells_end_with_the_scene():
    assert footprint(np.ones((20, 37), bool)).equals(shapely.box(0, 0, 37, 20))


def test_a_part_of_a_scene_lies_at_its_origin():
    assert footprint(np.ones((32, 32), bool), (256, 512)).bounds == (512, 256, 544, 288)


def test_gaps_of_data_are_holes_and_nothing_is_lost():
    valid = scene_with_gaps()
    found = footprint(valid)
    assert len(found.interiors) == 1 and found.is_valid
    rows, columns = np.mgrid[:200, :300] + 0.5
    inside = shapely.contains_xy(found, columns.ravel(), rows.ravel()).reshape(valid.shape)
    assert (inside != valid).mean() < 0.06
    whole_cells = np.s_[48:96, 64:272]
    np.testing.assert_array_equal(inside[whole_cells], valid[whole_cells])


def test_cells_that_touch_at_a_corner_make_valid_polygons():
    valid = np.kron(np.array([[1, 0, 1], [0, 1, 0], [1, 1, 1]]), np.ones((16, 16))) > 0
    found = footprint(valid)
    assert found.is_valid and found.area == 6 * 256


@pytest.mark.parametrize("block", [(64, 64), (48, 160), (50, 70), (7, 11), (200, 300)])
def test_blocks_give_the_same(block):
    valid = scene_with_gaps()
    assert shapely.to_wkt(footprint_of_blocks(in_blocks(valid, block))) == shapely.to_wkt(footprint(valid))


def test_parts_of_a_scene_make_one_row():
    left, right = footprint(np.ones((32, 32), bool), (0, 0)), footprint(np.ones((32, 32), bool), (0, 32))
    apart, nothing = footprint(np.ones((16, 16), bool), (64, 64)), footprint(np.zeros((16, 16), bool))
    table = footprint_table({"b": [right, left], "a": [left, apart], "c": [nothing]})
    assert table["scene"].tolist() == ["a", "b"]
    assert table["wkt"][1] == "POLYGON ((0 0, 0 32, 64 32, 64 0, 0 0))"
    assert shapely.from_wkt(table["wkt"][0]).equals(shapely.union(left, apart))
