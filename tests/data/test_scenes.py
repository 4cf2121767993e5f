"""Tiles put together to scenes."""

import numpy as np
import pandas as pd

from seepseg.data.scenes import find_scenes


def manifest(rows):
    table = pd.DataFrame(rows, columns=["scene", "row", "col"])
    return table.astype({"row": "Int64", "col": "Int64"})


TABLE = manifest([("b", 4, 7), ("a", 0, 1), ("b", 5, 9), ("a", 0, 0), ("b", None, None), ("b", 4, 7)])


def test_scenes_are_as_large_as_their_tiles_need():
    scenes = find_scenes(TABLE, np.arange(4), (2, 3))
    assert [(scene.name, scene.shape) for scene in scenes] == [("a", (2, 6)), ("b", (4, 9))]
    assert scenes[0].indices.tolist() == [1, 3] and scenes[0].left.tolist() == [3, 0]
    assert scenes[1].top.tolist() == [0, 2] and scenes[1].left.tolist() == [0, 6]


def test_tiles_without_a_place_of_their_own_are_scenes_of_their_own():
    scenes = find_scenes(TABLE, np.arange(6), (2, 3))
    assert [scene.indices.tolist() for scene in scenes] == [[1, 3], [0, 2], [4], [5]]
    assert scenes[2].shape == (2, 3)


def test_scenes_know_where_they_lie_in_their_grids():
    scenes = find_scenes(TABLE, np.arange(6), (2, 3))
    assert [scene.origin for scene in scenes] == [(0, 0), (8, 21), None, None]
    (part,) = find_scenes(TABLE, np.array([2]), (2, 3))
    assert part.origin == (10, 27)


def test_only_chosen_tiles_are_put_together():
    (scene,) = find_scenes(TABLE, np.array([2]), (2, 3))
    assert scene.indices.tolist() == [2] and scene.shape == (2, 3)


def test_stitch_lays_each_tile_at_its_place_and_cut_undoes_it():
    scene = find_scenes(TABLE, np.array([0, 2]), (2, 3))[0]
    tiles = np.arange(1, 13, dtype=np.uint16).reshape(2, 2, 3)
    whole = scene.stitch(tiles)
    assert whole.dtype == np.uint16
    assert whole.tolist() == [
        [1, 2, 3, 0, 0, 0, 0, 0, 0],
        [4, 5, 6, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 7, 8, 9],
        [0, 0, 0, 0, 0, 0, 10, 11, 12],
    ]
    np.testing.assert_array_equal(scene.cut(whole), tiles)


def test_further_dimensions_come_along():
    scene = find_scenes(TABLE, np.array([1, 3]), (2, 3))[0]
    tiles = np.random.default_rng(0).random((2, 5, 2, 3))
    assert scene.stitch(tiles).shape == (5, 2, 6)
    np.testing.assert_array_equal(scene.cut(scene.stitch(tiles)), tiles)
