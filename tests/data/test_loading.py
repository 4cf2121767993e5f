"""Packed tiles as batches."""

import numpy as np
import pandas as pd
import pytest
import torch

from seepseg.base.errors import InputError
from seepseg.data import loading
from seepseg.data.loading import TileLoader, in_order
from seepseg.data.packed import Packed, read_inner_folds, read_split


@pytest.fixture
def packed():
    images = np.arange(3 * 2 * 2, dtype=np.uint16).reshape(3, 2, 2) * 5000
    targets = np.arange(3 * 2 * 2, dtype=np.uint8).reshape(3, 2, 2) % 8
    return Packed(images, targets, pd.DataFrame({"tile": ["a.1", "a.2", "b.1"]}))


def test_a_batch_holds_the_tiles_asked_for(packed):
    loader = TileLoader(packed, np.arange(3), torch.device("cpu"))
    batch, second = loader.batches([np.array([2, 0]), np.array([1])])
    assert batch.images.dtype == torch.float32 and batch.images.shape == (2, 1, 2, 2)
    assert batch.images[0, 0].tolist() == [[40000, 45000], [50000, 55000]]  # above what int16 could hold
    assert batch.target.dtype == torch.uint8 and batch.target[0].tolist() == [[0, 1], [2, 3]]
    assert batch.valid[1].tolist() == [[False, True], [True, True]]  # the one pixel of value 0 is no-data
    assert second.images[0, 0].tolist() == [[20000, 25000], [30000, 35000]]


def test_tiles_that_stay_on_the_device_are_the_same(packed, monkeypatch):
    chosen = [np.array([2, 0]), np.array([2])]
    mapped = TileLoader(packed, np.array([0, 2]), torch.device("cpu"))
    monkeypatch.setattr(loading, "RESIDENT_CHUNK", 1)
    monkeypatch.setattr(loading, "_fits", lambda size, device: True)
    resident = TileLoader(packed, np.array([0, 2]), torch.device("cpu"))
    assert resident._resident is not None and len(resident._resident.images) == 2
    for one, other in zip(mapped.batches(chosen), resident.batches(chosen), strict=True):
        assert all(map(torch.equal, one, other))


@pytest.mark.parametrize("is_resident", [False, True])
def test_tiles_come_as_they_are_packed(packed, monkeypatch, is_resident):
    monkeypatch.setattr(loading, "_fits", lambda size, device: is_resident)
    loader = TileLoader(packed, np.arange(3), torch.device("cpu"))
    tiles, second = loader.tiles([np.array([2, 0]), np.array([1])])
    assert tiles.images.dtype == torch.int16 and tiles.target.dtype == torch.uint8
    assert tiles.images[0].tolist() == [[40000 - 2**16, 45000 - 2**16], [50000 - 2**16, 55000 - 2**16]]
    assert tiles.target.tolist() == [[[0, 1], [2, 3]], [[0, 1], [2, 3]]]
    assert second.images[0].tolist() == [[20000, 25000], [30000, 35000 - 2**16]]
    assert second.to_batch().images[0, 0].tolist() == [[20000, 25000], [30000, 35000]]


def test_split_gives_indices_by_name(packed, tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("tile,scene,split,inner_fold\na.1,a,train,1\na.2,a,val,0\nb.1,b,test,\n")
    indices = {name: list(chosen) for name, chosen in read_split(packed, path).items()}
    assert indices == {"train": [0], "val": [1], "test": [2]}
    assert [list(rows) for rows in read_inner_folds(packed, path)] == [[1], [0]]


def test_a_split_of_other_tiles_is_refused(packed, tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("tile,scene,split,inner_fold\na.1,a,train,1\n")
    with pytest.raises(InputError, match="lists other tiles than the packed ones; run `dvc repro split`"):
        read_split(packed, path)
    with pytest.raises(InputError, match="is missing"):
        read_split(packed, tmp_path / "none.csv")


def test_evaluation_sees_every_tile_in_order():
    assert np.concatenate(list(in_order(np.arange(9), 4))).tolist() == list(range(9))
