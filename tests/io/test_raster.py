"""Reading image files of any format: every sound variant by its pixels, every fault by its kind and words."""

import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from seepseg.io import pixels
from seepseg.io.faults import (
    DAMAGED,
    HIDDEN_PIXELS,
    LFS_POINTER,
    LOSSY_IMAGE,
    MIN_IS_WHITE,
    NO_PIXELS,
    NOT_AN_IMAGE,
    NOTHING_STORED,
    OTHER_FORMAT,
    PARTLY_STORED,
    TOO_LARGE,
    UNREADABLE,
    UNSUPPORTED_COMPRESSION,
    UNSUPPORTED_SAMPLES,
    WRONG_LAYERS,
)
from seepseg.io.pixels import Raster
from seepseg.io.raster import read_raster

H, W = 21, 19
IMAGE = np.random.default_rng(0).integers(1, 2**16, (H, W)).astype(np.uint16)
MASK = np.zeros((H, W), np.uint8)
MASK[3:9, 4:15] = 1
BLOCK = np.ones((64, 64), np.uint8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tile.tif"


def edit_tags(path, **tags):
    """Put numbers into the first page of a little-endian TIFF file, by tag: t256=7 sets the width."""
    with tifffile.TiffFile(path) as tiff:
        at = {code: tiff.pages[0].tags[int(code[1:])].offset for code in tags}
    content = bytearray(path.read_bytes())
    for code, value in tags.items():
        struct.pack_into("<HII", content, at[code] + 2, 4, 1, value)
    path.write_bytes(content)


def rename_tag(path, old, new):
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags[old].offset
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, at, new)
    path.write_bytes(content)


