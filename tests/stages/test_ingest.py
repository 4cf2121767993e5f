"""The ingest stage: what it packs, by eye, and that faulty raw data leave everything as it was."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from seepseg.base.errors import InputError
from seepseg.data.corrections import COLUMNS
from seepseg.data.packed import open_packed
from seepseg.io.faults import WARNINGS
from stages import ingest

ROOT = Path(__file__).parents[2]
PACKED = [f"data/packed/{name}" for name in ("images.npy", "manifest.csv", "scenes.json", "targets.npy")]
OUTPUTS = [*PACKED, "metrics/ingest.json"]
DATA = {
    "root": "raw",
    "images": "images",
    "targets": "masks",
    "name_pattern": r"(?P<scene>[a-z]+\d)-(?P<tile>\d+)\.tiff?",
    "class_names": ["oil", "gas"],
    "grid_columns": {"bay": 3},
    "corrections": "decisions.csv",
}
# Written in another order than that of the manifest; not square.
TILES = {
    "bay2-5": ([[10, 20, 30], [0, 0, 40]], [[0, 1, 1], [0, 2, 2]]),
    "bay1-10": ([[7, 7, 7], [7, 7, 7]], [[0, 0, 0], [0, 0, 0]]),
    "bay1-9": ([[0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]),
    "sea1-1": ([[7, 7, 7], [7, 7, 7]], [[0, 0, 2], [2, 2, 2]]),
}


def write_params(folder, **changes):
    (folder / "params.yaml").write_text(yaml.safe_dump({"data": DATA | changes}))


@pytest.fixture
def folder(tmp_path):
    """A raw data set with its params.yaml."""
    (tmp_path / "raw/images").mkdir(parents=True)
    (tmp_path / "raw/masks").mkdir()
    for name, (image, target) in TILES.items():
        tifffile.imwrite(tmp_path / f"raw/images/{name}.tif", np.array(image, np.uint16))
        tifffile.imwrite(tmp_path / f"raw/masks/{name}.tif", np.array(target, np.uint8))
    correct(tmp_path)
    write_params(tmp_path)
    return tmp_path


def correct(folder, *rows):
    """Write corrections."""
    (folder / "decisions.csv").write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")


def content(folder):
    """Every file of the folder but those that ingest reads."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    kept = {name: path for name, path in files.items() if name.parts[0] not in ("raw", "params.yaml", "decisions.csv")}
    return {name.as_posix(): path.read_bytes() for name, path in kept.items()}


