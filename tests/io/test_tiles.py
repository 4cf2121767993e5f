"""Finding, reading and checking raw tiles: every fault by its message, every sound variant by its pixels."""

import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from seepseg.base.errors import InputError
from seepseg.io.grid import place_tiles
from seepseg.io.image_checks import ImageReader
from seepseg.io.intensity import Intensity, measure
from seepseg.io.report import Report
from seepseg.io.tile_checks import TileReader, count_values
from seepseg.io.tile_files import compile_name_pattern, find_images, find_tiles

PATTERN = re.compile(r"(?P<scene>\d{6})\.(?P<tile>\d{6})\.tiff?")
H, W = 6, 5
IMAGE = np.arange(1, H * W + 1, dtype=np.uint16).reshape(H, W) * 300
TARGET = np.zeros((H, W), np.uint8)
TARGET[2, 1:4] = 3


class RawData:
    """Two folders with four sound tiles, to be broken."""

    def __init__(self, root):
        self.images, self.targets = root / "images", root / "masks"
        self.images.mkdir()
        self.targets.mkdir()
        for number in range(1, 5):
            tifffile.imwrite(self.images / name(number), IMAGE + number)
            tifffile.imwrite(self.targets / name(number), TARGET)

    def check(self, num_classes=8):
        """Read everything; the report, and what was read by tile name."""
        report = Report()
        tiles = find_tiles(self.images, self.targets, PATTERN, report)
        reader = TileReader(num_classes, report)
        contents = dict(zip([tile.name for tile in tiles], reader.read(tiles), strict=True))
        reader.finish()
        return report, contents

    def report(self):
        return str(self.check()[0])


def name(number, suffix=".tif"):
    return f"900001.{number:06d}{suffix}"


@pytest.fixture
def raw_data(tmp_path):
    return RawData(tmp_path)


def test_sound_tiles_give_an_empty_report_and_the_pixels(raw_data):
    report, contents = raw_data.check()
    assert str(report) == ""
    assert not report.has_errors
    assert set(report.warning_counts().values()) == {0}
    assert list(contents) == ["900001.000001", "900001.000002", "900001.000003", "900001.000004"]
    content = contents["900001.000002"]
    np.testing.assert_array_equal(content.image, IMAGE + 2)
    np.testing.assert_array_equal(content.target, TARGET)
    assert content.class_pixels.tolist() == [27, 0, 0, 3, 0, 0, 0, 0]
    assert (content.intensity.low, content.intensity.high) == (302, 9002)


@pytest.mark.parametrize(
    "options",
    [
        {"byteorder": ">"},
        {"byteorder": "<"},
        {"compression": "lzw", "predictor": True},
        {"compression": "lzw", "byteorder": ">"},
        {"compression": "deflate"},
        {"compression": "deflate", "predictor": True, "byteorder": ">"},
        {"compression": "zstd"},
        {"compression": "packbits"},
        {"rowsperstrip": 2},
        {"rowsperstrip": 2, "compression": "lzw"},
        {"tile": (16, 16), "compression": "deflate"},
        {"bigtiff": True},
    ],
    ids=str,
)
def test_every_variant_of_tiff_gives_identical_pixels(raw_data, options):
    tifffile.imwrite(raw_data.images / name(2), IMAGE + 2, **options)
    tifffile.imwrite(raw_data.targets / name(2), TARGET, **options)
    report, contents = raw_data.check()
    assert str(report) == ""
    content = contents["900001.000002"]
    assert content.image.dtype == np.uint16
    assert content.image.dtype.isnative
    assert content.target.dtype == np.uint8
    np.testing.assert_array_equal(content.image, IMAGE + 2)
    np.testing.assert_array_equal(content.target, TARGET)


def truncate(path, size):
    path.write_bytes(path.read_bytes()[:size])


