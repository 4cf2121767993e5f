"""The place of a raster as JSON, and back."""

import json

import numpy as np
import pytest
from affine import Affine

from seepseg.geo.georeference import AffineGeoreference, GcpGeoreference
from seepseg.geo.place_json import place_from_json, place_to_json

Y, X = (side.ravel().astype(float) for side in np.mgrid[0:101:50, 0:201:100])


@pytest.mark.parametrize(
    "place",
    [
        AffineGeoreference("EPSG:32615", Affine(40, 0, 638_666.078, 0, -40, 3_059_592.377)),
        GcpGeoreference(X, Y, 179.9 + X / 1000 + Y / 1e4, 10 - Y / 1000 + X**2 / 1e7),
    ],
)
def test_a_place_comes_back(place):
    document = json.loads(json.dumps(place_to_json(place) | {"acquired": None}))
    back = place_from_json(document)
    assert type(back) is type(place)
    np.testing.assert_allclose(back.to_lonlat([3.5, 150], [70, 2]), place.to_lonlat([3.5, 150], [70, 2]), atol=1e-9)


def test_no_place_comes_back_as_none():
    assert place_from_json(place_to_json(None)) is None
