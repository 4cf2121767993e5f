"""The stage class_balance: counts of the training split, and the weights made of them."""

import numpy as np
import pandas as pd
import pytest
import yaml

from seepseg.base.errors import InputError
from seepseg.base.files import read_json
from stages import class_balance as stage

NAMES = ["oil", "gas", "tar"]

# Tile 0: two diagonal oil pixels and one of gas; the corner is no-data and marked as gas.
# Tile 1 holds tar, but doesn't train. Tile 2: one oil pixel.
TARGETS = np.array(
    [
        [[1, 0, 0, 0], [0, 1, 0, 2], [0, 0, 0, 0], [0, 0, 0, 2]],
        [[3, 3, 3, 3], [3, 3, 3, 3], [1, 1, 1, 1], [2, 2, 2, 2]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]],
    ],
    dtype=np.uint8,
)


def write_inputs(folder, connectivity=8, images=None):
    packed = folder / "data/packed"
    packed.mkdir(parents=True, exist_ok=True)
    if images is None:
        images = np.full(TARGETS.shape, 500, dtype=np.uint16)
        images[0, 3, 3] = 0
    np.save(packed / "images.npy", images)
    np.save(packed / "targets.npy", TARGETS)
    (packed / "scenes.json").write_text("{}")
    manifest = pd.DataFrame({"tile": ["a.0", "b.0", "a.1"], "scene": ["a", "b", "a"], "position": [0, 0, 1]})
    for column in ("row", "col", "nodata_fraction", "mean", "std", "min", "max", "pixels_background"):
        manifest[column] = 0
    # Wrong on purpose: the counts are taken from the arrays.
    manifest = manifest.assign(**{f"pixels_{name}": 0 for name in NAMES})
    manifest.to_csv(packed / "manifest.csv", index=False)
    split = manifest[["tile", "scene"]].assign(split=["train", "val", "train"], inner_fold=[1, 0, 1])
    split.to_csv(folder / "data/split.csv", index=False)
    section = {"class_balance": {"connectivity": connectivity}}
    (folder / "params.yaml").write_text(yaml.safe_dump(section))


def test_counts_by_eye(tmp_path):
    write_inputs(tmp_path)
    stage.main(tmp_path)
    table = pd.read_csv(tmp_path / "plots/class_balance.csv").set_index("class")
    assert table.columns.tolist() == [
        "pixels",
        "tiles",
        "objects",
        "pixel_share",
        "tile_share",
        "object_share",
    ]
    assert table[["pixels", "tiles", "objects"]].to_numpy().tolist() == [[3, 2, 2], [1, 1, 1], [0, 0, 0]]
    assert table["pixel_share"].tolist() == pytest.approx([3 / 31, 1 / 31, 0], abs=1e-6)  # one is no-data
    assert table["tile_share"].tolist() == [1.0, 0.5, 0.0]
    assert table["object_share"].tolist() == pytest.approx([2 / 3, 1 / 3, 0], abs=1e-6)


def test_connectivity_4_parts_what_a_corner_joins(tmp_path):
    write_inputs(tmp_path, connectivity=4)
    stage.main(tmp_path)
    assert pd.read_csv(tmp_path / "plots/class_balance.csv")["objects"].tolist() == [3, 1, 0]


def test_weights_by_hand(tmp_path):
    """31 valid pixels in 3 classes: 27 of background, 3 of oil, 1 of gas; tar is absent."""
    write_inputs(tmp_path)
    stage.main(tmp_path)
    weights = read_json(tmp_path / "data/class_weights.json")
    assert weights["balanced"] == pytest.approx(
        {"background": 31 / 81, "oil": 31 / 9, "gas": 31 / 3, "tar": 0.0}, abs=1e-6
    )
    root = weights["sqrt_balanced"]
    assert root["tar"] == 0.0
    assert root["gas"] / root["oil"] == pytest.approx(3**0.5, abs=1e-5)
    assert root["oil"] / root["background"] == pytest.approx(3, abs=1e-5)
    for by_class in weights.values():
        mean = (27 * by_class["background"] + 3 * by_class["oil"] + by_class["gas"]) / 31
        assert mean == pytest.approx(1, abs=1e-6)


def test_same_input_same_bytes(tmp_path):
    written = []
    for _ in range(2):
        write_inputs(tmp_path)
        stage.main(tmp_path)
        written.append([(tmp_path / path).read_bytes() for path in (stage.BALANCE_PLOT, stage.CLASS_WEIGHTS)])
    assert written[0] == written[1]


def test_tiles_of_other_splits_are_not_read(tmp_path, monkeypatch):
    write_inputs(tmp_path)
    packed = stage.open_packed(tmp_path / stage.PACKED)
    read = []

    class Watched:
        def __init__(self, array):
            self.array = array

        def __getitem__(self, index):
            read.append(int(index))
            return self.array[index]

    watched = stage.Packed(Watched(packed.images), Watched(packed.targets), packed.manifest)
    monkeypatch.setattr(stage, "open_packed", lambda _: watched)
    stage.main(tmp_path)
    assert set(read) == {0, 2}


def test_no_valid_pixel_to_count(tmp_path):
    write_inputs(tmp_path, images=np.zeros(TARGETS.shape, dtype=np.uint16))
    with pytest.raises(InputError, match="expected valid pixels in the training tiles, found none"):
        stage.main(tmp_path)
    assert not (tmp_path / "plots").exists()