def claim_size(path, width, height):
    """Put another width and height into the header, tags 256 and 257 of a little-endian file."""
    content = bytearray(path.read_bytes())
    (directory,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", content, entry)
        if tag in (256, 257):
            struct.pack_into("<HII", content, entry + 2, 4, 1, width if tag == 256 else height)
    path.write_bytes(content)


def break_compressed_data(raw_data):
    path = raw_data.images / name(2)
    tifffile.imwrite(path, IMAGE, compression="deflate")
    with tifffile.TiffFile(path) as tiff:
        offset, size = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + size] = b"\xff" * size
    path.write_bytes(content)


def truncate_compressed(raw_data):
    path = raw_data.images / name(2)
    tifffile.imwrite(path, IMAGE, compression="lzw")
    truncate(path, path.stat().st_size - 5)


def replace_by_folder(raw_data):
    (raw_data.images / name(2)).unlink()
    (raw_data.images / name(2)).mkdir()


def replace_by_dangling_link(raw_data):
    (raw_data.images / name(2)).unlink()
    (raw_data.images / name(2)).symlink_to("nowhere.tif")


def replace_by_pipe(raw_data):
    (raw_data.images / name(2)).unlink()
    os.mkfifo(raw_data.images / name(2))


def claim_compressed(raw_data, width, height):
    path = raw_data.images / name(2)
    tifffile.imwrite(path, IMAGE, compression="deflate")
    claim_size(path, width, height)


