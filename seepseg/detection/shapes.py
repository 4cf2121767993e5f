"""Where the slicks of a scene lie, and what shape they have: from their labels alone, block by block."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from seepseg.data.block_array import BlockArray
from seepseg.data.pixels import Window

CHUNK = 2048  # pixels; of a slick with a larger box so much is looked at at a time
MAX_HALF_WIDTH = 256  # pixels; a slick that is wider counts as so wide

Counts = npt.NDArray[np.int64]
Column = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Boxes:
    """Where slicks 1..n lie in a scene, in pixels.

    Attributes:
        area: int64 (n,), number of pixels.
        first: int64 (2, n), first row and column.
        end: int64 (2, n), row and column behind the last.
        center: float64 (2, n), mean row and column.
    """

    area: Counts
    first: Counts
    end: Counts
    center: Column

    def __len__(self) -> int:
        return len(self.area)

    def window(self, index: int) -> Window:
        """The box around a slick, by its index from 0."""
        (top, left), (bottom, right) = self.first[:, index].tolist(), self.end[:, index].tolist()
        return Window(top, left, bottom - top, right - left)


def find_boxes(labels: BlockArray[np.int32], n: int) -> Boxes:
    """Find where slicks lie.

    Args:
        labels: int32 (H, W), 1..n on the slicks, 0 elsewhere.
        n: number of slicks; each has a pixel.
    """
    area, sums = np.zeros(n, np.int64), np.zeros((2, n), np.int64)
    first, end = np.full((2, n), np.iinfo(np.int64).max), np.zeros((2, n), np.int64)
    for number, places in pixels_of_slicks(labels):
        order = np.argsort(number, kind="stable")
        starts = np.flatnonzero(np.diff(number[order], prepend=-1))
        slick = number[order][starts]
        area[slick] += np.diff(starts, append=len(order))
        for axis, place in enumerate(places):
            at = place[order]
            sums[axis, slick] += np.add.reduceat(at, starts)
            first[axis, slick] = np.minimum(first[axis, slick], np.minimum.reduceat(at, starts))
            end[axis, slick] = np.maximum(end[axis, slick], np.maximum.reduceat(at, starts) + 1)
    return Boxes(area, first, end, sums / area)


def pixels_of_slicks(labels: BlockArray[np.int32]) -> Iterator[tuple[Counts, tuple[Counts, Counts]]]:
    """Of each block with slicks, the slick of each of their pixels, from 0, and their rows and columns in the scene."""
    for window in labels.windows():
        block = labels.read(window)
        y, x = block.nonzero()
        if len(y):
            yield block[y, x].astype(np.int64) - 1, (y + window.top, x + window.left)


def shape_features(labels: BlockArray[np.int32], boxes: Boxes) -> dict[str, Column]:
    """Measure the shape of each slick, float64 (n,) each, lengths in pixels; args as in `find_boxes`."""
    n, area = len(boxes), boxes.area.astype(np.float64)
    moments = np.zeros((3, n))
    for number, (y, x) in pixels_of_slicks(labels):
        dy, dx = y - boxes.center[0][number], x - boxes.center[1][number]
        moments += [np.bincount(number, weights=product, minlength=n) for product in (dy * dy, dx * dx, dy * dx)]
    yy, xx, yx = moments / area
    # A pixel is a square, with a variance of 1/12 along each side; without it one pixel would have no length.
    half_sum, half_difference = (yy + xx) / 2 + 1 / 12, np.hypot((yy - xx) / 2, yx)
    length, width = 4 * np.sqrt(half_sum + half_difference), 4 * np.sqrt(half_sum - half_difference)

    half_width, mean_half_width, perimeter = np.zeros((3, n))
    for index in _block_by_block(boxes, labels.block):
        for inside in _distances_to_edge(labels, boxes.window(index), index + 1):
            half_width[index] = max(half_width[index], inside.max(initial=0))
            mean_half_width[index] += inside.sum()
            perimeter[index] += np.count_nonzero(inside == 1)
    sides = boxes.end - boxes.first
    return {
        # In pixels.
        "log_area": np.log(area),
        "length": length,
        "width": width,
        "elongation": length / width,
        "half_width": half_width,
        "mean_half_width": mean_half_width / area,
        "perimeter_per_area": perimeter / area,
        "box_fill": area / sides.prod(axis=0),
        "box_side": sides.sum(axis=0) / 2,
    }


def _block_by_block(boxes: Boxes, block: tuple[int, int]) -> list[int]:
    """Slicks in an order in which their blocks are opened once each, as good as."""
    rows, columns = boxes.first // np.array(block)[:, None]
    order: list[int] = np.lexsort((columns, rows)).tolist()
    return order


def _distances_to_edge(labels: BlockArray[np.int32], box: Window, number: int) -> Iterator[Column]:
    """Distances of a slick's pixels to its outside, at most `MAX_HALF_WIDTH`, some at a time."""
    top, left, height, width = box
    for row, column in itertools.product(range(0, height, CHUNK), range(0, width, CHUNK)):
        first_row, first_column = max(row - MAX_HALF_WIDTH, 0), max(column - MAX_HALF_WIDTH, 0)
        rows = min(row + CHUNK + MAX_HALF_WIDTH, height) - first_row
        columns = min(column + CHUNK + MAX_HALF_WIDTH, width) - first_column
        mask = labels.read(Window(top + first_row, left + first_column, rows, columns)) == number
        # What is beyond this window is taken for outside, too: it is farther away than the largest distance.
        distances = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        part = (
            slice(row - first_row, row - first_row + CHUNK),
            slice(column - first_column, column - first_column + CHUNK),
        )
        yield np.minimum(distances[part][mask[part]], MAX_HALF_WIDTH)
