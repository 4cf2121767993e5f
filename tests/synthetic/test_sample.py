"""The stage that writes the sample."""

import hashlib

import pytest
import rasterio

from seepseg.base.errors import InputError
from seepseg.synthetic.ground import make_ground
from seepseg.synthetic.scenes import make_scene
from stages import sample

pytestmark = pytest.mark.e2e

PARAMS = "sample: {{seed: {seed}, n_scenes: {n_scenes}, height: {height}, width: 96}}"


def digests(folder):
    """Digests of the files below data/, by path."""
    files = sorted(path for path in (folder / "data").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def write_sample(tmp_path):
    """Run the stage in a folder of its own; gives digests of what it wrote by path."""

    def run(seed=1, n_scenes=2, height=64):
        (tmp_path / "params.yaml").write_text(PARAMS.format(seed=seed, n_scenes=n_scenes, height=height))
        sample.main(tmp_path)
        return digests(tmp_path)

    return run


def test_the_stage_writes_scenes_slicks_seeps_and_passes(write_sample):
    names = ["passes.csv", "scenes/900001.tif", "scenes/900002.tif", "seeps.gpkg", "slicks.gpkg"]
    assert list(write_sample()) == [f"data/sample/{name}" for name in names]


def test_the_stage_writes_what_make_scene_makes(write_sample, tmp_path):
    write_sample()
    with rasterio.open(tmp_path / "data/sample/scenes/900002.tif") as file:
        assert (file.read(1) == make_scene(1, 1, make_ground(1, (64, 96))).image).all()


def test_the_same_seed_writes_the_same_bytes(write_sample):
    first = write_sample()
    assert write_sample() == first
    other = write_sample(seed=2)
    assert other.keys() == first.keys()
    assert all(other[path] != first[path] for path in first)


def test_a_scene_stays_as_it_is_whatever_the_others_hold_and_the_folder_is_replaced_whole(write_sample):
    two, one = write_sample(n_scenes=2), write_sample(n_scenes=1)
    assert len(one) == 4
    for name in ("scenes/900001.tif", "seeps.gpkg"):
        assert one[f"data/sample/{name}"] == two[f"data/sample/{name}"]


def test_a_failure_leaves_the_old_folder_and_nothing_half_written(write_sample, tmp_path, monkeypatch):
    before = write_sample()

    def fail(*_):
        raise OSError(28, "disk full")

    monkeypatch.setattr(sample, "write_slicks", fail)
    with pytest.raises(OSError, match="disk full"):
        write_sample(seed=2)
    assert digests(tmp_path) == before
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["sample"]


def test_too_small_a_scene_is_refused(write_sample):
    with pytest.raises(InputError, match=r"sample.height: expected greater than or equal to 32, found 16"):
        write_sample(height=16)
