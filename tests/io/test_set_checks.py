"""What raw tiles look like as a whole: said once, with the remedy."""

import math

import numpy as np
import pytest
import tifffile

from seepseg.io import image_checks
from seepseg.io.faults import LOSSY_IMAGE, NOTHING_STORED, PARTLY_STORED
from seepseg.io.image_checks import ImageReader
from seepseg.io.image_set import round_range
from seepseg.io.mask_values import MaskValues
from seepseg.io.report import Report
from seepseg.io.target_set import explain_values, stretched_values
from seepseg.io.tile_checks import TileReader
from seepseg.io.tile_files import Tile

RNG = np.random.default_rng(0)
SHAPE = (16, 12)
TARGET = np.zeros(SHAPE, np.uint8)
TARGET[range(2, 16, 2), 3] = range(1, 8)  # apart from each other


def image(low=200, high=60_000, dtype="uint16"):
    """Numbers from `low` to `high`, in another order each time."""
    return RNG.permuted(np.linspace(low, high, SHAPE[0] * SHAPE[1])).reshape(SHAPE).astype(dtype)


def check(folder, images, targets, num_classes=8, mask_values=None, scaling=None):
    """Read tiles; the text of the report."""
    tiles = []
    for number, (pixels, target) in enumerate(zip(images, targets, strict=True)):
        paths = [str(folder / f"{kind}{number}.tif") for kind in ("image", "mask")]
        tifffile.imwrite(paths[0], pixels)
        tifffile.imwrite(paths[1], target)
        tiles.append(Tile(f"tile{number}", "s", number + 1, None, *paths))
    report = Report()
    reader = TileReader(num_classes, report, mask_values and MaskValues.parse(mask_values), scaling)
    list(reader.read(tiles))
    reader.finish()
    return str(report)


def blocks(report):
    """Heads of a report."""
    return [line for line in report.splitlines() if not line.startswith(" ")]


def test_sound_sets_say_nothing(tmp_path):
    assert check(tmp_path, [image() for _ in range(3)], [TARGET, TARGET * 0, TARGET]) == ""


def test_exchanged_folders_are_one_fault(tmp_path):
    report = check(tmp_path, [TARGET, TARGET * 0, TARGET], [image() for _ in range(3)])
    assert report.splitlines() == [
        "error: images and targets that look exchanged: 1",
        "  expected: images in data.images, annotations in data.targets",
        "  what to do: exchange data.images and data.targets in params.yaml",
        "    3 of 3 tiles: found few small numbers in the images and many different ones in the targets",
    ]


def test_exchanged_folders_of_floats_and_one_class(tmp_path):
    masks = [(TARGET > 0).astype(np.uint8) * 255] * 2
    report = check(tmp_path, masks, [image(dtype="float32") - 30_000.5 for _ in range(2)], 2)
    assert blocks(report) == ["error: images and targets that look exchanged: 1"]


def test_labels_that_start_at_1(tmp_path):
    targets = [np.where(TARGET, np.uint8(3), np.uint8(1))] * 3
    report = check(tmp_path, [image() for _ in range(3)], targets)
    assert blocks(report) == ["error: sets without background: 1"]
    assert "what to do: if 1 is background, set data.mask_values=[1,2,3,4,5,6,7,8]" in report
    assert "all 3 targets: found classes [1,3] alone" in report
    assert "data.mask_values=[1,2,3,4,5,6,7,8]" in check(tmp_path, [image()], [TARGET + 1])
    assert check(tmp_path, [image()], [TARGET + 1], mask_values=list(range(1, 9))) == ""
    report = check(tmp_path, [image()], [TARGET * 0 + 1], mask_values=[0, "slick:1"], num_classes=2)
    assert "what to do: check data.mask_values: its first entry is background" in report


def test_one_target_without_background_is_sound(tmp_path):
    assert check(tmp_path, [image(), image(), image()], [TARGET * 0 + 1, TARGET * 0, TARGET * 0]) == ""


def test_background_and_slick_exchanged(tmp_path):
    slick = TARGET > 0
    report = check(tmp_path, [image(), image()], [np.where(slick, np.uint8(0), np.uint8(255))] * 2, num_classes=2)
    assert blocks(report) == ["warning: sets that are mostly slick: 1"]
    assert "data.mask_values says what the values mean, background first" in report
    assert f"all 2 targets: found slicks on {100 * (slick == 0).sum() // slick.size} % of the pixels" in report