# What breaks tile 2, and the parts of the report: title with count, expected, file with what was found.
FAULTS = {
    "no target": (
        lambda d: (d.targets / name(2)).unlink(),
        [
            "images without a target: 1",
            "a file of the same scene and tile in the folder data.targets",
            name(2),
        ],
    ),
    "no image": (
        lambda d: (d.images / name(2)).unlink(),
        ["targets without an image: 1", "in the folder data.images", f"masks/{name(2)}"],
    ),
    "name": (
        lambda d: (d.images / "ab.tif").write_bytes(b""),
        ["wrong names: 1", f"expected: data.name_pattern, {PATTERN.pattern}", "images/ab.tif"],
    ),
    "name of a target": (
        lambda d: (d.targets / "900001.000002.png").write_bytes(b""),
        ["wrong names: 1", "masks/900001.000002.png"],
    ),
    "line break in a name": (
        lambda d: (d.images / "a\nb.tif").write_bytes(b""),
        ["wrong names: 1", r"images/a\nb.tif"],
    ),
    "two names": (
        lambda d: tifffile.imwrite(d.images / name(2, ".tiff"), IMAGE),
        ["several files for one tile: 1", f"{name(2)}: found also {name(2, '.tiff')}"],
    ),
    "other bytes": (
        lambda d: (d.images / name(2)).write_bytes(b"\x01\x80\x07\x00"),
        ["files that are no images: 1", f"{name(2)}: found the bytes 01 80 07 00"],
    ),
    "empty file": (
        lambda d: (d.images / name(2)).write_bytes(b""),
        ["truncated or damaged files: 1", f"{name(2)}: found an empty file"],
    ),
    "truncated header": (
        lambda d: truncate(d.images / name(2), 20),
        ["truncated or damaged files: 1", f"{name(2)}: found "],
    ),
    "truncated pixels": (
        lambda d: truncate(d.images / name(2), (d.images / name(2)).stat().st_size - 1),
        ["truncated or damaged files: 1", f"{name(2)}: found 315 bytes, of which the header claims 316"],
    ),
    "truncated compressed": (truncate_compressed, ["truncated or damaged files: 1", f"{name(2)}: found "]),
    "broken compressed": (break_compressed_data, ["truncated or damaged files: 1", f"{name(2)}: found "]),
    "type of image": (
        lambda d: tifffile.imwrite(d.images / name(2), IMAGE.astype(np.float32)),
        ["wrong type of image: 1", "expected: uint16", f"{name(2)}: found float32"],
    ),
    "signed image": (
        lambda d: tifffile.imwrite(d.images / name(2), IMAGE.astype(np.int16)),
        ["wrong type of image: 1", f"{name(2)}: found int16"],
    ),
    "NaN": (
        lambda d: tifffile.imwrite(d.images / name(2), np.full((H, W), np.nan, np.float32)),
        ["wrong type of image: 1", f"{name(2)}: found float32"],
    ),
    "image of 8 bits": (
        lambda d: tifffile.imwrite(d.images / name(2), IMAGE.astype(np.uint8)),
        ["wrong type of image: 1", f"{name(2)}: found uint8"],
    ),
    "image of 32 bits": (
        lambda d: tifffile.imwrite(d.images / name(2), IMAGE.astype(np.uint32)),
        ["wrong type of image: 1", f"{name(2)}: found uint32"],
    ),
    "complex image": (
        lambda d: tifffile.imwrite(d.images / name(2), IMAGE.astype(np.complex64)),
        ["complex images: 1", f"{name(2)}: found complex numbers, as single-look complex SAR"],
    ),
    "alpha channel": (
        lambda d: tifffile.imwrite(
            d.targets / name(2), np.dstack([TARGET] * 2), photometric="minisblack", extrasamples=["unassalpha"]
        ),
        ["several pages or channels: 1", f"{name(2)}: found pixels of shape 6 x 5 x 2"],
    ),
    "bands one after the other": (
        lambda d: tifffile.imwrite(
            d.images / name(2), np.stack([IMAGE, IMAGE, IMAGE + 1]), photometric="rgb", planarconfig="separate"
        ),
        ["several pages or channels: 1", f"{name(2)}: found pixels of shape 6 x 5 x 3"],
    ),
    "byte order": (
        lambda d: (d.images / name(2)).write_bytes(b"MM\0*" + (d.images / name(2)).read_bytes()[4:]),
        ["truncated or damaged files: 1", f"{name(2)}: found "],
    ),
    "header alone": (
        lambda d: truncate(d.images / name(2), 8),
        ["truncated or damaged files: 1", f"{name(2)}: found "],
    ),
    "class 8": (
        lambda d: tifffile.imwrite(d.targets / name(2), np.where(TARGET, np.uint8(8), np.uint8(0))),
        ["wrong values in targets: 1", f"{name(2)}: found 8 (3 px)"],
    ),
    "another size than its target": (
        lambda d: tifffile.imwrite(d.targets / name(2), np.repeat(np.repeat(TARGET, 2, 0), 2, 1)),
        ["wrong sizes: 1", f"masks/{name(2)}: found 12 x 10"],
    ),
    "pages": (
        lambda d: tifffile.imwrite(d.images / name(2), np.stack([IMAGE, IMAGE]), photometric="minisblack"),
        ["several pages or channels: 1", "one page of one channel", f"{name(2)}: found 2 pages"],
    ),
    "channels": (
        lambda d: tifffile.imwrite(d.images / name(2), np.dstack([IMAGE, IMAGE, IMAGE + 1]), photometric="rgb"),
        ["several pages or channels: 1", f"{name(2)}: found pixels of shape 6 x 5 x 3"],
    ),
    "size": (
        lambda d: tifffile.imwrite(d.images / name(2), IMAGE[:, :4]),
        ["wrong sizes: 1", "6 x 5 pixels, the size of 7 of 8 files", f"{name(2)}: found 6 x 4"],
    ),
    "values": (
        lambda d: tifffile.imwrite(d.targets / name(2), np.where(TARGET, np.uint8(255), np.uint8(0))),
        [
            "wrong values in targets: 1",
            "0 for background, 1 to 7 for classes",
            "255 is often",
            f"{name(2)}: found 255 (3 px)",
        ],
    ),
    "folder as a tile": (replace_by_folder, ["folders among the tiles: 1", f"images/{name(2)}"]),
    "dangling link": (replace_by_dangling_link, ["not files: 1", f"{name(2)}: found a dangling link"]),
    "pipe": (
        replace_by_pipe,
        ["not files: 1", f"{name(2)}: found something that is neither file nor folder"],
    ),
    "huge": (
        lambda d: claim_size(d.images / name(2), 100_000, 100_000),
        ["files that claim too many pixels: 1", "67,108,864", f"{name(2)}: found 100000 x 100000 pixels"],
    ),
    "huge compressed": (
        lambda d: claim_compressed(d, 100_000, 100_000),
        ["claim too many pixels: 1", f"{name(2)}: found 100000 x 100000 pixels"],
    ),
    "missing strips": (
        lambda d: claim_compressed(d, 5, 600),
        ["truncated or damaged files: 1", f"{name(2)}: found 1 of 100 strips or tiles of pixels"],
    ),
    "no pixels": (
        lambda d: claim_size(d.images / name(2), 0, 6),
        [name(2)],
    ),
    "claims more than the file holds": (
        lambda d: claim_size(d.images / name(2), 500, 6),
        ["truncated or damaged files: 1", f"{name(2)}: found 316 bytes, of which the header claims 6256"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_an_error_that_names_file_expected_and_found(raw_data, fault, capfd, caplog):
    damage, fragments = FAULTS[fault]
    damage(raw_data)
    report, _ = raw_data.check()
    assert report.has_errors
    assert len(report.offenders) == 1, report
    for fragment in fragments:
        assert fragment in str(report)
    assert str(report).startswith("error: ")
    assert "\n  what to do: " in str(report)
    assert capfd.readouterr() == ("", "")  # neither tifffile nor a codec prints or logs past the report
    assert not caplog.records


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_a_file_that_ends_at_any_byte_is_damaged(raw_data, compression):
    path = raw_data.images / name(2)
    tifffile.imwrite(path, IMAGE, compression=compression)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        report, contents = raw_data.check()
        assert report.has_errors and contents.get("900001.000002") is None, f"{size} of {len(whole)} bytes"


def test_a_claim_of_many_pixels_takes_no_memory(raw_data, monkeypatch):
    claim_size(raw_data.images / name(2), 60_000, 60_000)
    read = tifffile.TiffPage.asarray
    shapes = []

    def spy(page, *args, **kwargs):
        shapes.append(page.shape)
        return read(page, *args, **kwargs)

    monkeypatch.setattr(tifffile.TiffPage, "asarray", spy)
    assert raw_data.check()[0].has_errors
    assert set(shapes) == {(H, W)}


def test_an_image_exchanged_with_its_target_is_one_fault(raw_data):
    image, target = raw_data.images / name(2), raw_data.targets / name(2)
    image.rename(raw_data.images / "x")
    target.rename(image)
    (raw_data.images / "x").rename(target)
    assert raw_data.report().splitlines() == [
        "error: images and targets that look exchanged: 1",
        "  expected: images in data.images, annotations in data.targets",
        "  what to do: exchange the two files of each of these tiles",
        "    900001.000002",
    ]


def test_a_palette_is_passed_over_and_the_numbers_below_it_are_the_classes(raw_data):
    colours = np.random.default_rng(0).integers(2**16, size=(3, 256), dtype=np.uint16)
    tifffile.imwrite(raw_data.targets / name(2), TARGET, photometric="palette", colormap=colours)
    report, contents = raw_data.check()
    assert str(report) == ""
    np.testing.assert_array_equal(contents["900001.000002"].target, TARGET)


def test_spaces_and_letters_of_any_alphabet_may_be_in_names(raw_data):
    pattern = re.compile(r"(?P<scene>.+) (?P<tile>\d+)\.tif")
    for folder, pixels in ((raw_data.images, IMAGE), (raw_data.targets, TARGET)):
        for old in folder.iterdir():
            old.unlink()
        tifffile.imwrite(folder / "Golfe du Lion é 湾 3.tif", pixels)
    report = Report()
    (tile,) = find_tiles(raw_data.images, raw_data.targets, pattern, report)
    assert (tile.scene, tile.position, str(report)) == ("Golfe du Lion é 湾", 3, "")


def test_unreadable_files_and_folders_are_listed(raw_data, monkeypatch):
    # Tests may run as root, who may read everything.
    def refuse(path, *args, **kwargs):
        if Path(path).name == name(2) or Path(path) == raw_data.targets:
            raise PermissionError(13, "Permission denied", str(path))
        return call(path, *args, **kwargs)

    call = Path.open
    monkeypatch.setattr(Path, "open", refuse)
    report = raw_data.report()
    assert "error: unreadable files: 2\n" in report
    assert f"images/{name(2)}: found Permission denied" in report
    assert f"masks/{name(2)}: found Permission denied" in report
    monkeypatch.undo()
    call = os.scandir
    monkeypatch.setattr(os, "scandir", refuse)
    assert f"{raw_data.targets}: found Permission denied" in raw_data.report()


def test_missing_and_empty_folders_do_not_blame_each_file(raw_data):
    for path in raw_data.targets.iterdir():
        path.unlink()
    (raw_data.targets / ".DS_Store").write_bytes(b"litter")
    report = raw_data.report()
    assert "error: folders that can't be used: 1\n" in report
    assert f"{raw_data.targets}: found no tiles in it" in report
    assert "without a target" not in report
    (raw_data.targets / ".DS_Store").unlink()
    raw_data.targets.rmdir()
    assert f"{raw_data.targets}: found No such file or directory" in raw_data.report()
    raw_data.targets.write_bytes(b"")
    assert f"{raw_data.targets}: found Not a directory" in raw_data.report()


def test_one_report_lists_every_offender_of_every_kind(raw_data):
    (raw_data.targets / name(1)).unlink()
    tifffile.imwrite(raw_data.images / name(1), IMAGE[:3])  # without a target, and still checked
    tifffile.imwrite(raw_data.images / name(2), IMAGE.astype(np.uint8))
    tifffile.imwrite(raw_data.targets / name(2), TARGET + 9)
    (raw_data.images / name(3)).write_bytes(b"GIF8")
    (raw_data.targets / name(3)).write_bytes(b"GIF8")
    tifffile.imwrite(raw_data.images / name(4), IMAGE * 0)
    for number in range(50):
        (raw_data.images / f"odd {number}").write_bytes(b"")
    report = raw_data.report()
    heads = [line for line in report.splitlines() if not line.startswith(" ")]
    assert sorted(heads) == [
        "error: files of other formats: 2",
        "error: images without a target: 1",
        "error: wrong names: 50",
        "error: wrong sizes: 1",
        "error: wrong type of image: 1",
        "error: wrong values in targets: 1",
        "warning: images without data: 1",
        "warning: slicks on no-data: 1",
    ]
    assert heads[-1].startswith("warning")  # errors come first
    assert "found 9 (27 px), 12 (3 px)" in report
    assert "images/odd 0\n" in report and "    and 40 more" in report


def test_names_that_differ_in_case_only_are_one_tile(raw_data):
    pattern = re.compile(r"(?P<scene>\w+)-(?P<tile>\d+)\.tif")
    for folder in (raw_data.images, raw_data.targets):
        for old in folder.iterdir():
            old.unlink()
        for new in ("Bay-1.tif", "bay-1.tif", "bay-01.tif"):
            tifffile.imwrite(folder / new, IMAGE if folder == raw_data.images else TARGET)
    report = Report()
    find_tiles(raw_data.images, raw_data.targets, pattern, report)
    assert "several files for one tile: 2" in str(report)
    assert "Bay-1.tif: found also bay-01.tif, bay-1.tif" in str(report)


def test_a_name_that_cannot_be_printed_is_wrong_even_where_the_pattern_takes_it(raw_data):
    (raw_data.images / "a\nb.1").write_bytes(b"")
    report = Report()
    find_tiles(raw_data.images, raw_data.targets, re.compile(r"(?P<scene>[^.]+)\.(?P<tile>\d+)(\.tif)?"), report)
    assert str(report).startswith("error: wrong names: 1\n")


def test_tiles_are_sorted_by_scene_and_number(raw_data):
    pattern = re.compile(r"(?P<scene>\w+)-(?P<tile>\d+)\.tif")
    for folder in (raw_data.images, raw_data.targets):
        for old in folder.iterdir():
            old.unlink()
        for new in ("b-2.tif", "b-10.tif", "a-3.tif"):
            (folder / new).write_bytes(b"")
    tiles = find_tiles(raw_data.images, raw_data.targets, pattern, Report())
    assert [(tile.name, tile.scene, tile.position) for tile in tiles] == [
        ("a-3", "a", 3),
        ("b-2", "b", 2),
        ("b-10", "b", 10),
    ]


def test_links_to_files_are_files(raw_data, tmp_path):
    path = raw_data.images / name(2)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert raw_data.report() == ""


def test_doubtful_tiles_are_warnings(raw_data):
    tifffile.imwrite(raw_data.images / name(1), IMAGE + 3)  # the pixels of tile 3
    tifffile.imwrite(raw_data.images / name(2), IMAGE * 0)
    tifffile.imwrite(raw_data.targets / name(2), TARGET * 0)
    partly = np.full((H, W), 700, np.uint16)
    partly[2, 2:] = 0  # under two of the three slick pixels
    tifffile.imwrite(raw_data.images / name(4), partly)
    report, contents = raw_data.check()
    assert not report.has_errors
    assert {name: count for name, count in report.warning_counts().items() if count} == {
        "nodata_images": 1,
        "constant_images": 1,
        "duplicate_images": 1,
        "slick_on_nodata_tiles": 1,
    }
    assert f"images/{name(3)}: found the pixels of {name(1)}" in str(report)
    assert f"images/{name(2)}" in str(report)
    assert f"images/{name(4)}: found only 700" in str(report)
    assert f"masks/{name(4)}: found 2 px" in str(report)
    content = contents["900001.000004"]
    assert content.slick_on_nodata == 2
    assert content.class_pixels.tolist() == [26, 0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "a regular expression \\("),
        (r"(?P<scene>\d+)\.tif", r"the group \(\?P<tile>...\)"),
        (r"\d+", r"\(\?P<scene>...\) and \(\?P<tile>...\)"),
    ],
)
def test_a_useless_name_pattern_is_refused(pattern, message):
    with pytest.raises(ValueError, match=message):
        compile_name_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            r"(?P<scene>\d+)\.(?P<tile>.*)",
            r"data.name_pattern: group tile must match a number .* '000001.tif' in",
        ),
        (r"(?P<scene>)(?P<tile>\d+)\..*", r"data.name_pattern: group scene must match text, matched '' in"),
    ],
)
def test_groups_must_match_what_they_are_for(raw_data, pattern, message):
    with pytest.raises(InputError, match=message):
        find_tiles(raw_data.images, raw_data.targets, re.compile(pattern), Report())


