import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely import LineString, MultiPolygon, Point, Polygon, box

from seepseg.geo import faults
from seepseg.geo.annotations import read_annotations
from seepseg.geo.params import ScenesParams
from seepseg.io.report import Report

CLASSES = ("oil", "gas")
SCENES = ("S1A_1", "041869", "S1A_1.x")


@pytest.fixture
def read(tmp_path):
    """Write a GeoPackage of given geometries and columns, and read it as annotations."""

    def read(geometries, crs="EPSG:4326", classes=CLASSES, on_earth=True, params=None, **columns):
        path = tmp_path / "slicks.gpkg"
        path.unlink(missing_ok=True)
        gpd.GeoDataFrame(columns or {"class": ["oil"] * len(geometries)}, geometry=geometries, crs=crs).to_file(path)
        report = Report()
        return read_annotations(path, ScenesParams(**(params or {})), classes, SCENES, on_earth, report), report

    return read


def squares(count):
    return [box(3 * index, 0, 3 * index + 2, 2) for index in range(count)]


def told(report, kind):
    """What is said of each offender of one kind, the only one."""
    assert list(report.offenders) == [kind]
    return [offender.line() for offender in report.offenders[kind]]


def test_names_of_classes_become_their_numbers_and_columns_may_hold_these(read):
    annotations, report = read(squares(4), **{"class": ["gas", "oil", "2", "1"]})
    assert annotations.classes.tolist() == [2, 1, 2, 1]
    assert annotations.names == [f"feature {number}" for number in (1, 2, 3, 4)]  # GeoPackage counts from 1
    annotations, report = read(squares(3), kind=[2, 1, 2], params={"class_column": "kind"})
    assert annotations.classes.tolist() == [2, 1, 2]
    assert not report.offenders


def test_names_are_mapped_and_what_becomes_background_is_left_out(read):
    mapping = {"seep": "gas", "lookalike": "background", "": "oil"}
    annotations, report = read(squares(4), params={"classes": mapping}, **{"class": ["seep", "lookalike", None, "oil"]})
    assert annotations.classes.tolist() == [2, 1, 1]
    assert annotations.names == ["feature 1", "feature 3", "feature 4"]
    assert not report.offenders


def test_unknown_classes_are_told_with_counts_and_the_nearest_known(read):
    _, report = read(squares(6), params={"classes": {"b": "Gass"}}, **{"class": ["Oil", "Oil", "b", None, "3", "oil"]})
    assert told(report, faults.UNKNOWN_CLASS) == [
        "Oil: found 2 polygons; did you mean oil?",
        "b: found 1 polygon, which scenes.classes calls Gass; did you mean gas?",
        "no name at all: found 1 polygon; known are oil, gas",
        "3: found 1 polygon; known are oil, gas",
    ]


def test_without_a_column_all_are_of_the_only_class(read):
    annotations, report = read(squares(2), classes=["slick"], other=[1, 2])
    assert annotations.classes.tolist() == [1, 1]
    assert not report.offenders
    _, report = read(squares(2), Class=[1, 2])
    assert told(report, faults.NO_CLASS_COLUMN)[0].endswith("found no class, but Class; did you mean Class?")
    _, report = read(squares(2), params={"class_column": ""})
    assert told(report, faults.ONE_CLASS)[0].endswith("found 2 names in data.class_names")


def test_scenes_are_named_with_or_without_suffix(read):
    named = ["S1A_1", "folder/S1A_1.SAFE", "041869.tif", None, "S1A_1.x.zip", ""]
    annotations, report = read(squares(6), scene=named, **{"class": ["oil"] * 6})
    assert annotations.scenes.tolist() == ["S1A_1", "S1A_1", "041869", "", "S1A_1.x", ""]
    assert not report.offenders
    annotations, _ = read(squares(1), name=["041869"], params={"scene_column": "name"}, **{"class": ["oil"]})
    assert annotations.scenes.tolist() == ["041869"]


def test_unknown_scenes_are_told(read):
    _, report = read(squares(3), scene=[41869, 41869, 7], **{"class": ["oil"] * 3})
    assert told(report, faults.UNKNOWN_SCENE) == [
        "41869: found 2 polygons; did you mean 041869?",
        "7: found 1 polygon; known are S1A_1, 041869, S1A_1.x",
    ]


