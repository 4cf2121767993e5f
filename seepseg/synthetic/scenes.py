"""Synthetic SAR scenes: a rough sea with seven kinds of dark slicks, cut into annotated tiles.

A scene is made as one field and then cut, so that slicks run on over tile borders as they do in a real pass:

    intensity = sea * damping by slicks * speckle + ships

stored as amplitude, with a wedge of no-data at one edge.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from seepseg.base.conventions import NODATA
from seepseg.synthetic.slicks import KINDS, SLICK_GAP, Bools, Floats, rotate

COLUMNS: Final = 5

Pixel = TypeVar("Pixel", np.uint8, np.uint16)

# The look of the product that the real tiles come from: amplitude in 192 steps over the range of uint16.
_TOP = 65535
_LEVELS = 192
_MEAN_AMPLITUDE = 29_000.0
# Gives the 0.17-0.23 of deviation over mean that real tiles have, together with swell and wind.
_LOOKS = 10

# Slick sizes below are pixels in tiles of this side; smaller tiles get smaller slicks.
_REFERENCE_TILE = 256
_PLACING_ATTEMPTS = 60


def make_scene(
    seed: int, scene_index: int, n_tiles: int, tile_size: int, columns: int = COLUMNS
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
    """Make one scene and cut it into its first `n_tiles` tiles, row by row.

    Args:
        seed: of the whole data set.
        scene_index: number of the scene; each has random numbers of its own, whatever the other scenes hold.
        n_tiles: how many tiles; the last row of the grid may be cut short.
        tile_size: side of a tile in pixels, at least 32.
        columns: width of the grid in tiles.

    Returns:
        Images, uint16 (n_tiles, tile_size, tile_size), amplitude, 0 where there is no data; targets, uint8
        of the same shape, 0 = background, i = a slick of KINDS[i - 1].
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(scene_index,)))
    shape = (-(-n_tiles // columns) * tile_size, min(columns, n_tiles) * tile_size)
    valid = ~nodata_wedge(rng, shape)
    target, damping_db = place_slicks(rng, valid, scale=min(1.0, tile_size / _REFERENCE_TILE) ** 0.5)
    intensity = sea(rng, shape) * 10 ** (-damping_db / 10) * speckle(rng, shape)
    intensity += ships(rng, valid & (target == 0))
    image = quantise(np.sqrt(intensity))
    image[~valid] = NODATA
    return _cut(image, tile_size)[:n_tiles], _cut(target, tile_size)[:n_tiles]


def sea(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Backscattered intensity of clean sea, about 1 on average: wind, swell, calm patches, range."""
    log = np.full(shape, 0.1 + rng.normal(0.0, 0.3))
    log += rng.uniform(0.3, 0.9) * np.linspace(0.5, -0.5, shape[1])
    log += 0.2 * _spectral(rng, shape, lambda fy, fx: (np.hypot(fy, fx) + 1 / 800) ** -1.7)
    log += 0.08 * _wind_streaks(rng, shape)
    log += rng.uniform(0.06, 0.16) * _swell(rng, shape)
    # Calm air darkens the sea much as oil does, but with edges tens of pixels wide: the look-alikes.
    calm = _spectral(rng, shape, lambda fy, fx: (np.hypot(fy, fx) + 1 / 300) ** -2.8)
    log -= 0.5 * np.clip(calm - 1.0, 0, 1.4)
    intensity: Floats = np.exp(log)
    return intensity


def speckle(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Multiplicative multi-look noise with mean 1, gamma distributed, correlated between neighbours."""
    looks = rng.gamma(_LOOKS, 1 / _LOOKS, shape)
    # The sampling is finer than the resolution, more so along a row.
    return _blurred(_blurred(looks, np.array([0.08, 0.84, 0.08]), 1), np.array([0.04, 0.92, 0.04]), 0)


def ships(rng: np.random.Generator, clean: Bools) -> Floats:
    """Intensity of ships on clean sea: bright points with sidelobes along rows and columns.

    Args:
        rng: the scene's generator.
        clean: where a ship may be; (H, W).

    Returns:
        Intensity to add; (H, W).
    """
    echo = np.zeros(clean.shape)
    spots = np.flatnonzero(clean)
    for spot in rng.choice(spots, min(len(spots), rng.poisson(clean.size / 120_000) + 1), replace=False):
        center_y, center_x = divmod(int(spot), clean.shape[1])
        y = np.arange(clean.shape[0]) - center_y
        x = np.arange(clean.shape[1]) - center_x
        width = rng.uniform(1.5, 2.5)
        echo += rng.uniform(8, 60) * np.outer(_sidelobes(y, width), _sidelobes(x, width))
    return np.where(clean, echo, 0.0)


def nodata_wedge(rng: np.random.Generator, shape: tuple[int, int]) -> Bools:
    """Where the scene's slanting edge leaves pixels without data: a wedge along a side picked at random."""
    side = int(rng.integers(4))
    depth, length = shape if side % 2 == 0 else shape[::-1]
    border = rng.uniform(0.06, 0.14) * depth * np.linspace(0, 1, length)[:: rng.choice((-1, 1))]
    wedge: Bools = np.arange(depth)[:, None] < np.ceil(border)
    return np.rot90(wedge, side)


def place_slicks(rng: np.random.Generator, valid: Bools, scale: float) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Strew slicks of all kinds over a scene, apart from each other, until each kind covers its share.

    Args:
        rng: the scene's generator.
        valid: where there is data; (H, W).
        scale: factor of slick sizes.

    Returns:
        Target, uint8 (H, W), 0 on no-data; and damping in decibels, (H, W).
    """
    target = np.zeros(valid.shape, np.uint8)
    damping_db = np.zeros(valid.shape)
    # Oil is thicker in some places than in others.
    thickness = np.clip(
        1 + 0.2 * _spectral(rng, valid.shape, lambda fy, fx: (np.hypot(fy, fx) + 1 / 50) ** -1.3), 0.4, 1.5
    )
    for index, kind in enumerate(KINDS, start=1):
        budget, size = kind.share * valid.size, 0
        for _ in range(_PLACING_ATTEMPTS):
            if budget <= size / 2:
                break
            slick = kind.draw(rng, scale)
            center = rng.integers(valid.shape)
            scene_part, slick_part = _overlap(valid.shape, slick.inside.shape, center)
            inside, strength = slick.inside[slick_part], slick.strength[slick_part]
            covered = inside > 0
            near = inside > -SLICK_GAP * scale
            taken = np.any(near & ((target[scene_part] > 0) | ~valid[scene_part]))
            if taken or 2 * np.count_nonzero(covered) < np.count_nonzero(slick.inside > 0):
                continue
            target[scene_part][covered] = index
            damping_db[scene_part] += kind.damping_db * rng.uniform(0.9, 1.1) * strength * thickness[scene_part]
            size = int(np.count_nonzero(covered))
            budget -= size
    return target, damping_db


def quantise(amplitude: Floats) -> npt.NDArray[np.uint16]:
    """Amplitude relative to its mean as uint16 in the product's coarse steps, but never 0, the no-data."""
    step = np.rint(amplitude * _MEAN_AMPLITUDE / _TOP * (_LEVELS - 1))
    return (np.clip(step, 1, _LEVELS - 1) * _TOP // (_LEVELS - 1)).astype(np.uint16)


def _overlap(
    scene: tuple[int, ...], canvas: tuple[int, ...], center: npt.NDArray[np.int64]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of a scene that a canvas centered there covers, and that part of the canvas."""
    starts = [int(middle) - side // 2 for middle, side in zip(center, canvas, strict=True)]
    in_scene = [
        slice(max(start, 0), min(start + side, limit)) for start, side, limit in zip(starts, canvas, scene, strict=True)
    ]
    in_canvas = [slice(part.start - start, part.stop - start) for part, start in zip(in_scene, starts, strict=True)]
    return tuple(in_scene), tuple(in_canvas)


def _spectral(rng: np.random.Generator, shape: tuple[int, int], gain: Callable[[Floats, Floats], Floats]) -> Floats:
    """Noise with mean 0, deviation 1 and the given gain by frequency in cycles per pixel (rows, columns)."""
    white = fft.rfft2(rng.standard_normal(shape))
    white *= gain(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :])
    white[0, 0] = 0
    noise: Floats = fft.irfft2(white, shape)
    noise /= noise.std()
    return noise


def _swell(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Waves of about one length and direction, in groups; deviation 1."""
    angle, frequency = rng.uniform(0, 2 * np.pi), 1 / rng.uniform(7, 14)
    wave_y, wave_x = frequency * np.sin(angle), frequency * np.cos(angle)
    spread = 0.3 * frequency

    def gain(fy: Floats, fx: Floats) -> Floats:
        there = (fy - wave_y) ** 2 + (fx - wave_x) ** 2
        back = (fy + wave_y) ** 2 + (fx + wave_x) ** 2
        band: Floats = np.exp(-0.5 * np.minimum(there, back) / spread**2)
        return band

    return _spectral(rng, shape, gain)


def _wind_streaks(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Streaks along the wind, many times longer than wide; deviation 1."""
    angle = rng.uniform(0, 2 * np.pi)

    def gain(fy: Floats, fx: Floats) -> Floats:
        across, along = rotate(fy, fx, angle)
        band: Floats = np.exp(-((2 * np.pi) ** 2) / 2 * ((7 * across) ** 2 + (70 * along) ** 2))
        return band

    return _spectral(rng, shape, gain)


def _blurred(image: Floats, weights: Floats, axis: int) -> Floats:
    blurred: Floats = ndimage.convolve1d(image, weights, axis=axis, mode="nearest")
    return blurred


def _sidelobes(offset: npt.NDArray[np.int64], width: float) -> Floats:
    """The point response of the radar along one axis: a squared sinc, its far lobes fading."""
    return np.sinc(offset / width) ** 2 + 0.02 * np.exp(-np.abs(offset) / (4 * width))


def _cut(field: npt.NDArray[Pixel], side: int) -> npt.NDArray[Pixel]:
    """A scene as tiles in row-major order; (H, W) -> (n, side, side)."""
    rows, columns = field.shape[0] // side, field.shape[1] // side
    return field.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
