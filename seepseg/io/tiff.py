"""Read and write TIFF files of one page and one channel."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from seepseg.io.report import DAMAGED, MAX_PIXELS, NOT_TIFF, TOO_LARGE, UNREADABLE, WRONG_LAYERS, FaultKind

# The report is to be the only output about a broken file.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNCOMPRESSED = 1  # value of the TIFF tag Compression

Fault = tuple[FaultKind, str]
Pixels = npt.NDArray[Any]


def read_tiff(path: Path | str, dtype: npt.DTypeLike, wrong_type: FaultKind) -> Pixels | list[Fault]:
    """Read and check a file.

    Args:
        path: the file.
        dtype: the type that its pixels must have.
        wrong_type: the fault of a file with another one.

    Returns:
        Its pixels, (H, W), native byte order; or what is wrong with it.
    """
    try:
        with Path(path).open("rb") as file, tifffile.TiffFile(file) as tiff:
            faults = list(_header_faults(tiff, np.dtype(dtype), wrong_type))
            return faults or tiff.pages[0].asarray(maxworkers=1)
    except OSError as error:
        return [(UNREADABLE, error.strerror or str(error))]
    except Exception as error:  # the parser and the codecs raise whatever broken bytes lead them to
        return [_explain(path, error)]


def _header_faults(tiff: tifffile.TiffFile, dtype: np.dtype[Any], wrong_type: FaultKind) -> Iterator[Fault]:
    """What forbids to read the pixels, told from the header alone: a false claim must not take memory."""
    page, file_size = tiff.pages[0], tiff.filehandle.size
    if len(tiff.pages) > 1:
        yield WRONG_LAYERS, f"{len(tiff.pages)} pages"
    if page.ndim != 2:
        yield WRONG_LAYERS, f"pixels of shape {format_shape(page.shape)}"
    if page.dtype != dtype:
        yield wrong_type, str(page.dtype)
    if not 1 <= math.prod(page.shape) <= MAX_PIXELS:
        yield TOO_LARGE, f"{format_shape(page.shape)} pixels"
        return
    # Without the second check tifffile would fill what is missing with zeros.
    spans = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    claimed = max((offset + size for offset, size in spans), default=0)
    if page.compression == UNCOMPRESSED and all(size for _, size in spans):  # size 0: a strip of zeros, not stored
        claimed = max(claimed, page.nbytes)
    if claimed > file_size:
        yield DAMAGED, f"{file_size} bytes, of which the header claims {claimed}"
    elif len(spans) < math.prod(page.chunked):
        yield DAMAGED, f"{len(spans)} of {math.prod(page.chunked)} strips or tiles of pixels"


def _explain(path: Path | str, error: Exception) -> Fault:
    """Tell a damaged TIFF file from one that is something else."""
    with Path(path).open("rb") as file:
        signature = file.read(4)
    if not signature:
        return DAMAGED, "an empty file"
    if signature not in TIFF_SIGNATURES:
        return NOT_TIFF, f"a file that starts with {signature!r}"
    return DAMAGED, " ".join(f"{type(error).__name__}: {error}".split())


def format_shape(shape: tuple[int, ...]) -> str:
    """A shape as people write it: 256 x 256."""
    return " x ".join(map(str, shape))


def write_tiff(path: Path, pixels: npt.NDArray[np.uint16] | npt.NDArray[np.uint8]) -> None:
    """Write one uncompressed grey TIFF that names no program or date: bytes depend on the pixels alone."""
    tifffile.imwrite(path, pixels, byteorder="<", photometric="minisblack", metadata=None, software=False)
