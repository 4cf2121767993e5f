"""The stage detect on scenes painted by hand, with networks whose answers are known."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from dark_slicks import meta_of_two
from torch import nn

from seepseg.data.packed import MANIFEST_TYPES
from stages import detect

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("one_thread")]

NAMES = ["oil", "gas"]
SIDE = 16
MATCHING = ["pixels_oil", "pixels_gas", "match", "iou"]


class Dark(nn.Module):
    """What is much darker than the mean of its tile is oil: a network without weights."""

    def forward(self, images):
        logits = -4 * (images + 1)
        return torch.cat([torch.zeros_like(images), logits, logits - 1], dim=1)


class Folder:
    """A folder with what detect reads.

    Args:
        scenes: of each tile its scene, column in it and inner fold; "" is the test split.
    """

    def __init__(self, root, scenes):
        self.root, self.shape = root, (len(scenes), SIDE, SIDE)
        self.images, self.targets = np.full(self.shape, 30000, np.uint16), np.zeros(self.shape, np.uint8)
        names, columns, folds = zip(*scenes, strict=True)
        self.table = pd.DataFrame({"tile": [f"t{number}" for number in range(len(scenes))], "scene": names})
        (root / "data/packed").mkdir(parents=True)
        (root / "data/packed/scenes.json").write_text("{}")
        measured = dict.fromkeys([*MANIFEST_TYPES, "pixels_background", "pixels_oil", "pixels_gas"], 0)
        manifest = self.table.assign(**{name: 0 for name in measured if name not in self.table})
        manifest.assign(col=columns).to_csv(root / "data/packed/manifest.csv", index=False)
        split = [{"0": "val", "": "test"}.get(fold, "train") for fold in folds]
        self.table.assign(split=split, inner_fold=folds).to_csv(root / "data/split.csv", index=False)
        params = {"threads": 1, "device": "cpu", "amp": False, "tta": 1, "norm_prior_tiles": 0, "min_area": 3}
        (root / "params.yaml").write_text(yaml.safe_dump({"detect": params}))

    def run(self):
        np.save(self.root / "data/packed/images.npy", self.images)
        np.save(self.root / "data/packed/targets.npy", self.targets)
        detect.main(self.root)
        torch.use_deterministic_algorithms(False)
        return self

    def array(self, name):
        return np.load(self.root / f"data/candidates/{name}.npy")

    def slicks(self, name):
        return pd.read_csv(self.root / f"data/candidates/{name}.csv", dtype={"scene": str})


@pytest.fixture(autouse=True)
def two_networks(monkeypatch):
    meta = meta_of_two(SIDE, "painted")
    monkeypatch.setattr(detect, "load_networks", lambda path: (nn.ModuleList([Dark(), Dark()]), meta))


@pytest.fixture
def painted(tmp_path):
    """Six tiles in no order of scenes; of the scene a two, of d two; no network is out of fold for c."""
    folder = Folder(tmp_path, [("a", 1, "1"), ("d", 0, ""), ("b", 0, "0"), ("c", 0, "2"), ("d", 1, ""), ("a", 0, "1")])
    expected = np.zeros(folder.shape, np.int32)
    expected[5, 2:5, 10:16] = expected[0, 2:5, 0:4] = 1  # one slick across the two tiles of a
    expected[0, 8:11, 8:13] = 2
    expected[2, 4:8, 4:8] = 1
    expected[4, 1:4, 1:5] = 1
    expected[1, 9:13, 2:6] = 2
    folder.images[expected > 0] = 9000
    folder.images[3, 4:8, 4:8] = 9000
    return folder, expected


def test_arrays_are_in_the_order_of_the_manifest(painted):
    folder, expected = painted
    folder.run()
    labels, foreground, classes = (folder.array(name) for name in ("labels", "foreground", "classes"))
    np.testing.assert_array_equal(labels, expected)
    assert (labels.dtype, foreground.dtype, classes.dtype) == (np.int32, np.float16, np.uint8)
    np.testing.assert_array_equal(foreground >= 0.3, expected > 0)
    assert set(classes[expected > 0]) == {1}


def test_rows_of_tiles_that_no_network_is_out_of_fold_for_are_zeros(painted):
    folder, _ = painted
    folder.run()
    assert not any(folder.array(name)[3].any() for name in ("labels", "foreground", "classes"))
    assert "c" not in set(folder.slicks("candidates")["scene"])
    assert folder.array("foreground")[[0, 1, 2, 4, 5]].all()


def test_the_tables_say_which_networks_looked(painted):
    folder, expected = painted
    folder.targets[expected > 0] = 2
    folder.run()
    for name in ("candidates", "annotated"):
        table = folder.slicks(name)
        assert [tuple(row) for row in table[["split", "scene", "slick", "network", "area"]].to_numpy()] == [
            ("oof", "b", 1, 0, 16),
            ("oof", "a", 1, 1, 30),
            ("oof", "a", 2, 1, 15),
            ("test", "d", 1, 0, 12),
            ("test", "d", 1, 1, 12),
            ("test", "d", 2, 0, 16),
            ("test", "d", 2, 1, 16),
        ]
        assert (table["pixels_gas"] == table["area"]).all() and (table["iou"] == 1).all()
        assert table["match"].tolist() == table["slick"].tolist()


def test_ends_and_footprints_lie_in_the_whole_grid_of_a_scene(painted):
    """Tile (row, column) begins at so many tiles; the manifest says row 0, and column 0 or 1."""
    folder, _ = painted
    folder.run()
    table = folder.slicks("candidates").query("scene == 'a'")
    assert table[["x_1", "y_1", "x_2", "y_2"]].to_numpy().tolist() == [[19.5, 4.5, 10.5, 2.5], [28.5, 10.5, 24.5, 8.5]]
    footprints = folder.slicks("footprints")
    assert footprints["scene"].tolist() == ["a", "b", "d"]  # of c no network may say anything
    assert footprints["wkt"].tolist() == [
        f"POLYGON ((0 0, 0 16, {width} 16, {width} 0, 0 0))" for width in (32, 16, 32)
    ]


def test_a_tile_without_a_place_has_no_ends_and_no_footprint(tmp_path):
    folder = Folder(tmp_path, [("a", 1, "0"), ("b", None, "1")])
    folder.images[:, 2:5, 3:9] = 9000
    folder.run()
    table = folder.slicks("candidates").set_index("scene")
    assert table.loc["a", ["x_1", "y_1"]].tolist() == [24.5, 4.5] and table.loc["b", ["x_1", "y_2"]].isna().all()
    assert table["centreline"].nunique() == 1
    assert folder.slicks("footprints")["scene"].tolist() == ["a"]


def test_other_annotations_change_nothing_but_the_columns_of_matching(painted):
    folder, expected = painted
    folder.run()
    before, arrays = folder.slicks("candidates"), [folder.array(name) for name in detect.ARRAYS]
    folder.targets[...] = np.where(expected == 1, 2, 0)
    folder.targets[:, 12:] = 1
    folder.run()
    after = folder.slicks("candidates")
    pd.testing.assert_frame_equal(before.drop(columns=MATCHING), after.drop(columns=MATCHING), check_exact=True)
    assert (before[MATCHING] != after[MATCHING]).any().all()
    for name, array in zip(detect.ARRAYS, arrays, strict=True):
        np.testing.assert_array_equal(folder.array(name), array)


def test_slicks_are_numbered_by_scene_where_its_tiles_are_in_several_inner_folds(tmp_path):
    """As they are when the split is by tile."""
    folder = Folder(tmp_path, [("a", 0, "1"), ("a", 1, "0"), ("a", 2, ""), ("a", 3, "1"), ("b", 0, "1")])
    areas = {}
    for tile, slicks in enumerate([2, 1, 2, 1, 1]):
        for number in range(slicks):
            areas[tile, number] = 4 * (3 + tile + number)
            folder.images[tile, 8 * number + 1 : 8 * number + 5, 2 : 5 + tile + number] = 9000
    folder.targets[folder.images == 9000] = 1
    folder.run()
    numbered = {
        ("oof", "a", 1): areas[1, 0],  # by network 0
        ("oof", "a", 2): areas[0, 0],  # by network 1
        ("oof", "a", 3): areas[3, 0],
        ("oof", "a", 4): areas[0, 1],
        ("oof", "b", 1): areas[4, 0],
        ("test", "a", 5): areas[2, 0],
        ("test", "a", 6): areas[2, 1],
    }
    for name in ("candidates", "annotated"):
        table = folder.slicks(name)
        assert table.groupby(["split", "scene", "slick"])["area"].first().to_dict() == numbered
        assert (table["match"] == table["slick"]).all() and (table["iou"] == 1).all()
    labels = folder.array("labels")
    counted = {number: np.count_nonzero(labels[:4] == number) for number in range(1, 7)}
    assert counted == {slick: area for (_, scene, slick), area in numbered.items() if scene == "a"}
    assert np.unique(labels[4]).tolist() == [0, 1]
