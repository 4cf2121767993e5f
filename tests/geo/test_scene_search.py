"""What of a folder is a scene."""

from pathlib import Path

import pytest
import rasterio
from affine import Affine
from geo.safe_product import NAME, write_safe, zip_product
from rasterio.shutil import copy
from rasterio.vrt import WarpedVRT

from seepseg.base.errors import InputError
from seepseg.geo.scene_search import files_of, find_scenes, scene_name


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


@pytest.mark.parametrize(("here", "given"), [("", "."), ("", "manifest.safe"), ("measurement", "..")])
def test_a_product_is_called_by_its_folder_from_inside_too(tmp_path, monkeypatch, here, given):
    safe = write_safe(tmp_path)
    monkeypatch.chdir(safe / here)
    [scene] = find_scenes(Path(given)).scenes
    assert scene_name(scene) == NAME and scene.samefile(safe)


def test_files_of_a_scene(tmp_path):
    safe = write_safe(tmp_path)
    assert sorted(files_of(safe)) == sorted(path for path in safe.rglob("*") if path.is_file())
    image = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "height": 8, "width": 9, "count": 1, "dtype": "uint8"}
    with rasterio.open(image, "w", **profile, crs=4326, transform=Affine.scale(0.1)):
        pass
    with rasterio.open(image) as file, WarpedVRT(file) as warped:
        copy(warped, tmp_path / "a.vrt", driver="VRT")
    assert files_of(image) == [image]
    assert sorted(files_of(tmp_path / "a.vrt")) == [image, tmp_path / "a.vrt"]
    (tmp_path / "b.vrt").write_text("nonsense")
    assert files_of(tmp_path / "b.vrt") == [tmp_path / "b.vrt"]


def test_nothing_and_two_of_one_name_are_errors(tmp_path):
    with pytest.raises(InputError, match="found nothing"):
        find_scenes(tmp_path / "none")
    with pytest.raises(InputError, match=r"expected scenes .* found nothing"):
        find_scenes(tmp_path)
    safe = write_safe(tmp_path)
    zip_product(safe, tmp_path / f"{NAME}.zip")
    with pytest.raises(InputError, match=rf"found {NAME} twice, .*\.SAFE and .*\.zip"):
        find_scenes(tmp_path)