def test_geometries_become_valid_flat_polygons(read):
    hole = Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [[(1, 1), (2, 1), (2, 2), (1, 2)]])
    bow = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    overlapping = MultiPolygon([box(0, 0, 2, 2), box(1, 1, 3, 3)])
    deep = shapely.force_3d(hole, 5.0)
    collection = shapely.GeometryCollection([box(0, 0, 1, 1), LineString([(2, 2), (3, 3)])])
    annotations, report = read([hole, bow, overlapping, deep, collection])
    assert shapely.is_valid(annotations.polygons).all()
    assert not shapely.has_z(annotations.polygons).any()
    assert shapely.area(annotations.polygons).tolist() == [15, 2, 7, 15, 1]
    lines = told(report, faults.REPAIRED)
    assert [line.partition(":")[0] for line in lines] == ["feature 2", "feature 3"]
    assert "Self-intersection" in lines[0]


def test_missing_empty_and_collapsed_geometries_are_counted(read):
    annotations, report = read([box(0, 0, 1, 1), None, Polygon(), Polygon([(0, 0), (1, 1), (2, 2)])])
    assert annotations.names == ["feature 1"]
    assert [offender.where for offender in report.offenders[faults.EMPTY_GEOMETRY]] == ["feature 2", "feature 3"]
    assert [offender.where for offender in report.offenders[faults.THIN]] == ["feature 4"]
    _, report = read([None, Polygon()])
    assert [*report.offenders] == [faults.EMPTY_GEOMETRY, faults.NO_ANNOTATIONS]
    _, report = read([])
    assert [*report.offenders] == [faults.NO_ANNOTATIONS]


def test_lines_and_points_are_refused_by_their_kind(read):
    _, report = read([box(0, 0, 1, 1), LineString([(0, 0), (1, 1)]), Point(0, 0), Point(1, 1)])
    assert told(report, faults.NOT_POLYGONS) == ["LineString: found 1 of 4 features", "Point: found 2 of 4 features"]


def test_curves_become_polygons(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text('WKT,class\n"CURVEPOLYGON(CIRCULARSTRING(0 0,1 1,2 0,1 -1,0 0))",oil\n')
    report = Report()
    annotations = read_annotations(path, ScenesParams(), CLASSES, SCENES, False, report)
    assert annotations.polygons[0].area == pytest.approx(np.pi, rel=1e-2)
    assert not report.offenders


def test_pixels_and_degrees_are_not_mixed_up(read):
    _, report = read(squares(1), crs=None)
    assert list(report.offenders) == [faults.NO_CRS]
    annotations, report = read(squares(1), crs=None, on_earth=False)
    assert annotations.crs is None
    assert not report.offenders
    local = 'LOCAL_CS["Undefined Cartesian",LOCAL_DATUM["none",0],UNIT["m",1],AXIS["X",EAST],AXIS["Y",NORTH]]'
    annotations, _ = read(squares(1), crs=local, on_earth=False)
    assert annotations.crs is None
    _, report = read(squares(1), on_earth=False)
    assert told(report, faults.CRS_FOR_PIXELS)[0].endswith("found WGS 84")


def test_the_first_layer_of_polygons_is_taken_and_the_others_told(tmp_path):
    path = tmp_path / "project.gpkg"
    layers = {"tracks": LineString([(0, 0), (1, 1)]), "slicks": box(0, 0, 1, 1), "no": box(5, 5, 6, 6)}
    for layer, geometry in layers.items():
        gpd.GeoDataFrame({"class": ["oil"]}, geometry=[geometry], crs=4326).to_file(path, layer=layer)
    report = Report()
    annotations = read_annotations(path, ScenesParams(), CLASSES, SCENES, True, report)
    assert annotations.polygons[0].bounds == (0, 0, 1, 1)
    assert told(report, faults.OTHER_LAYERS) == [f"{path}: found slicks, which was read, no"]


@pytest.mark.parametrize(("name", "content"), [("no.gpkg", None), ("a.gpkg", b"text"), ("a.geojson", b'{"type": "F')])
def test_files_that_are_no_vector_files_are_named(tmp_path, name, content):
    if content:
        (tmp_path / name).write_bytes(content)
    report = Report()
    assert read_annotations(tmp_path / name, ScenesParams(), CLASSES, SCENES, True, report) is None
    assert name in told(report, faults.UNUSABLE_ANNOTATIONS)[0]
    assert "Traceback" not in str(report)
