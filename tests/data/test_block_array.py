"""Arrays in blocks, against plain ones."""

import numpy as np
import pytest

from seepseg.data.block_array import BLOCK_SIDE, BlockArray, block_shape, blocks_of
from seepseg.data.pixels import Window
from seepseg.data.scenes import read_padded


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return (rng.integers(0, 9, (70, 91)) * (rng.random((70, 91)) < 0.1)).astype(np.int32)


def test_any_window_is_read_as_from_a_plain_array(values):
    array, rng = BlockArray.of(values, (16, 32)), np.random.default_rng(1)
    assert array.shape == (70, 91) and array.dtype == np.int32
    np.testing.assert_array_equal(array.whole(), values)
    for _ in range(50):
        top, left = rng.integers(0, 70), rng.integers(0, 91)
        window = Window(top, left, rng.integers(1, 71 - top), rng.integers(1, 92 - left))
        np.testing.assert_array_equal(array.read(window), values[window.slices])


def test_what_was_not_written_is_zero_and_what_is_written_anew_is_replaced():
    array = BlockArray((5, 7), np.uint8, (4, 4))
    assert not array.whole().any()
    first = array.windows()[0]
    for value in (3, 4, 0):
        array.write(first, np.full((4, 4), value, np.uint8))
        assert array.whole().sum() == 16 * value
    read = array.read(first)
    read[:] = 9  # the caller's own
    assert not array.whole().any()


def test_blocks_are_whole_tiles_of_about_the_same_number_everywhere():
    assert block_shape((300, 200), (256, 256)) == (512, 256)
    assert block_shape((BLOCK_SIDE, 1), (256, 256)) == (BLOCK_SIDE, 256)
    assert block_shape((BLOCK_SIDE + 1, 100), (256, 50)) == (BLOCK_SIDE // 2 + 256, 100)
    assert block_shape((9000, 9000), (1024, 3000)) == (2048, 3000)  # one tile at a time, if it has to be
    windows = blocks_of((10, 7), (4, 3))
    covered = np.zeros((10, 7), int)
    for window in windows:
        covered[window.slices] += 1
    assert (covered == 1).all() and len(windows) == 9


def test_beyond_an_image_there_is_no_data():
    image = np.arange(1, 13, dtype=np.uint16).reshape(3, 4)
    padded = np.pad(image, 5)
    for top, left, height, width in (
        (-2, -1, 4, 3),
        (1, 2, 4, 4),
        (-3, 0, 2, 4),
        (3, 4, 2, 2),
        (-5, -5, 13, 14),
        (0, 0, 3, 4),
    ):
        expected = padded[top + 5 : top + 5 + height, left + 5 : left + 5 + width]
        np.testing.assert_array_equal(read_padded(image, Window(top, left, height, width)), expected)
