"""Read and write TIFF files."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import tifffile

from seepseg.io.codestreams import CODESTREAMS, decode_codestreams
from seepseg.io.faults import (
    COMPLEX_SAMPLES,
    DAMAGED,
    HIDDEN_PIXELS,
    LOSSY_IMAGE,
    MIN_IS_WHITE,
    NOTHING_STORED,
    PARTLY_STORED,
    UNSUPPORTED_COMPRESSION,
    UNSUPPORTED_SAMPLES,
    WRONG_LAYERS,
)
from seepseg.io.pixels import DecodeError, Fault, Pixels, Raster, empty_value, format_shape, size_fault

# The report is to be the only output about a broken file.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Values of the TIFF tag Compression.
UNCOMPRESSED, CCITT, LZW, DEFLATE, PACKBITS, LZMA, ZSTD = 1, {2, 3, 4}, 5, {8, 32946}, 32773, 34925, {50000, 34926}
# What is decoded into room for the pixels that the header claims and no more, however much a file has packed.
BOUNDED = {UNCOMPRESSED, *CCITT, LZW, *DEFLATE, PACKBITS, LZMA, *ZSTD, *CODESTREAMS}
PREDICTABLE = {LZW, *DEFLATE, LZMA, *ZSTD}  # what the tag Predictor belongs to: elsewhere it says nothing
PREDICTORS = {"b": (1,), "u": (1, 2), "i": (1, 2), "f": (1, 2, 3)}  # values of that tag by kind of samples
BYTE_COUNTS = (279, 325)  # tags with the stored bytes of strips and tiles
GDAL_NODATA = 42113  # TIFF tag
OVERVIEW, MASK = 1, 4  # bits of the TIFF tag NewSubfileType
WHITE_IS_ZERO = 0  # value of the TIFF tag PhotometricInterpretation
MAX_CHANNELS = 4  # colours and opacity; more can't be a tile
MAX_PAGES = 64  # of one file: an image with its overviews and masks has fewer
COMPLEX = (5, 6)  # values of the TIFF tag SampleFormat, as the following
SAMPLE_FORMATS = {1: "unsigned integers", 2: "signed integers", 3: "floating-point numbers"}


def read_tiff(file: BinaryIO) -> Raster | list[Fault]:
    """Read the image in a TIFF file; overviews are passed over.

    Raises:
        OSError: the file can't be read.
    """
    try:
        with tifffile.TiffFile(file) as tiff:
            return _read_image(tiff)
    except DecodeError as error:
        return [(DAMAGED, str(error))]
    except OSError as error:
        if error.errno:
            raise
    except Exception:  # the parser raises whatever broken bytes lead it to, in words for programmers
        pass
    return [(DAMAGED, "a header that can't be read")]


def _read_image(tiff: tifffile.TiffFile) -> Raster | list[Fault]:
    pages: list[Any] = list(tiff.pages) if len(tiff.pages) <= MAX_PAGES else [tiff.pages.first]
    page, *others = pages
    if len(pages) < len(tiff.pages) or not all(_accompanies(other, page) for other in others):
        return [(WRONG_LAYERS, f"{len(tiff.pages)} pages")]
    masks = [other for other in others if other.subfiletype == MASK]
    if faults := [fault for each in (page, *masks) for fault in _header_faults(each, tiff.filehandle.size)]:
        return faults
    nodata = _nodata(page)
    pixels, warnings = _decode(page, empty_value(nodata, page.dtype))
    if page.photometric == WHITE_IS_ZERO and not (pixels.dtype == bool and 2 * np.count_nonzero(pixels) < pixels.size):
        # Some programs write masks of one bit so, unreversed: where most is 0, nothing is wrong.
        warnings.append((MIN_IS_WHITE, "photometric interpretation 'min is white'"))
    for mask in masks:
        warnings += _hide(pixels, _decode(mask, False)[0] == 0, nodata)
    return Raster(pixels, nodata, tuple(warnings))


def _accompanies(page: tifffile.TiffPage, image: tifffile.TiffPage) -> bool:
    """Whether a page is an overview of an image or of its mask, or its transparency mask."""
    return bool(page.subfiletype & OVERVIEW) or (page.subfiletype == MASK and page.shape == image.shape[:2])


def _nodata(page: tifffile.TiffPage) -> float | None:
    """The value that GDAL notes for pixels without data."""
    try:
        return float(str(page.tags.valueof(GDAL_NODATA)).strip("\0 ").replace(",", "."))
    except ValueError:
        return None


def _hide(pixels: Pixels, hidden: npt.NDArray[np.bool_], nodata: float | None) -> Iterator[Fault]:
    """Set pixels under a transparency mask to the declared no-data value, or else to NaN or 0."""
    empty = empty_value(np.nan if nodata is None else nodata, pixels.dtype)
    count = np.count_nonzero(hidden.reshape(*hidden.shape, *[1] * (pixels.ndim - 2)) & (pixels != empty))
    if count:
        pixels[hidden] = empty
        yield HIDDEN_PIXELS, f"{count:,} px with data under the mask"


def _header_faults(page: tifffile.TiffPage, file_size: int) -> Iterator[Fault]:
    """What forbids to read the pixels, told from the header alone: a false claim must not take memory."""
    bits: Any = page.bitspersample
    if (page.dtype is not None and page.dtype.kind == "c") or page.sampleformat in COMPLEX:
        yield COMPLEX_SAMPLES, "complex numbers, as single-look complex SAR has"
        return
    if page.dtype is None or page.dtype.kind not in PREDICTORS or isinstance(bits, tuple):
        yield UNSUPPORTED_SAMPLES, _describe_samples(page)
        return
    if page.imagedepth != 1 or page.tiledepth != 1 or page.samplesperpixel > MAX_CHANNELS:
        yield WRONG_LAYERS, f"pixels of shape {format_shape(page.shape)}"
        return
    pixel = page.samplesperpixel * page.dtype.itemsize
    fault = size_fault(page.imagelength, page.imagewidth, pixel)
    if not fault and page.is_tiled:
        fault = size_fault(page.tilelength, page.tilewidth, pixel, "a tile of")
    if fault := fault or _compression_fault(page, page.dtype):
        yield fault
    else:
        yield from _storage_faults(page, file_size)


def _describe_samples(page: tifffile.TiffPage) -> str:
    bits: Any = page.bitspersample
    kind = SAMPLE_FORMATS.get(page.sampleformat, f"samples of format {page.sampleformat}")
    return f"{kind} of {', '.join(map(str, bits)) if isinstance(bits, tuple) else bits} bits"


def _compression_fault(page: tifffile.TiffPage, dtype: np.dtype[Any]) -> Fault | None:
    if page.compression not in BOUNDED:
        known = {scheme.value: scheme.name for scheme in tifffile.COMPRESSION}
        return UNSUPPORTED_COMPRESSION, known.get(page.compression, f"number {page.compression}")
    if page.compression in CCITT and page.bitspersample != 1:
        return UNSUPPORTED_COMPRESSION, f"CCITT, which is for one bit, for {dtype}"
    if page.compression not in CODESTREAMS and page.is_subsampled:
        return UNSUPPORTED_COMPRESSION, "subsampled colours without JPEG"
    if page.compression in PREDICTABLE and page.predictor not in PREDICTORS[dtype.kind]:
        return UNSUPPORTED_COMPRESSION, f"predictor {page.predictor} for {dtype}"
    return None


def _storage_faults(page: tifffile.TiffPage, file_size: int) -> Iterator[Fault]:
    """Where the file doesn't hold what its header says: tifffile would fill what is missing with zeros."""
    chunks, stored = math.prod(page.chunked), _stored_spans(page)
    claimed = max((offset + size for offset, size in stored), default=0)
    if page.compression == UNCOMPRESSED and chunks == 1 and stored:
        # The byte count of a single strip may be too small.
        claimed = max(claimed, stored[0][0] + _uncompressed_size(page))
    spans = min(len(page.dataoffsets), len(page.databytecounts))
    if spans < chunks:
        yield DAMAGED, f"{spans} of {chunks} strips or tiles of pixels"
    elif not any(tag in page.tags for tag in BYTE_COUNTS) and not stored:
        yield DAMAGED, "no sizes of strips or tiles"
    elif claimed > file_size:
        yield DAMAGED, f"{file_size} bytes, of which the header claims {claimed}"


