"""Rasters of every kind as networks see them: numbers, no data, bands, place, time; and damage."""

from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.control import GroundControlPoint

from seepseg.base.errors import InputError
from seepseg.base.radiometry import Radiometry
from seepseg.data.pixels import Window
from seepseg.geo.georeference import AffineGeoreference, GcpGeoreference
from seepseg.geo.params import ScenesParams
from seepseg.geo.scene_file import open_scene
from seepseg.io.image_values import pack_image

ALL = Window(0, 0, 40, 60)
PLACE = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500_000, 0, -10, 4_600_000)}
SIGMA0 = np.random.default_rng(0).gamma(4, 0.02 / 4, (40, 60))  # -17 dB
PACKED = np.rint(np.sqrt(SIGMA0) * 65535 / 2)


def write(path, bands, descriptions=(), tags=None, place=PLACE, nodata=None, **more):
    bands = np.atleast_3d(bands).transpose(2, 0, 1) if np.ndim(bands) == 2 else np.asarray(bands)
    count, height, width = bands.shape
    path.parent.mkdir(exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=count,
        height=height,
        width=width,
        dtype=bands.dtype,
        nodata=nodata,
        **place,
        **more,
    ) as tiff:
        tiff.write(bands)
        for number, text in enumerate(descriptions, start=1):
            tiff.set_band_description(number, text)
        tiff.update_tags(**(tags or {}))
    return path


def read(path, window=ALL, trained=None, scaling=None, **params):
    with open_scene(path, ScenesParams(**params), trained, scaling) as scene:
        return scene.read(window), scene


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_amplitude_in_integers_stays_as_it_is(tmp_path, dtype):
    image = np.random.default_rng(0).integers(0, 200, (40, 60)).astype(dtype)
    packed, scene = read(write(tmp_path / "a.tif", image))
    assert packed.dtype == np.uint16 and np.array_equal(packed, image)
    assert scene.radiometry.quantity == ("unknown" if dtype == "uint8" else "amplitude")
    assert scene.radiometry.mean == image[image > 0].mean()
    assert scene.warnings == []


@pytest.mark.parametrize(
    ("numbers", "description", "warned"),
    [
        (SIGMA0.astype(np.float32), "Sigma0_VV", False),
        (SIGMA0, "", True),
        ((10 * np.log10(SIGMA0)).astype(np.float32), "Sigma0_VV_db", False),
        ((10 * np.log10(SIGMA0)).astype(np.float32), "", True),
        ((1000 * np.log10(SIGMA0)).round().astype(np.int16), "vv dB * 100", False),
        ((1000 * np.log10(SIGMA0)).round().astype(np.int16), "", True),
    ],
)
def test_every_calibrated_kind_becomes_the_same_amplitude(tmp_path, numbers, description, warned):
    packed, scene = read(write(tmp_path / "a.tif", numbers, [description]))
    assert scene.radiometry.quantity == "sigma0"
    tolerance = 1 + PACKED * (0.0006 if numbers.dtype == np.int16 else 0)  # half a hundredth of a dB
    assert (np.abs(packed - PACKED) <= tolerance).all()
    assert len(scene.warnings) == warned
    assert all("set scenes.scale" in warning for warning in scene.warnings)


def test_the_user_says_the_scale(tmp_path):
    file = write(tmp_path / "a.tif", SIGMA0.astype(np.float32))
    assert read(file, scale="power")[1].warnings == []
    with pytest.raises(InputError, match=r"b\.tif: expected db, found numbers with a median of 500"):
        read(write(tmp_path / "b.tif", 500 + SIGMA0), scale="db")
    with pytest.raises(InputError, match=r"expected power, found numbers with a median of -1[78]"):
        read(write(tmp_path / "c.tif", 10 * np.log10(SIGMA0)), scale="power")


def test_uncalibrated_numbers(tmp_path):
    dn = np.random.default_rng(0).integers(50, 400, (40, 60)).astype(np.float32)
    for number, (numbers, text) in enumerate(
        [(dn, "Amplitude_VV"), (dn**2, "Intensity_VV"), (20 * np.log10(dn), "Intensity_VV_db")]
    ):
        packed, scene = read(write(tmp_path / f"{number}.tif", numbers, [text]))
        assert scene.radiometry.quantity == "amplitude" and np.array_equal(packed, dn) and not scene.warnings
    packed, scene = read(write(tmp_path / "small.tif", dn / 1e6, ["Amplitude_VV"]))
    assert np.isclose(packed.mean(), 2048, atol=1) and "of unknown units" in scene.warnings[0]


