from dataclasses import replace

import geopandas as gpd
import pytest
import shapely
from made_up_seeps import plane
from slicks_by_hand import ground_of

from seepseg.passes.known import known_on


def test_known_seeps_that_two_passes_saw():
    ground = replace(ground_of((-5000, -5000, 5000, 5000), (0, -5000, 5000, 5000), unit="m"), crs=plane(-91, 27))
    points = [shapely.Point(-90.98, 27), shapely.Point(-91.02, 27), shapely.Point(-80, 27), shapely.Point(89, -27)]
    known = gpd.GeoDataFrame({"platform": [True, False, False, False]}, geometry=points, crs=4326)
    table = known_on(ground, known)  # the second is seen by one pass, the others by none
    assert table["platform"].tolist() == [True]
    assert table[["x", "y"]].to_numpy().tolist() == [pytest.approx([1985, 0], abs=5)]
    assert not len(known_on(replace(ground, crs=None, unit="px"), known))
