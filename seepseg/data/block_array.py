"""Arrays as large as a scene, in blocks: compressed in memory, where most of what is known of a scene is 0."""

import itertools
from collections import OrderedDict
from typing import Any, Generic, TypeVar

import imagecodecs
import numpy as np
import numpy.typing as npt

from seepseg.data.pixels import Window

Value = TypeVar("Value", bound=np.generic)

BLOCK_SIDE = 2048  # pixels of a scene that are worked on at once in each direction, which bounds the memory
OPEN_BLOCKS = 4  # that were read last and are kept as they are; a slick at a corner lies in so many


def block_shape(shape: tuple[int, int], tile_shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the blocks in which a scene is worked on: whole tiles, about the same in all blocks."""
    sides = []
    for length, side in zip(shape, tile_shape, strict=True):
        tiles, at_once = -(-length // side), max(1, BLOCK_SIDE // side)
        sides.append(side * -(-tiles // -(-tiles // at_once)))
    return sides[0], sides[1]


def blocks_of(shape: tuple[int, int], block: tuple[int, int]) -> list[Window]:
    """Windows that tile a scene, row by row; the last ones end where the scene ends."""
    (height, width), (down, across) = shape, block
    corners = itertools.product(range(0, height, down), range(0, width, across))
    return [Window(top, left, min(down, height - top), min(across, width - left)) for top, left in corners]


class BlockArray(Generic[Value]):
    """An array (H, W) that is written block by block, 0 where it was not.

    Args:
        shape: height and width.
        dtype: of its values.
        block: height and width of a block.
    """

    def __init__(self, shape: tuple[int, int], dtype: type[Value], block: tuple[int, int]) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.block = block
        self._packed: dict[tuple[int, int], Any] = {}  # bytes
        self._open: OrderedDict[tuple[int, int], npt.NDArray[Value]] = OrderedDict()

    @classmethod
    def of(cls, values: npt.NDArray[Value], block: tuple[int, int]) -> "BlockArray[Value]":
        """A copy of an array (H, W)."""
        height, width = values.shape
        array = cls((height, width), values.dtype.type, block)
        for window in array.windows():
            array.write(window, values[window.slices])
        return array

    def windows(self) -> list[Window]:
        """The blocks, row by row."""
        return blocks_of(self.shape, self.block)

    def write(self, window: Window, values: npt.NDArray[Value]) -> None:
        """Write a block.

        Args:
            window: one of `windows`.
            values: (height, width) of that.
        """
        key = window.top, window.left
        self._open.pop(key, None)
        if values.any():
            self._packed[key] = imagecodecs.zstd_encode(np.ascontiguousarray(values, self.dtype).tobytes(), level=1)
        else:
            self._packed.pop(key, None)

    def read(self, window: Window) -> npt.NDArray[Value]:
        """Read a window, which lies in the array; it is the caller's own."""
        top, left, height, width = window
        (down, across), values = self.block, np.zeros((height, width), self.dtype)
        rows = range(top // down * down, top + height, down)
        for row, column in itertools.product(rows, range(left // across * across, left + width, across)):
            if (row, column) not in self._packed:
                continue
            block = self._opened((row, column))
            first_row, first_column = max(row, top), max(column, left)
            part = block[first_row - row : top + height - row, first_column - column : left + width - column]
            values[first_row - top :, first_column - left :][: part.shape[0], : part.shape[1]] = part
        return values

    def whole(self) -> npt.NDArray[Value]:
        """All of it, (H, W): for scenes that fit into memory."""
        return self.read(Window(0, 0, *self.shape))

    def _opened(self, key: tuple[int, int]) -> npt.NDArray[Value]:
        if key in self._open:
            self._open.move_to_end(key)
        else:
            shape = [min(side, length - start) for side, length, start in zip(self.block, self.shape, key, strict=True)]
            content: Any = imagecodecs.zstd_decode(self._packed[key])
            self._open[key] = np.frombuffer(content, self.dtype).reshape(shape)
            if len(self._open) > OPEN_BLOCKS:
                self._open.popitem(last=False)
        return self._open[key]
