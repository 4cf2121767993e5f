"""Where on the ground slicks were annotated before: seeps leak at fixed places, so that slicks come back there.

That helps where scenes show the same ground again and again, and not at all on new ground.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from seepseg.base.conventions import NODATA
from seepseg.data.packed import Indices, Packed, class_pixels
from seepseg.data.scenes import Scene
from seepseg.evaluation.objects import Labels
from seepseg.io.tile_files import of_longest_start

BLOCKS = 4  # places along each side of a tile; slicks drift with wind and current
AROUND = 3  # places along each side of the square over which shares are taken
TINY = 1e-4  # where no slick was annotated there may still be one

Origins = Mapping[str, tuple[int, ...]]
"""By the start of a scene's name, row and column on the common ground of the first tile of the scene's grid."""


@dataclass(frozen=True)
class Recurrence:
    """How much of each place of the ground was annotated as each class.

    Attributes:
        cells: int64 (N, 2), of all packed tiles row and column on the ground, from 0; -1 where they are not known.
        shares: float64 (K, rows * BLOCKS, columns * BLOCKS), of each class in all valid pixels that were seen there.
    """

    cells: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]

    def measure(self, scene: Scene, labels: Labels, n: int) -> npt.NDArray[np.float32]:
        """Tell of slicks how much of the ground below them was annotated before.

        Args:
            scene: where they lie.
            labels: int32 (H, W), 1..n on the slicks, of the stitched scene.
            n: number of slicks.

        Returns:
            float32 (n, K), the logarithm of each class's share in all that was seen there, at least of `TINY`, which
            is also what counts where nothing was seen.
        """
        shares = np.zeros((len(self.shares), n))
        cell = self.cells[scene.indices[0]]
        if (cell >= 0).all():
            ys, xs = np.nonzero(labels)
            number = labels[ys, xs] - 1
            corner = cell - np.array([scene.top[0], scene.left[0]]) // scene.tile_shape
            row, column = (
                at * BLOCKS // side + start * BLOCKS
                for at, side, start in zip((ys, xs), scene.tile_shape, corner, strict=True)
            )
            area = np.bincount(number, minlength=n)
            for index, of_class in enumerate(self.shares):
                shares[index] = np.bincount(number, weights=of_class[row, column], minlength=n) / area
        return np.log(np.maximum(shares.T, TINY)).astype(np.float32)


def find_recurrence(packed: Packed, parts: Sequence[Indices], origins: Origins) -> list[Recurrence]:
    """Count what was annotated where.

    Args:
        packed: the tiles.
        parts: rows of the packed arrays, int64, of each part of the training tiles.
        origins: of the scenes that share a ground; the longest start that fits counts. Others are left out.

    Returns:
        For each part, what was annotated in all the others.
    """
    cells = _cells(packed.manifest, origins)
    counts = np.stack([_count(packed, part, cells) for part in parts])  # (parts, K + 1, rows, columns)
    near = ndimage.uniform_filter(counts.sum(axis=0) - counts, (0, 0, AROUND, AROUND), mode="constant")
    return [Recurrence(cells, each[1:] / np.maximum(each.sum(axis=0), 1e-9)) for each in near]


def _cells(manifest: pd.DataFrame, origins: Origins) -> npt.NDArray[np.int64]:
    """See `Recurrence.cells`."""
    missing = (np.nan, np.nan)
    of_scene = {scene: of_longest_start(scene, origins) or missing for scene in manifest["scene"].unique()}
    origin = np.array([of_scene[scene] for scene in manifest["scene"]])
    cells = manifest[["row", "col"]].astype("float64").to_numpy() + origin.reshape(-1, 2)
    known = ~np.isnan(cells).any(axis=1)
    if known.any():
        cells -= cells[known].min(axis=0)
    return np.where(known[:, None], cells, -1).astype(np.int64)


def _count(packed: Packed, indices: Indices, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Valid pixels of tiles by class and place, float64 (K + 1, rows * BLOCKS, columns * BLOCKS)."""
    num_classes = class_pixels(packed.manifest).shape[1]
    counts = np.zeros((num_classes, *(cells.max(axis=0) + 1).clip(min=1) * BLOCKS))
    for index in indices[(cells[indices] >= 0).all(axis=1)].tolist():
        target, seen = packed.targets[index], packed.images[index] != NODATA
        row, column = (np.arange(side) * BLOCKS // side for side in target.shape)
        places = (target.astype(np.int64) * BLOCKS + row[:, None]) * BLOCKS + column
        of_tile = np.bincount(places[seen], minlength=num_classes * BLOCKS**2)
        top, left = cells[index] * BLOCKS
        counts[:, top : top + BLOCKS, left : left + BLOCKS] += of_tile.reshape(num_classes, BLOCKS, BLOCKS)
    return counts
