"""Read and write TIFF files of one page and one channel; tifffile judges every header, and no header twice.

What tifffile concludes about a file follows from the file's size and the bytes that it read to come to the
conclusion. Where none of these lie among the pixels, and the pixels lie in the file as they are in memory, the
next file of this size with the same bytes around its pixels is sound as well, and its pixels are in the same
place: it needs no parser. Tiles of one delivery mostly share one header.
"""

import io
import logging
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from seepseg.io.report import DAMAGED, MAX_PIXELS, NOT_TIFF, TOO_LARGE, UNREADABLE, WRONG_LAYERS, Kind

# The report is to be the only output about a broken file.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNCOMPRESSED = 1  # value of the TIFF tag Compression

MAX_LAYOUTS = 16
MAX_AROUND = 2**16  # bytes around the pixels that a layout may hold
MAX_WHOLE = 2**25  # larger files are not read as a whole, but by tifffile alone: there a header costs next to nothing

Fault = tuple[Kind, str]
Pixels = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the pixels of a sound file lie.

    Attributes:
        size: of the file, in bytes.
        head: bytes before the pixels.
        tail: bytes after the pixels.
        shape: rows and columns.
    """

    size: int
    head: bytes
    tail: bytes
    shape: tuple[int, ...]

    def fits(self, content: bytes) -> bool:
        """Whether a file is laid out like this."""
        return len(content) == self.size and content.startswith(self.head) and content.endswith(self.tail)

    def pixels(self, content: bytes, dtype: np.dtype[Any]) -> Pixels:
        """The pixels of a file that fits, read-only and not copied."""
        return np.frombuffer(content, dtype, math.prod(self.shape), len(self.head)).reshape(self.shape)


class TiffReader:
    """Reads files of one pixel type."""

    def __init__(self, dtype: type[np.generic], wrong_type: Kind) -> None:
        """Start without having seen a header.

        Args:
            dtype: the type that pixels must have.
            wrong_type: the fault of a file with another one.
        """
        self.dtype = np.dtype(dtype)
        self.wrong_type = wrong_type
        self._layouts: tuple[_Layout, ...] = ()

    def read(self, path: str) -> Pixels | list[Fault]:
        """Read and check a file.

        Args:
            path: the file.

        Returns:
            Its pixels, (H, W), native byte order, perhaps read-only; or what is wrong with it.
        """
        try:
            content = _read_whole(path, self._layouts[0].size if self._layouts else 0)
            for layout in self._layouts:
                if layout.fits(content):
                    return layout.pixels(content, self.dtype)
            return self._parse(path, content)
        except OSError as error:
            return [(UNREADABLE, error.strerror or str(error))]

    def _parse(self, path: str, content: bytes) -> Pixels | list[Fault]:
        try:
            with _TracedFile(path) as file, tifffile.TiffFile(file) as tiff:
                if faults := list(_header_faults(tiff, self.dtype, self.wrong_type)):
                    return faults
                consulted = list(file.extents)
                pixels: Pixels = tiff.pages[0].asarray(maxworkers=1)
        except OSError:
            raise
        except Exception as error:  # the parser and the codecs raise whatever broken bytes lead them to
            return [_explain(path, error)]
        if layout := _layout(tiff, content, consulted, pixels):
            self._layouts = (layout, *self._layouts)[:MAX_LAYOUTS]
        return pixels


class _TracedFile(io.BufferedReader):
    """A file that remembers what was read of it.

    Attributes:
        extents: start and end of each piece, in bytes.
    """

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path))
        self.extents: list[tuple[int, int]] = []

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        content = super().read(size)
        self.extents.append((start, start + len(content)))
        return content

    def readinto(self, buffer: Any, /) -> int:
        start = self.tell()
        count = super().readinto(buffer)
        self.extents.append((start, start + count))
        return count


def _read_whole(path: str, guess: int) -> bytes:
    """The content of a file; nothing of one that is too large, for tifffile to judge.

    Args:
        path: the file.
        guess: how many bytes it probably has. One more is asked for, so that there is no need to look first.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if len(content := os.read(descriptor, guess + 1)) == guess:
            return content
        size = os.fstat(descriptor).st_size
        content = os.pread(descriptor, size, 0) if size <= MAX_WHOLE else b""
        return content if len(content) == size else b""
    finally:
        os.close(descriptor)


def _layout(
    tiff: tifffile.TiffFile, content: bytes, consulted: list[tuple[int, int]], pixels: Pixels
) -> _Layout | None:
    """The layout of a file that tifffile found sound; None where others can't be told from it.

    Args:
        tiff: the file.
        content: the whole file.
        consulted: the pieces that tifffile read before it read the pixels.
        pixels: what tifffile made of it.
    """
    page = tiff.pages[0]
    native = pixels.dtype.newbyteorder(tiff.byteorder) == pixels.dtype
    if not (native and page.is_final and sum(page.databytecounts) == pixels.nbytes):
        return None
    start = page.dataoffsets[0]
    end = start + pixels.nbytes
    if any(first < end and last > start for first, last in consulted):
        return None
    layout = _Layout(len(content), content[:start], content[end:], pixels.shape)
    if end > len(content) or len(layout.head) + len(layout.tail) > MAX_AROUND:
        return None
    return layout if np.array_equal(layout.pixels(content, pixels.dtype), pixels) else None


def _header_faults(tiff: tifffile.TiffFile, dtype: np.dtype[Any], wrong_type: Kind) -> Iterator[Fault]:
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


def _explain(path: str, error: Exception) -> Fault:
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
