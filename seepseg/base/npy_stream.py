"""NPY files that are written piece by piece."""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt


class NpyStream:
    """An NPY file that is written piece by piece, without holding it in memory; `np.load` maps it from disk.

    Not a memory map, because a disk that fills up would kill the process instead of raising an error.
    """

    def __init__(self, file: BinaryIO, dtype: str) -> None:
        self.file = file
        self.dtype = np.dtype(dtype)
        self._start = 0

    @classmethod
    @contextmanager
    def open(cls, path: Path, dtype: str) -> Iterator[Self]:
        """Open a file to write; it is flushed to disk when the block ends well.

        Raises:
            OSError: it can't be written, say, on a full disk; with `path` as its file.
        """
        stream = cls(path.open("wb"), dtype)
        try:
            yield stream
            with stream._naming():
                stream.file.flush()
                os.fsync(stream.file.fileno())
        finally:
            with suppress(OSError):  # what could not be written can't be now, and has been said with its name
                stream.file.close()

    def write_header(self, count: int, shape: tuple[int, ...]) -> None:
        """Begin an array of `count` tiles of a shape."""
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (count, *shape)}
        with self._naming():
            np.lib.format.write_array_header_1_0(self.file, header)
            self._start = self.file.tell()
            self.file.truncate(self._start + count * math.prod(shape) * self.dtype.itemsize)

    def append(self, tiles: npt.NDArray[Any]) -> None:
        """Write the next tile, or several: (H, W) or (N, H, W)."""
        with self._naming():
            self.file.write(np.ascontiguousarray(tiles, self.dtype).data)

    def write_rows(self, rows: Iterable[int], tiles: npt.NDArray[Any]) -> None:
        """Write tiles to rows of the array, in any order; rows that are never written hold zeros.

        Args:
            rows: of the array, N of them.
            tiles: (N, H, W).
        """
        with self._naming():
            for row, tile in zip(rows, np.ascontiguousarray(tiles, self.dtype), strict=True):
                self.file.seek(self._start + row * tile.nbytes)
                self.file.write(tile.data)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Say in errors which of several files it is that can't be written."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.file.name) from None
