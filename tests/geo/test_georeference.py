"""Pixels to degrees and back: half a pixel, 180 degrees, poles."""

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod, Transformer
from rasterio.transform import GCPTransformer

from seepseg.base.errors import InputError
from seepseg.geo.georeference import AffineGeoreference, GcpGeoreference, wrap

UTM33 = Affine(10, 0, 500_000, 0, -10, 4_600_000)


def gcps_of(georeference, shape, n=15):
    """A grid of ground control points from border to border."""
    y, x = (axis.ravel() for axis in np.meshgrid(*(np.linspace(0, side, n) for side in shape), indexing="ij"))
    return (x, y, *georeference.to_lonlat(x, y))


def random_pixels(shape, n=500):
    y, x = np.random.default_rng(1).uniform(0, 1, (2, n)) * np.array(shape)[:, None]
    return x, y


def test_an_affine_maps_corners_by_gdals_convention():
    place = AffineGeoreference("EPSG:32633", UTM33)
    assert np.allclose(
        place.to_lonlat(0.0, 0.0)[0], 15.0, rtol=0, atol=1e-9
    )  # the zone's central meridian is at 500 km
    expected = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(500_005, 4_599_995)
    assert np.allclose(place.to_lonlat(0.5, 0.5), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32633", UTM33),
        ("EPSG:32633", UTM33 @ Affine.rotation(25) @ Affine.shear(5)),
        ("EPSG:4326", Affine(1e-4, 0, 12, 0, -1e-4, 40)),
        ("EPSG:3413", Affine(40, 0, -300_000, 0, -40, 700_000)),  # 83 degrees north
        ("EPSG:3832", Affine(40, 0, 3_330_000, 0, -40, 100_000)),  # Mercator of the Pacific, across 180 degrees
    ],
)
def test_gcps_made_from_an_affine_agree_with_it(crs, transform):
    shape = (900, 1200)
    affine = AffineGeoreference(crs, transform)
    gcps = GcpGeoreference(*gcps_of(affine, shape))
    x, y = random_pixels(shape)
    lon, lat = affine.to_lonlat(x, y)
    assert np.allclose(affine.to_pixel(lon, lat), (x, y), rtol=0, atol=1e-5)
    assert np.allclose(gcps.to_pixel(lon, lat), (x, y), rtol=0, atol=0.01)
    assert np.allclose(gcps.to_pixel(*gcps.to_lonlat(x, y)), (x, y), rtol=0, atol=1e-3)
    assert np.isclose(affine.spacing(shape), gcps.spacing(shape), rtol=1e-4)


def test_gcps_agree_with_gdals_spline():
    """GDAL fits degrees, we a plane: the same at the points, and within a metre between them."""
    affine = AffineGeoreference("EPSG:32633", UTM33 @ Affine.rotation(12))
    gcps = GcpGeoreference(*gcps_of(affine, (3000, 4000)))
    x, y = random_pixels((3000, 4000))
    gdal = GCPTransformer(gcps.raster_profile()["gcps"], tps=True)
    lon, lat = gcps.to_lonlat(x, y)
    metres = Geod(ellps="WGS84").inv(lon, lat, *gdal.xy(y, x, offset="ul"))[2]
    assert np.max(metres) < 1


def test_gcps_across_180_degrees_are_one_scene():
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1000, 9), np.linspace(0, 800, 7)))
    lon, lat = wrap(179 + x * 0.002), -17 - y * 0.001
    assert lon.min() < -178 and lon.max() > 178
    gcps = GcpGeoreference(x, y, lon, lat)
    middle = gcps.to_lonlat([400.0, 499.0, 501.0], [300.0, 300.0, 300.0])
    assert np.allclose(middle, [[179.8, 179.998, -179.998], [-17.3] * 3], rtol=0, atol=2e-5)
    assert np.allclose(gcps.to_pixel([-179.8, 180.2, 179.8], -17.3), [[600, 600, 400], [300] * 3], atol=0.1)
    written = [point.x for point in gcps.raster_profile()["gcps"]]
    assert max(written) - min(written) < 3  # other programs fit degrees: no jump for them


def test_gcps_about_the_pole():
    polar = Transformer.from_crs("EPSG:3413", "EPSG:4326", always_xy=True)
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1000, 12), np.linspace(0, 1000, 12)))
    gcps = GcpGeoreference(x, y, *polar.transform(400 * (x - 500), 400 * (500 - y)))
    lon, lat = gcps.to_lonlat(*random_pixels((1000, 1000)))
    true = polar.transform(*(400 * np.array([1, -1])[:, None] * (np.array(random_pixels((1000, 1000))) - 500)))
    assert np.max(Geod(ellps="WGS84").inv(lon, lat, *true)[2]) < 20  # metres, of pixels of 400
    assert gcps.to_lonlat(500.0, 500.0)[1] > 89.999


def test_a_raster_in_degrees_beyond_180():
    place = AffineGeoreference("EPSG:4326", Affine(0.01, 0, 179, 0, -0.01, 10))
    assert np.allclose(place.to_lonlat(200.0, 100.0), (-179.0, 9.0), rtol=0, atol=1e-9)
    assert np.allclose(place.to_pixel(-179.0, 9.0), (200, 100))
    assert np.allclose(place.to_pixel(178.5, 9.0), (-50, 100))


def test_places_far_away_are_far_from_the_scene():
    gcps = GcpGeoreference(*gcps_of(AffineGeoreference("EPSG:32633", UTM33), (900, 1200)))
    x, y = gcps.to_pixel([15.0, -60.0, 15.0], [60.0, -30.0, np.nan])
    assert not ((x >= 0) & (x <= 1200) & (y >= 0) & (y <= 900)).any()


def test_spacing_is_on_the_ground_not_on_the_map():
    mercator = AffineGeoreference("EPSG:3857", Affine(20, 0, 0, 0, -20, 8_399_738))  # 60 degrees north: half as long
    assert np.isclose(mercator.spacing((100, 100)), 10, rtol=0.01)
    assert np.isclose(AffineGeoreference("EPSG:32633", UTM33).spacing((100, 100)), 10 / 0.9996, rtol=1e-5)


def test_points_that_span_no_area_are_refused():
    line = np.arange(5.0)
    with pytest.raises(InputError, match="span an area"):
        GcpGeoreference(line, line, line, line)
    with pytest.raises(InputError, match="pixels that have an area"):
        AffineGeoreference("EPSG:32633", Affine(10, 0, 0, 0, 0, 0))


def test_equal_points_lie_at_one_place_to_the_bit():
    """Or rings of polygons wouldn't close."""
    shape = (900, 1200)
    gcps = GcpGeoreference(*gcps_of(AffineGeoreference("EPSG:32633", UTM33), shape))
    x, y = random_pixels(shape, 2001)
    x[-1], y[-1] = x[0], y[0]
    lon, lat = gcps.to_lonlat(x, y)
    assert (lon[0], lat[0]) == (lon[-1], lat[-1])
    back = gcps.to_pixel(lon, lat)
    assert (back[0][0], back[1][0]) == (back[0][-1], back[1][-1])
