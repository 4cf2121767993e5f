"""The rim of tiny numbers around products of before March 2018, made here: it is no data, and nothing else is."""

import numpy as np
import pytest
import rasterio
from geo.safe_product import NAME, write_safe

from seepseg.data.pixels import Window
from seepseg.geo import border_noise
from seepseg.geo.params import ScenesParams
from seepseg.geo.scene_file import open_scene

SHAPE = (900, 1300)
LOOKS = 4.4
OLD = "s1a-iw-grd-vv-20170716t060623-001.tiff"


@pytest.fixture(scope="module")
def made():
    """DN, and what each pixel is: 0 empty, 1 rim, 2 sea, 3 slick as dark as the instrument's noise can be."""
    rng, rows, columns = np.random.default_rng(0), *np.ogrid[: SHAPE[0], : SHAPE[1]]
    edge = 40 + 20 * np.sin(rows / 60)
    kind = np.full(SHAPE, 2)
    kind[300:500, :200] = kind[300:500, 1100:] = 3  # from the rim at the left, and from the border at the right
    kind[(columns < edge + 120) | (rows < 50)] = 1
    kind[np.broadcast_to(columns < edge, SHAPE)] = 0
    mean = np.array([0, 6, 100, 20])[kind]
    dn = np.rint(mean * np.sqrt(rng.gamma(LOOKS, 1 / LOOKS, SHAPE))).clip(1)
    return np.where(kind == 0, 0, dn).astype(np.uint16), kind


def write(path, dn):
    height, width = dn.shape
    with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=1, dtype=dn.dtype) as tiff:
        tiff.write(dn, 1)
    return path


def test_the_rim_is_no_data_and_dark_sea_beside_it_is_not(tmp_path, made):
    dn, kind = made
    with open_scene(write(tmp_path / OLD, dn), ScenesParams()) as scene:
        packed = scene.read(Window(0, 0, *SHAPE))
    assert np.mean(packed[kind == 1] == 0) > 0.999
    assert np.mean(packed[kind == 3] == 0) < 1e-3
    assert np.mean(packed[kind == 2] == 0) < 1e-4
    seen = packed > 0
    np.testing.assert_array_equal(packed[seen], dn[seen])


def test_it_is_the_same_in_whatever_windows(tmp_path, made, monkeypatch):
    monkeypatch.setattr(border_noise, "WIDTH", 200)
    with open_scene(write(tmp_path / OLD, made[0]), ScenesParams()) as scene:
        whole = scene.read(Window(0, 0, *SHAPE))
        for top in (0, 45, 315, 855):
            for left in range(0, SHAPE[1], 130):
                window = Window(top, left, 45, 130)
                np.testing.assert_array_equal(scene.read(window), whole[window.slices])


def test_a_dark_place_that_is_nowhere_at_the_rim_stays(tmp_path):
    dn = np.full((200, 200), 100, np.uint16)
    dn[50:90, 50:90] = 3
    dn[:, :20] = 0
    dn[100:120, 20:30] = 3
    with open_scene(write(tmp_path / OLD, dn), ScenesParams()) as scene:
        packed = scene.read(Window(0, 0, 200, 200))
    dn[100:120, 20:30] = 0
    np.testing.assert_array_equal(packed, dn)


@pytest.mark.parametrize("name", ["a.tif", "s1a-iw-grd-vv-20190716t060623-001.tiff"])
def test_other_files_and_later_ones_stay_as_they_are(tmp_path, made, name):
    with open_scene(write(tmp_path / name, made[0]), ScenesParams()) as scene:
        np.testing.assert_array_equal(scene.read(Window(0, 0, *SHAPE)), made[0])


def test_products_have_it_too(tmp_path):
    dn = np.full((300, 500), 150, np.uint16)
    dn[:40] = 3
    safe = write_safe(tmp_path, image=dn)
    with open_scene(safe, ScenesParams()) as scene:
        assert scene.read(Window(0, 0, 300, 500)).all()  # of 2020
    annotation = next(safe.glob("annotation/*.xml"))
    annotation.write_text(annotation.read_text().replace("<startTime>2020", "<startTime>2017"))
    with open_scene(safe, ScenesParams()) as scene:
        assert scene.name == NAME
        packed = scene.read(Window(0, 0, 300, 500))
        assert not packed[:40].any() and packed[40:].all()