def command(folder):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", "stages", "ingest"]
    return subprocess.run(arguments, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_manifest_says_what_was_packed(folder):
    ingest.main(folder)
    assert (folder / "data/packed/manifest.csv").read_text() == (
        "tile,scene,position,row,col,nodata_fraction,mean,std,min,max,"
        "pixels_background,pixels_oil,pixels_gas\n"
        "bay1-9,bay1,9,2,2,1.0,,,,,0,0,0\n"
        "bay1-10,bay1,10,3,0,0.0,7.0,0.0,7,7,6,0,0\n"
        "bay2-5,bay2,5,1,1,0.333333,25.0,11.18034,10,40,1,2,1\n"
        "sea1-1,sea1,1,,,0.0,7.0,0.0,7,7,2,0,4\n"
    )


def test_the_arrays_hold_the_tiles_in_the_order_of_the_manifest(folder):
    ingest.main(folder)
    packed = open_packed(folder / ingest.PACKED)
    assert packed.class_names == ["oil", "gas"]
    assert packed.images.shape == packed.targets.shape == (4, 2, 3)
    for index, name in enumerate(packed.manifest["tile"]):
        np.testing.assert_array_equal(packed.images[index], TILES[name][0])
        np.testing.assert_array_equal(packed.targets[index], TILES[name][1])


def test_the_arrays_are_the_very_files_that_numpy_writes(folder):
    ingest.main(folder)
    for name in ("images", "targets"):
        file = io.BytesIO()
        np.save(file, np.load(folder / f"data/packed/{name}.npy"))
        assert (folder / f"data/packed/{name}.npy").read_bytes() == file.getvalue()


def test_the_metrics_sum_up_the_set(folder, capsys):
    ingest.main(folder)
    assert json.loads((folder / "metrics/ingest.json").read_text()) == {
        "ingest": {
            "tiles": 4,
            "scenes": 3,
            "height": 2,
            "width": 3,
            "nodata_fraction": 0.333333,  # 8 of 24 pixels
            "foreground_fraction": 0.4375,  # 7 of 16 valid pixels
            "intensity_mean": 11.5,  # (12 * 7 + 100) / 16
            "intensity_std": 9.591663,  # sqrt((12 * 49 + 3000) / 16 - 11.5^2) = sqrt(92)
            "corrections": {
                "rows": {"right": 0, "wrong": 0, "other_class": 0},
                "rows_with_effect": 0,
                "changed_pixels": 0,
            },
            "warnings": dict.fromkeys((kind.metric for kind in WARNINGS), 0)
            | {
                "constant_images": 2,
                "duplicate_images": 1,
                "eight_bit_sets": 1,
                "nodata_images": 1,
                "scenes_without_columns": 1,
                "slick_on_nodata_pixels": 1,
                "slick_on_nodata_tiles": 1,
            },
        }
    }
    printed = capsys.readouterr()
    assert printed.out == "4 tiles of raw packed into data/packed\n"
    assert "warning: duplicate images: 1\n" in printed.err
    assert "raw/images/sea1-1.tif: found the pixels of bay1-10.tif" in printed.err
    assert "warning: scenes of unknown width: 1\n" in printed.err
    assert "error" not in printed.err


def test_two_runs_write_the_same_bytes_and_nothing_else(folder):
    ingest.main(folder)
    first = content(folder)
    assert sorted(first) == OUTPUTS
    ingest.main(folder)
    assert content(folder) == first


def test_compressed_and_big_endian_files_give_the_same_outputs(folder):
    ingest.main(folder)
    first = content(folder)
    for path in (folder / "raw").rglob("*.tif"):
        tifffile.imwrite(path, tifffile.imread(path), compression="lzw", byteorder=">")
    ingest.main(folder)
    assert content(folder) == first


def test_errors_leave_the_old_outputs_as_they_were(folder):
    ingest.main(folder)
    first = content(folder)
    (folder / "raw/masks/bay2-5.tif").unlink()
    tifffile.imwrite(folder / "raw/images/sea1-1.tif", np.zeros((2, 4), np.uint16))
    with pytest.raises(InputError) as caught:
        ingest.main(folder)
    assert f"{folder}/raw can't be used, nothing was written\nerror: images without a target: 1\n" in str(caught.value)
    assert "raw/images/sea1-1.tif: found 2 x 4" in str(caught.value)
    assert "raw/images/bay2-5.tif" in str(caught.value)
    assert content(folder) == first


def test_a_set_whose_first_tile_is_the_odd_one_is_measured_by_the_others(folder):
    tifffile.imwrite(folder / "raw/images/bay1-9.tif", np.ones((2, 4), np.uint16))
    tifffile.imwrite(folder / "raw/masks/bay1-9.tif", np.ones((2, 4), np.uint8))
    with pytest.raises(InputError, match="2 x 3 pixels, the size of 6 of 8 files") as caught:
        ingest.main(folder)
    assert "wrong sizes: 2\n" in str(caught.value)
    assert content(folder) == {}


def test_nothing_more_is_written_after_the_first_error(folder, monkeypatch):
    (folder / "raw/images/bay2-5.tif").write_bytes(b"")  # the third of four
    written = []
    monkeypatch.setattr(ingest.NpyStream, "append", lambda stream, tile: written.append(tile))
    with pytest.raises(InputError):
        ingest.main(folder)
    assert len(written) == 2 * 2


def test_the_command_ends_with_status_1_and_without_a_traceback(folder):
    (folder / "raw/images/bay2-5.tif").write_bytes(b"II*\0")
    result = command(folder)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: raw can't be used, nothing was written\n")
    assert "    raw/images/bay2-5.tif: found " in result.stderr
    assert "Traceback" not in result.stderr
    assert content(folder) == {}


def test_a_full_disk_leaves_the_old_outputs_as_they_were(folder, monkeypatch):
    ingest.main(folder)
    first = content(folder)

    def fail(stream, tile):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ingest.NpyStream, "append", fail)
    with pytest.raises(OSError, match="No space left"):
        ingest.main(folder)
    assert content(folder) == first


