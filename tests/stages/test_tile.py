"""Scenes and polygons in, tiles out; and ingest takes them up."""

import json
import shutil

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import tifffile
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.features import rasterize
from shapely import Polygon, box

from seepseg.base.errors import InputError
from seepseg.data.packed import open_packed
from stages import tile

pytestmark = pytest.mark.e2e

CLASSES = [f"class_{number}" for number in range(1, 8)]
TRANSFORM = Affine(40, 0, 500_000, 0, -40, 4_900_000)


def write_scene(path, image, crs="EPSG:32631", transform=TRANSFORM, **profile):
    height, width = image.shape
    place = {"crs": crs} | ({"transform": transform} if transform else {}) if crs else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=image.dtype, **place, **profile
    ) as file:
        file.write(image, 1)


def speckle(height, width, seed=0):
    return np.random.default_rng(seed).integers(5_000, 60_000, (height, width)).astype(np.uint16)


def in_map(left, top, right, bottom):
    """A box at pixels of a scene at `TRANSFORM`."""
    (x0, y0), (x1, y1) = TRANSFORM @ (left, top), TRANSFORM @ (right, bottom)
    return box(x0, y1, x1, y0)


@pytest.fixture
def own(workspace):
    """A workspace with one scene of its own, and a writer of annotations."""
    write_scene(workspace.folder / "scenes/one.tif", speckle(100, 150))

    def annotate(*polygons, crs="EPSG:32631", **columns):
        columns = columns or {"class": ["class_1"] * len(polygons)}
        gpd.GeoDataFrame(columns, geometry=list(polygons), crs=crs).to_file(workspace.folder / "slicks.gpkg")

    workspace.annotate = annotate
    workspace.set("scenes", root="scenes", annotations="slicks.gpkg")
    workspace.tiles = workspace.folder / "data/tiles"
    return workspace


def metrics(workspace):
    return json.loads((workspace.folder / "metrics/tile.json").read_text())["tile"]


def warned(workspace):
    return {name: count for name, count in metrics(workspace)["warnings"].items() if count}


def test_the_sample_is_cut_into_tiles_with_their_place(finished):
    tiles = finished.folder / "data/tiles"
    table = pd.read_csv(tiles / "tiles.csv", dtype={"scene": str})
    slicks = gpd.read_file(finished.folder / "data/sample/slicks.gpkg")
    assert table.groupby("scene").size().tolist() == [6] * 4
    for scene, rows in table.groupby("scene"):
        with rasterio.open(finished.folder / f"data/sample/scenes/{scene}.tif") as file:
            image, transform, crs = file.read(1), file.transform, file.crs
        of_scene = slicks[slicks["scene"] == scene].to_crs(crs)
        shapes = [(row.geometry, int(row["class"][-1])) for _, row in of_scene.iterrows()]
        target = rasterize(shapes, image.shape, transform=transform, dtype="uint8")
        assert target.any()
        for row in rows.itertuples():
            assert (row.top, row.left) == (64 * row.row, 64 * row.col)
            assert row.image == f"images/{scene}_{row.row:03d}_{row.col:03d}.tif"
            part = np.s_[row.top : row.top + 64, row.left : row.left + 64]
            for name, whole in ((row.image, image), (row.target, target)):
                with rasterio.open(tiles / name) as file:
                    np.testing.assert_array_equal(file.read(1), whole[part])
                    assert file.crs == crs
                    assert file.transform.almost_equals(transform @ Affine.translation(row.left, row.top))
    known = json.loads((tiles / "scenes.json").read_text())
    assert known["radiometry"]["polarisation"] == "VV"
    assert known["radiometry"]["spacing"] == pytest.approx(40, rel=1e-3)
    record = known["scenes"]["900001"]
    assert record["shape"] == [128, 192]
    assert Affine(*record["transform"]).a == 40
    assert record["crs"].startswith("EPSG:326")
    assert record["acquired"].endswith("+00:00")