def test_int16_images_of_decibels_with_a_few_of_uint16(tmp_path):
    images = [*(image(-2500, 300, "int16") for _ in range(3)), image(40, 65_000)]
    report = check(tmp_path, images, [TARGET] * 4)
    assert blocks(report) == ["error: wrong type of image: 1", "error: wrong type of image: 3"]
    assert "expected: int16, the type of 3 of 4 images\n" in report
    assert "expected: uint16, or one other type and data.scaling\n" in report
    assert "the same for all images, say data.scaling=[-2500,300]; don't cast them to unsigned integers" in report
    assert "export them again from their source like the others; don't cast them to unsigned integers" in report
    assert "image0.tif: found int16, numbers from -2500 to 300" in report and "image3.tif: found uint16" in report


def test_a_few_images_of_another_type(tmp_path):
    report = check(tmp_path, [image(), image(), image(1, 255, "uint8")], [TARGET] * 3)
    assert blocks(report) == ["error: wrong type of image: 1"]
    assert "expected: uint16, the type of 2 of 3 images\n" in report
    scaled = check(
        tmp_path, [image(dtype="float32"), image(dtype="float32"), image()], [TARGET] * 3, scaling=[1, 65_535]
    )
    assert "expected: float32, the type of 2 of 3 images\n" in scaled


def test_floats_are_refused_with_the_range_that_was_seen(tmp_path):
    decibels = [np.linspace(-31.2, 3.4, 192, dtype=np.float32).reshape(SHAPE)] * 2
    report = check(tmp_path, decibels, [TARGET] * 2)
    assert "error: wrong type of image: 2\n  expected: uint16, or one other type and data.scaling\n" in report
    assert "say data.scaling=[-32,4]" in report
    assert "image0.tif: found float32, numbers from -31.2 to 3.4" in report
    with_fill = decibels[0].copy()
    with_fill[0] = -9999
    report = check(tmp_path, [with_fill], [TARGET])
    assert "if -9999 is no data, let the files say so: gdal_edit.py -a_nodata -9999 FILE" in report
    assert "image0.tif: found float32, numbers from -29.0262 to 3.4 and -9999" in report


def test_floating_point_numbers_of_any_width_go_together(tmp_path):
    images = [image(dtype="float32"), image(dtype="float64")]
    assert check(tmp_path, images, [TARGET] * 2, scaling=[1, 65_535]) == ""
    assert blocks(check(tmp_path, images, [TARGET] * 2)) == ["error: wrong type of image: 2"]


def test_whole_positive_numbers_can_be_taken_as_they_are(tmp_path):
    report = check(tmp_path, [image(1, 30_000, "int16")], [TARGET])
    assert "what to do: set data.scaling=[1,65535], which takes the numbers as they are\n" in report


def test_what_to_do_about_floats_is_true_where_there_is_a_model(tmp_path):
    tifffile.imwrite(tmp_path / "i.tif", image(dtype="float32") - 100)
    report = Report()
    reader = ImageReader(report)
    assert reader.read_image(Tile("i", "s", 1, None, str(tmp_path / "i.tif"), None)) is None
    assert reader.has_faults and not report.has_errors
    reader.finish()
    assert "expected: uint16\n" in str(report)
    assert "give images of the type and the unit that the model was trained on" in str(report)
    assert "data.scaling" not in str(report)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_images_of_8_bits_are_said_once(tmp_path, dtype):
    report = check(tmp_path, [image(3, 255, dtype) for _ in range(3)], [TARGET] * 3)
    assert blocks(report) == ["warning: sets of 8-bit images: 1"]
    assert "all 3 images: found numbers from 3 to 255" in report


def test_one_dark_image_is_no_set(tmp_path):
    assert check(tmp_path, [image(), image(3, 255)], [TARGET] * 2) == ""


@pytest.mark.parametrize(("low", "high"), [(-3500, -100), (-2500, 20)])
def test_wrapped_numbers_are_said_once(tmp_path, low, high):
    images = [image(low, high, "int16").astype(np.uint16) for _ in range(3)]
    report = check(tmp_path, images, [TARGET] * 3)
    assert blocks(report) == ["warning: sets of images whose numbers look wrapped: 1"]
    assert "so negative numbers look after astype(uint16)" in report
    assert "all 3 images: found 3 with numbers near 65,536 and none in between" in report


