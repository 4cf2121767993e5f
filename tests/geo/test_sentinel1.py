"""SAFE products: sigma0 by the product's own table, place, angle; and what they may lack."""

import re
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from geo.safe_product import NAME, gain, grid_place, write_safe, zip_product

from seepseg.base.errors import InputError
from seepseg.base.radiometry import Radiometry
from seepseg.data.pixels import Window
from seepseg.geo.params import ScenesParams
from seepseg.geo.raster_band import RasterBand
from seepseg.geo.scene_file import open_scene
from seepseg.io.image_values import pack_image

VV = ScenesParams()


def sigma0_packed(image):
    """The root of (DN / A_sigma)^2, 65535 for 2, straight from the formula."""
    lines, pixels = np.indices(image.shape)
    packed = np.rint(np.sqrt((image.astype(np.float64) / gain(lines, pixels)) ** 2) * 65535 / 2).clip(1, 65535)
    return np.where(image > 0, packed, 0)


def test_amplitude_is_calibrated_by_the_products_own_table(tmp_path):
    safe = write_safe(tmp_path)
    with rasterio.open(next(safe.glob("measurement/*.tiff"))) as tiff:
        expected = sigma0_packed(tiff.read(1))
    with open_scene(safe, VV) as scene:
        packed = scene.read(Window(0, 0, 300, 500))
        assert scene.radiometry.mean == packed[packed > 0].mean()
        assert (scene.radiometry.quantity, scene.radiometry.polarisation) == ("sigma0", "VV")
        assert scene.radiometry.noise_removed is False
        beyond = scene.read(Window(-30, 450, 400, 100))
    assert packed.dtype == np.uint16
    assert np.abs(packed - expected).max() <= 1  # float32 beside float64: a half may round the other way ...
    assert np.mean(packed != expected) < 1e-3  # ... which is rare
    assert (packed[:, :20] == 0).all() and (packed[:, 20:] > 0).all()
    assert np.array_equal(beyond[30:330, :50], packed[:, 450:])
    assert not beyond[:30].any() and not beyond[330:].any() and not beyond[:, 50:].any()


def test_place_time_and_angle(tmp_path):
    with open_scene(write_safe(tmp_path), VV) as scene:
        assert (scene.name, scene.shape) == (NAME, (300, 500))
        assert scene.acquired == datetime(2020, 1, 2, 3, 4, 5, 250_000, tzinfo=UTC)
        assert scene.warnings == []
        # The grid numbers samples; their centres are half a pixel further.
        lon, lat, incidence = grid_place(120, 333)
        assert np.allclose(scene.georeference.to_pixel(lon, lat), (333.5, 120.5), atol=0.01)
        assert np.allclose(scene.incidence(333.5, 120.5), incidence, atol=1e-3)
        assert np.isclose(scene.radiometry.spacing, scene.georeference.spacing((300, 500)))


def test_the_measurement_alone_has_the_same_place_but_no_calibration(tmp_path):
    safe = write_safe(tmp_path)
    with open_scene(safe, VV) as product, open_scene(next(safe.glob("measurement/*.tiff")), VV) as alone:
        assert alone.radiometry.quantity == "amplitude" and alone.radiometry.polarisation == "VV"
        assert alone.radiometry.noise_removed is False
        assert alone.incidence(0, 0) is None
        assert alone.acquired == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert np.allclose(alone.georeference.to_lonlat(7, 9), product.georeference.to_lonlat(7, 9), rtol=0, atol=1e-9)


def test_a_scaling_is_of_the_numbers_as_they_are_stored(tmp_path):
    safe = write_safe(tmp_path)
    with rasterio.open(next(safe.glob("measurement/*.tiff"))) as tiff:
        expected = pack_image(tiff.read(1), None, [0, 900]).pixels
    with open_scene(safe, VV, Radiometry(mean=1), [0, 900]) as scene:
        np.testing.assert_array_equal(scene.read(Window(0, 0, 300, 500)), expected)
        assert scene.radiometry.quantity == "unknown" and scene.warnings == []


def test_a_product_that_is_refused_is_closed(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(RasterBand, "close", lambda band: closed.append(band.path))
    safe = write_safe(tmp_path)
    file = next(safe.glob("annotation/*.xml"))
    file.write_text(re.sub(r"<pixel>[0-9]+</pixel>", "<pixel>7</pixel>", file.read_text()))
    with pytest.raises(InputError, match="copy the product again"):
        open_scene(safe, VV)
    assert closed == [safe]


def test_a_zip_and_a_folder_are_the_same(tmp_path):
    safe = write_safe(tmp_path)
    packed = zip_product(safe, tmp_path / f"{NAME}.SAFE.zip")
    with open_scene(safe, VV) as folder, open_scene(packed, VV) as zipped:
        assert zipped.name == folder.name and zipped.acquired == folder.acquired
        window = Window(100, 200, 150, 400)
        assert np.array_equal(folder.read(window), zipped.read(window))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{NAME}.SAFE", f"{NAME}.SAFE.zip"]  # nothing unpacked


def test_renamed_files_are_found(tmp_path):
    """As in public buckets: iw-vv.tiff, iw-vv.xml, calibration-iw-vv.xml."""
    safe = write_safe(tmp_path, polarisations=("VV", "VH"))
    for file in [*safe.glob("*/*.*"), *safe.glob("*/*/*.*")]:
        words = file.name.split("-")
        file.rename(
            file.with_name("-".join([*words[: words.index("s1a")], "iw", words[words.index("grd") + 1]]) + file.suffix)
        )
    assert (safe / "annotation/calibration/calibration-iw-vh.xml").exists()
    with open_scene(safe, ScenesParams(polarisation="vh")) as scene:
        assert scene.radiometry.polarisation == "VH"


def test_what_is_no_whole_grd_product_is_named(tmp_path):
    with pytest.raises(InputError, match=r"expected a GRD product .*found SLC"):
        open_scene(write_safe(tmp_path / "slc", kind="SLC"), VV)
    safe = write_safe(tmp_path / "hh", polarisations=("HH", "HV"))
    with pytest.raises(InputError, match=r"polarisation VV, found HH, HV.*scenes\.polarisation"):
        open_scene(safe, VV)
    for number, pattern in enumerate(("measurement/*.tiff", "annotation/*.xml", "annotation/calibration/*.xml")):
        safe = write_safe(tmp_path / str(number))
        file = next(safe.glob(pattern))
        file.unlink()
        expected = "annotation/.*xml" if number == 1 else file.relative_to(safe).as_posix()
        with pytest.raises(InputError, match=f"expected.*{expected}.*found none"):
            open_scene(safe, VV)
    safe = write_safe(tmp_path / "cut")
    file = next(safe.glob("annotation/*.xml"))
    file.write_bytes(file.read_bytes()[:900])
    with pytest.raises(InputError, match=f"expected a whole product, found annotation/{file.name}"):
        open_scene(safe, VV)


def test_half_a_download_is_named(tmp_path):
    file = zip_product(write_safe(tmp_path), tmp_path / "half.zip")
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"half\.zip: expected a whole zip"):
        open_scene(file, VV)