def test_intensity_is_exact_and_leaves_no_data_out():
    image = np.array([[0, 2, 4], [0, 4, 6]], np.uint16)
    intensity = measure(image)
    assert intensity == Intensity(valid=4, total=16, squares=72, low=2, high=6)
    assert (intensity.mean, intensity.std) == (4, 2**0.5)
    assert measure(image * 0) == Intensity()
    assert Intensity().mean is Intensity().std is None
    assert intensity + measure(image * 0) == intensity


def test_intensity_of_many_images_is_that_of_their_pixels():
    rng = np.random.default_rng(1)
    images = rng.integers(1, 2**16, (3, 40, 50), dtype=np.uint16)
    images[0, :10] = 0
    pooled = sum(map(measure, images), Intensity())
    valid = images[images != 0].astype(np.float64)
    assert pooled.mean == pytest.approx(valid.mean(), rel=1e-12)
    assert pooled.std == pytest.approx(valid.std(), rel=1e-12)
    assert (pooled.low, pooled.high) == (valid.min(), valid.max())


def test_squares_of_the_largest_intensity_do_not_overflow():
    assert measure(np.full((300, 300), 65_535, np.uint16)).squares == 90_000 * 65_535**2


def test_equal_sums_make_no_duplicate(raw_data):
    """Flipped images have the same sums; only equal pixels are a duplicate, and of the first that has them."""
    tifffile.imwrite(raw_data.images / name(1), IMAGE)
    tifffile.imwrite(raw_data.images / name(2), IMAGE[::-1])
    tifffile.imwrite(raw_data.images / name(3), IMAGE[::-1])
    tifffile.imwrite(raw_data.images / name(4), IMAGE, compression="deflate")
    report, _ = raw_data.check()
    assert report.warning_counts()["duplicate_images"] == 2
    assert f"images/{name(3)}: found the pixels of {name(2)}" in str(report)
    assert f"images/{name(4)}: found the pixels of {name(1)}" in str(report)


