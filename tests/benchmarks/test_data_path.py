"""The benchmark of the data path: what it generates and refuses, and that it measures what it names."""

import re

import numpy as np
import pytest
import yaml

from benchmarks import data_path
from seepseg.base.errors import InputError
from seepseg.io.report import Report
from seepseg.io.tile_checks import TileReader
from seepseg.io.tile_files import find_tiles

DATA = yaml.safe_load((data_path.ROOT / "params.yaml").read_text())["data"]


@pytest.fixture
def raw_data(workspace):
    """38 small tiles made from two."""
    generator = np.random.default_rng(1)
    images = generator.integers(1, 2**16, (2, 32, 32), dtype=np.uint16)
    targets = generator.integers(0, 8, (2, 32, 32), dtype=np.uint8)
    workspace.set("data", root="raw")
    data_path.write_tiles(workspace.folder / "raw", 38, images, targets)
    return workspace.folder / "raw"


def test_generated_tiles_are_sound_and_no_two_alike(raw_data):
    report = Report()
    tiles = find_tiles(raw_data / DATA["images"], raw_data / DATA["targets"], re.compile(DATA["name_pattern"]), report)
    contents = list(TileReader(8, report).read(tiles))
    assert str(report) == ""
    assert len({content.image.tobytes() for content in contents}) == 38
    assert len({tile.scene for tile in tiles}) == 5  # 4 of 9 tiles, and the rest
    # Image and target are turned alike: their pixels still come in the same pairs.
    pairs = [sorted(zip(c.image.ravel().tolist(), c.target.ravel().tolist(), strict=True)) for c in contents]
    assert sum(pair == pairs[0] for pair in pairs) == 19


def test_ingest_is_measured_against_a_read_of_every_byte(raw_data):
    found = data_path.ingest_speed(raw_data.parent, repeats=2)
    size = sum(path.stat().st_size for path in raw_data.rglob("*.tif"))
    assert (found["tiles"], found["mib"]) == (38, size / 2**20)
    assert 0 < found["share_of_plain_read_low"] <= found["share_of_plain_read_median"]
    assert {path.name for path in raw_data.parent.iterdir()} == {"raw", "params.yaml"}  # nothing is left behind


def test_a_disk_that_is_too_small_is_one_clear_line(tmp_path):
    message = r"expected [\d.]+ GB of free disk for 100,000,000,000 tiles, found [\d.]+ GB"
    with pytest.raises(InputError, match=message):
        data_path.check_disk(10**11, tmp_path)


def test_too_few_tiles_for_a_split_are_refused(tmp_path):
    with pytest.raises(InputError, match="--sizes: expected at least 4 tiles, found 3"):
        data_path.growth([3], tmp_path)


def test_a_stage_that_fails_ends_with_its_message(tmp_path):
    (tmp_path / "params.yaml").write_text("{}")
    with pytest.raises(InputError, match=r"stage split ended with status 1:\nerror: params\.yaml"):
        data_path._run_stage("split", tmp_path)