def test_the_model_learns_what_the_scenes_measure(finished):
    packed = open_packed(finished.folder / "data/packed")
    pixels = packed.images[packed.images > 0]
    assert packed.radiometry.mean == pytest.approx(pixels.mean(), rel=1e-6)
    assert (packed.radiometry.quantity, packed.radiometry.polarisation) == ("amplitude", "VV")
    known = json.loads((finished.folder / "data/tiles/scenes.json").read_text())
    assert known["radiometry"]["mean"] == pytest.approx(pixels.mean(), rel=1e-6)


def test_the_same_bytes_again(finished, workspace):
    workspace.take(finished, "data/sample")
    workspace.run("tile")
    names = [name for name in finished.files() if name.startswith(("data/tiles", "metrics/tile"))]
    assert len(names) == 2 * 24 + 3
    old, new = finished.files(), workspace.files()
    assert all(old[name] == new[name] for name in names)


def test_no_pixel_is_lost_and_tiles_without_data_are_left_out(own):
    image = speckle(100, 150)
    image[:64, 64:128] = 0
    write_scene(own.folder / "scenes/one.tif", image)
    own.annotate(in_map(120, 90, 150, 100))
    own.run("tile", "ingest")
    packed = open_packed(own.folder / "data/packed")
    cells = list(zip(packed.manifest["row"], packed.manifest["col"], strict=True))
    assert cells == [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert metrics(own)["empty_tiles"] == 1
    whole, target = np.zeros((128, 192), np.uint16), np.zeros((128, 192), np.uint8)
    for (row, col), tile_image, tile_target in zip(cells, packed.images, packed.targets, strict=True):
        part = np.s_[64 * row : 64 * row + 64, 64 * col : 64 * col + 64]
        whole[part], target[part] = tile_image, tile_target
    np.testing.assert_array_equal(whole[:100, :150], image)
    assert not whole[100:].any() and not whole[:, 150:].any()
    assert target[90:100, 120:150].all()
    assert target.sum() == 300
    assert packed.manifest["position"].tolist() == [1, 2, 3, 4, 5]


def test_a_scene_with_ground_control_points_alone(own):
    y, x = (axis.ravel() for axis in np.meshgrid([0, 50, 100], [0, 75, 150], indexing="ij"))
    lonlat = gpd.GeoSeries.from_xy(*(TRANSFORM @ (x, y)), crs=32631).to_crs(4326)
    points = [
        GroundControlPoint(row=float(r), col=float(c), x=p.x, y=p.y, z=0.0)
        for r, c, p in zip(y, x, lonlat, strict=True)
    ]
    write_scene(own.folder / "scenes/one.tif", speckle(100, 150), "EPSG:4326", None, gcps=points)
    own.annotate(in_map(70, 60, 90, 80))
    own.run("tile")
    target = np.block(
        [[tifffile.imread(own.tiles / f"targets/one_00{r}_00{c}.tif") for c in range(3)] for r in range(2)]
    )
    expected = np.zeros((128, 192), np.uint8)
    expected[60:80, 70:90] = 1
    np.testing.assert_array_equal(target, expected)
    with rasterio.open(own.tiles / "images/one_001_002.tif") as file:
        moved, crs = file.gcps
    assert crs == "EPSG:4326"
    assert [(point.row + 64, point.col + 128) for point in moved] == [(point.row, point.col) for point in points]
    assert len(json.loads((own.tiles / "scenes.json").read_text())["scenes"]["one"]["gcps"]) == 9


def test_pixels_without_a_place(own):
    write_scene(own.folder / "scenes/one.tif", speckle(100, 150), None)
    own.annotate(box(3, 5, 10, 9), crs=None)
    own.run("tile", "ingest")
    target = tifffile.imread(own.tiles / "targets/one_000_000.tif")
    assert target[5:9, 3:10].all()
    assert target.sum() == 28
    assert "crs" not in json.loads((own.tiles / "scenes.json").read_text())["scenes"]["one"]
    own.annotate(box(3, 5, 10, 9), crs="EPSG:4326")
    assert "annotations on earth of scenes without a place there" in own.refusal("tile")
    write_scene(own.folder / "scenes/two.tif", speckle(100, 150))
    own.annotate(in_map(1, 1, 5, 5))
    assert "scenes without a place on earth: 1" in own.refusal("tile")


def test_what_is_odd_about_polygons_is_counted_and_told(own, capsys):
    image = speckle(100, 150)
    image[:, 140:] = 0
    write_scene(own.folder / "scenes/one.tif", image)
    own.annotate(
        in_map(10, 10, 30, 30),
        in_map(20, 20, 40, 30),  # smaller, of another class
        in_map(60, 20.6, 80, 21.4),  # between two rows of centres
        in_map(130, 50, 150, 60),  # half of it on no-data
        in_map(300, 300, 310, 310),
        Polygon([(500_400, 4_898_000), (500_800, 4_897_600), (500_800, 4_898_000), (500_400, 4_897_600)]),
        None,
        **{"class": ["class_2", "class_3", "class_1", "class_1", "class_1", "class_1", "class_1"]},
    )
    own.run("tile")
    assert warned(own) == {
        "overlapping_polygons": 1,
        "thin_polygons": 1,
        "polygons_on_nodata": 1,
        "polygons_outside": 1,
        "repaired_polygons": 1,
        "empty_geometries": 1,
    }
    text = capsys.readouterr().err
    assert "feature 2 on one, class_3: found 100 px of class_2" in text
    assert "feature 4 on one: found 100 of 200 px" in text
    target = tifffile.imread(own.tiles / "targets/one_000_000.tif")
    assert (target[20:30, 20:40] == 3).all()
    assert (target[10:20, 10:30] == 2).all()
    own.run("ingest")
    ingested = json.loads((own.folder / "metrics/ingest.json").read_text())["ingest"]["warnings"]
    assert ingested["slick_on_nodata_pixels"] == 100


def test_all_errors_are_told_at_once_and_nothing_is_written(own):
    write_scene(own.folder / "scenes/two.tif", speckle(20, 20).astype(np.complex64))
    (own.folder / "scenes/three.tif").write_bytes(b"II*\0 not a TIFF")
    own.annotate(in_map(1, 1, 9, 9), in_map(1, 1, 9, 9), **{"class": ["oil", "class_1"], "scene": ["four", "one"]})
    message = own.refusal("tile")
    for text in (
        "scenes that can't be used: 2",
        "two.tif",
        "three.tif",
        "unknown classes: 1",
        "oil: found 1 polygon",
        "annotations of scenes that are not there: 1",
        "four: found 1 polygon",
    ):
        assert text in message
    assert not own.tiles.exists()
    assert not (own.folder / "metrics/tile.json").exists()
    assert not [*own.folder.rglob("*.partial")]


def test_annotations_that_meet_no_scene_end_the_stage(own):
    own.annotate(in_map(1, 1, 9, 9), crs="EPSG:32633")
    message = own.refusal("tile")
    assert "annotations outside of every scene: 1" in message
    assert "km from the nearest to the centre of a scene, one" in message
    assert "coordinates that would lie on one as EPSG:32631" in message
    own.annotate(in_map(60, 20.6, 80, 21.4))
    assert "annotations without a pixel" in own.refusal("tile")


def test_annotations_of_background_alone_end_the_stage(own):
    own.annotate(in_map(1, 1, 9, 9), **{"class": ["background"]})
    message = own.refusal("tile")
    assert "annotations without a pixel" in message
    assert "polygons of background or without an area alone" in message
    corners = [TRANSFORM @ point for point in ((1, 1), (9, 9), (1, 1))]
    own.annotate(Polygon(corners))
    assert "polygons of background or without an area alone" in own.refusal("tile")


def test_damage_that_shows_in_the_pixels_is_told(own):
    path = own.folder / "scenes/one.tif"
    write_scene(path, speckle(2000, 1500), compress="deflate", tiled=True, blockxsize=256, blockysize=256)
    content = bytearray(path.read_bytes())
    content[3_000_000:3_010_000] = bytes(10_000)
    path.write_bytes(content)
    own.annotate(in_map(1, 1, 9, 9))
    assert "one.tif" in own.refusal("tile")
    assert not own.tiles.exists()


def test_scenes_of_several_kinds_are_told(own, capsys):
    write_scene(own.folder / "scenes/two.tif", speckle(100, 150), transform=TRANSFORM @ Affine.scale(2))
    own.annotate(in_map(1, 1, 9, 9))
    own.run("tile")
    assert warned(own)["mixed_sets"] == 1
    assert "pixels of 80 m, not 40 m as in other scenes: the same slick looks smaller" in capsys.readouterr().err
    assert json.loads((own.tiles / "scenes.json").read_text())["radiometry"]["spacing"] == pytest.approx(60, rel=1e-2)


def test_polygons_belong_to_their_scene_or_to_all(own):
    shutil.copy(own.folder / "scenes/one.tif", own.folder / "scenes/two.tif")
    columns = {"class": ["class_1"] * 2, "scene": ["two.tif", None]}
    own.annotate(in_map(1, 1, 9, 9), in_map(20, 20, 22, 22), **columns)
    own.run("tile")
    one, two = (tifffile.imread(own.tiles / f"targets/{name}_000_000.tif") for name in ("one", "two"))
    assert (one.sum(), two.sum()) == (4, 68)


def test_ingest_names_files_that_the_table_has_and_the_folder_has_not(own):
    own.annotate(in_map(1, 1, 9, 9))
    own.run("tile")
    (own.tiles / "targets/one_000_001.tif").unlink()
    message = own.refusal("ingest")
    assert "images without a target: 1" in message
    assert "targets/one_000_001.tif" in message
    (own.tiles / "tiles.csv").write_text("scene,row\na,1\n")
    assert "columns col, image, target, top, left are missing" in own.refusal("ingest")
    for line, column in (("a,0,0,,t,0,0", "image"), ("a,0,0,i,,0,0", "target"), (",0,0,i,t,0,0", "scene")):
        (own.tiles / "tiles.csv").write_text(f"scene,row,col,image,target,top,left\n{line}\n")
        assert f"expected all columns filled, found no {column} in line 2" in own.refusal("ingest")
    (own.tiles / "tiles.csv").write_text("scene,row,col,image,target,top,left\n" + "a,0,0,i,t,0,0\n" * 2)
    assert "found another of scene a, row 0, column 0" in own.refusal("ingest")


def test_a_missing_folder_is_named(own):
    own.annotate(in_map(1, 1, 9, 9))
    own.set("scenes", root="nowhere")
    with pytest.raises(InputError, match="nowhere"):
        tile.main(own.folder)


def test_polygons_that_name_no_scene_and_lie_on_several_are_told(own, capsys):
    """Without a column of scenes each pass over the same ground shows them, which may be right or not."""
    write_scene(own.folder / "scenes/two.tif", speckle(100, 80, seed=1))
    own.annotate(in_map(10, 10, 30, 30), in_map(100, 10, 130, 30))
    own.run("tile")
    assert warned(own)["polygons_on_several_scenes"] == 1
    assert "1 of 2 polygons: found up to 2 scenes for one" in capsys.readouterr().err
    own.annotate(
        in_map(10, 10, 30, 30), in_map(100, 10, 130, 30), **{"class": ["class_1"] * 2, "scene": ["one", "one"]}
    )
    own.run("tile")
    assert "polygons_on_several_scenes" not in warned(own)