def test_values_are_counted_up_to_the_last_and_beyond():
    target = np.array([[0, 2, 2], [1, 0, 0]], np.uint8)
    assert count_values(target, 3).tolist() == [3, 1, 2]
    assert count_values(target, 5).tolist() == [3, 1, 2, 0, 0]
    assert count_values(target, 2).tolist() == [3, 1, 2]
    assert count_values(target * 0, 2).tolist() == [6, 0]


@pytest.mark.parametrize("shape", [(1, 200_000), (200_000, 1), (300, 700), (255, 257)])
def test_sums_are_exact_for_every_shape(shape):
    image = np.random.default_rng(1).integers(0, 2**16, shape, dtype=np.uint16)
    wide = image.astype(object)
    valid = image[image != 0]
    assert measure(image) == Intensity(len(valid), wide.sum(), (wide**2).sum(), valid.min(), valid.max())


def test_what_to_do_about_new_images_is_true_without_targets_and_training(tmp_path):
    folder, absent = tmp_path / "new", tmp_path / "absent"
    folder.mkdir()
    tifffile.imwrite(folder / name(0), IMAGE)
    tifffile.imwrite(folder / name(1), IMAGE)  # a copy, which harms nothing here
    tifffile.imwrite(folder / name(2), IMAGE * 0)
    tifffile.imwrite(folder / name(3), IMAGE * 0 + 7)
    tifffile.imwrite(folder / name(4), IMAGE[:3])
    tifffile.imwrite(folder / name(5), IMAGE.astype(np.float32))
    tifffile.imwrite(folder / name(6), np.dstack([IMAGE, IMAGE, IMAGE + 1]), photometric="rgb")
    tifffile.imwrite(folder / name(7), IMAGE)
    claim_size(folder / name(7), 100_000, 100_000)
    (folder / name(8)).write_bytes(b"II*\0")
    (folder / name(9)).write_bytes(b"GIF8")
    (folder / name(10)).mkdir()
    tifffile.imwrite(folder / name(3, ".tiff"), IMAGE + 1)
    (folder / "odd").write_bytes(b"")
    report = Report()
    find_images(absent, PATTERN, report)
    tiles = find_images(folder, PATTERN, report)
    place_tiles(tiles, (H, W), {}, report)
    reader = ImageReader(report)
    found = {Path(tile.image).name: reader.read_image(tile) for tile in tiles}
    reader.finish()
    assert [path for path, content in found.items() if content is None] == [name(number) for number in range(5, 10)]
    image, intensity = found[name(1)]
    np.testing.assert_array_equal(image, IMAGE)
    assert intensity == measure(IMAGE)
    assert sorted(line for line in str(report).splitlines() if not line.startswith(" ")) == [
        "error: files of other formats: 1",
        "error: files that claim too many pixels: 1",
        "error: folders among the tiles: 1",
        "error: folders that can't be used: 1",
        "error: several files for one tile: 1",
        "error: several pages or channels: 1",
        "error: truncated or damaged files: 1",
        "error: wrong names: 1",
        "error: wrong sizes: 1",
        "error: wrong type of image: 1",
        "warning: constant images: 1",
        "warning: images without data: 1",
        "warning: scenes of unknown width: 1",
        "warning: tiles with number 0: 1",
    ]
    for foreign in ("data.root", "data.images", "data.targets", "dvc", "class", "split", "leak", "teach", "learn"):
        assert foreign not in str(report).replace(str(tmp_path), "")


def test_what_to_do_about_a_raw_data_set_names_its_parameters(raw_data):
    tifffile.imwrite(raw_data.images / name(1), IMAGE + 3)
    assert "what to do: keep one: copies leak between splits\n" in raw_data.report()
    for path in raw_data.images.iterdir():
        path.unlink()
    assert "what to do: set data.root, data.images and data.targets in params.yaml; `dvc repro" in raw_data.report()