def test_a_tile_numbered_zero_gets_no_place_in_the_grid(folder, capsys):
    for kind in ("images", "masks"):
        (folder / f"raw/{kind}/bay1-9.tif").rename(folder / f"raw/{kind}/bay1-0.tif")
    ingest.main(folder)
    manifest = pd.read_csv(folder / "data/packed/manifest.csv")
    assert manifest.loc[manifest["position"] == 0, ["row", "col"]].isna().all(axis=None)
    assert "warning: tiles with number 0: 1\n" in capsys.readouterr().err


def test_a_set_without_any_data_is_packed(folder):
    for path in (folder / "raw/images").iterdir():
        tifffile.imwrite(path, np.zeros((2, 3), np.uint16))
    ingest.main(folder)
    metrics = json.loads((folder / "metrics/ingest.json").read_text())["ingest"]
    assert (metrics["nodata_fraction"], metrics["foreground_fraction"], metrics["intensity_mean"]) == (1, None, None)
    assert metrics["warnings"]["nodata_images"] == 4
    assert metrics["warnings"]["duplicate_images"] == 0
    assert open_packed(folder / ingest.PACKED).manifest["mean"].isna().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name_pattern": "("}, "data.name_pattern: expected a regular expression ("),
        (
            {"name_pattern": r"(?P<scene>\d+)"},
            "data.name_pattern: expected a regular expression with the group (?P<tile>",
        ),
        ({"class_names": []}, "data.class_names: "),
        ({"class_names": ["a", "a"]}, "data.class_names: expected names that differ from each other"),
        ({"class_names": ["oil slick"]}, "data.class_names: expected names of letters, digits and _"),
        ({"class_names": ["background"]}, "data.class_names: expected names of letters, digits and _, other than"),
        ({"grid_columns": {"bay": 0}}, "data.grid_columns.bay: expected"),
        ({"rot": "raw"}, "unknown key 'data.rot'; did you mean 'data.root'?"),
    ],
)
def test_a_wrong_parameter_is_one_clear_line(folder, changes, message):
    write_params(folder, **changes)
    with pytest.raises(InputError) as caught:
        ingest.main(folder)
    assert f"params.yaml: {message}" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert content(folder) == {}


def name_by_pixels(folder, places):
    """Name tiles by row and column of their first pixel instead of by their number."""
    for kind in ("images", "masks"):
        for name, place in places.items():
            scene = name.partition("-")[0]
            (folder / f"raw/{kind}/{name}.tif").rename(folder / f"raw/{kind}/{scene}_{place}.tif")
    write_params(folder, name_pattern=r"(?P<scene>\w+)_(?P<row>\d+)_(?P<col>\d+)\.tif")


def test_rows_and_columns_of_pixels_are_those_of_tiles_in_the_manifest(folder):
    name_by_pixels(folder, {"bay1-9": "2_3", "bay1-10": "4_0", "bay2-5": "0_3", "sea1-1": "0_0"})
    ingest.main(folder)
    manifest = pd.read_csv(folder / "data/packed/manifest.csv", dtype=str)
    assert manifest[["tile", "position", "row", "col"]].to_numpy().tolist() == [
        ["bay1_2_3", "1", "1", "1"],
        ["bay1_4_0", "2", "2", "0"],
        ["bay2_0_3", "1", "0", "1"],
        ["sea1_0_0", "1", "0", "0"],
    ]


def test_a_long_report_is_in_a_file(folder, capsys):
    for number in range(12):
        (folder / f"raw/images/Thumbs {number}.tif.aux.xml").write_bytes(b"")
    ingest.main(folder)
    printed = capsys.readouterr().err
    assert "Thumbs 9" not in printed and "    and 2 more\n" in printed
    assert f"the whole report is in {folder / ingest.REPORT}\n" in printed
    assert "Thumbs 9" in (folder / ingest.REPORT).read_text()
    for path in (folder / "raw/images").glob("Thumbs*"):
        path.unlink()
    ingest.main(folder)
    assert not (folder / ingest.REPORT).exists()


