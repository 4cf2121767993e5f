"""Features of slicks, plain numbers that a classifier can take: shape, contrast, the sea around, what networks say.

What class a slick is of depends on more than its own pixels: on how bright and how rough the sea is beside it, and
whether it comes in swarms. So slicks are measured in whole scenes, put together from their tiles.

To add a feature, add an entry to the dict that `_shapes`, `_surroundings` or `network_features` returns: the classifier
takes all that is there, by name. Bearing, the number of neighbours and the distances to them, to bright targets such as
ships, and to no-data were measured too; on scenes held out, classes were no better with them.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from seepseg.base.conventions import NODATA
from seepseg.detection.candidates import log_odds
from seepseg.detection.slick_table import LOG_SHARE
from seepseg.detection.tta import SceneProbs
from seepseg.evaluation.objects import Labels

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# Scales of the sea around a slick, as standard deviations of Gaussians in pixels.
NEAR, AROUND, WIDE = 8.0, 30.0, 100.0
CROWD, REGION = 60.0, 150.0  # of the share of the surface that slicks cover
COARSE_FROM = 16.0  # blurs of at least this are computed on means of blocks of pixels
TRUNCATED = 4  # standard deviations after which a Gaussian ends
BLOCK = 256  # pixels; blurs are not computed in blocks where nobody looks at them

TINY = 1e-4  # a class that a network rules out may still be the right one
ABOVE = (0.5, 0.7, 0.85, 0.95, 0.98)  # of the shares of a slick above these probabilities


def slick_features(
    image: npt.NDArray[np.uint16], probs: Mapping[int, SceneProbs], labels: Labels, n: int, class_names: Sequence[str]
) -> pd.DataFrame:
    """Measure the slicks of a scene.

    Args:
        image: uint16 (H, W), the stitched scene, `NODATA` where nothing was seen.
        probs: of each network, by its number.
        labels: int32 (H, W), 1..n on the slicks, which cover valid pixels only, 0 elsewhere.
        n: number of slicks.
        class_names: the K classes.

    Returns:
        A row for each slick and network, slick by slick: `slick` (1..n), `network` and `area` in pixels; then the
        features, float32, intensities in the image's units, lengths in pixels.
    """
    of_image = image_features(image, labels, n)
    keys = pd.DataFrame({"slick": np.arange(1, n + 1), "area": np.bincount(labels.ravel(), minlength=n + 1)[1:]})
    tables = [
        pd.concat([keys.assign(network=number), of_image, network_features(each, labels, n, class_names)], axis=1)
        for number, each in probs.items()
    ]
    return pd.concat(tables).sort_values(["slick", "network"], kind="stable").reset_index(drop=True)


def image_features(image: npt.NDArray[np.uint16], labels: Labels, n: int) -> pd.DataFrame:
    """Shape, contrast and surroundings of each slick: float32, a row per slick; args as in `slick_features`."""
    y, x = labels.nonzero()
    number = labels[y, x] - 1
    return pd.DataFrame({**_shapes(labels, y, x, number, n), **_surroundings(image, labels, y, x, number, n)}).astype(
        np.float32
    )


def network_features(probs: SceneProbs, labels: Labels, n: int, class_names: Sequence[str]) -> pd.DataFrame:
    """The probabilities of one network over each slick: float32, a row per slick; args as in `slick_features`."""
    on_slick = labels > 0
    number, p = labels[on_slick] - 1, probs.foreground[on_slick]
    area = np.bincount(number, minlength=n)
    peak = np.zeros(n, np.float32)
    np.maximum.at(peak, number, p)
    measured = {
        "prob_mean": np.bincount(number, weights=p, minlength=n) / area,
        "log_odds_mean": np.bincount(number, weights=log_odds(p), minlength=n) / area,
        "prob_peak": peak,
        "log_odds_peak": log_odds(peak),
    }
    for level in ABOVE:
        measured[f"above_{round(100 * level)}"] = np.bincount(number, weights=p >= level, minlength=n) / area
    in_tiles = probs.scene.cut(labels)
    on_tile = in_tiles > 0
    cells = in_tiles[on_tile] - 1
    sums = [np.bincount(cells, weights=tiles[on_tile], minlength=n) for tiles in probs.class_probs.swapaxes(0, 1)]
    shares = np.stack(sums) / np.maximum(np.sum(sums, axis=0), TINY)
    for name, share in zip(class_names, shares, strict=True):
        measured[LOG_SHARE + name] = np.log(np.maximum(share, TINY))
    return pd.DataFrame(measured).astype(np.float32)


def _shapes(
    labels: Labels, y: npt.NDArray[np.int64], x: npt.NDArray[np.int64], number: npt.NDArray[np.int32], n: int
) -> dict[str, npt.NDArray[np.float64]]:
    area = np.bincount(number, minlength=n).astype(np.float64)
    centre_y, centre_x = (np.bincount(number, weights=axis, minlength=n) / area for axis in (y, x))
    dy, dx = y - centre_y[number], x - centre_x[number]
    yy, xx, yx = (np.bincount(number, weights=moment, minlength=n) / area for moment in (dy * dy, dx * dx, dy * dx))
    # A pixel is a square, with a variance of 1/12 along each side; without it one pixel would have no length.
    half_sum, half_difference = (yy + xx) / 2 + 1 / 12, np.hypot((yy - xx) / 2, yx)
    length, width = 4 * np.sqrt(half_sum + half_difference), 4 * np.sqrt(half_sum - half_difference)

    boxes = ndimage.find_objects(labels, n)
    half_width, mean_half_width, perimeter, box_fill, box_side = np.zeros((5, n))
    for index, box in enumerate(boxes):
        mask = labels[box] == index + 1
        inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1][mask]
        half_width[index], mean_half_width[index] = inside.max(), inside.mean()
        perimeter[index] = np.count_nonzero(inside == 1)
        box_fill[index], box_side[index] = mask.mean(), sum(mask.shape) / 2

    return {
        # In pixels.
        "log_area": np.log(area),
        "length": length,
        "width": width,
        "elongation": length / width,
        "half_width": half_width,
        "mean_half_width": mean_half_width,
        "perimeter_per_area": perimeter / area,
        "box_fill": box_fill,
        "box_side": box_side,
    }


def _surroundings(
    image: npt.NDArray[np.uint16],
    labels: Labels,
    y: npt.NDArray[np.int64],
    x: npt.NDArray[np.int64],
    number: npt.NDArray[np.int32],
    n: int,
) -> dict[str, npt.NDArray[np.float64]]:
    valid, on_slick = image != NODATA, labels > 0
    sea = valid & ~on_slick
    intensity = image.astype(np.float32)
    of_image, of_sea = MaskedMean(valid), MaskedMean(sea)
    smooth, near = of_image(intensity, 1.5, on_slick), of_sea(intensity, NEAR, on_slick)
    around, wide = of_sea(intensity, AROUND), of_sea(intensity, WIDE)
    beyond = intensity - around
    sea_std = np.sqrt(of_sea(beyond**2, AROUND))
    texture = np.sqrt(of_sea((of_image(intensity, 4.0, sea) - around) ** 2, AROUND))
    edge = _steepness(np.where(valid, intensity, around), 1.5, on_slick)

    def mean(values: Floats) -> npt.NDArray[np.float64]:
        result: npt.NDArray[np.float64] = np.bincount(number, weights=values, minlength=n) / area
        return result

    area = np.bincount(number, minlength=n)
    at = (y, x)
    contrast = beyond[at]
    order = np.lexsort((contrast, number))
    first = np.concatenate([[0], area.cumsum()[:-1]])
    contrast_low = contrast[order][first + area // 10]  # the 10th percentile of each slick
    mean_contrast, mean_sea_std = mean(contrast), mean(sea_std[at])
    slicks = on_slick.astype(np.float32)
    return {
        # Of the smoothed image.
        "intensity": mean(smooth[at]),
        # Against the sea near or around.
        "contrast_near": mean(smooth[at] - near[at]),
        "contrast": mean_contrast,
        "contrast_low": contrast_low,
        "contrast_std": np.sqrt(np.maximum(mean(contrast**2) - mean_contrast**2, 0)),
        "edge": mean(edge[at]),
        "contrast_in_stds": mean_contrast / np.maximum(mean_sea_std, 1),
        # Sea beside the slick.
        "sea_near": mean(near[at]),
        "sea_around": mean(around[at]),
        "sea_wide": mean(wide[at]),
        "sea_std": mean_sea_std,
        "sea_texture": mean(texture[at]),
        # Shares of the surface around that slicks cover.
        "cover_near": mean(_gaussian(slicks, CROWD)[at]),
        "cover_wide": mean(_gaussian(slicks, REGION)[at]),
    }


class MaskedMean:
    """Gaussian means over the masked pixels around each pixel.

    Args:
        mask: bool (H, W).
    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self._weights: dict[float, Floats] = {}  # by scale

    def __call__(self, values: Floats, scale: float, wanted: Mask | None = None) -> Floats:
        """Compute the means.

        Args:
            values: float32 (H, W).
            scale: standard deviation in pixels.
            wanted: bool (H, W), the pixels that are asked for, the same for each scale; all of them by default.
        """
        if scale not in self._weights:
            self._weights[scale] = _gaussian(self.mask.astype(np.float32), scale, wanted).clip(min=1e-3)
        mean: Floats = _gaussian(np.where(self.mask, values, np.float32(0)), scale, wanted) / self._weights[scale]
        return mean


