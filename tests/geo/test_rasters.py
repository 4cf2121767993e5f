"""Rasters of slicks: values, place, and that they are cloud-optimised."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rio_cogeo import cog_validate

from seepseg.base.colours import palette
from seepseg.data.block_array import BlockArray
from seepseg.geo.georeference import AffineGeoreference, GcpGeoreference
from seepseg.geo.rasters import write_classes, write_probabilities

SHAPE = (700, 1100)
UTM = AffineGeoreference("EPSG:32631", Affine(40, 0, 500_000, 0, -40, 6_000_000))
rng = np.random.default_rng(0)
LABELS = np.zeros(SHAPE, np.int32)
LABELS[100:200, 100:400], LABELS[500:600, 900:1000] = 1, 2
CLASSES = np.where(LABELS > 0, LABELS + 1, 0).astype(np.uint8)
FOREGROUND = np.where(LABELS > 0, 190, rng.integers(0, 20, SHAPE)).astype(np.uint8)
FOREGROUND[:, :50] = 255


def arrays():
    return [BlockArray.of(values, (256, 256)) for values in (CLASSES, FOREGROUND, LABELS)]


def write(folder, place, others=()):
    classes, foreground, labels = arrays()
    names = ["thin", "thick", "old"]
    write_classes(folder / "classes.tif", place, classes, foreground, names, (labels, np.array(others, int)))
    write_probabilities(folder / "probability.tif", place, foreground)


def gcps():
    y, x = (each.ravel().astype(float) for each in np.mgrid[0:701:100, 0:1101:100])
    return GcpGeoreference(x, y, *UTM.to_lonlat(x, y))


@pytest.mark.parametrize("place", [UTM, gcps(), None], ids=["affine", "gcps", "nowhere"])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_rasters_are_cogs_on_the_grid_of_the_scene(tmp_path, place):
    write(tmp_path, place.raster_profile() if place else {})
    for name in ("classes.tif", "probability.tif"):
        is_valid, errors, warnings = cog_validate(tmp_path / name, strict=True)
        assert (is_valid, errors, warnings) == (True, [], [])
        with rasterio.open(tmp_path / name) as file:
            assert (file.shape, file.nodata, file.dtypes[0]) == (SHAPE, 255, "uint8")
            assert file.block_shapes == [(512, 512)] and file.overviews(1) == [2, 4]
            if place is UTM:
                assert file.crs == "EPSG:32631" and file.transform == UTM.transform
            elif place:
                points, crs = file.gcps
                assert crs == "EPSG:4326" and len(points) == 96
                lon, lat = place.to_lonlat(np.array([points[-1].col]), np.array([points[-1].row]))
                assert (points[-1].x, points[-1].y) == pytest.approx((lon[0], lat[0]), abs=1e-8)
            else:
                assert file.crs is None and not file.gcps[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.tif", "probability.tif"]


def test_values(tmp_path):
    write(tmp_path, UTM.raster_profile())
    with rasterio.open(tmp_path / "classes.tif") as file:
        np.testing.assert_array_equal(file.read(1), np.where(FOREGROUND == 255, 255, CLASSES))
        assert file.read(1, out_shape=(350, 550))[75, 100] == 2
        colours = file.colormap(1)
        assert colours[2][:3] == tuple(palette(4)[2])
        assert file.tags(1) == {f"class_{i}": name for i, name in enumerate(["background", "thin", "thick", "old"])}
    with rasterio.open(tmp_path / "probability.tif") as file:
        np.testing.assert_array_equal(file.read(1), FOREGROUND)
        assert file.scales == (0.005,) and file.read(1, masked=True).mask[:, :50].all()


def test_what_lies_on_land_is_background(tmp_path):
    write(tmp_path, UTM.raster_profile(), others=[2])
    with rasterio.open(tmp_path / "classes.tif") as file:
        values = file.read(1)
    assert not values[LABELS == 2].any() and (values[LABELS == 1] == 2).all()


def test_the_same_values_give_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, UTM.raster_profile())
    for name in ("classes.tif", "probability.tif"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