def edit_spans(path, missing):
    """Take strips or tiles out of a file's header, as if they had not been stored."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tags = tiff.pages[0].tags
        for offsets, sizes in ((273, 279), (324, 325)):
            for code in (offsets, sizes) if offsets in tags else ():
                kept = [0 if number in missing else value for number, value in enumerate(tags[code].value)]
                tags[code].overwrite(kept)


def write_codestream(path, data, compression, **options):
    """A TIFF file of 64 x 64 pixels of one byte, in one tile that is stored as the given bytes."""
    options = {"shape": (64, 64), "dtype": "uint8", "tile": (64, 64), "photometric": "minisblack"} | options
    tifffile.imwrite(path, iter([data]), compression=compression, **options)


def write_bits(path, values, bits):
    """An uncompressed TIFF file of unsigned integers of so many bits, each row beginning with a byte of its own."""
    packed = b"".join(
        np.packbits([(int(v) >> (bits - 1 - bit)) & 1 for v in row for bit in range(bits)]).tobytes() for row in values
    )
    tags = [(256, 4, W), (257, 4, H), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 122), (277, 3, 1)]
    tags += [(278, 4, H), (279, 4, len(packed))]
    directory = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4)
    path.write_bytes(head + packed)
    assert len(head) == 122


def sound(path):
    raster = read_raster(path)
    assert isinstance(raster, Raster), raster
    return raster


def only_fault(path):
    faults = read_raster(path)
    assert isinstance(faults, list), faults
    (fault,) = faults
    return fault


@pytest.mark.parametrize(
    "dtype", ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8", ">u2", ">i2", ">f4", ">f8"]
)
@pytest.mark.parametrize("options", [{}, {"compression": "deflate"}, {"tile": (16, 16), "compression": "zstd"}])
def test_every_type_of_pixel_comes_as_it_is(path, dtype, options):
    pixels = (IMAGE % 100).astype(dtype) if dtype != "bool" else MASK > 0
    tifffile.imwrite(path, pixels, byteorder=">" if dtype.startswith(">") else "<", **options)
    raster = sound(path)
    assert raster.pixels.dtype == np.dtype(dtype).newbyteorder("=") and raster.pixels.dtype.isnative
    np.testing.assert_array_equal(raster.pixels, pixels)
    assert (raster.nodata, raster.warnings) == (None, ())


@pytest.mark.parametrize("bits", [*range(1, 8), *range(9, 16), 24])
def test_samples_of_any_number_of_bits(path, bits):
    values = IMAGE.astype(np.uint32) % 2**bits
    write_bits(path, values, bits)
    raster = sound(path)
    assert raster.pixels.dtype == (
        bool if bits == 1 else np.uint8 if bits < 8 else np.uint16 if bits < 16 else np.uint32
    )
    np.testing.assert_array_equal(raster.pixels, values)
    path.write_bytes(path.read_bytes()[:-1])
    kind, found = only_fault(path)
    assert kind is DAMAGED and "of which the header claims" in found


def test_the_size_of_a_single_strip_may_be_missing(path):
    tifffile.imwrite(path, IMAGE)
    rename_tag(path, 279, 65_279)
    np.testing.assert_array_equal(sound(path).pixels, IMAGE)
    write_bits(path, IMAGE % 16, 4)
    rename_tag(path, 279, 65_279)
    assert only_fault(path) == (DAMAGED, "no sizes of strips or tiles")  # not a sparse file


def test_channels_come_last_however_they_are_stored(path):
    pixels = np.stack([IMAGE, IMAGE + 1, IMAGE + 2])
    tifffile.imwrite(path, pixels, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(sound(path).pixels, np.moveaxis(pixels, 0, -1))
    tifffile.imwrite(path, np.moveaxis(pixels, 0, -1), photometric="rgb", tile=(16, 16))
    np.testing.assert_array_equal(sound(path).pixels, np.moveaxis(pixels, 0, -1))


@pytest.mark.parametrize(
    ("text", "nodata"), [("65535", 65535), ("-9999", -9999), (" 0.5 ", 0.5), ("-1,5", -1.5), ("none", None), ("", None)]
)
def test_declared_nodata_is_read(path, text, nodata):
    tifffile.imwrite(path, IMAGE, extratags=[(42113, 2, 0, text, True)])
    assert sound(path).nodata == nodata


def test_nodata_may_be_nan(path):
    tifffile.imwrite(path, IMAGE.astype(np.float32), extratags=[(42113, 2, 0, "nan", True)])
    assert np.isnan(sound(path).nodata)


@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 5}, {"tile": (16, 16)}, {"compression": "deflate"}])
@pytest.mark.parametrize("nodata", [None, 255])
def test_a_file_without_any_pixel_is_empty_with_a_warning(path, options, nodata):
    tags = [(42113, 2, 0, str(nodata), True)] if nodata else []
    tifffile.imwrite(path, MASK + 1, extratags=tags, **options)
    edit_spans(path, range(100))
    raster = sound(path)
    np.testing.assert_array_equal(raster.pixels, np.full((H, W), nodata or 0, np.uint8))
    ((kind, found),) = raster.warnings
    assert kind is NOTHING_STORED and found.startswith("none of ") and "its writer died" in kind.remedy


@pytest.mark.parametrize("compression", [None, "lzw", "jpeg"])
def test_strips_that_are_not_stored_are_empty_with_a_warning(path, compression):
    image = np.full((64, 64), 7, np.uint8)
    tifffile.imwrite(path, image, rowsperstrip=16, compression=compression)
    edit_spans(path, [1, 3])
    raster = sound(path)
    assert raster.pixels[::16, 0].tolist() == [7, 0, 7, 0]
    assert (PARTLY_STORED, "2 of 4 strips or tiles missing") in raster.warnings


def test_strips_that_are_not_stored_have_the_declared_nodata(path):
    tifffile.imwrite(path, BLOCK, rowsperstrip=16, extratags=[(42113, 2, 0, "255.0", True)])
    edit_spans(path, [1])
    assert sound(path).pixels[::16, 0].tolist() == [1, 255, 1, 1]


def test_many_channels_are_not_even_decoded(path):
    tifffile.imwrite(path, np.stack([IMAGE] * 5, -1), photometric="minisblack", planarconfig="contig")
    assert only_fault(path) == (WRONG_LAYERS, f"pixels of shape {H} x {W} x 5")


def test_overviews_are_passed_over(path):
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(IMAGE)
        tiff.write(IMAGE[::2, ::2], subfiletype=1)
        tiff.write(MASK[::2, ::2] > 0, subfiletype=5, photometric="mask")
    raster = sound(path)
    np.testing.assert_array_equal(raster.pixels, IMAGE)
    assert not raster.warnings


def test_what_a_transparency_mask_hides_has_no_data(path):
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(IMAGE)
        tiff.write(MASK > 0, subfiletype=4, photometric="mask")
    raster = sound(path)
    np.testing.assert_array_equal(raster.pixels, np.where(MASK, IMAGE, 0))
    assert raster.warnings == ((HIDDEN_PIXELS, f"{H * W - 66} px with data under the mask"),)


def test_other_pages_are_an_error(path):
    tifffile.imwrite(path, np.stack([IMAGE, IMAGE]), photometric="minisblack")
    assert only_fault(path) == (WRONG_LAYERS, "2 pages")


@pytest.mark.parametrize("compression", ["lzw", "deflate", "zstd", "lzma", "packbits", "png", "lerc"])
def test_lossless_compression_is_taken_without_a_word(path, compression):
    tifffile.imwrite(path, IMAGE, compression=compression, tile=(16, 16))
    raster = sound(path)
    np.testing.assert_array_equal(raster.pixels, IMAGE)
    assert not raster.warnings


LOSSY = {
    "JPEG": lambda path: tifffile.imwrite(path, BLOCK, compression="jpeg"),
    "WebP": lambda path: tifffile.imwrite(
        path,
        np.dstack([BLOCK] * 3),
        photometric="rgb",
        compression="webp",
        compressionargs={"level": 80, "lossless": False},
    ),
    "LERC with errors up to 0.25": lambda path: tifffile.imwrite(
        path, IMAGE.astype(np.float32) / 7, compression="lerc", compressionargs={"level": 0.25}
    ),
}


@pytest.mark.parametrize("found", LOSSY)
def test_lossy_compression_is_noticed(path, found):
    LOSSY[found](path)
    assert sound(path).warnings == ((LOSSY_IMAGE, found),)


def test_lerc_may_be_packed_twice_and_has_pixels_that_are_not_valid(path):
    values, valid = np.linspace(-30, 5, 4096, dtype=np.float32).reshape(64, 64), np.eye(64) == 0
    packed = imagecodecs.deflate_encode(imagecodecs.lerc_encode(values, masks=valid))
    write_codestream(path, packed, "lerc", dtype="float32")
    assert only_fault(path)[0] is DAMAGED
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["LercParameters"].overwrite((4, 1))
    raster = sound(path)
    np.testing.assert_array_equal(raster.pixels, np.where(valid, values, np.nan))
    assert not raster.warnings


def test_lossless_webp_is_taken_without_a_word(path):
    pixels = np.dstack([BLOCK] * 3)
    tifffile.imwrite(path, pixels, photometric="rgb", compression="webp", compressionargs={"lossless": True})
    np.testing.assert_array_equal(sound(path).pixels, pixels)
    assert not sound(path).warnings


@pytest.mark.parametrize(
    ("pixels", "kinds"), [(MASK, [MIN_IS_WHITE]), (MASK == 0, [MIN_IS_WHITE]), (MASK > 0, [])], ids=["bytes", "1", "0"]
)
def test_zero_that_means_white_is_noticed_where_values_may_be_reversed(path, pixels, kinds):
    tifffile.imwrite(path, pixels, photometric="miniswhite")
    raster = sound(path)
    np.testing.assert_array_equal(raster.pixels, pixels)
    assert [kind for kind, _ in raster.warnings] == kinds


# Tiles that hold more than the 64 x 64 pixels that the header says.
LARGER = {
    "jpeg": imagecodecs.jpeg8_encode,
    "png": imagecodecs.png_encode,
    "lerc": imagecodecs.lerc_encode,
    "deflate": lambda pixels: imagecodecs.deflate_encode(pixels.tobytes()),
    "zstd": lambda pixels: imagecodecs.zstd_encode(pixels.tobytes()),
    "lzw": lambda pixels: imagecodecs.lzw_encode(pixels.tobytes()),
}


@pytest.mark.parametrize("compression", ["jpeg", "png", "lerc", "deflate", "zstd"])
def test_a_tile_that_holds_more_than_the_header_says_is_damaged(path, compression):
    write_codestream(path, LARGER[compression](BLOCK), compression)
    np.testing.assert_array_equal(sound(path).pixels, BLOCK)
    write_codestream(path, LARGER[compression](np.ones((2048, 2048), np.uint8)), compression)
    assert only_fault(path)[0] is DAMAGED


@pytest.mark.parametrize("compression", ["jpeg", "png", "lerc"])
def test_a_tile_of_another_size_is_not_cropped(path, compression):
    write_codestream(path, LARGER[compression](np.ones((65, 64), np.uint8)), compression)
    assert only_fault(path) == (DAMAGED, "a strip or tile, number 1, that is damaged or not 64 x 64 pixels")


@pytest.mark.parametrize("compression", ["jpeg", "png", "lerc", "deflate", "lzw"])
def test_a_tile_that_claims_much_takes_no_more_memory_than_the_header_says(path, compression, monkeypatch):
    """Decoders must be told where to write, or how much: what they make room for themselves has no bound."""
    rooms = []

    def spy(decode):
        def decoded(data, **options):
            out = options.get("out")
            rooms.append(getattr(out, "nbytes", out))
            return decode(data, **options)

        return decoded

    for name in ("jpeg_decode", "lerc_decode", "deflate_decode", "lzw_decode"):
        monkeypatch.setattr(imagecodecs, name, spy(getattr(imagecodecs, name)))
    monkeypatch.setattr(tifffile.TIFF.DECOMPRESSORS, "_codecs", {})
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: rooms.append(self.width * self.height))
    write_codestream(path, LARGER[compression](np.ones((512, 512), np.uint8)), compression)
    read_raster(path)
    assert set(rooms) <= {64 * 64}


def test_a_tile_may_end_with_the_image(path):
    """Found in tiled JPEG and PNG: the last tile of a row is stored without what lies beyond the image."""
    write_codestream(path, imagecodecs.png_encode(BLOCK[:20, :30]), "png", shape=(20, 30))
    np.testing.assert_array_equal(sound(path).pixels, BLOCK[:20, :30])


def test_a_claim_of_a_large_tile_takes_no_memory(path):
    write_codestream(path, imagecodecs.zstd_encode(bytes(4096)), "zstd")
    edit_tags(path, t322=32_768, t323=32_768)
    assert only_fault(path) == (TOO_LARGE, "a tile of 32768 x 32768 pixels")


def test_a_claim_of_many_bytes_a_pixel_takes_no_memory(path):
    tifffile.imwrite(path, np.zeros((H, W, 4)), photometric="minisblack", planarconfig="contig")
    edit_tags(path, t256=8192, t257=8192)
    assert only_fault(path) == (TOO_LARGE, "8192 x 8192 pixels of 32 bytes each")


def test_colours_of_the_largest_size_are_not_too_many_pixels(path):
    tifffile.imwrite(path, np.zeros((H, W, 3), np.uint8), photometric="rgb")
    edit_tags(path, t256=8192, t257=8192)
    assert only_fault(path)[0] is DAMAGED  # the size is right, so what is missing tells


def test_no_rows_or_columns(path):
    tifffile.imwrite(path, IMAGE)
    edit_tags(path, t256=0, t257=0)
    assert only_fault(path) == (NO_PIXELS, "0 x 0 pixels")


@pytest.mark.parametrize(
    ("compression", "name"),
    [(34712, "JPEG2000"), (50002, "JPEGXL"), (6, "OJPEG"), (34934, "JPEGXR"), (65000, "EER_V0"), (4711, "number 4711")],
)
def test_a_compression_that_cannot_be_read_is_named(path, compression, name):
    tifffile.imwrite(path, BLOCK, compression="deflate")
    edit_tags(path, t259=compression)
    kind, found = only_fault(path)
    assert (kind, found) == (UNSUPPORTED_COMPRESSION, name)
    assert "gdal_translate -co COMPRESS=DEFLATE" in kind.remedy


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({"t258": 24, "t339": 2}, "signed integers of 24 bits"),
        ({"t258": 40, "t339": 1}, "unsigned integers of 40 bits"),
        ({"t258": 16, "t339": 9}, "samples of format 9 of 16 bits"),
    ],
)
def test_samples_that_cannot_be_read_are_described(path, tags, found):
    tifffile.imwrite(path, IMAGE.astype(np.int16))
    edit_tags(path, **tags)
    assert only_fault(path) == (UNSUPPORTED_SAMPLES, found)


PREDICTOR = 317  # TIFF tag


def test_complex_numbers_are_to_become_amplitudes(path):
    tifffile.imwrite(path, IMAGE.astype(np.complex64))
    kind, found = only_fault(path)
    assert "complex numbers" in found and "DERIVED_SUBDATASET:AMPLITUDE:old.tif" in kind.remedy


def test_a_predictor_counts_where_it_belongs(path):
    """As in libtiff, to whose codecs for LZW, deflate and the like it belongs."""
    tifffile.imwrite(path, IMAGE, extratags=[(PREDICTOR, 3, 1, 2, True)])
    np.testing.assert_array_equal(read_raster(path).pixels, IMAGE)
    tifffile.imwrite(path, IMAGE, compression="zlib", predictor=2)
    np.testing.assert_array_equal(read_raster(path).pixels, IMAGE)


def test_fax_compression_is_for_one_bit(path):
    tifffile.imwrite(path, IMAGE)
    edit_tags(path, t259=4)
    assert only_fault(path) == (UNSUPPORTED_COMPRESSION, "CCITT, which is for one bit, for uint16")


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (MASK, "L"),
        (MASK > 0, "1"),
        (IMAGE, "I;16"),
        (np.dstack([MASK] * 3), "RGB"),
        (np.dstack([MASK] * 4), "RGBA"),
        (MASK, "P"),
    ],
)
def test_png_is_read_whatever_its_name(path, pixels, mode):
    picture = Image.fromarray(pixels)
    if mode == "P":
        picture.putpalette([200, 100, 0] * 256)
    assert picture.mode == mode
    picture.save(path, format="PNG")
    raster = sound(path)
    assert raster.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(raster.pixels, pixels)
    assert (raster.nodata, raster.warnings) == (None, ())


def test_png_of_16_bit_colours_is_not_cut_to_8_bits(path):
    path.write_bytes(imagecodecs.png_encode(np.dstack([IMAGE] * 3)))
    assert only_fault(path) == (UNSUPPORTED_SAMPLES, "3 channels of 16 bits in a PNG file")


def test_jpeg_is_read_with_a_warning(path):
    Image.fromarray(BLOCK * 7).save(path, format="JPEG")
    raster = sound(path)
    np.testing.assert_array_equal(raster.pixels, BLOCK * 7)
    assert raster.warnings == ((LOSSY_IMAGE, "JPEG"),)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_pictures_that_end_early_are_damaged(path, form, capfd):
    Image.fromarray((IMAGE % 256).astype(np.uint8)).save(path, format=form)
    whole = path.read_bytes()
    for size in range(8, len(whole) - 20, 31):
        path.write_bytes(whole[:size])
        assert only_fault(path) == (DAMAGED, f"a {form} file that can't be decoded"), size
    assert capfd.readouterr() == ("", "")


def test_a_png_that_claims_many_pixels_takes_no_memory(path):
    content = bytearray(imagecodecs.png_encode(BLOCK))
    struct.pack_into(">II", content, 16, 30_000, 30_000)
    struct.pack_into(">I", content, 29, imagecodecs.deflate_crc32(bytes(content[12:29])))
    path.write_bytes(content)
    assert only_fault(path) == (TOO_LARGE, "30000 x 30000 pixels")


def test_colours_of_the_largest_size_may_be_png(path, monkeypatch):
    monkeypatch.setattr(pixels, "MAX_BYTES", 64 * 64 * 3)
    path.write_bytes(imagecodecs.png_encode(np.dstack([BLOCK] * 3)))
    assert sound(path).pixels.shape == (64, 64, 3)
    path.write_bytes(imagecodecs.png_encode(np.dstack([BLOCK] * 4)))
    assert only_fault(path) == (TOO_LARGE, "64 x 64 pixels of 4 bytes each")


def test_an_animated_png_has_several_pictures(path):
    first, second = Image.fromarray(MASK), Image.fromarray(MASK + 1)
    first.save(path, format="PNG", save_all=True, append_images=[second])
    assert only_fault(path) == (WRONG_LAYERS, "2 pictures")


OTHER_CONTENT = [
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", LFS_POINTER, "a pointer"),
    (b"\n<!DOCTYPE html>\n<html>", NOT_AN_IMAGE, "an HTML page, such as a server sends in place of a file"),
    (b"<?xml version='1.0'?><Error/>", NOT_AN_IMAGE, "XML text"),
    (b'{"message": "Not Found"}', NOT_AN_IMAGE, "JSON text"),
    (b"../../annex/objects/MD5E-s1", NOT_AN_IMAGE, "text that starts with '../../annex/objects/MD5E-s1'"),
    (b"/annex/objects/MD5E-s1", NOT_AN_IMAGE, "a git-annex pointer: `git annex get` fetches the file"),
    ("Zugriff verweigert für alle\n".encode(), NOT_AN_IMAGE, "text that starts with 'Zugriff verweigert für alle'"),
    ("Not found\r\n".encode("utf-16"), NOT_AN_IMAGE, "text that starts with 'Not found'"),
    (b"\x01\x80\x07\x00abc", NOT_AN_IMAGE, "the bytes 01 80 07 00"),
    (b"\n \n", NOT_AN_IMAGE, "the bytes 0a 20 0a"),
    (b"GIF89a", OTHER_FORMAT, "GIF"),
    (b"\x89HDF\r\n\x1a\n", OTHER_FORMAT, "HDF5 or NetCDF-4"),
    (b"CDF\x01", OTHER_FORMAT, "NetCDF"),
    (b"PK\x03\x04", OTHER_FORMAT, "zip archive"),
    (b"\x1f\x8b\x08", OTHER_FORMAT, "gzip"),
    (b"", DAMAGED, "an empty file"),
    (bytes(3000), DAMAGED, "bytes that are all zero, as an interrupted copy leaves"),
    (b"II*\0", DAMAGED, "a header that can't be read"),
]


@pytest.mark.parametrize(("content", "kind", "found"), OTHER_CONTENT)
def test_what_is_no_image_is_said_as_what_it_is(path, content, kind, found):
    path.write_bytes(content)
    assert only_fault(path) == (kind, found)


def test_a_pointer_is_fetched_not_converted():
    assert "git lfs pull" in LFS_POINTER.remedy


@pytest.mark.parametrize("compression", ["deflate", "lzw", "zstd", "lzma", "packbits", "jpeg", "png", "lerc", "webp"])
def test_faults_have_no_words_of_decoders_and_decoders_print_none(path, compression, capfd):
    pixels = np.dstack([BLOCK] * 3) if compression == "webp" else (IMAGE % 256).astype(np.uint8)
    tifffile.imwrite(path, pixels, compression=compression)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(60):
        content = bytearray(whole)
        content[int(rng.integers(4, len(whole)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        found = read_raster(path)
        for _, text in found if isinstance(found, list) else ():
            assert "Error" not in text and "returned" not in text, text
    assert capfd.readouterr() == ("", "")


def test_a_changed_byte_of_a_png_is_noticed(path):
    Image.fromarray(np.pad(MASK, 20)).save(path, format="PNG")
    whole = path.read_bytes()
    for at in range(8, len(whole) - 16):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert isinstance(read_raster(path), list), f"byte {at} of {len(whole)}"


def test_a_file_that_may_not_be_read(path):
    assert only_fault(path.parent)[1] == "Is a directory"
    assert only_fault(path)[1] == "No such file or directory"


def test_a_disk_that_fails_is_not_a_damaged_file(path, monkeypatch):
    def fail(*args, **options):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", fail)
    tifffile.imwrite(path, IMAGE)
    assert only_fault(path) == (UNREADABLE, "Input/output error")


def test_the_palette_of_a_png_is_known(tmp_path):
    image = Image.fromarray(MASK).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "mask.png")
    palette = read_raster(tmp_path / "mask.png").palette
    assert palette.shape == (256, 3) and palette[:3].tolist() == [[0, 0, 0], [255, 0, 0], [0, 255, 0]]
