"""The sample as files: scenes with a place on earth, and polygons that rasterise to the target again."""

from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
from rasterio import features

from seepseg.synthetic.files import trace_slicks, write_passes, write_scene, write_seeps, write_slicks
from seepseg.synthetic.ground import Pass, make_ground
from seepseg.synthetic.placing import Slick
from seepseg.synthetic.scenes import SyntheticScene, make_scene

CONDITIONS = Pass(datetime(2021, 1, 4, 0, 12, 20, tzinfo=UTC), 10.5, -3.25, 0.0, 5.0, -np.pi / 2, 0.1)


@pytest.fixture(scope="module")
def ground():
    return make_ground(1, (256, 384))


@pytest.fixture(scope="module")
def scene(ground):
    return make_scene(1, 0, ground)


def drawn(rows, kinds):
    """A scene with slicks as drawn: digits are numbers of slicks."""
    labels = np.array([[int(value) for value in row.replace(".", "0")] for row in rows], np.int32)
    slicks = [Slick(kind, None, int((labels == number).sum())) for number, kind in enumerate(kinds, start=1)]
    target = np.array([0, *kinds], np.uint8)[labels]
    return SyntheticScene(CONDITIONS, np.full(labels.shape, 343, np.uint16), labels, slicks, target)


def rasterised(slicks, path):
    """The classes of polygons on the grid of a scene."""
    with rasterio.open(path) as file:
        shapes = slicks.to_crs(file.crs).geometry
        numbers = slicks["class"].str.removeprefix("class_").astype(int)
        return features.rasterize(
            zip(shapes, numbers, strict=True), file.shape, transform=file.transform, dtype="uint8"
        )


def test_a_scene_is_a_geotiff_with_place_time_polarisation_and_nodata(scene, tmp_path):
    write_scene(tmp_path / "s.tif", scene)
    with rasterio.open(tmp_path / "s.tif") as file:
        assert np.array_equal(file.read(1), scene.image)
        assert (file.dtypes, file.nodata, file.descriptions) == (("uint16",), 0, ("VV",))
        assert file.crs.to_epsg() == 32615
        assert file.res == (40, 40)
        assert file.tags()["ACQUISITION_START_TIME"] == "2021-01-04T00:12:20Z"


def test_a_shift_by_rows_and_columns_moves_the_corner_south_and_east(tmp_path):
    write_scene(tmp_path / "s.tif", drawn(["."], []))
    with rasterio.open(tmp_path / "s.tif") as file:
        assert file.transform @ (0, 0) == (640_000 - 3.25 * 40, 3_060_000 - 10.5 * 40)


def test_polygons_rasterise_to_the_target_to_the_pixel(scene, tmp_path):
    write_scene(tmp_path / "s.tif", scene)
    write_slicks(tmp_path / "slicks.gpkg", [trace_slicks(scene, "s")])
    slicks = gpd.read_file(tmp_path / "slicks.gpkg", layer="slicks")
    assert slicks.crs.to_epsg() == 4326
    assert slicks.is_valid.all()
    assert np.array_equal(rasterised(slicks, tmp_path / "s.tif"), scene.target)


def test_holes_corners_and_scraps_stay_as_they_are(tmp_path):
    scene = drawn(
        [
            "1111...2.",
            "1..1..2.2",
            "1.11...22",  # the pocket of 2 is open at corners only
            "1111.....",
            ".....3.3.",
            "....3....",
        ],
        [7, 2, 5],
    )
    slicks = trace_slicks(scene, "s")
    write_scene(tmp_path / "s.tif", scene)
    assert np.array_equal(rasterised(slicks, tmp_path / "s.tif"), scene.target)
    assert slicks.is_valid.all()
    assert slicks.to_crs(32615).area.to_numpy() == pytest.approx(1600 * np.array([13, 5, 3]))
    assert [sum(len(part.interiors) for part in shape.geoms) for shape in slicks.geometry] == [1, 0, 0]
    assert [len(shape.geoms) for shape in slicks.geometry] == [1, 3, 3]


def test_slicks_name_class_scene_and_seep(scene, tmp_path):
    write_slicks(tmp_path / "slicks.gpkg", [trace_slicks(scene, "900001"), trace_slicks(scene, "900002")])
    slicks = gpd.read_file(tmp_path / "slicks.gpkg", layer="slicks")
    assert list(slicks.columns) == ["class", "scene", "seep", "geometry"]
    assert list(slicks["class"]) == [f"class_{slick.kind}" for slick in scene.slicks] * 2
    assert list(slicks["scene"]) == ["900001"] * len(scene.slicks) + ["900002"] * len(scene.slicks)
    known = [slick.seep for slick in scene.slicks if slick.seep is not None]
    assert 0 < len(known) < len(scene.slicks)
    assert list(slicks["seep"].dropna() - 1) == known * 2


def test_seeps_lie_where_the_ground_has_them(ground, scene, tmp_path):
    write_seeps(tmp_path / "seeps.gpkg", ground)
    write_scene(tmp_path / "s.tif", scene)
    seeps = gpd.read_file(tmp_path / "seeps.gpkg", layer="seeps")
    assert seeps.crs.to_epsg() == 4326
    assert list(seeps["class"]) == [f"class_{seep.kind}" for seep in ground.seeps]
    assert list(seeps["platform"]) == [seep.platform for seep in ground.seeps]
    assert list(seeps["recurrence_rate"]) == [seep.recurrence for seep in ground.seeps]
    with rasterio.open(tmp_path / "s.tif") as file:
        places = seeps.to_crs(file.crs).geometry
        x, y = ~file.transform @ (places.x.to_numpy(), places.y.to_numpy())
    assert y + scene.conditions.top == pytest.approx([seep.y for seep in ground.seeps])
    assert x + scene.conditions.left == pytest.approx([seep.x for seep in ground.seeps])


def test_passes_tell_wind_and_current_by_the_compass(tmp_path):
    write_passes(tmp_path / "passes.csv", {"900001": CONDITIONS})
    (seen,) = pd.read_csv(tmp_path / "passes.csv").to_dict("records")
    assert seen == {
        "scene": 900001,
        "acquired": "2021-01-04T00:12:20Z",
        "wind_speed": 5.0,
        "wind_to": 90.0,  # along columns: east
        "current_speed": 0.1,
        "current_to": 0.0,  # up the rows: north
    }


def test_the_same_sample_gives_the_same_bytes_and_leaves_gdal_as_it_was(scene, ground, tmp_path):
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    for name in ("a", "b"):
        write_scene(tmp_path / f"{name}.tif", scene)
        write_slicks(tmp_path / f"{name}.gpkg", [trace_slicks(scene, "s")])
        write_seeps(tmp_path / f"{name}.seeps.gpkg", ground)
        assert pyogrio.get_gdal_config_option("OGR_CURRENT_DATE") is None
    for kind in ("tif", "gpkg", "seeps.gpkg"):
        content = (tmp_path / f"a.{kind}").read_bytes()
        assert content == (tmp_path / f"b.{kind}").read_bytes()
        assert b"2021-01-01T00:00:00" in content or kind == "tif"