def _gaussian(values: Floats, scale: float, wanted: Mask | None = None) -> Floats:
    """Gaussian filter; a wide one of block means, which takes a small part of the time and differs little."""
    if scale < COARSE_FROM:
        blurs = partial(ndimage.gaussian_filter, sigma=scale, mode="constant", truncate=TRUNCATED)
        return _in_blocks(blurs, values, scale, wanted)
    block = 8 if scale >= 4 * COARSE_FROM else 4
    height, width = values.shape
    padded = np.pad(values, ((0, -height % block), (0, -width % block)))
    means = padded.reshape(padded.shape[0] // block, block, padded.shape[1] // block, block).mean(axis=(1, 3))
    coarse: Floats = ndimage.gaussian_filter(means, scale / block, mode="constant", truncate=TRUNCATED)
    return np.repeat(np.repeat(coarse, block, axis=0), block, axis=1)[:height, :width]


def _steepness(values: Floats, scale: float, wanted: Mask) -> Floats:
    """Length of the gradient of the smoothed values."""
    lengths = partial(ndimage.gaussian_gradient_magnitude, sigma=scale, truncate=TRUNCATED)
    return _in_blocks(lengths, values, scale, wanted)


def _in_blocks(filtered: Callable[[Floats], Floats], values: Floats, scale: float, wanted: Mask | None) -> Floats:
    """What a Gaussian filter gives, in the blocks that have wanted pixels; 0 elsewhere."""
    if wanted is None:
        return filtered(values)
    reach = math.ceil(TRUNCATED * scale)
    result = np.zeros_like(values)
    for top, left in itertools.product(range(0, values.shape[0], BLOCK), range(0, values.shape[1], BLOCK)):
        block = slice(top, top + BLOCK), slice(left, left + BLOCK)
        if wanted[block].any():
            first_row, first_column = max(top - reach, 0), max(left - reach, 0)
            around = values[first_row : top + BLOCK + reach, first_column : left + BLOCK + reach]
            result[block] = filtered(around)[top - first_row :, left - first_column :][:BLOCK, :BLOCK]
    return result
