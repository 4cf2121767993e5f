"""The packed tiles: types that survive the round trip, and damage named by file."""

import json

import numpy as np
import pandas as pd
import pytest

from seepseg.base.errors import InputError
from seepseg.base.radiometry import Radiometry
from seepseg.data.packed import class_names, class_pixels, open_packed, read_manifest

MANIFEST = """\
tile,scene,position,row,col,nodata_fraction,mean,std,min,max,pixels_background,pixels_oil,pixels_gas
041869.000010,041869,10,0,9,0.5,100.5,2.25,90,110,5,1,0
NA.000001,NA,1,,,1.0,,,,,0,0,0
"""


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "images.npy", np.arange(24, dtype=np.uint16).reshape(2, 3, 4))
    np.save(tmp_path / "targets.npy", np.ones((2, 3, 4), np.uint8))
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    (tmp_path / "scenes.json").write_text("{}")
    return tmp_path


def test_arrays_are_mapped_and_belong_to_the_rows(folder):
    packed = open_packed(folder)
    assert isinstance(packed.images, np.memmap)
    assert isinstance(packed.targets, np.memmap)
    assert packed.images[1, 0, 0] == 12
    assert packed.class_names == ["oil", "gas"]
    with pytest.raises(ValueError, match="read-only"):
        packed.images[0, 0, 0] = 1


def test_names_stay_text_and_what_is_unknown_stays_missing(folder):
    manifest = read_manifest(folder / "manifest.csv")
    assert manifest["tile"].tolist() == ["041869.000010", "NA.000001"]  # no float, no missing value
    assert manifest["scene"].tolist() == ["041869", "NA"]
    assert manifest[["row", "col"]].iloc[0].tolist() == [0, 9]
    assert manifest[["row", "col", "mean", "std", "min", "max"]].iloc[1].isna().all()
    types = manifest.dtypes.astype(str)
    assert types[["position", "row", "min", "mean", "pixels_gas"]].tolist() == [
        "int64",
        "Int64",
        "Int64",
        "float64",
        "int64",
    ]


def test_class_pixels_put_background_first(folder):
    manifest = read_manifest(folder / "manifest.csv")
    pixels = class_pixels(manifest)
    assert pixels.dtype == np.int64
    assert pixels.tolist() == [[5, 1, 0], [0, 0, 0]]
    assert class_pixels(manifest[1:]).tolist() == [[0, 0, 0]]
    assert class_names(manifest) == ["oil", "gas"]


@pytest.mark.parametrize("name", ["images.npy", "targets.npy", "manifest.csv", "scenes.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing: run `dvc repro ingest`"):
        open_packed(folder)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("images.npy", np.zeros((2, 3, 4)), r"images.npy: expected uint16 \(N, H, W\), found float64 \(2, 3, 4\)"),
        ("targets.npy", np.zeros((3, 4), np.uint8), r"targets.npy: expected uint8 .* found uint8 \(3, 4\)"),
        ("targets.npy", np.zeros((2, 3, 5), np.uint8), r"images \(2, 3, 4\), targets \(2, 3, 5\) and 2 rows"),
    ],
)
def test_an_array_of_another_kind_is_refused(folder, name, array, message):
    np.save(folder / name, array)
    with pytest.raises(InputError, match=message):
        open_packed(folder)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY"])
def test_a_damaged_array_is_named(folder, content):
    (folder / "images.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"images.npy: expected an array, found a damaged file"):
        open_packed(folder)


def test_a_truncated_array_is_named(folder):
    content = (folder / "images.npy").read_bytes()
    (folder / "images.npy").write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"images.npy: expected an array, found a damaged file"):
        open_packed(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "manifest.csv: expected a table of tiles, found No columns"),
        (MANIFEST.replace(",10,", ",ten,"), "manifest.csv: expected a table of tiles, found"),
        ("tile,scene\na,b\n", "columns position, row, .*, pixels_background are missing"),
    ],
)
def test_a_damaged_manifest_is_named(folder, content, message):
    (folder / "manifest.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_manifest(folder / "manifest.csv")


def test_a_manifest_of_other_tiles_is_refused(folder):
    pd.read_csv(folder / "manifest.csv")[:1].to_csv(folder / "manifest.csv", index=False)
    with pytest.raises(InputError, match=r"\(2, 3, 4\) and 1 rows; run `dvc repro ingest`"):
        open_packed(folder)


def test_radiometry_is_that_of_the_scenes_with_the_mean_of_the_tiles(folder):
    assert open_packed(folder).radiometry == Radiometry(mean=100.5)  # the tile without data doesn't count
    known = {"quantity": "sigma0", "polarisation": "VH", "spacing": 10.5, "noise_removed": True, "mean": 7.0}
    (folder / "scenes.json").write_text(json.dumps({"radiometry": known, "scenes": {}}))
    assert open_packed(folder).radiometry == Radiometry(**known | {"mean": 100.5})
    lines = MANIFEST.splitlines()
    scaled = [lines[0] + ",value_of_1,value_of_65535", *(line + ",-35.0,5.0" for line in lines[1:])]
    (folder / "manifest.csv").write_text("\n".join(scaled))
    # Scaling made other numbers of what was measured.
    assert open_packed(folder).radiometry == Radiometry(**known | {"quantity": "unknown", "mean": 100.5})
    (folder / "scenes.json").write_text("{")
    with pytest.raises(InputError, match=r"scenes.json: expected JSON, found a damaged file; run `dvc repro ingest`"):
        open_packed(folder)
