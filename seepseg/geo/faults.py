"""The kinds of faults that scenes and annotated polygons can have: what was expected, and what to do."""

from seepseg.io.faults import FaultKind

# Of scenes.
UNUSABLE_SCENE = FaultKind(
    "scenes that can't be used", "a scene that can be read", "mend or remove them, or move them elsewhere"
)
NO_PLACE = FaultKind(
    "scenes without a place on earth",
    "a coordinate reference system with a transform or ground control points, as the other scenes have",
    "move them elsewhere, or give them a place, for example with `gdal_edit.py -a_srs EPSG:32631 -a_ullr ... FILE`",
)
SCENE_WARNING = FaultKind(
    "scenes that something was assumed of",
    "files that say what they are",
    "check that it is right; section scenes of params.yaml says otherwise",
    "scenes_with_warnings",
)
NO_SCENE = FaultKind(
    "files that are no scenes",
    "scenes alone",
    "nothing; they are passed over. To be rid of this, move them elsewhere",
    "files_passed_over",
)
MIXED_SCENES = FaultKind(
    "sets of scenes of several kinds",
    "scenes of one quantity, polarisation and pixel spacing",
    "train on scenes of one kind, or check that the model is as good on each: it sees pixels as they are",
    "mixed_sets",
)
EMPTY_SCENE = FaultKind(
    "scenes without data", "a valid pixel", "leave them out, there is nothing to see", "scenes_without_data"
)

# Of the file of annotations.
NO_ANNOTATIONS = FaultKind(
    "files without annotations",
    "polygons around slicks",
    "name the right file in scenes.annotations; scenes without slicks are fine beside others with some",
)
UNUSABLE_ANNOTATIONS = FaultKind(
    "annotations that can't be read",
    "a vector file, such as GeoPackage, GeoJSON or Shapefile",
    "name such a file in scenes.annotations; `dvc repro sample` writes the sample's",
)
OTHER_LAYERS = FaultKind(
    "files of several layers",
    "one layer of polygons",
    "nothing if the first layer is the right one, which alone is used; else export the other as a file of its own",
    "files_of_several_layers",
)
NO_CRS = FaultKind(
    "annotations without a coordinate reference system",
    "coordinates whose meaning the file says",
    "say what they are, for example with `ogr2ogr -a_srs EPSG:4326 new.gpkg old.shp`. Without one, they are taken for "
    "pixels (column, row) where no scene has a place on earth",
)
CRS_FOR_PIXELS = FaultKind(
    "annotations on earth of scenes without a place there",
    "scenes with a coordinate reference system, or annotations in pixels (column, row) without one",
    "give the scenes their place, or write the annotations in pixels, in a file that names no coordinate reference "
    "system",
)
WRONG_CRS = FaultKind(
    "coordinates that don't fit their coordinate reference system",
    "longitudes within 180 degrees and latitudes within 90, or coordinates for which it is made",
    "say what the coordinates are, for example with `ogr2ogr -a_srs EPSG:32631 new.gpkg old.gpkg`, or exchange x and y",
)
NO_CLASS_COLUMN = FaultKind(
    "annotations without the column of classes",
    "the column that scenes.class_column names",
    "set scenes.class_column; or, if all polygons are of one class, name that alone: -S 'data.class_names=[slick]'",
)
ONE_CLASS = FaultKind(
    "annotations of one class for several",
    "one name in data.class_names, as scenes.class_column is empty",
    "name that class alone: -S 'data.class_names=[slick]'; or set scenes.class_column",
)
UNKNOWN_CLASS = FaultKind(
    "unknown classes",
    "names in data.class_names, or their numbers from 1",
    "say what they mean, in params.yaml (classes: {oil: class_1, 'look-alike': background}) or by -S "
    "'+scenes.classes={oil: class_1, look-alike: background}', or name all in data.class_names; fill in empty ones",
)
UNKNOWN_SCENE = FaultKind(
    "annotations of scenes that are not there",
    "in scenes.scene_column the name of a scene in scenes.root, with or without suffix",
    "add the scenes, mend the names, or leave these polygons out, for example with `ogr2ogr -where`; -S "
    "scenes.scene_column='' looks for each polygon in all scenes",
)
NOT_POLYGONS = FaultKind(
    "geometries that are no polygons",
    "polygons around slicks",
    "turn closed lines into polygons, for example by QGIS's tool 'Lines to polygons', and leave the rest out",
)

# Of single polygons.
ALL_OUTSIDE = FaultKind(
    "annotations outside of every scene",
    "polygons on the scenes",
    "check that annotations and scenes belong together, and the coordinate reference systems of both",
)
OUTSIDE = FaultKind(
    "polygons outside of every scene",
    "polygons on the scenes",
    "add the scenes that they lie on if these are missing; as it is, they are not used",
    "polygons_outside",
)
NOTHING_DRAWN = FaultKind(
    "annotations without a pixel",
    "polygons that hold centres of pixels with data",
    "check that annotations and scenes belong together, and that their polygons are not tiny",
)
EMPTY_GEOMETRY = FaultKind(
    "features without a geometry",
    "a polygon for each feature",
    "nothing if they are meant to be empty; they are not used",
    "empty_geometries",
)
REPAIRED = FaultKind(
    "invalid polygons",
    "polygons whose borders don't cross themselves",
    "check these; they were repaired: parts that overlap are joined, and what has no area goes",
    "repaired_polygons",
)
ON_SEVERAL_SCENES = FaultKind(
    "polygons on several scenes",
    "the scene of each polygon, in the column that scenes.scene_column names",
    "set scenes.scene_column to the column that names scenes, or add one; nothing if the slick is in all of these "
    "scenes, as each of them shows it now",
    "polygons_on_several_scenes",
)
THIN = FaultKind(
    "polygons thinner than a pixel",
    "the centre of a pixel inside of a polygon",
    "widen them if they are slicks; as they are, nothing of them is in the targets",
    "thin_polygons",
)
OVERLAP = FaultKind(
    "polygons that overlap in two classes",
    "one class for each pixel",
    "nothing if the smaller of two polygons is right, as that is taken; else mend them",
    "overlapping_polygons",
)
ON_NODATA = FaultKind(
    "polygons on no-data",
    "polygons where the scene has data",
    "check whether scene and annotations belong together; these pixels are not used",
    "polygons_on_nodata",
)
WARNINGS = (
    SCENE_WARNING,
    NO_SCENE,
    MIXED_SCENES,
    EMPTY_SCENE,
    OTHER_LAYERS,
    OUTSIDE,
    ON_SEVERAL_SCENES,
    EMPTY_GEOMETRY,
    REPAIRED,
    THIN,
    OVERLAP,
    ON_NODATA,
)
