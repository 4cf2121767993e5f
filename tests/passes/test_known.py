from dataclasses import replace

import geopandas as gpd
import pytest
import shapely
from made_up_seeps import plane
from slicks_by_hand import ground_of

from seepseg.passes.known import explain_none_on, known_on


def test_known_seeps_that_two_passes_saw():
    ground = replace(ground_of((-5000, -5000, 5000, 5000), (0, -5000, 5000, 5000), unit="m"), crs=plane(-91, 27))
    points = [shapely.Point(-90.98, 27), shapely.Point(-91.02, 27), shapely.Point(-80, 27), shapely.Point(89, -27)]
    known = gpd.GeoDataFrame({"platform": [True, False, False, False]}, geometry=points, crs=4326)
    table = known_on(ground, known)  # the second is seen by one pass, the others by none
    assert table["platform"].tolist() == [True]
    assert table[["x", "y"]].to_numpy().tolist() == [pytest.approx([1985, 0], abs=5)]
    assert not len(known_on(replace(ground, crs=None, unit="px"), known))


def test_known_seeps_elsewhere_are_told_with_their_distance():
    ground = replace(ground_of((-5000, -5000, 5000, 5000), (-5000, -5000, 5000, 5000), unit="m"), crs=plane(-91, 27))
    at, exchanged = shapely.Point(-91, 27), shapely.Point(27, -91)
    far = gpd.GeoDataFrame(
        {"platform": [False] * 2}, geometry=[shapely.Point(-91, 28), shapely.Point(-95, 30)], crs=4326
    )
    told = explain_none_on([ground], far)
    # A degree of latitude is 110.8 km there; 5 of them are ground.
    assert "none of the 2 known seeps lies where at least 2 passes saw the ground: the nearest is 106 km from" in told
    assert "They lie at longitude -95.00 to -91.00 and latitude 28.00 to 30.00, the passes at longitude -91.05" in told
    assert explain_none_on([ground], far.set_geometry([at, exchanged], crs=4326)) is None
    assert explain_none_on([], far) is None and explain_none_on([ground], far[:0]) is None
    in_pixels = replace(ground, crs=None, unit="px")
    assert "have a place on earth, the scenes have none" in explain_none_on([in_pixels], far)
    assert "not even on earth" in explain_none_on([ground], far.set_geometry([exchanged] * 2, crs=4326))
