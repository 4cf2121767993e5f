"""What of a folder is a scene."""

import pytest
from geo.safe_product import NAME, write_safe, zip_product

from seepseg.base.errors import InputError
from seepseg.geo.scene_file import find_scenes, scene_name


def test_scenes_are_found_and_the_rest_is_told(tmp_path):
    safe = write_safe(tmp_path / "2020")
    for name in (
        "b.TIF",
        "a.tiff",
        "2020/deep/c.png",
        ".hidden.tif",
        ".trash/d.tif",
        "a.tiff.aux.xml",
        "a.tfw",
        "slicks.gpkg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    zip_product(safe, tmp_path / "other.zip")
    (tmp_path / "half.zip").write_bytes(b"PK")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = find_scenes(tmp_path)
    assert [scene_name(path) for path in found.scenes] == [NAME, "a", "b", "c", "half", "other"]
    assert found.passed_over == [tmp_path / "slicks.gpkg"]


def test_a_scene_is_its_own(tmp_path):
    safe = write_safe(tmp_path)
    assert find_scenes(safe).scenes == [safe]
    assert find_scenes(safe / "manifest.safe").scenes == [safe]
    measurement = next(safe.glob("measurement/*"))
    assert find_scenes(measurement).scenes == [measurement]


def test_nothing_and_two_of_one_name_are_errors(tmp_path):
    with pytest.raises(InputError, match="found nothing"):
        find_scenes(tmp_path / "none")
    with pytest.raises(InputError, match=r"expected scenes .* found nothing"):
        find_scenes(tmp_path)
    safe = write_safe(tmp_path)
    zip_product(safe, tmp_path / f"{NAME}.zip")
    with pytest.raises(InputError, match=rf"found {NAME} twice, .*\.SAFE and .*\.zip"):
        find_scenes(tmp_path)
