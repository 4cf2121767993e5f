"""How bright places are against what is around."""

import numpy as np
import pytest
from conftest import Whole

from seepseg.detection.brightness import brightness


def test_a_bright_target_within_six_pixels_counts():
    image = np.full((60, 90), 1000, np.uint16)
    image[30, 46] = 5000
    at = [40.5, 39.5, 46.5, 80.5]  # 6 and 7 pixels away, there, and far away
    assert brightness(Whole(image), at, [30.5] * 4, (64, 64)).tolist() == [5, 1, 5, 1]
    assert brightness(Whole(image), [42.5, 41.5], [34.5, 34.5], (64, 64)).tolist() == [5, 1]  # a disk, no square


def test_the_median_is_of_valid_pixels():
    image = np.zeros((60, 90), np.uint16)
    image[20, 30:34] = 1000, 2000, 3000, 65535
    ratio = brightness(Whole(image), [30.5, 80.5], [20.5, 50.5], (64, 64))
    assert ratio[0] == 65535 / 2500 and np.isnan(ratio[1])


@pytest.mark.parametrize("block", [(16, 16), (7, 31), (60, 90)])
def test_against_the_plain_way_whatever_the_blocks(block):
    rng = np.random.default_rng(0)
    image = (rng.integers(1, 65536, (60, 90)) * (rng.random((60, 90)) < 0.7)).astype(np.uint16)
    x, y = rng.integers(0, 90, 40) + 0.5, rng.integers(0, 60, 40) + 0.5
    rows, columns = np.mgrid[:60, :90] + 0.5
    expected = []
    for place in zip(x, y, strict=True):
        distance = np.hypot(columns - place[0], rows - place[1])
        valid = image[(distance <= 16) & (image > 0)]
        expected.append(image[distance <= 6].max() / np.median(valid))
    np.testing.assert_allclose(brightness(Whole(image), x, y, block), expected)