def test_bright_images_are_not_wrapped(tmp_path):
    assert check(tmp_path, [image(48_000, 65_535) for _ in range(3)], [TARGET] * 3) == ""


def test_1_and_255_do_not_mean_one_class_together(tmp_path):
    targets = [np.where(TARGET, np.uint8(mark), np.uint8(0)) for mark in (1, 255, 1)]
    report = check(tmp_path, [image() for _ in range(3)], targets, 2)
    assert blocks(report) == ["error: sets with two marks for one class: 1"]
    assert "mask1.tif: found 255, but 1 in " in report and "set data.mask_values=[0,[1,255]] if both" in report
    assert check(tmp_path, [image(), image()], [targets[1], TARGET * 0], 2) == ""


def test_stretched_masks_get_their_mapping(tmp_path):
    report = check(tmp_path, [image(), image()], [TARGET * 36, TARGET * 0])
    assert "they look stretched, as for display: set data.mask_values=[0,36,72,108,144,180,216,252]\n" in report
    assert "mask0.tif: found 36 (1 px), 72 (1 px), 108 (1 px)" in report
    assert check(tmp_path, [image()], [TARGET * 36], mask_values=[0, 36, 72, 108, 144, 180, 216, 252]) == ""


@pytest.mark.parametrize(
    ("values", "num_classes", "explanation"),
    [
        ([0, 255], 8, "set data.mask_values=[0,slick:255], which names it"),
        ([0, 1, 2, 255], 3, "if it is background, set data.mask_values=[[0,255],1,2]"),
        ([1, 3, 8], 8, "if 1 is background, set data.mask_values=[1,2,3,4,5,6,7,8]"),
        ([0, 20, 40], 4, "they look stretched, as for display: set data.mask_values=[0,20,40,60]"),
        ([0, 128], 2, "set data.mask_values=[0,128]"),
        ([0, 36, 109, 255], 8, "set data.mask_values=[0,36,73,109,146,182,219,255]"),
        ([0, 64, 128, 191, 255], 2, "with interpolation, or compressed with loss: make them anew, by nearest"),
        ([0, 254, 255], 2, "as in data.mask_values=[0,10,20]"),
        ([0, 1, math.nan], 8, "write 0 in place of NaN, if nothing is annotated there"),
        ([0, 0.5, 1], 8, "with interpolation, or compressed with loss"),
        (list(range(0, 60_000, 200)), 8, "they look like images: check data.targets. Or they were scaled or turned"),
        ([0, 9, 11], 8, "as in data.mask_values=[0,10,20]; or name all classes in data.class_names"),
        ([-1, 0, 2], 8, "as in data.mask_values=[0,10,20]"),
    ],
)
def test_wrong_values_are_told_what_they_look_like(values, num_classes, explanation):
    assert explanation in explain_values(values, num_classes)


def test_the_mapping_that_is_advised_can_be_given():
    assert MaskValues.parse(stretched_values([0, 36, 109, 255], 7)).classes[109] == 3


def test_edges_of_scenes_can_be_padded(tmp_path):
    images = [image(), image(), image()[:9]]
    report = check(tmp_path, images, [TARGET, TARGET, TARGET[:9]])
    assert blocks(report) == ["error: wrong sizes: 2"]
    assert "what to do: pad what is smaller, as at the edge of a scene, with 0 to 16 x 12\n" in report
    images[2] = np.tile(image(), (2, 2))
    assert "what to do: cut all tiles to one size" in check(tmp_path, images, [TARGET, TARGET, np.tile(TARGET, (2, 2))])


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-1.7e308, 1.7e308, "[-1.7e+308,1.7e+308]"),
        (0, 5e-324, "[0,1e-301]"),
        (-31.2, 3.4, "[-32,4]"),
        (0, 0.84, "[0,0.84]"),
        (-2500, 299, "[-2500,300]"),
        (0.001, 0.0123, "[0.001,0.013]"),
    ],
)
def test_ranges_are_advised_with_few_digits(low, high, text):
    assert round_range(low, high) == text


def with_warning(monkeypatch, part, kind):
    """Let the reader warn of the files whose name holds a text."""
    original = image_checks.read_raster

    def read(path):
        raster = original(path)
        return type(raster)(raster.pixels, raster.nodata, ((kind, "so"),)) if part in str(path) else raster

    monkeypatch.setattr(image_checks, "read_raster", read)


