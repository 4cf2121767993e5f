"""What was annotated at a place before, in other scenes."""

import numpy as np
import pandas as pd
import pytest

from seepseg.data.packed import Packed
from seepseg.data.scenes import find_scenes
from seepseg.detection.recurrence import TINY, find_recurrence

SIDE = 16  # four pixels a place
NAMES = ["oil", "gas"]


def tiles(places):
    """Empty tiles of (scene, row, column)."""
    manifest = pd.DataFrame(places, columns=["scene", "row", "col"]).astype({"row": "Int64", "col": "Int64"})
    manifest[["pixels_background", *(f"pixels_{name}" for name in NAMES)]] = 0
    shape = (len(places), SIDE, SIDE)
    return Packed(np.ones(shape, np.uint16), np.zeros(shape, np.uint8), manifest)


def measured(packed, parts, part, index, rows, columns, origins):
    """What the other parts say of a slick on these pixels of one tile, as shares."""
    scene = next(
        scene
        for scene in find_scenes(packed.manifest, np.arange(len(packed.images)), (SIDE, SIDE))
        if index in scene.indices
    )
    slick = np.zeros(packed.images.shape, np.int32)
    slick[index, rows, columns] = 1
    (row,) = find_recurrence(packed, parts, origins)[part].measure(scene, scene.stitch(slick[scene.indices]), 1)
    return np.exp(row).tolist()


@pytest.fixture
def packed():
    """Scenes a1 and b1 show the same two tiles of ground, which lie one column further right in b1's grid; c1 others.

    Oil was annotated on the last 4 x 4 pixels of the second tile in a1.
    """
    packed = tiles([("a1", 2, 0), ("a1", 2, 1), ("b1", 2, 1), ("b1", 2, 2), ("c1", 2, 1)])
    packed.targets[1, 12:, 12:] = 1
    return packed


PARTS = [np.array([0, 1]), np.array([2, 3]), np.array([4])]
ORIGINS = {"a": (0, 0), "b": (0, -1)}
LAST = slice(12, 16)


def test_a_slick_meets_what_other_scenes_show_at_its_place(packed):
    # Of the 3 x 3 places around, the four that exist were seen once in a1; one of them is all oil.
    assert measured(packed, PARTS, 1, 3, LAST, LAST, ORIGINS) == pytest.approx([1 / 4, TINY])
    assert measured(packed, PARTS, 1, 2, LAST, LAST, ORIGINS) == pytest.approx([TINY, TINY])
    # Half of this slick lies on places near to it, whose shares are 1 / 6 in the column before.
    assert measured(packed, PARTS, 1, 3, LAST, slice(8, 16), ORIGINS) == pytest.approx([(1 / 4 + 1 / 6) / 2, TINY])


def test_its_own_part_tells_nothing(packed):
    assert measured(packed, PARTS, 0, 1, LAST, LAST, ORIGINS) == pytest.approx([TINY, TINY])
    packed.targets[3, 12:, 12:] = 2
    assert measured(packed, PARTS, 0, 1, LAST, LAST, ORIGINS) == pytest.approx([TINY, 1 / 4])


def test_pixels_that_were_not_seen_do_not_count(packed):
    packed.images[1, 12:, 8:12] = 0
    assert measured(packed, PARTS, 1, 3, LAST, LAST, ORIGINS) == pytest.approx([1 / 3, TINY])


def test_scenes_without_a_known_ground_tell_nothing(packed):
    assert measured(packed, PARTS, 2, 4, LAST, LAST, ORIGINS) == pytest.approx([TINY, TINY])
    assert measured(packed, PARTS, 1, 3, LAST, LAST, {}) == pytest.approx([TINY, TINY])
    packed.manifest.loc[3, "col"] = pd.NA
    assert measured(packed, PARTS, 1, 3, LAST, LAST, ORIGINS) == pytest.approx([TINY, TINY])


def test_the_longest_start_of_a_name_counts(packed):
    assert measured(packed, PARTS, 1, 3, LAST, LAST, ORIGINS | {"b1": (0, 7)}) == pytest.approx([TINY, TINY])