def _stored_spans(page: tifffile.TiffPage) -> list[tuple[int, int]]:
    """Offsets and sizes of the strips or tiles that the file holds; a sparse file lacks some or all of them."""
    spans = zip(page.dataoffsets, page.databytecounts, strict=False)
    return [(offset, size) for offset, size in spans if offset and size]


def _uncompressed_size(page: tifffile.TiffPage) -> int:
    """Bytes of all pixels without compression: each row of a strip or tile begins with a byte of its own."""
    planes, samples = page.shaped[0], page.shaped[-1]
    width = page.tilewidth if page.is_tiled else page.imagewidth
    rows = math.prod(page.chunked) * page.tilelength if page.is_tiled else planes * page.imagelength
    return rows * -(-width * samples * page.bitspersample // 8)


def _decode(page: tifffile.TiffPage, empty: Any) -> tuple[Pixels, list[Fault]]:
    """Decode a page with a sound header.

    Args:
        page: the page.
        empty: value of pixels that are not stored.

    Returns:
        Pixels, (H, W) or (H, W, C), and what is odd about them.
    """
    chunks, stored = math.prod(page.chunked), len(_stored_spans(page))
    warnings: list[Fault] = []
    if not stored:
        pixels: Pixels = np.full(page.shaped, empty, page.dtype)
        warnings.append((NOTHING_STORED, f"none of {chunks} strips or tiles"))
    elif page.compression in CODESTREAMS:
        pixels, lossy = decode_codestreams(page, empty)
        warnings += [(LOSSY_IMAGE, lossy)] if lossy else []
    else:
        page.nodata = empty  # what tifffile takes for strips that are not stored
        if page.compression not in PREDICTABLE:
            page.predictor = 1  # or else tifffile would apply it
        try:
            pixels = page.asarray(squeeze=False, maxworkers=1)
        except OSError:
            raise
        except Exception as error:
            raise DecodeError("pixels that can't be decoded") from error
    if 0 < stored < chunks:
        warnings.append((PARTLY_STORED, f"{chunks - stored} of {chunks} strips or tiles missing"))
    # One of planes and samples is 1.
    pixels = np.moveaxis(pixels[:, 0, :, :, 0], 0, 2) if len(pixels) > 1 else pixels[0, 0]
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels, warnings


def write_tiff(path: Path, pixels: npt.NDArray[np.uint16] | npt.NDArray[np.uint8]) -> None:
    """Write one uncompressed grey TIFF that names no program or date: bytes depend on the pixels alone."""
    tifffile.imwrite(path, pixels, byteorder="<", photometric="minisblack", metadata=None, software=False)
