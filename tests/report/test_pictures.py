"""Pictures for the page."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from seepseg.base.greys import stretch
from seepseg.report.pictures import UNSEEN, jpeg


def decoded(content):
    return np.asarray(Image.open(BytesIO(content)))


def test_greys_run_from_the_darkest_to_the_brightest_percent():
    """Of 101 numbers from 10 to 1010, the percentiles are 20 and 1000."""
    image = np.arange(1, 102, dtype=np.uint16)[None] * 10
    assert stretch(image)[0, [0, 1, 50, 99, 100]].tolist() == [0, 0, 128, 255, 255]
    assert stretch(np.full((2, 2), 7, np.uint16)).tolist() == [[128, 128], [128, 128]]
    assert not stretch(np.zeros((2, 2), np.uint16)).any()


def test_where_nothing_was_seen_there_is_a_colour():
    image = np.full((32, 32), 500, np.uint16)
    image[:16], image[16:, :16] = 0, 600
    shown = decoded(jpeg(image, 100, 90))
    assert shown.shape == (32, 32, 3)
    for place, colour in ((np.s_[:16], UNSEEN), (np.s_[16:, :16], (255, 255, 255)), (np.s_[16:, 16:], (0, 0, 0))):
        assert shown[place].mean(axis=(0, 1)) == pytest.approx(colour, abs=2)


@pytest.mark.parametrize(("shape", "shown"), [((40, 200), (20, 100)), ((100, 100), (100, 100)), ((400, 1), (100, 1))])
def test_large_images_are_reduced(shape, shown):
    assert decoded(jpeg(np.ones(shape, np.uint16), 100, 50)).shape == shown
