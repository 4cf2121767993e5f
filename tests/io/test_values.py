"""What numbers of images and values of targets mean: closed forms, and every way to say it wrongly."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from pydantic import ValidationError

from seepseg.io.image_checks import ImageReader
from seepseg.io.image_values import pack_image, stored_value
from seepseg.io.mask_values import MaskValues, colour_text, to_classes
from seepseg.io.raw_data import DataParams
from seepseg.io.report import Report
from seepseg.io.tile_checks import TileReader
from seepseg.io.tile_files import Tile

IMAGE = np.arange(1, 31, dtype=np.uint16).reshape(6, 5) * 300
TARGET = np.zeros((6, 5), np.uint8)
TARGET[2, 1:4] = 3
GDAL_NODATA = 42113


def write(path, pixels, nodata=None, **options):
    tags = [] if nodata is None else [(GDAL_NODATA, "s", 0, nodata, True)]
    tifffile.imwrite(path, pixels, extratags=tags, metadata=None, **options)


def read_image(path, pixels, nodata=None, scaling=()):
    """One image as it is packed, and the report."""
    write(path / "i.tif", pixels, nodata)
    report = Report()
    reader = ImageReader(report, list(scaling))
    found = reader.read_image(Tile("i", "s", 1, None, str(path / "i.tif"), None))
    reader.finish()
    return found and found[0], str(report)


def read_target(path, pixels, num_classes=8, mask_values=(), nodata=None, **options):
    """One target as classes beside a sound image, and the report."""
    write(path / "i.tif", IMAGE)
    write(path / "t.tif", pixels, nodata, **options)
    report = Report()
    reader = TileReader(num_classes, report, MaskValues.parse(list(mask_values)) if mask_values else None)
    (found,) = reader.read([Tile("t", "s", 1, None, str(path / "i.tif"), str(path / "t.tif"))])
    reader.finish()
    return found and found.target, str(report)


# --- images ---


def test_declared_nodata_becomes_0_and_is_said(tmp_path):
    image = IMAGE.copy()
    image[0] = 65_535
    image[1, :2] = 0
    packed, report = read_image(tmp_path, image, "65535")
    np.testing.assert_array_equal(packed, np.where(image == 65_535, 0, image))
    assert "warning: images with no-data other than 0: 1\n" in report
    assert "i.tif: found 65535 in 5 px, 0 in 2 px, which were taken for no data, too" in report


@pytest.mark.parametrize("nodata", ["0", "-9999", "nan", "1e40", "0.5"])
def test_declared_nodata_that_no_pixel_can_hold_says_nothing(tmp_path, nodata):
    packed, report = read_image(tmp_path, IMAGE, nodata)
    np.testing.assert_array_equal(packed, IMAGE)
    assert report == ""


def test_scaling_is_linear_from_1_to_65535_and_rounds(tmp_path):
    decibels = np.array([[-35, 5, -15, -34.9999, -40, 9]], np.float32)
    packed, report = read_image(tmp_path, decibels, scaling=[-35, 5])
    assert packed.tolist() == [[1, 65_535, 32_768, 1, 1, 65_535]]
    assert packed.dtype == np.uint16
    assert "warning: images with much outside of the scaling: 1\n" in report
    assert "numbers from -40 to 9, 33 % of the pixels outside" in report


def test_no_data_of_scaled_images(tmp_path):
    decibels = np.array([[np.nan, -np.inf, np.inf, -9999, 0, -15]], np.float32)
    packed, report = read_image(tmp_path, decibels, "-9999", [-35, 5])
    assert packed.tolist() == [[0, 0, 0, 0, 0, 32_768]]
    assert "-9999, NaN or infinity in 4 px, 0 in 1 px, which were taken for no data, too" in report


def test_no_data_of_float32_is_declared_with_more_digits_than_it_has(tmp_path):
    lowest = np.finfo(np.float32).min
    packed, report = read_image(tmp_path, np.array([[lowest, -15]], np.float32), "-3.4028234663852886e+38", [-35, 5])
    assert packed.tolist() == [[0, 32_768]]
    assert "-3.40282e+38 in 1 px" in report


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_a_scaling_of_1_to_65535_takes_whole_numbers_as_they_are(tmp_path, dtype):
    image = np.arange(32_767, dtype=dtype).reshape(1, -1)
    packed, report = read_image(tmp_path, image, scaling=[1, 65_535])
    np.testing.assert_array_equal(packed, image)
    assert report == ""


def test_scaling_by_blocks_is_scaling_at_once(monkeypatch):
    image = np.random.default_rng(0).normal(-18, 9, (50, 7)).astype(np.float32)
    image[::3, 0] = np.nan
    whole = pack_image(image, None, [-35.0, 5.0])
    monkeypatch.setattr("seepseg.io.image_values.BLOCK", 7 * 4)
    blocks = pack_image(image, None, [-35.0, 5.0])
    np.testing.assert_array_equal(whole.pixels, blocks.pixels)
    assert (
        (whole.declared, whole.clipped)
        == (blocks.declared, blocks.clipped)
        == (17, np.sum((image < -35) | (image > 5)))
    )


def test_a_scaling_of_another_unit_is_an_error_with_the_range_that_was_seen(tmp_path):
    image = np.arange(-2500, 500, dtype=np.int16).reshape(30, 100)
    write(tmp_path / "i.tif", image)
    write(tmp_path / "t.tif", np.zeros((30, 100), np.uint8))
    report = Report()
    reader = TileReader(8, report, None, [-35.0, 5.0])
    list(reader.read([Tile("t", "s", 1, None, str(tmp_path / "i.tif"), str(tmp_path / "t.tif"))]))
    reader.finish()
    assert str(report).startswith("error: images that the scaling does not fit: 1\n  expected: numbers from -35 to 5\n")
    assert (
        "set data.scaling to the range of numbers that matters, the same for all images, say data.scaling=[-2500,500];"
        in str(report)
    )
    assert "the only image: found numbers from -2500 to 499, 98 % of the pixels outside" in str(report)


def test_stored_values():
    assert stored_value(None, np.dtype("u2")) is None
    assert stored_value(65_535.0, np.dtype("u2")) == 65_535
    assert stored_value(-9999.0, np.dtype("u2")) is None
    assert stored_value(0.1, np.dtype("f4")) == np.float32(0.1)


# --- targets ---


@pytest.mark.parametrize("dtype", ["uint16", "int8", "int16", "int32", "uint32", "float32", "float64"])
def test_whole_numbers_of_any_type_are_classes(tmp_path, dtype):
    target, report = read_target(tmp_path, TARGET.astype(dtype))
    np.testing.assert_array_equal(target, TARGET)
    assert target.dtype == np.uint8
    assert report == ""


def test_one_bit_is_the_first_class(tmp_path):
    target, report = read_target(tmp_path, TARGET > 0, 2, photometric="minisblack")
    np.testing.assert_array_equal(target, TARGET > 0)
    assert report == ""


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_255_is_the_only_class(tmp_path, dtype):
    target, report = read_target(tmp_path, (TARGET > 0).astype(dtype) * np.array(255, dtype), 2)
    np.testing.assert_array_equal(target, TARGET > 0)
    assert report == ""


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_values_are_mapped(tmp_path, dtype):
    target, report = read_target(tmp_path, (TARGET * 10).astype(dtype), 4, [[0, 255], "10", 20, 30])
    np.testing.assert_array_equal(target, TARGET)
    assert report == ""


def test_seven_classes_become_one(tmp_path):
    target, report = read_target(tmp_path, TARGET, 2, [0, "slick:1-7"])
    np.testing.assert_array_equal(target, TARGET > 0)
    assert report == ""


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_are_mapped(tmp_path, channels):
    pixels = np.zeros((6, 5, channels), np.uint8)
    pixels[2, 1:4, 0] = 255
    pixels[0, 0, :3] = 7, 9, 200
    if channels == 4:
        pixels[..., 3] = 255
    target, report = read_target(tmp_path, pixels, 3, ["#000000", "#FF0000", "#0709c8"], photometric="rgb")
    assert target[2].tolist() == [0, 1, 1, 1, 0] and target[0].tolist() == [2, 0, 0, 0, 0]
    assert report == ""


def test_what_cannot_be_seen_is_one_colour(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
    pixels[..., 3] = 0
    pixels[2, 1] = 255, 0, 0, 255
    target, report = read_target(tmp_path, pixels, 2, ["#00000000", "#ff0000"], photometric="rgb")
    assert target.sum() == target[2, 1] == 1
    assert report == ""


def test_grey_in_three_channels_is_one_channel(tmp_path):
    target, report = read_target(tmp_path, np.dstack([TARGET] * 3), photometric="rgb")
    np.testing.assert_array_equal(target, TARGET)
    assert report == ""


def test_black_is_not_the_only_class(tmp_path):
    """Opaque black is 0x000000FF, which is no 255."""
    pixels = np.zeros((6, 5, 4), np.uint8)
    pixels[..., 3] = 255
    target, report = read_target(tmp_path, pixels, 2, photometric="rgb")
    assert not target.any() and report == ""


def test_colours_without_a_meaning_are_told(tmp_path):
    pixels = np.zeros((6, 5, 3), np.uint8)
    pixels[2, 1:4, 0] = 255
    target, report = read_target(tmp_path, pixels, photometric="rgb")
    assert target is None
    assert "error: targets in colours: 1\n" in report
    assert "data.mask_values=['#000000','#ff0000']" in report
    assert "t.tif: found #000000 (27 px), #ff0000 (3 px)" in report
    _, report = read_target(tmp_path, pixels, 2, ["#000000", "#00ff00"], photometric="rgb")
    assert "error: wrong values in targets: 1\n  expected: the values in data.mask_values\n" in report
    assert "t.tif: found #ff0000 (3 px)" in report


def test_a_value_that_the_file_declares_as_no_data_is_no_class(tmp_path):
    pixels = np.where(TARGET, np.uint8(1), np.uint8(0))
    pixels[0] = 255
    for num_classes, meaning in ((2, "[[0,255],1]"), (4, "[[0,255],1,2,3]")):
        _, report = read_target(tmp_path, pixels, num_classes, nodata="255")
        assert report.startswith("error: targets with no-data: 1\n")
        assert f"if it is background, set data.mask_values={meaning}; or write 0 there" in report
        assert "t.tif: found 255 in 5 px" in report
        assert "editor" not in report
    target, report = read_target(tmp_path, pixels, 2, [[0, 255], 1], nodata="255")
    np.testing.assert_array_equal(target, TARGET > 0)
    assert report == ""
    target, report = read_target(tmp_path, TARGET, nodata="0")
    np.testing.assert_array_equal(target, TARGET)
    assert report == ""


def test_nan_in_a_target_is_no_class(tmp_path):
    pixels = TARGET.astype(np.float32)
    pixels[0] = np.nan
    assert "t.tif: found nan (5 px)" in read_target(tmp_path, pixels)[1]
    assert "error: targets with no-data: 1\n" in read_target(tmp_path, pixels, nodata="nan")[1]


def test_many_values_are_told_as_a_range(tmp_path):
    pixels = np.linspace(0, 7, 600, dtype=np.float32).reshape(20, 30)
    write(tmp_path / "t.tif", pixels)
    report = Report()
    reader = TileReader(8, report)
    list(reader.read([Tile("t", "s", 1, None, None, str(tmp_path / "t.tif"))]))
    reader.finish()
    assert "t.tif: found 598 values from 0.0116861 to 6.98831" in str(report)
    assert "they look like images: check data.targets. Or they were scaled or turned with interpolation" in str(report)


def test_large_targets_are_mapped_block_by_block(monkeypatch):
    monkeypatch.setattr("seepseg.io.image_values.BLOCK", 10)
    target = np.arange(600, dtype=np.int32).reshape(100, 6) % 3 * 1000
    found = to_classes(target, 3, MaskValues.parse([0, 1000, 2000]))
    np.testing.assert_array_equal(found.classes, target // 1000)
    target[-1, -1] = 7
    found = to_classes(target, 3, MaskValues.parse([0, 1000, 2000]))
    assert found.classes is None and found.values == {0: 200, 1000: 200, 2000: 199, 7: 1}
    as_bytes = to_classes((target // 1000 * 10).astype(np.uint8), 3, None)
    assert as_bytes.values == {0: 201, 10: 200, 20: 199}
    numbers = np.full((100, 6), np.nan, np.float32)
    numbers[0, 0] = 0.5
    assert sorted(to_classes(numbers, 3, None).values.values()) == [1, 599]


def test_no_more_values_are_counted_than_people_read(monkeypatch):
    monkeypatch.setattr("seepseg.io.image_values.BLOCK", 10)
    monkeypatch.setattr("seepseg.io.mask_values.MAX_VALUES", 20)
    assert len(to_classes(np.arange(600).reshape(100, 6) + 0.5, 3, None).values) == 24


def test_values_found_again_by_hand():
    assert to_classes(np.array([[0, 300]], np.int32), 3, MaskValues.parse([0, 300, 5])).classes.tolist() == [[0, 1]]
    assert to_classes(np.array([[0, -1]], np.int8), 3, MaskValues.parse([0, -1, 5])).classes.tolist() == [[0, 1]]
    assert to_classes(np.array([[0, 9]], np.uint8), 3, None).values == {0: 1, 9: 1}
    assert to_classes(np.array([[0, 9]], np.float32), 3, None).values == {0: 1, 9: 1}
    assert colour_text(0xFF0000FF) == "#ff0000" and colour_text(0xFF000080) == "#ff000080"


# --- parameters ---


@pytest.mark.parametrize(
    ("entries", "classes"),
    [
        ([0, 255], {0: 0, 255: 1}),
        ([[0, 255], "1-3", 7], {0: 0, 255: 0, 1: 1, 2: 1, 3: 1, 7: 2}),
        (["0", "slick:1,4-5"], {0: 0, 1: 1, 4: 1, 5: 1}),
        (["#000000", "#ff000080"], {0x000000FF: 0, 0xFF000080: 1}),
        (["-2--1", 1], {-2: 0, -1: 0, 1: 1}),
    ],
)
def test_entries_are_background_then_each_class(entries, classes):
    assert MaskValues.parse(entries).classes == classes


@pytest.mark.parametrize(
    ("mask_values", "message"),
    [
        ([0], "the values of background, then those of each class: numbers, ranges such as 1-7, colours"),
        ([0, True], "numbers, ranges such as 1-7"),
        ([0, "x"], "numbers, ranges such as 1-7"),
        ([0, 0.5], "numbers, ranges such as 1-7"),
        ([0, "7-1"], "ranges from the lower to the higher number"),
        ([0, "1-99999999"], "ranges from the lower to the higher number, of at most 65,536 values"),
        ([0, 1, "1-7"], "one class for each value, 1-7 is in two"),
        ([0, "#ff0000"], "either values or colours"),
        ([0, "oil:1", 2], "a name, each another, for every class and none for background"),
        (["sea:0", "oil:1"], "a name, each another"),
        ([0, "oil:1", "oil:2"], "a name, each another"),
        ([0, "background:1"], "a name, each another"),
        (
            [0, 255],
            "mask_values with 8 entries, for background and each of class_names, found 2; change class_names, or",
        ),
    ],
)
def test_entries_that_mean_nothing_are_refused(mask_values, message):
    with pytest.raises(ValidationError, match=message):
        DataParams(mask_values=mask_values)


def test_names_in_entries_take_the_place_of_class_names():
    assert DataParams(mask_values=[0, "slick:1-7"]).classes == ["slick"]
    assert DataParams(mask_values=[0, 255], class_names=["oil"]).classes == ["oil"]
    assert DataParams().classes == [f"class_{number}" for number in range(1, 8)]
    assert DataParams().parsed_mask_values is None


@pytest.mark.parametrize("scaling", [[1.0], [5.0, -35.0], [1.0, 1.0], [1.0, 2.0, 3.0]])
def test_a_scaling_is_two_ascending_numbers(scaling):
    with pytest.raises(ValidationError, match="low below high"):
        DataParams(scaling=scaling)


def read_palettes(path, palettes, mask_values=()):
    """Targets with class 1 in palette PNG files with these colours of 0, 1, ..., and the report."""
    report, tiles = Report(), []
    write(path / "i.tif", IMAGE)
    for number, palette in enumerate(palettes):
        mask = Image.fromarray((TARGET > 0).astype(np.uint8)).convert("L")
        mask = Image.frombytes("P", mask.size, mask.tobytes())
        mask.putpalette(palette)
        mask.save(path / f"{number}.png")
        tiles.append(Tile(str(number), "s", number, None, str(path / "i.tif"), str(path / f"{number}.png")))
    reader = TileReader(3, report, MaskValues.parse(list(mask_values)) if mask_values else None)
    found = [tile.target for tile in reader.read(tiles)]
    reader.finish()
    return found, str(report)


def test_palettes_that_differ_are_told_and_their_colours_can_be_taken(tmp_path):
    palettes = [[0, 0, 0, 255, 0, 0], [0, 0, 0, 0, 255, 0]]
    (one, other), report = read_palettes(tmp_path, palettes)
    np.testing.assert_array_equal(one, other)
    assert "warning: targets with other palettes: 1\n" in report
    assert "1.png: found #00ff00 for 1, which is #ff0000 in 0.png" in report
    (red, green), report = read_palettes(tmp_path, palettes, ["#000000", "#ff0000", "#00ff00"])
    np.testing.assert_array_equal(red, TARGET > 0)
    np.testing.assert_array_equal(green, 2 * (TARGET > 0))
    assert "palettes" not in report
    assert "palettes" not in read_palettes(tmp_path, palettes[:1] * 2)[1]