def test_what_has_no_data(tmp_path):
    db = (10 * np.log10(SIGMA0)).astype(np.float32)
    db[0, :7] = np.nan, np.inf, -np.inf, 0, -99, -9999, np.finfo(np.float32).min
    packed, scene = read(write(tmp_path / "a.tif", db, ["VV_db"]))
    assert not packed[0, :7].any() and (packed[0, 7:] > 0).all() and (packed[1:] > 0).all()
    assert "can't be measurements, such as -99" in scene.warnings[0]
    packed, scene = read(write(tmp_path / "b.tif", np.where(db < -90, -99, db), ["VV_db"], nodata=-99))
    assert not packed[0, :7].any() and packed[0, 7:].all() and scene.warnings == []
    power = SIGMA0.copy()
    power[1, :3] = -0.001, -1e-9, -99  # noise was subtracted: very dark, but seen; and no number of power
    packed, _ = read(write(tmp_path / "c.tif", power, ["sigma0"]))
    assert packed[1, :3].tolist() == [1, 1, 0]


def test_masks_and_transparency_are_no_data(tmp_path):
    image = np.full((40, 60), 90, np.uint8)
    seen = np.full((40, 60), 255, np.uint8)
    seen[:, :5] = 0
    Image.merge("LA", [Image.fromarray(image), Image.fromarray(seen)]).save(tmp_path / "a.png")
    packed, scene = read(tmp_path / "a.png")
    assert not packed[:, :5].any() and (packed[:, 5:] == 90).all()
    assert scene.georeference is None and scene.warnings == []
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(write(tmp_path / "b.tif", image), "r+") as tiff:
        tiff.write_mask(seen)
    packed, _ = read(tmp_path / "b.tif")
    assert not packed[:, :5].any() and (packed[:, 5:] == 90).all()


def test_which_of_several_bands(tmp_path):
    vh, vv = np.full((40, 60), 11, np.uint16), np.full((40, 60), 22, np.uint16)
    assert read(write(tmp_path / "a.tif", [vh, vv], ["VH", "VV"]))[0][0, 0] == 22
    assert read(write(tmp_path / "a.tif", [vh, vv], ["VH", "VV"]), polarisation="VH")[0][0, 0] == 11
    packed, scene = read(write(tmp_path / "S1A_IW_GRDH_1SDV_20200102T030405_x.tif", [vv, vh]))
    assert packed[0, 0] == 22 and scene.radiometry.polarisation == "VV" and scene.warnings == []
    packed, scene = read(write(tmp_path / "b.tif", [vh, vv]))
    assert packed[0, 0] == 11 and "took the first" in scene.warnings[0]
    with pytest.raises(InputError, match=r"polarisation HH, found VH, VV.*scenes\.polarisation"):
        read(write(tmp_path / "a.tif", [vh, vv], ["VH", "VV"]), polarisation="HH")


def test_place_and_time(tmp_path):
    image = np.full((40, 60), 9, np.uint16)
    _, scene = read(write(tmp_path / "a_20211223T051122.tif", image))
    assert isinstance(scene.georeference, AffineGeoreference)
    assert scene.acquired == datetime(2021, 12, 23, 5, 11, 22, tzinfo=UTC)
    assert np.isclose(scene.radiometry.spacing, 10, rtol=1e-3)
    points = [GroundControlPoint(y, x, 15 + x / 1e4, 40 - y / 1e4) for y in (0, 20, 40) for x in (0, 30, 60)]
    _, scene = read(write(tmp_path / "c.tif", image, place={"gcps": points, "crs": "EPSG:4326"}))
    assert isinstance(scene.georeference, GcpGeoreference)
    assert np.allclose(scene.georeference.to_lonlat(30, 20), (15.003, 39.998), rtol=0, atol=1e-7)
    with rasterio.open(
        tmp_path / "d.tif",
        "w",
        **scene.georeference.raster_profile(),
        driver="GTiff",
        count=1,
        height=40,
        width=60,
        dtype="uint8",
    ) as tiff:
        tiff.write(image.astype(np.uint8), 1)
    _, again = read(tmp_path / "d.tif")
    assert np.allclose(again.georeference.to_lonlat(30, 20), scene.georeference.to_lonlat(30, 20), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("place", "warning"),
    [
        ({}, None),
        ({"crs": "EPSG:32633"}, "no transform"),
        ({"transform": PLACE["transform"]}, "no coordinate reference system"),
        ({"crs": "EPSG:4326", "transform": PLACE["transform"]}, "corners that are no places"),
        ({"crs": 'LOCAL_CS["mine",UNIT["metre",1]]', "transform": PLACE["transform"]}, "no way to degrees"),
    ],
)
def test_without_a_place_results_are_in_pixels(tmp_path, place, warning):
    _, scene = read(write(tmp_path / "a.tif", np.full((40, 60), 9, np.uint16), place=place))
    assert scene.georeference is None and scene.radiometry.spacing == 0
    assert [warning in text and "results are in pixels" in text for text in scene.warnings] == [True] * bool(warning)


