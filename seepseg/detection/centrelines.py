"""Centrelines of slicks: the longest of the shortest paths within each, its two ends and how wide the slick is there.

A seep feeds its slick at one end, so ends are what returns from pass to pass. A path goes from pixel to pixel, also
from corner to corner. Two searches find the longest one: the pixel that is farthest from any pixel is one end, and the
pixel that is farthest from that is the other. For slicks that enclose no sea that is nearly always exact.

Slicks are worked on as they come to an end, block by block, and many at once, as the graph of the pixels of all of them
falls apart into slicks: what is measured does not depend on the blocks, and memory does not grow with the scene.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from seepseg.data.block_array import BlockArray
from seepseg.detection.shapes import Boxes, Counts, pixels_of_slicks

BATCH = 32_768  # pixels, about, that are searched at once: many more no longer fit into the processor's cache
LARGEST = 1 << 18  # pixels; of a larger slick every k-th row and column is searched
DOUBLINGS = 3  # points of a path are 2 to so many pixels apart
EPSILON = 1e-9  # sums of square roots of 2 depend on their order

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Centrelines:
    """The centrelines of n slicks, in pixels; the centre of the first pixel of the scene is 0.5, 0.5.

    Attributes:
        ends: float64 (n, 2, 2), both ends, x (along columns) and y (along rows) of each; a slick of one pixel has both
            there.
        length: float64 (n,), from the centre of one end's pixel to that of the other's.
        half_width: float64 (n, 2), half the mean width of the quarter of the slick that is nearest to each end: its
            pixels, per pixel of the centreline there. The centreline counts as one pixel longer here, as its ends are
            centres of pixels, and the quarter as one pixel at least: one pixel has half a width of 0.5. Somewhat too
            small for wide slicks, as an end lies in a corner.
        paths: of each slick float64 (k, 2), k >= 2, x and y from end 1 to end 2, about every 8 pixels; empty where they
            are not asked for.
    """

    ends: Floats
    length: Floats
    half_width: Floats
    paths: list[Floats]


def find_centrelines(labels: BlockArray[np.int32], boxes: Boxes, with_paths: bool = False) -> Centrelines:
    """Find the centrelines of the slicks of a scene.

    Args:
        labels: int32 (H, W), 1..n on the slicks, each 8-connected, 0 elsewhere.
        boxes: of the slicks.
        with_paths: whether the paths are asked for.
    """
    n, (height, width) = len(boxes), labels.shape
    every = np.ceil(np.sqrt(boxes.area / LARGEST)).astype(np.int64)
    ends, length, half_width = np.zeros((n, 2, 2)), np.zeros(n), np.zeros((n, 2))
    paths: list[Floats] = [np.zeros((0, 2))] * (n if with_paths else 0)
    # An empty row and column apart, so that no pixel is beside one at the other side of the scene.
    dims = n, height + 1, width + 1
    for keys in _whole_slicks(labels, boxes, every, dims):
        slick, y, x = np.unravel_index(keys, dims)
        graph = _Graph(keys, slick, dims[2])
        of, scale = graph.slicks, every[graph.slicks]
        at = np.stack([x, y], axis=1) * every[slick, None] + every[slick, None] / 2
        at = np.minimum(at, [width - 0.5, height - 0.5])  # decimated, the centre of a last cell may lie outside
        first = graph.farthest(graph.distances(graph.starts))
        distance = graph.distances(first)
        assert np.isfinite(distance).all(), "slicks are 8-connected"
        second = graph.farthest(distance)
        length[of] = distance[second] * scale
        quarter = np.maximum((distance[second] + 1) / 4, 1)
        back = graph.distances(second, quarter.max())
        for number, (end, from_end) in enumerate(((first, distance), (second, back))):
            ends[of, number] = at[end]
            half_width[of, number] = graph.count_near(from_end, quarter - 0.5) / quarter / 2 * scale
        if with_paths:
            for number, path in zip(of.tolist(), graph.paths(first, second, distance), strict=True):
                paths[number] = at[path]
    return Centrelines(ends, length, half_width, paths)


def _whole_slicks(
    labels: BlockArray[np.int32], boxes: Boxes, every: Counts, dims: tuple[int, int, int]
) -> Iterator[Counts]:
    """Batches of whole slicks, by ascending keys of their pixels: slick, row and column as an index into `dims`.

    Of a slick that is decimated the pixels are cells of so many rows and columns, of which any pixel counts.
    """
    (down, across), per_slick = labels.block, dims[1] * dims[2]
    blocks_across = -(-labels.shape[1] // across)
    last_block = (boxes.end[0] - 1) // down * blocks_across + (boxes.end[1] - 1) // across
    begun = np.zeros(0, np.int64)
    for slick, (y, x) in pixels_of_slicks(labels):
        block = y[0] // down * blocks_across + x[0] // across
        keys = np.ravel_multi_index((slick, y // every[slick], x // every[slick]), dims)
        begun = np.sort(np.concatenate([begun, keys]))
        begun = begun[np.diff(begun, prepend=-1) > 0]
        ended = last_block[begun // per_slick] <= block
        yield from _batches(begun[ended], per_slick)
        begun = begun[~ended]
    yield from _batches(begun, per_slick)


def _batches(keys: Counts, per_slick: int) -> list[Counts]:
    """Whole slicks of about `BATCH` pixels together."""
    if not len(keys):
        return []
    starts = np.flatnonzero(np.diff(keys // per_slick, prepend=-1))
    return np.split(keys, starts[1:][np.diff(starts // BATCH) > 0])


class _Graph:
    """The pixels of m slicks, each beside up to 8 others of its slick, in steps of 1 and the square root of 2.

    Args:
        keys: int64 (N,), of the pixels, ascending; one row on is `width` more.
        slick: int64 (N,), the slick of each.
        width: of a row.

    Attributes:
        slicks: int64 (m,), those that the pixels are of.
        starts: int64 (m,), the first pixel of each.
    """

    def __init__(self, keys: Counts, slick: Counts, width: int) -> None:
        self.starts = np.flatnonzero(np.diff(slick, prepend=-1))
        self.slicks = slick[self.starts]
        self._count = np.diff(self.starts, append=len(keys))
        self._neighbours = np.full((len(keys), 8), -1, np.int32)  # right, three below; left, and three above
        steps = np.tile([1.0, 2**0.5, 1.0, 2**0.5], 2)
        at, behind = np.searchsorted(keys, keys + width - 1), np.append(keys, [-1, -1, -1])
        for column, (other, key) in enumerate(
            [(np.arange(1, len(keys) + 1), keys + 1), *((None, keys + width + shift) for shift in (-1, 0, 1))]
        ):
            place = at if other is None else other
            is_there = behind[place] == key
            here, there = np.flatnonzero(is_there), place[is_there]
            self._neighbours[here, column], self._neighbours[there, column + 4] = there, here
            if other is None:
                at = at + is_there
        linked = self._neighbours >= 0
        self._steps = np.where(linked, steps, 0.0)
        pointers = np.concatenate([[0], np.count_nonzero(linked, axis=1).cumsum()]).astype(np.int32)
        shape = len(keys), len(keys)
        self._graph = csr_array((self._steps[linked], self._neighbours[linked], pointers), shape=shape)

    def distances(self, sources: Counts, limit: float = np.inf) -> Floats:
        """Of each pixel, float64 (N,), from the source in its slick; infinite beyond the limit."""
        distances: Floats = dijkstra(self._graph, indices=sources, min_only=True, limit=limit)
        return distances

    def farthest(self, distance: Floats) -> Counts:
        """The farthest pixel of each slick, the first of several."""
        largest = np.repeat(np.maximum.reduceat(distance, self.starts), self._count)
        candidates = np.flatnonzero(distance == largest)
        return candidates[np.searchsorted(candidates, self.starts)]

    def count_near(self, distance: Floats, reach: Floats) -> Floats:
        """Number of pixels of each slick, (m,), at distances (N,) of at most its reach (m,)."""
        is_near = distance <= np.repeat(reach + EPSILON, self._count)
        return np.add.reduceat(is_near, self.starts, dtype=np.float64)

    def paths(self, first: Counts, second: Counts, distance: Floats) -> list[Counts]:
        """Pixels on a shortest path from the first end of each slick, whence the distances are, to the second."""
        back, is_open = np.arange(len(distance)), np.ones(len(distance), bool)
        is_open[first] = False
        # The first neighbour on a shortest path, so that what lies beside a slick in its batch does not matter.
        for neighbour, step in zip(self._neighbours.T, self._steps.T, strict=True):
            on_path = is_open & (neighbour >= 0) & (distance[neighbour] + step == distance)
            back[on_path] = neighbour[on_path]
            is_open &= ~on_path
        for _ in range(DOUBLINGS):
            back = back[back]
        trail = [second]
        while (trail[-1] != first).any():
            trail.append(back[trail[-1]])
        points = np.stack([*trail, first])  # (k, m); a path that has come to its first end stays there
        count = np.argmax(points == first, axis=0).clip(min=1)
        return [points[last::-1, number] for number, last in enumerate(count.tolist())]
