"""Notice rows or columns of a scene that were taken for scenes of their own: edges of their tiles fit together."""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from seepseg.base.conventions import NODATA
from seepseg.io.faults import ROWS_AS_SCENES
from seepseg.io.report import Report
from seepseg.io.tile_files import Cell, Tile

MAX_PAIRS = 256  # of tiles to compare: what is wrong with the names of some is wrong with all
# Of real tiles, edges that meet correlate by 0.14 to 0.20 more than edges that don't; edges of scenes that don't
# continue each other by 0.03 at most.
MIN_DIFFERENCE = 0.08
MIN_ERRORS = 4  # standard errors that the difference must be away from 0
MIN_PIXELS = 8  # with data on both edges

Pixels = npt.NDArray[np.uint16]
Edges = tuple[Pixels, Pixels, Pixels, Pixels]  # top, bottom, left, right
LAST_NUMBER = re.compile(r"(.*?)(\d+)")


class EdgeCheck:
    """Compares tiles of scenes whose names differ only in a last number; keeps no more than the edges of some."""

    def __init__(self, tiles: Sequence[Tile]) -> None:
        """Choose the tiles to compare by their names.

        Args:
            tiles: all tiles of the set.
        """
        self._tiles = tiles
        self._shape: tuple[int, ...] = ()
        pairs = list(_neighbours(tiles))
        self._pairs = pairs[:: math.ceil(len(pairs) / MAX_PAIRS) or 1]
        self._edges: dict[Tile, Edges | None] = {tile: None for pair in self._pairs for tile in pair}

    def see(self, tile: Tile, image: Pixels) -> None:
        """Take the image of a tile, uint16 (H, W)."""
        self._shape = image.shape
        if tile in self._edges:
            self._edges[tile] = (image[0].copy(), image[-1].copy(), image[:, 0].copy(), image[:, -1].copy())

    def note(self, report: Report) -> None:
        """Note that scenes continue each other, once all images were seen."""
        if self._pairs and self._shape and count_pixels(self._tiles, self._shape):
            one, other = self._pairs[0]
            found = f"scenes like {one.scene} and {other.scene}, whose numbers and those of their tiles count pixels"
            report.add(ROWS_AS_SCENES, "the whole set", found)
            return
        seen = [(a, b) for one, other in self._pairs if (a := self._edges[one]) and (b := self._edges[other])]
        for far, near, text in ((1, 0, "rows"), (3, 2, "columns")):
            # Edges that don't meet have the same trends, of incidence angle or depth, but not the same slicks.
            differences = [_correlation(a[far], b[near]) - _correlation(a[near], b[far]) for a, b in seen]
            if is_distinct(differences, length=len(seen[0][0][near]) if seen else 0):
                one, other = self._pairs[0]
                scenes = f"scenes like {one.scene} and {other.scene}"
                found = f"{scenes}, whose tiles' edges fit together like {text} of one scene"
                report.add(ROWS_AS_SCENES, "the whole set", found)


def _neighbours(tiles: Sequence[Tile]) -> Iterator[tuple[Tile, Tile]]:
    """Tiles of the same place in scenes whose names are equal up to a last number, and follow each other by that."""
    groups: dict[str, dict[int, dict[Cell | int, Tile]]] = {}
    for tile in tiles:
        if match := LAST_NUMBER.fullmatch(tile.scene):
            scenes = groups.setdefault(match[1], {})
            scenes.setdefault(int(match[2]), {}).setdefault(tile.cell or tile.position, tile)
    for scenes in groups.values():
        for (_, one), (_, other) in pairwise(sorted(scenes.items())):
            yield from ((one[place], other[place]) for place in one if place in other)


def count_pixels(tiles: Sequence[Tile], shape: tuple[int, ...]) -> bool:
    """Whether the last numbers of scenes and the numbers of tiles are all multiples of a tile's side, and not all 0."""
    numbers = [(int(match[2]), tile.position) for tile in tiles if (match := LAST_NUMBER.fullmatch(tile.scene))]
    if len(numbers) < len(tiles) or any(tile.cell for tile in tiles):
        return False
    return any(
        all(scene % first == 0 and tile % second == 0 for scene, tile in numbers)
        and any(scene for scene, _ in numbers)
        and any(tile for _, tile in numbers)
        for first, second in (shape, shape[::-1])
    )


def _correlation(one: Pixels, other: Pixels) -> float:
    """Correlation over pixels with data in both; NaN where there are few, or constant ones."""
    if one.shape != other.shape:
        return math.nan
    valid = (one != NODATA) & (other != NODATA)
    if np.count_nonzero(valid) < MIN_PIXELS:
        return math.nan
    a, b = one[valid].astype(np.float64), other[valid].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt((a @ a) * (b @ b))
    return float(a @ b) / scale if scale else math.nan


def is_distinct(differences: Sequence[float], length: int) -> bool:
    """Whether differences between correlations of edges are no chance; those that are NaN don't count.

    Args:
        differences: one for each pair of tiles.
        length: pixels of an edge. Differences of pure speckle have a deviation of sqrt(2 / length).
    """
    known = [difference for difference in differences if not math.isnan(difference)]
    if len(known) < 2:
        return False
    deviation = max(float(np.std(known, ddof=1)), math.sqrt(2 / length))
    mean = abs(float(np.mean(known)))  # below 0 where rows are numbered from the last
    return mean > MIN_DIFFERENCE and mean * math.sqrt(len(known)) > MIN_ERRORS * deviation
