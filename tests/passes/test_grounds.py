"""Which scenes see the same ground, where on it their pixels lie, and which pass saw which place."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod, Transformer

from seepseg.geo.georeference import AffineGeoreference
from seepseg.passes.coverage import Coverage
from seepseg.passes.ground import Grounds, SceneView
from seepseg.passes.grouping import by_pass, overlapping
from seepseg.passes.params import PassesParams

START = datetime(2021, 1, 4, tzinfo=UTC)
ORIGINS = {"a": [0, 0], "b": [0, -1]}


def on_grid(name, left=0, top=0, side=64):
    return SceneView(name, shapely.box(left, top, left + side, top + side), None, None)


def on_earth(name, east=0.0, acquired=None, zone=32615, north=3_059_000.0):
    """100 x 100 pixels of 40 m."""
    place = AffineGeoreference(f"EPSG:{zone}", Affine(40, 0, 640_000 + east, 0, -40, north))
    return SceneView(name, shapely.box(0, 0, 96, 96), place, acquired)


def test_scenes_in_a_grid_are_laid_on_each_other_by_their_origins():
    """Pixel (100, 20) of a scene that begins a tile of 64 further left lies at 36."""
    grounds = Grounds.of_scenes([on_grid("b1", side=128), on_grid("a1"), on_grid("a2", left=640)], ORIGINS, 64)
    (ground,) = grounds.grounds
    assert [each.name for each in ground.passes] == ["a1", "b1"]
    assert (ground.unit, ground.spacing, ground.crs) == ("px", 1.0, None)
    number, x, y = grounds.place(["b1", "a1", "a2", "b1"], [100, 100, 700, np.nan], [20, 20, 20, 20])
    np.testing.assert_array_equal(number, [0, 0, -1, -1])
    np.testing.assert_array_equal(x, [36, 100, np.nan, np.nan])
    np.testing.assert_array_equal(y, [20, 20, np.nan, np.nan])
    np.testing.assert_array_equal(grounds.pass_numbers(["b1", "a1", "a2"]), [1, 0, -1])
    np.testing.assert_array_equal(ground.sees([36, -30, 50], [20, 20, 300]), [[1, 1], [0, 1], [0, 0]])
    assert grounds.notices == ["scenes that share ground with no other pass: a2"]


def test_tiles_that_are_not_square():
    grounds = Grounds.of_scenes([on_grid("a", side=128), on_grid("b", side=128)], {"a": [0, 0], "b": [1, 1]}, (32, 64))
    assert [each.tolist() for each in grounds.place(["b"], [1], [2])] == [[0], [65], [34]]


def test_scenes_without_a_place_are_told():
    views = [on_grid("a1"), on_grid("a2"), on_grid("c"), SceneView("a3", shapely.Polygon(), None, None)]
    grounds = Grounds.of_scenes(views, ORIGINS | {"a2": [0, 0]}, 64)
    assert len(grounds.grounds) == 1
    assert grounds.notices == [
        "scenes that have no known footprint: a3",
        "scenes that have no georeference and fit none of passes.origins: c",
        "scenes that fit several of passes.origins, of which the longest counts: a2",
        "passes.origins that fit no scene: b; names of scenes start with a, c",
    ]
    assert not Grounds.of_scenes([], ORIGINS, 64).grounds


def test_the_longest_start_of_a_name_counts():
    grounds = Grounds.of_scenes([on_grid("a1", side=128), on_grid("a2", side=128)], {"a": [0, 0], "a2": [0, 1]}, 64)
    assert grounds.place(["a2"], [0.5], [0.5])[1] == [64.5]


def test_origins_that_fit_no_scene_are_told_with_what_names_start_with():
    views = [on_grid(f"04{number}1") for number in (18, 19, 55, 56)]
    assert Grounds.of_scenes(views, {"0418": [0, 0], "0419": [0, 0], "0465": [0, -1]}, 64).notices[-1] == (
        "passes.origins that fit no scene: 0465; names of scenes start with 0418, 0419, 0455 and 1 more"
    )
    # Scenes on earth need no origins, and nobody wrote those of the defaults: they are no mistake.
    assert not Grounds.of_scenes([on_earth("a1"), on_earth("a2")], {"0465": [0, 0]}, 64).notices
    default = PassesParams().origins
    assert not Grounds.of_scenes([on_grid("04181"), on_grid("04182")], default, 64).notices
    assert Grounds.of_scenes([on_grid("04181"), on_grid("04182")], default | {"0455": [0, 0]}, 64).notices


@pytest.mark.parametrize(("zone", "east"), [(32615, 0.0), (32660, 170_000.0)])
def test_distances_on_the_ground_are_those_on_the_ellipsoid(zone, east):
    """Zone 60, 170 km east of its middle, lies across 180 degrees."""
    views = [on_earth("one", east, zone=zone), on_earth("two", east + 2_000, zone=zone)]
    grounds = Grounds.of_scenes(views, {}, 64)
    (ground,) = grounds.grounds
    assert ground.unit == "m" and ground.spacing == pytest.approx(40, rel=2e-3)
    pixels = np.array([[10, 90, 20, 30.5], [15, 80, 95, 0.5]])
    scenes = ["one", "one", "two", "two"]
    number, x, y = grounds.place(scenes, *pixels)
    np.testing.assert_array_equal(number, 0)
    lon, lat = (
        np.array(each)
        for each in zip(
            *[
                view.georeference.to_lonlat(*at)
                for view, at in zip(views[:1] * 2 + views[1:] * 2, pixels.T, strict=True)
            ],
            strict=True,
        )
    )
    _, _, metres = Geod(ellps="WGS84").inv(lon[:-1], lat[:-1], lon[1:], lat[1:])
    np.testing.assert_allclose(np.hypot(np.diff(x), np.diff(y)), metres, rtol=1e-5)
    back = Transformer.from_crs(ground.crs, "OGC:CRS84", always_xy=True).transform(x, y)
    np.testing.assert_allclose(np.stack(back), np.stack([lon, lat]), atol=1e-9)
    # Both see what both footprints hold: 2 km are 50 pixels.
    np.testing.assert_array_equal(ground.sees(x, y), [[1, 0], [1, 1], [1, 1], [1, 1]])


def test_both_sides_of_180_degrees_are_one_ground():
    """Of two scenes that overlap by half, one lies west of the line but for a corner, the other on both sides."""
    west, east = (AffineGeoreference("OGC:CRS84", Affine(0.001, 0, lon, 0, -0.001, 10)) for lon in (179.95, -180.0))
    views = [
        SceneView("w", shapely.box(0, 0, 96, 96), west, None),
        SceneView("e", shapely.box(0, 0, 96, 96), east, None),
    ]
    (ground,) = Grounds.of_scenes(views, {}, 64).grounds
    one, other = (each.footprint for each in ground.passes)
    assert one.intersection(other).area == pytest.approx(one.area * 46 / 96, rel=1e-3)


def test_scenes_of_both_kinds_are_never_on_one_ground():
    views = [on_earth("a1"), on_earth("a2"), on_grid("a3"), on_grid("a4")]
    grounds = Grounds.of_scenes(views, ORIGINS, 64)
    assert [[each.name for each in ground.passes] for ground in grounds.grounds] == [["a1", "a2"], ["a3", "a4"]]
    assert grounds.place(["a1", "a4"], [0, 0], [0, 0])[0].tolist() == [0, 1]


def test_frames_of_one_overflight_are_one_pass():
    later = START + timedelta(days=12)
    views = [
        on_earth("s1", 0, START),
        on_earth("s2", 3_000, START + timedelta(seconds=25)),
        on_earth("t", 1_000, later),
    ]
    grounds = Grounds.of_scenes(views, {}, 64)
    (ground,) = grounds.grounds
    assert [(each.name, each.acquired) for each in ground.passes] == [("s1+s2", START), ("t", later)]
    assert ground.passes[0].footprint.area == pytest.approx((96 + 75) * 96 * 40**2, rel=5e-3)
    np.testing.assert_array_equal(grounds.pass_numbers(["t", "s2", "s1"]), [1, 0, 0])
    # Alone, they are no ground: nothing came back.
    assert not Grounds.of_scenes(views[:2], {}, 64).grounds


def test_scenes_within_a_minute_of_each_other_are_of_one_pass():
    seconds = [0, 30, 600, None, 85, None, 661]
    times = [None if each is None else START + timedelta(seconds=each) for each in seconds]
    assert by_pass(times) == [[0, 1, 4], [2], [3], [5], [6]]


def test_areas_that_are_linked_by_others_and_areas_that_only_touch():
    boxes = [shapely.box(left, 0, left + 10, 10) for left in (0, 16, 8, 26, 100)]
    assert overlapping(np.array(boxes, dtype=object)) == [[0, 1, 2], [3], [4]]


@pytest.mark.parametrize("cells", [1, 5, 40, 512])
def test_coverage_is_that_of_the_polygons(monkeypatch, cells):
    """Footprints with steps, holes and parts; places at random, and close to edges; cells of any size."""
    monkeypatch.setattr("seepseg.passes.coverage.CELLS", cells)
    rng = np.random.default_rng(0)
    cells = shapely.box(
        *np.moveaxis(np.array([(x, y, x + 16, y + 16) for x in range(0, 128, 16) for y in range(0, 96, 16)]), 1, 0)
    )
    footprints = [shapely.union_all(cells[rng.random(len(cells)) < share]) for share in (0.9, 0.5, 0.2, *[0.95] * 7)]
    x, y = rng.uniform(-20, 148, 2000), rng.uniform(-20, 116, 2000)
    x[:1000] = np.rint(x[:1000] / 16) * 16 + rng.choice([-1e-6, 1e-6], 1000)
    expected = np.stack([shapely.contains_xy(footprint, x, y) for footprint in footprints], axis=1)
    np.testing.assert_array_equal(Coverage(footprints).holds(x, y), expected)
    assert not Coverage(footprints).holds(np.array([np.nan, np.inf]), np.array([1.0, 1.0])).any()