def test_a_target_that_stores_nothing_is_an_error_among_others_that_do(tmp_path, monkeypatch):
    with_warning(monkeypatch, "mask1", NOTHING_STORED)
    report = check(tmp_path, [image(), image()], [TARGET, TARGET * 0])
    assert blocks(report) == ["error: targets that store no pixel: 1"] and "mask1.tif: found so" in report


def test_a_target_that_stores_nothing_is_a_warning_among_others_that_leave_out_parts(tmp_path, monkeypatch):
    with_warning(monkeypatch, "mask1", NOTHING_STORED)
    with_warning(monkeypatch, "mask0", PARTLY_STORED)
    report = check(tmp_path, [image(), image()], [TARGET, TARGET * 0])
    assert blocks(report) == [
        "warning: files that store some of their pixels: 1",
        "warning: files that store no pixel: 1",
    ]


def test_targets_that_all_store_nothing_are_warnings(tmp_path, monkeypatch):
    with_warning(monkeypatch, "mask", NOTHING_STORED)
    report = check(tmp_path, [image(), image()], [TARGET * 0, TARGET * 0])
    assert blocks(report) == ["warning: files that store no pixel: 2"]


def test_loss_is_an_error_in_targets_and_a_warning_in_images(tmp_path, monkeypatch):
    with_warning(monkeypatch, "", LOSSY_IMAGE)
    report = check(tmp_path, [image()], [TARGET + 90])
    assert blocks(report) == ["error: targets with lossy compression: 1", "warning: lossy compression: 1"]


def test_a_target_smaller_than_its_image_is_not_to_be_padded(tmp_path):
    report = check(tmp_path, [image(), image()], [TARGET, TARGET[:9]])
    assert "what to do: cut all tiles to one size\n" in report


def test_interpolated_masks_of_class_numbers(tmp_path):
    slick = np.zeros(SHAPE, np.uint8)
    slick[4:10, 2:10] = 7
    soft = np.rint((slick.astype(float) + np.roll(slick, 1, 1)) / 2 + 0.1).astype(np.uint8)  # rims of class 4
    report = check(tmp_path, [image(), image()], [soft, slick])
    assert blocks(report) == ["warning: sets of targets that look interpolated: 1"]
    assert "1 targets of several classes: found classes between a lower and a higher one" in report
    assert check(tmp_path, [image()], [slick + np.roll(slick, 9, 0) // 7 * (slick == 0)]) == ""


@pytest.mark.parametrize("low", [-30, 0.01])
def test_soft_masks_of_images_with_small_numbers_are_not_exchanged(tmp_path, low):
    soft = np.arange(TARGET.size, dtype=np.uint8).reshape(SHAPE)
    report = check(tmp_path, [image(low, low / 2, "float32")], [soft], num_classes=2, scaling=[-40, 5])
    assert "scaled or turned with interpolation" in report and "exchange" not in report


def test_values_that_a_mapping_lacks(tmp_path):
    soft = np.arange(TARGET.size, dtype=np.uint8).reshape(SHAPE)
    assert "with interpolation" in check(tmp_path, [image()], [soft], num_classes=2, mask_values=[0, 255])
    few = np.where(TARGET, np.uint8(9), np.uint8(0))
    assert "add these to the entries" in check(tmp_path, [image()], [few], num_classes=2, mask_values=[0, 255])


def test_masks_in_both_folders(tmp_path):
    report = check(tmp_path, [TARGET.astype(np.uint16), TARGET.astype(np.uint16) // 2], [TARGET, TARGET])
    assert "error: sets of images that look like masks: 1" in blocks(report)


def test_a_few_wrapped_images(tmp_path):
    report = check(tmp_path, [image() for _ in range(4)] + [image(62_000, 65_500)], [TARGET * 0] * 5)
    assert blocks(report) == ["warning: sets of images whose numbers look wrapped: 1"]


def test_an_undeclared_fill_value(tmp_path):
    pixels = image(-30, -10, "float32")
    pixels[0, 0] = -9999
    report = check(tmp_path, [pixels], [TARGET], scaling=[-40, 5])
    assert "warning: images with a number that hardly is a measurement: 1" in blocks(report)
    assert "gdal_edit.py -a_nodata" in report and "image0.tif: found -9999" in report
