"""Decode strips and tiles of a TIFF page each of which is an image file of its own: JPEG, PNG, WebP, LERC.

Such a codestream has a header of its own. What that claims is compared with the header of the TIFF before anything is
decoded: a small file can't take much memory, and nothing is cropped in silence.
"""

import math
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from tifffile.tifffile import jpeg_decode_colorspace

from seepseg.io.pixels import DecodeError, Pixels
from seepseg.io.png_jpeg import open_png

JPEG, LERC, PNG, WEBP = 7, 34887, 34933, 50001  # values of the TIFF tag Compression
CODESTREAMS = {JPEG, LERC, PNG, WEBP}
CONTIGUOUS = 1  # value of the TIFF tag PlanarConfiguration
LERC_PARAMETERS = 50674  # TIFF tag
LERC_SIGNATURE = b"Lerc2 "
LERC_HEADER = 2**16  # bytes beside the pixels, at most
# Where the largest error stands in a LERC codestream, by its version.
LERC_ERROR_AT = {2: 34, 3: 38, 4: 42, 5: 42, 6: 50}

Decoder = Callable[[bytes, Pixels], Any]  # bytes of a codestream, and the array that takes its pixels


def decode_codestreams(page: tifffile.TiffPage, empty: Any) -> tuple[Pixels, str]:
    """Decode a page.

    Args:
        page: compressed in one of these ways.
        empty: value of strips and tiles that are not stored.

    Returns:
        Pixels of the shape `page.shaped`, and what lossy compression was found, or an empty text.

    Raises:
        DecodeError: one is damaged, or of another size or type than the page says.
    """
    decode = _decoder(page)
    pixels: Pixels = np.full(page.shaped, empty, page.dtype)
    lossy = ""
    spans = page.dataoffsets, page.databytecounts
    segments: Any = page.parent.filehandle.read_segments(*spans, length=math.prod(page.chunked))
    for segment, index in segments:
        if segment is None:
            continue
        _, (plane, depth, top, left, _), (_, height, width, samples) = page.decode(None, index)
        place = pixels[plane, depth, top : top + height, left : left + width]
        try:
            data = _unpack_lerc(page, segment, place.itemsize) if page.compression == LERC else segment
            chunk = _decode_chunk(decode, data, (height, width, samples), place)
        except Exception as error:  # what the codecs raise has no class in common
            found = f"a strip or tile, number {index + 1}, that is damaged or not {height} x {width} pixels"
            raise DecodeError(found) from error
        place[...] = chunk[: place.shape[0], : place.shape[1]]
        lossy = lossy or _lossy(page, data, pixels.dtype)
    return pixels, lossy


def _decode_chunk(decode: Decoder, data: bytes, shape: tuple[int, ...], place: Pixels) -> Pixels:
    """Decode a strip or tile that is whole, or that ends with the image, as some writers have it."""
    try:
        return _decode_shape(decode, data, shape, place.dtype)
    except Exception:
        if shape == place.shape:
            raise
        return _decode_shape(decode, data, place.shape, place.dtype)


def _decode_shape(decode: Decoder, data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pixels:
    out = np.zeros(shape if shape[2] > 1 else shape[:2], dtype)
    decode(data, out)
    return out.reshape(shape)


def _decoder(page: tifffile.TiffPage) -> Decoder:
    """A function that refuses a codestream of another shape or type than the array that is to take it."""
    if page.compression == LERC:
        return _decode_lerc
    if page.compression == PNG:
        return _decode_png
    if page.compression == WEBP:
        return lambda data, out: imagecodecs.webp_decode(data, hasalpha=page.samplesperpixel == 4, out=out)
    colours, colours_out = jpeg_decode_colorspace(page.photometric, page.planarconfig, page.extrasamples, page.is_jfif)
    return lambda data, out: imagecodecs.jpeg_decode(
        data,
        tables=page.jpegtables,
        bitspersample=page.bitspersample,
        colorspace=colours if page.planarconfig == CONTIGUOUS else None,  # a plane has no colours
        outcolorspace=colours_out,
        out=out,
    )


def _decode_png(data: bytes, out: Pixels) -> None:
    picture = open_png(BytesIO(data))  # not by imagecodecs, whose libpng prints warnings and goes on
    if (picture.height, picture.width) != out.shape[:2]:
        raise DecodeError(f"{picture.height} x {picture.width} pixels")
    pixels = np.array(picture)
    if (pixels.shape, pixels.dtype) != (out.shape, out.dtype):
        raise DecodeError(f"{pixels.dtype} of shape {pixels.shape}")
    out[...] = pixels


def _decode_lerc(data: bytes, out: Pixels) -> None:
    if not data.startswith(LERC_SIGNATURE):  # imagecodecs would unpack it once more, into room without a bound
        raise DecodeError("no LERC")
    _, valid = imagecodecs.lerc_decode(data, masks=True, out=out)
    if valid is not None:  # invalid pixels are NaN, as for GDAL, or 0 where the type has none
        out[~valid] = np.nan if out.dtype.kind == "f" else 0


def _unpack_lerc(page: tifffile.TiffPage, data: bytes, itemsize: int) -> bytes:
    """Undo the second compression that LERC may have."""
    _, scheme = page.tags.valueof(LERC_PARAMETERS, (0, 0))[:2]
    if not scheme:
        return data
    pixels = math.prod(page.tile or (page.rowsperstrip, page.imagewidth))
    room = LERC_HEADER + 2 * pixels * page.samplesperpixel * itemsize
    unpack = {1: imagecodecs.deflate_decode, 2: imagecodecs.zstd_decode}[scheme]
    return bytes(unpack(data, out=room))


def _lossy(page: tifffile.TiffPage, data: bytes, dtype: np.dtype[Any]) -> str:
    """What in a codestream changes pixels; an empty text if nothing does."""
    if page.compression == JPEG and page.bitspersample < 16:  # of 16 bits there is only the lossless kind
        return "JPEG"
    if page.compression == WEBP and data[12:16] != b"VP8L":
        return "WebP"
    allowed = 0 if dtype.kind == "f" else 0.5  # integers are rounded to themselves
    if page.compression == LERC and (error := _lerc_error(data)) > allowed:
        return f"LERC with errors up to {error:g}"
    return ""


def _lerc_error(data: bytes) -> float:
    """The largest error of a pixel that the writer allowed; infinite if the header is of an unknown version."""
    at = LERC_ERROR_AT.get(int.from_bytes(data[6:10], "little"))
    return struct.unpack_from("<d", data, at)[0] if at else math.inf
