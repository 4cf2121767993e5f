"""The kinds of faults that raw tiles can have: what was expected, and what to do."""

from dataclasses import dataclass, replace

MAX_PIXELS = 2**26  # of one tile, 8192 x 8192: a header that claims more is taken for damaged
MAX_BYTES = 2**28  # of one tile, and of each block in which its pixels are stored
MAX_SCENE_PIXELS = 2**30  # of the tiles of a scene put together; a whole Sentinel-1 scene has less than half of it


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        title: heads the list of offenders.
        expected: what was expected of each of them.
        remedy: what to do.
        metric: under which name a warning is counted; an error has none.
    """

    title: str
    expected: str
    remedy: str
    metric: str = ""


# Of any images, also of those to predict on: what to do must be true without targets and without training.
IMAGE_FOLDER = FaultKind(
    "folders that can't be used", "a folder that holds an image file per tile", "name a folder with such files"
)
BAD_NAME = FaultKind(
    "wrong names",
    "",
    "change the pattern in params.yaml, as docs/data.md shows, rename the files or move them elsewhere",
)
NOT_A_FILE = FaultKind("tiles that are not files", "a file", "remove them or put the files in their place")
FOLDER_AMONG_TILES = FaultKind(
    "folders among the tiles",
    "files alone, as the pattern of names has no slash",
    "move the files out of the folders, move the folders elsewhere, or have subfolders gone through by a slash in "
    r"data.name_pattern, for example '(?P<scene>[^/]+)/(?P<tile>\d+)\.(tif|png)'",
)
TWO_NAMES = FaultKind(
    "several files for one tile",
    "one file per scene and tile",
    "keep one of them, or make the pattern of names fit one",
)
UNREADABLE = FaultKind("unreadable files", "a file that may be read", "check permissions and the disk")
LFS_POINTER = FaultKind(
    "Git LFS pointers in place of files",
    "the file that the pointer stands for",
    "run `git lfs pull` in the repository that they come from",
)
NOT_AN_IMAGE = FaultKind(
    "files that are no images",
    "a TIFF, PNG or JPEG file, whatever its name says",
    "download or copy the images again from their source, or remove these files",
)
OTHER_FORMAT = FaultKind(
    "files of other formats",
    "a TIFF, PNG or JPEG file, whatever its name says",
    "convert them, for example with `gdal_translate old new.tif`; unpack archives",
)
UNSUPPORTED_COMPRESSION = FaultKind(
    "compressions that can't be read",
    "LZW, deflate, zstd, LZMA, PackBits, CCITT, LERC, PNG, WebP, JPEG or none",
    "write them anew, for example with `gdal_translate -co COMPRESS=DEFLATE old.tif new.tif`",
)
UNSUPPORTED_SAMPLES = FaultKind(
    "types of pixels that can't be read",
    "integers of 1 to 32 bits, or floating-point numbers of 16, 32 or 64 bits",
    "write them anew with another type, for example with `gdal_translate -ot UInt16 old.tif new.tif`",
)
COMPLEX_SAMPLES = FaultKind(
    "complex images",
    "real numbers, such as amplitude or intensity",
    "take the amplitude, for example with `gdal_translate DERIVED_SUBDATASET:AMPLITUDE:old.tif new.tif`",
)
DAMAGED = FaultKind("truncated or damaged files", "a whole file", "copy them again from their source")
TOO_LARGE = FaultKind(
    "files that claim too many pixels",
    f"at most {MAX_PIXELS:,} pixels, which take {MAX_BYTES:,} bytes or less",
    "copy them again from their source if damaged, or cut them into tiles",
)
WRONG_LAYERS = FaultKind(
    "several pages or channels",
    "one page of one channel",
    "write the one band that counts, without alpha channel or thumbnail",
)
WRONG_IMAGE_TYPE = FaultKind("wrong type of image", "", "")
WRONG_SCALING = FaultKind("images that the scaling does not fit", "", "")
CLIPPED_IMAGE = FaultKind(
    "images with much outside of the scaling",
    "",
    "check the unit of the images and the scaling: what lies outside was set to the nearer end",
    "clipped_images",
)
DECLARED_NODATA = FaultKind(
    "images with no-data other than 0",
    "0 where there is no data",
    "check that these pixels have no data: they were set to 0, and are not used",
    "declared_nodata_images",
)
UNDECLARED_NODATA = FaultKind(
    "images with a number that hardly is a measurement",
    "no-data that the file declares, or NaN",
    "if it is no data, let the files say so, for example with `gdal_edit.py -a_nodata -9999 FILE`: as it is, these "
    "pixels are taken for the darkest",
    "undeclared_nodata_images",
)
IMAGES_LIKE_MASKS = FaultKind(
    "sets of images that look like masks", "intensities", "name the folder of the images: these are small whole numbers"
)
EIGHT_BIT_SET = FaultKind(
    "sets of 8-bit images",
    "intensities up to 65,535",
    "export them again with 16 bits if their source has more: faint slicks may be lost between 255 steps",
    "eight_bit_sets",
)
WRAPPED_SET = FaultKind(
    "sets of images whose numbers look wrapped",
    "intensities of every size",
    "convert them again from their source: so negative numbers look after astype(uint16)",
    "wrapped_sets",
)
WRONG_SIZE = FaultKind("wrong sizes", "", "cut all tiles to one size")
NO_PIXELS = FaultKind("files without pixels", "at least one row and one column", "copy them again from their source")
LOSSY_IMAGE = FaultKind(
    "lossy compression",
    "compression that keeps pixels as they are, such as LZW or deflate",
    "export them again from their source if you can: speckle and faint slicks suffer",
    "lossy_images",
)
NOTHING_STORED = FaultKind(
    "files that store no pixel",
    "pixels; all were taken for no-data or 0",
    "export them again from their source, unless all of their pixels are meant to be empty: so a file looks "
    "when its writer died",
    "files_without_stored_pixels",
)
PARTLY_STORED = FaultKind(
    "files that store some of their pixels",
    "all strips or tiles; what is missing was taken for no-data or 0",
    "export them again from their source, unless these parts are meant to be empty: so a file looks "
    "when its writer died",
    "files_partly_stored",
)
HIDDEN_PIXELS = FaultKind(
    "files with a transparency mask",
    "no-data in the pixels themselves",
    "check that what the mask hides has no data: it was set to the no-data value or 0",
    "files_with_transparency_mask",
)
MIN_IS_WHITE = FaultKind(
    "files in which 0 is white",
    "photometric interpretation 'min is black'",
    "check that their values are not reversed: they were taken as they are stored",
    "min_is_white_files",
)
NODATA_IMAGE = FaultKind(
    "images without data", "a valid pixel, one above 0", "leave them out, there is nothing to see", "nodata_images"
)
CONSTANT_IMAGE = FaultKind(
    "constant images", "more than one intensity among the valid pixels", "check the export", "constant_images"
)
NO_COLUMNS = FaultKind(
    "scenes of unknown width",
    "a start of the scene's name in data.grid_columns (in quotes: YAML takes 0455 for an octal number)",
    "add it with its number of columns; without it nobody knows which tiles are neighbours",
    "scenes_without_columns",
)
NUMBERED_ZERO = FaultKind(
    "tiles with number 0",
    "numbers from 1, row by row",
    "number the scene's tiles from 1; from 0, the last column is taken for the first of the next row",
    "tiles_numbered_zero",
)
OFF_GRID = FaultKind(
    "tiles beside the grid of their scene",
    "rows and columns, in pixels, that are whole tiles away from the first of the scene",
    "cut tiles side by side and pad the last ones; as it is, each of these is taken for a scene of its own",
    "tiles_off_grid",
)
WIDE_SCENE = FaultKind(
    "scenes too large to be true",
    f"at most {MAX_SCENE_PIXELS:,} pixels from the first to the last of a scene's tiles",
    "check that data.name_pattern takes the number, or row and column, of a tile from the right part of the name, and "
    "that data.grid_columns is right",
)
ROWS_AS_SCENES = FaultKind(
    "rows or columns of tiles taken for scenes",
    "scenes of which none goes on where another ends",
    "if the last number in their names is a row or column, let it be one in data.name_pattern: "
    r"'(?P<scene>.+)_(?P<row>\d+)_(?P<col>\d+)\.tif'",
    "rows_taken_for_scenes",
)
ONE_NAME = FaultKind(
    "scenes of one name in several folders",
    "another name for each scene",
    "if they are parts of one scene, as in folders train and val, leave the folder out of its name in "
    r"data.name_pattern: '[^/]+/(?P<scene>[^/]+)_(?P<tile>\d+)\.tif'; else parts of a scene may be in training and in "
    "test",
    "scenes_of_one_name",
)
SIDECAR = FaultKind(
    "files of systems and GIS programs",
    "tiles alone",
    "nothing; they are passed over, masks (.msk) and world files among them. To be rid of this, move them elsewhere",
    "sidecar_files",
)

# Of a raw data set alone.
RAW_FOLDER = replace(
    IMAGE_FOLDER,
    remedy="set data.root, data.images and data.targets in params.yaml; `dvc repro tile` cuts tiles of scenes",
)
ONE_FOLDER = FaultKind(
    "one folder for images and targets",
    "a data.target_pattern that tells targets from images",
    r"set it, for example to '(?P<scene>\d+)_(?P<tile>\d+)_mask\.tif', or name two folders",
)
NO_TARGET = FaultKind(
    "images without a target",
    "a file of the same scene and tile in the folder data.targets",
    "add the targets or remove the images; a tile without slicks needs a target of zeros",
)
NO_IMAGE = FaultKind(
    "targets without an image",
    "a file of the same scene and tile in the folder data.images",
    "add the images or remove the targets",
)
COLOUR_TARGET = FaultKind(
    "targets in colours",
    "one channel of class numbers, or colours that data.mask_values knows",
    "name the colour of background, then that of each class: -S \"data.mask_values=['#000000','#ff0000']\"; or write "
    "class numbers",
)
NODATA_TARGET = FaultKind("targets with no-data", "background or a class for every pixel", "")
SWAPPED = FaultKind(
    "images and targets that look exchanged",
    "images in data.images, annotations in data.targets",
    "exchange the two files of each of these tiles",
)
NO_BACKGROUND = FaultKind("sets without background", "pixels that are no slick", "")
MOSTLY_SLICK = FaultKind(
    "sets that are mostly slick",
    "background on most pixels",
    "check whether background and slick are exchanged, or classes are counted from another number: data.mask_values "
    "says what the values mean, background first",
    "mostly_slick_sets",
)
INTERPOLATED_TARGETS = FaultKind(
    "sets of targets that look interpolated",
    "classes with pixels beside others of their own",
    "check whether masks were scaled or turned: so rims of other classes come about. Do it by nearest neighbour",
    "interpolated_sets",
)
PALETTE_CLASH = FaultKind(
    "targets with other palettes",
    "one colour for each number in all targets",
    "check whether the numbers mean the same in all targets, as they are taken for classes; if the colours do, name "
    "these: data.mask_values=['#000000','#ff0000']",
    "targets_with_other_palettes",
)
TWO_MARKS = FaultKind(
    "sets with two marks for one class",
    "1 or 255, the same in all targets",
    "set data.mask_values=[0,[1,255]] if both are slicks, or [[0,255],1] if 255 is no data",
)
LOSSY_TARGET = FaultKind(
    "targets with lossy compression",
    "compression that keeps pixels as they are, such as LZW or deflate",
    "export them again from their source with LZW, deflate or none: class pixels have changed, and to convert these "
    "files doesn't bring them back",
)
TARGET_NOT_STORED = FaultKind(
    "targets that store no pixel",
    "pixels, as in the other targets",
    "export them again from their source: so a file looks when its writer died; write zeros where nothing is annotated",
)
WRONG_VALUES = FaultKind("wrong values in targets", "", "")
DUPLICATE_IMAGE = FaultKind(
    "duplicate images",
    "pixels that no other tile has",
    "keep one: copies leak between splits",
    "duplicate_images",
)
SLICK_ON_NODATA = FaultKind(
    "slicks on no-data",
    "background where the image is 0",
    "check whether target and image belong together; these pixels are not used",
    "slick_on_nodata_tiles",
)
WARNINGS = (
    NODATA_IMAGE,
    CONSTANT_IMAGE,
    DUPLICATE_IMAGE,
    SLICK_ON_NODATA,
    NO_COLUMNS,
    NUMBERED_ZERO,
    OFF_GRID,
    ROWS_AS_SCENES,
    ONE_NAME,
    SIDECAR,
    LOSSY_IMAGE,
    NOTHING_STORED,
    PARTLY_STORED,
    HIDDEN_PIXELS,
    MIN_IS_WHITE,
    DECLARED_NODATA,
    CLIPPED_IMAGE,
    EIGHT_BIT_SET,
    WRAPPED_SET,
    MOSTLY_SLICK,
    INTERPOLATED_TARGETS,
    PALETTE_CLASH,
    UNDECLARED_NODATA,
)
