"""Which networks may look at which scenes."""

import numpy as np
import pandas as pd
import pytest

from seepseg.base.errors import InputError
from seepseg.data.out_of_fold import out_of_fold_scenes
from seepseg.data.packed import Packed


def packed_and_split(tmp_path, scenes, inner_folds, columns):
    tiles = [f"t{number}" for number in range(len(scenes))]
    splits = [{"0": "val", "": "test"}.get(fold, "train") for fold in inner_folds]
    path = tmp_path / "split.csv"
    table = pd.DataFrame({"tile": tiles, "scene": scenes, "split": splits, "inner_fold": inner_folds})
    table.to_csv(path, index=False)
    manifest = pd.DataFrame({"tile": tiles, "scene": scenes, "row": 0, "col": columns})
    shape = len(scenes), 4, 4
    return Packed(np.zeros(shape, np.uint16), np.zeros(shape, np.uint8), manifest), path


def test_each_inner_fold_by_the_network_of_its_number_and_test_scenes_by_all(tmp_path):
    packed, split = packed_and_split(tmp_path, ["a", "a", "b", "c", "d"], ["0", "0", "1", "2", ""], [0, 1, 0, 0, 0])
    found = out_of_fold_scenes(packed, split, 2)
    assert [(each.split, each.scene.name, each.networks) for each in found] == [
        ("oof", "a", (0,)),
        ("oof", "b", (1,)),
        ("test", "d", (0, 1)),
    ]
    assert [each.scene.indices.tolist() for each in found] == [[0, 1], [2], [4]]


def test_a_scene_whose_tiles_are_in_several_inner_folds_comes_once_for_each(tmp_path):
    packed, split = packed_and_split(tmp_path, ["a"] * 4, ["1", "0", "", "1"], [0, 1, 2, 3])
    found = out_of_fold_scenes(packed, split, 2)
    assert [(each.split, each.scene.name, each.networks, each.scene.indices.tolist()) for each in found] == [
        ("oof", "a", (0,), [1]),
        ("oof", "a", (1,), [0, 3]),
        ("test", "a", (0, 1), [2]),
    ]


def test_a_missing_split_names_the_stage_to_run(tmp_path):
    packed, split = packed_and_split(tmp_path, ["a", "b"], ["0", "1"], [0, 0])
    split.unlink()
    with pytest.raises(InputError, match=r"split\.csv is missing: run `dvc repro split`"):
        out_of_fold_scenes(packed, split, 2)