def test_what_can_not_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.tif: .*complex"):
        read(write(tmp_path / "a.tif", np.ones((40, 60), np.complex64)))
    (tmp_path / "b.tif").write_text("no raster")
    with pytest.raises(InputError, match=r"b\.tif: expected a whole raster"):
        read(tmp_path / "b.tif")
    with pytest.raises(InputError, match=r"none\.tif: expected a scene, found nothing"):
        read(tmp_path / "none.tif")
    image = np.random.default_rng(0).integers(1, 60_000, (3000, 64)).astype(np.uint16)
    file = write(tmp_path / "late.tif", image, compress="deflate", blockysize=100)
    content = bytearray(file.read_bytes())
    with rasterio.open(file) as tiff:
        last = int(tiff.get_tag_item("BLOCK_OFFSET_0_29", "TIFF", bidx=1))
    content[last : last + 2000] = bytes(2000)
    file.write_bytes(content)
    params = ScenesParams()
    with pytest.raises(InputError, match=r"late\.tif: expected a whole raster file"), open_scene(file, params) as scene:
        scene.read(Window(2900, 0, 100, 64))


def test_a_header_that_claims_too_much_is_refused(tmp_path):
    size = {"height": 200_000, "width": 200_000, "count": 1, "dtype": "uint16", "sparse_ok": True, "bigtiff": True}
    with rasterio.open(
        tmp_path / "huge.tif", "w", driver="GTiff", tiled=True, blockxsize=4096, blockysize=4096, **size
    ):
        pass
    with pytest.raises(InputError, match=r"huge.tif: expected at most 17,179,869,184 pixels, found 200,000 x 200,000"):
        open_scene(tmp_path / "huge.tif", ScenesParams())


def test_a_large_scene_is_sampled_where_it_has_data(tmp_path):
    image = np.zeros((2048, 2048), np.uint16)
    image[970:1010] = 500  # between the squares of the first grid
    image[970:980] = 100
    _, scene = read(write(tmp_path / "a.tif", image, compress="deflate"), Window(0, 0, 1, 1))
    assert scene.radiometry.mean == 400


def test_numbers_of_another_kind_are_brought_to_the_mean_of_training(tmp_path):
    file = write(tmp_path / "vv.tif", SIGMA0.astype(np.float32), ["sigma0 vv"])
    same = Radiometry(quantity="sigma0", polarisation="VV", spacing=10, mean=99)
    packed, scene = read(file, trained=same)
    assert scene.warnings == [] and np.abs(packed - PACKED).max() <= 1
    other = Radiometry(quantity="amplitude", polarisation="HH", spacing=20, mean=130)
    packed, scene = read(file, trained=other)
    assert np.isclose(packed.mean(), 130, rtol=0.01) and np.isclose(scene.radiometry.mean, 130)
    spacing, polarisation, kind = scene.warnings
    assert "pixels of 10 m" in spacing and "20 m" in spacing
    assert "VV" in polarisation and "HH" in polarisation
    assert "calibrated sigma0" in kind and "uncalibrated amplitude" in kind
    for factor in (0.5, 0.1):  # of unknown kind
        unknown = Radiometry(mean=factor * PACKED.mean())
        assert np.isclose(read(file, trained=unknown)[0].mean(), factor * PACKED.mean(), rtol=0.01)


@pytest.mark.parametrize(
    ("description", "quantity"),
    [("Gamma0_VV", "gamma0"), ("Beta0_VV", "beta0"), ("sigma0 of gamma0", "sigma0"), ("power", "sigma0")],
)
def test_what_the_file_says_was_calibrated_is_kept(tmp_path, description, quantity):
    packed, scene = read(write(tmp_path / "a.tif", SIGMA0.astype(np.float32), [description]))
    assert scene.radiometry.quantity == quantity and scene.radiometry.noise_removed is None
    assert np.abs(packed - PACKED).max() <= 1


def test_numbers_are_packed_by_the_scaling_of_the_model(tmp_path):
    db = (10 * np.log10(SIGMA0)).astype(np.float32)
    db[0, :3] = np.nan, -np.inf, -99
    file = write(tmp_path / "a.tif", db, ["VV dB"], nodata=-99)
    trained = Radiometry(polarisation="VV", spacing=20, mean=99)  # far from the mean here, which changes nothing
    packed, scene = read(file, trained=trained, scaling=[-35, 5])
    np.testing.assert_array_equal(packed, pack_image(db, -99, [-35, 5]).pixels)
    assert packed[0, :3].tolist() == [0, 0, 0] and scene.radiometry.quantity == "unknown"
    assert scene.radiometry.mean == packed[packed > 0].mean()
    assert len(scene.warnings) == 1 and "pixels of 10 m, not 20 m as in training" in scene.warnings[0]
    _, scene = read(file, scaling=[0, 1])
    assert "has 100% of its numbers outside of 0 to 1, the data.scaling of the model" in scene.warnings[0]