# Of the second row and column of the grid of bay2, so its pixels are x 3 to 6, y 2 to 4.
WRONG_SLICK = 'bay2,annotated,wrong,,"POLYGON ((4 2, 5 2, 5 4, 4 4, 4 2))"'


def test_corrections_change_targets_and_their_counts_and_nothing_else(folder, capsys):
    ingest.main(folder)
    before = content(folder)
    capsys.readouterr()
    correct(
        folder,
        WRONG_SLICK,
        'bay1,predicted,right,oil,"POLYGON ((0 6, 2 6, 2 8, 0 8, 0 6))"',
        'sea1,annotated,other_class,oil,"POLYGON ((0 0, 3 0, 3 1, 0 1, 0 0))"',
        'sea1,predicted,wrong,,"POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))"',
    )
    ingest.main(folder)
    packed = open_packed(folder / ingest.PACKED)
    assert packed.targets.tolist() == [
        [[0, 0, 0], [0, 0, 0]],
        [[1, 1, 0], [1, 1, 0]],
        [[0, 0, 1], [0, 2, 2]],  # where there is no data, the slick stays
        [[0, 0, 1], [2, 2, 2]],
    ]
    names = ["pixels_background", "pixels_oil", "pixels_gas"]
    assert packed.manifest[names].to_numpy().tolist() == [[0, 0, 0], [2, 4, 0], [2, 1, 1], [2, 1, 3]]
    metrics = json.loads((folder / "metrics/ingest.json").read_text())["ingest"]
    assert metrics["corrections"] == {
        "rows": {"right": 1, "wrong": 2, "other_class": 1},
        "rows_with_effect": 3,
        "changed_pixels": 6,
    }
    assert metrics["foreground_fraction"] == 0.625  # 10 of 16 valid pixels
    assert metrics["warnings"] == json.loads(before["metrics/ingest.json"])["ingest"]["warnings"]
    assert capsys.readouterr().out == (
        "4 corrections of decisions.csv: 3 changed targets, by 6 pixels\n4 tiles of raw packed into data/packed\n"
    )
    after = content(folder)
    assert {name for name in before if before[name] != after[name]} == {
        "data/packed/manifest.csv",
        "data/packed/targets.npy",
        "metrics/ingest.json",
    }
    correct(folder)
    ingest.main(folder)
    assert content(folder) == before


def test_corrections_of_tiles_whose_names_have_rows_and_columns_of_pixels(folder):
    name_by_pixels(folder, {"bay1-9": "2_3", "bay1-10": "4_0", "bay2-5": "2_3", "sea1-1": "0_0"})
    correct(folder, WRONG_SLICK)
    ingest.main(folder)
    assert open_packed(folder / ingest.PACKED).targets[2].tolist() == [[0, 0, 1], [0, 2, 2]]


def test_corrections_of_another_data_set_are_refused_and_nothing_is_written(folder):
    ingest.main(folder)
    before = content(folder)
    outside = 'bay1,predicted,wrong,,"POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))"'
    correct(folder, WRONG_SLICK, WRONG_SLICK.replace("bay2", "bay7"), outside)
    with pytest.raises(InputError) as caught:
        ingest.main(folder)
    assert str(caught.value).splitlines() == [
        f"{folder}/decisions.csv can't be used, nothing was written; name the corrections of this data set in "
        "data.corrections, or remove these rows",
        "    row 3: expected a scene of the data set, found bay7",
        "    row 4: expected an outline on tiles of scene bay1, found one beside them",
    ]
    assert content(folder) == before


def test_faults_in_corrections_are_found_before_any_tile_is_read(folder, monkeypatch):
    monkeypatch.setattr(ingest, "Packer", None)
    correct(folder, WRONG_SLICK.replace("wrong", "wong"))
    with pytest.raises(InputError, match="row 2: decision: expected right or wrong or other_class, found wong"):
        ingest.main(folder)
    (folder / "decisions.csv").unlink()
    with pytest.raises(InputError, match=r"decisions\.csv is missing"):
        ingest.main(folder)
    assert content(folder) == {}


def test_no_file_of_corrections_need_be_named(folder):
    ingest.main(folder)
    before = content(folder)
    write_params(folder, corrections="")
    ingest.main(folder)
    assert content(folder) == before
