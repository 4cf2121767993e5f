"""Features of slicks, plain numbers that a classifier can take: shape, contrast, the sea around.

What class a slick is of depends on more than its own pixels: on how bright and how rough the sea is beside it, and
whether it comes in swarms. So slicks are measured in whole scenes, block by block, with as much around each block as
the widest filter sees: what is measured does not depend on the blocks.

To add a feature, add an entry to the dict that `_surroundings`, `seepseg.detection.shapes.shape_features` or
`seepseg.detection.network_features.NetworkSums` returns: the classifier takes all that is there, by name. Bearing, the
number of neighbours and the distances to them, to bright targets such as ships, and to no-data were measured too; on
scenes held out, classes were no better with them.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.base.conventions import NODATA
from seepseg.data.block_array import BlockArray
from seepseg.data.pixels import ScenePixels, Window
from seepseg.detection.filters import TRUNCATED, Floats, Mask, MaskedMean, gaussian, near, steepness
from seepseg.detection.shapes import Boxes, Column, Counts, shape_features

# Scales of the sea around a slick, as standard deviations of Gaussians in pixels.
NEAR, AROUND, WIDE = 8.0, 30.0, 100.0
CROWD, REGION = 60.0, 150.0  # of the share of the surface that slicks cover
COARSE = 8  # pixels; windows start at multiples of it, as wide Gaussians are computed on means of so many
HALO = int(TRUNCATED * REGION) + COARSE  # pixels around a block that the widest Gaussian sees
SAMPLE = 4096  # pixels of a slick, about, of which its percentile is taken


def image_features(scene: ScenePixels, labels: BlockArray[np.int32], boxes: Boxes, threads: int = 1) -> pd.DataFrame:
    """Measure the slicks of a scene.

    Args:
        scene: gives the pixels.
        labels: int32 (H, W), 1..n on the slicks, which cover valid pixels only, 0 elsewhere.
        boxes: of the slicks.
        threads: that filters may use; what they give does not depend on it.

    Returns:
        float32, a row for each slick: its shape, contrast and surroundings, intensities in the image's units, lengths
        in pixels.
    """
    sums = SlickSums(boxes.area)
    with ThreadPoolExecutor(threads, "filters") as pool:
        for window in labels.windows():
            if labels.read(window).any():
                sums.add(window, *_measure_pixels(scene, labels, window, pool))
    columns = {**shape_features(labels, boxes), **_surroundings(sums)}
    return pd.DataFrame(columns, index=range(len(boxes))).astype(np.float32)


class SlickSums:
    """Sums over the pixels of slicks of what is measured at each.

    Args:
        area: int64 (n,), pixels of each slick.
    """

    def __init__(self, area: Counts) -> None:
        self.area = area
        self._sums: dict[str, Column] = {}
        self._every = -(-area // SAMPLE)  # of the pixels of a slick, one in so many is sampled
        self._sampled: list[tuple[npt.NDArray[np.int32], Floats]] = [(np.zeros(0, np.int32), np.zeros(0, np.float32))]

    def add(self, window: Window, at: tuple[Counts, Counts], number: Counts, values: dict[str, Floats]) -> None:
        """Add the pixels of a block.

        Args:
            window: the block.
            at: row and column in it of each pixel that lies on a slick.
            number: the slick of each of them, from 0.
            values: what was measured at each of them.
        """
        for name, value in values.items():
            total = self._sums.setdefault(name, np.zeros(len(self.area)))
            total += np.bincount(number, weights=value, minlength=len(self.area))
        contrast = values["contrast"]
        total = self._sums.setdefault("contrast**2", np.zeros(len(self.area)))
        total += np.bincount(number, weights=contrast**2, minlength=len(self.area))
        # Of a large slick some pixels, as good as at random, but the same whatever the blocks.
        scattered = ((at[0] + window.top) * 2_654_435_761 + (at[1] + window.left) * 40_503) >> 8
        chosen = scattered % self._every[number] == 0
        self._sampled.append((number[chosen].astype(np.int32), contrast[chosen]))

    def mean(self, name: str) -> Column:
        """The mean over each slick, float64 (n,)."""
        mean: Column = self._sums.get(name, np.zeros(len(self.area))) / self.area
        return mean

    def low_contrast(self) -> Column:
        """The 10th percentile of each slick's contrast, float64 (n,)."""
        number, contrast = map(np.concatenate, zip(*self._sampled, strict=True))
        order = np.lexsort((contrast, number))
        count = np.bincount(number, minlength=len(self.area))
        first = count.cumsum() - count
        low: Column = contrast[order][first + count // 10].astype(np.float64)
        return low


def _measure_pixels(
    scene: ScenePixels, labels: BlockArray[np.int32], block: Window, pool: ThreadPoolExecutor
) -> tuple[tuple[Counts, Counts], Counts, dict[str, Floats]]:
    """Measure contrast and surroundings at each pixel on a slick of a block; see `SlickSums.add`."""
    window, core = _with_surroundings(block, scene.shape)
    image, number = scene.read(window), labels.read(window)
    valid, on_slick = image != NODATA, number > 0
    asked = np.zeros_like(on_slick)
    asked[core] = on_slick[core]
    y, x = asked.nonzero()
    pixels = _at_pixels(image, valid, on_slick, asked, pool)
    inside = y - core[0].start, x - core[1].start
    return inside, number[y, x].astype(np.int64) - 1, pixels


def _with_surroundings(block: Window, shape: tuple[int, int]) -> tuple[Window, tuple[slice, slice]]:
    """A block with what is around it in the scene, and where the block lies in that."""
    spans, core = [], []
    for start, length, end in zip(block[:2], block[2:], shape, strict=True):
        first = max(start - HALO, 0) // COARSE * COARSE
        spans.append((first, min(start + length + HALO + COARSE, end) - first))
        core.append(slice(start - first, start - first + length))
    (top, height), (left, width) = spans
    return Window(top, left, height, width), (core[0], core[1])


def _at_pixels(
    image: npt.NDArray[np.uint16], valid: Mask, on_slick: Mask, asked: Mask, pool: ThreadPoolExecutor
) -> dict[str, Floats]:
    """What can be measured at a pixel, float32 (p,) each, at the p pixels that are asked for, row by row."""
    sea = valid & ~on_slick
    intensity, slicks = image.astype(np.float32), on_slick.astype(np.float32)
    of_sea = MaskedMean(sea)  # keeps its weights; scales that are used once have another, which goes

    def run(measure: Callable[[], Floats]) -> Future[Floats]:
        """Measure in the pool, which works on some at a time, as each uses one core; only what is asked for stays."""
        return pool.submit(lambda: measure()[asked])

    near_sea = run(lambda: MaskedMean(sea)(intensity, NEAR, asked))
    smooth = run(lambda: MaskedMean(valid)(intensity, 1.5, asked))
    wide = run(lambda: MaskedMean(sea)(intensity, WIDE))
    cover_near, cover_wide = run(lambda: gaussian(slicks, CROWD)), run(lambda: gaussian(slicks, REGION))
    around = of_sea(intensity, AROUND)
    edge = run(lambda: steepness(np.where(valid, intensity, around), 1.5, asked))
    sea_std = run(lambda: np.sqrt(of_sea((intensity - around) ** 2, AROUND)))
    rough = MaskedMean(valid)(intensity, 4.0, sea & near(asked, TRUNCATED * AROUND))
    texture = np.sqrt(of_sea((rough - around) ** 2, AROUND))[asked]
    return {
        # Of the smoothed image.
        "intensity": smooth.result(),
        "edge": edge.result(),
        # Against the sea near or around.
        "contrast_near": smooth.result() - near_sea.result(),
        "contrast": intensity[asked] - around[asked],
        # Sea beside the slick.
        "sea_near": near_sea.result(),
        "sea_around": around[asked],
        "sea_wide": wide.result(),
        "sea_std": sea_std.result(),
        "sea_texture": texture,
        # Shares of the surface around that slicks cover.
        "cover_near": cover_near.result(),
        "cover_wide": cover_wide.result(),
    }


def _surroundings(sums: SlickSums) -> dict[str, Column]:
    contrast, sea_std = sums.mean("contrast"), sums.mean("sea_std")
    return {
        "intensity": sums.mean("intensity"),
        "contrast_near": sums.mean("contrast_near"),
        "contrast": contrast,
        "contrast_low": sums.low_contrast(),
        "contrast_std": np.sqrt(np.maximum(sums.mean("contrast**2") - contrast**2, 0)),
        "edge": sums.mean("edge"),
        "contrast_in_stds": contrast / np.maximum(sea_std, 1),
        "sea_near": sums.mean("sea_near"),
        "sea_around": sums.mean("sea_around"),
        "sea_wide": sums.mean("sea_wide"),
        "sea_std": sea_std,
        "sea_texture": sums.mean("sea_texture"),
        "cover_near": sums.mean("cover_near"),
        "cover_wide": sums.mean("cover_wide"),
    }
