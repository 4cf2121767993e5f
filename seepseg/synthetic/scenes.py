"""Synthetic SAR scenes: a rough sea with seven kinds of dark slicks, as one pass of a satellite sees it.

    intensity = sea * damping by slicks * speckle + ships and platforms

stored as amplitude, with a wedge of no-data at one edge.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from seepseg.base.conventions import NODATA
from seepseg.synthetic.ground import Ground, Pass, make_pass
from seepseg.synthetic.noise import Floats, calm_patches, spectral
from seepseg.synthetic.placing import Slick, place_slicks
from seepseg.synthetic.slicks import Bools, rotate

# The look of the product that the real tiles come from: amplitude in 192 steps over the range of uint16.
_TOP = 65535
_LEVELS = 192
_MEAN_AMPLITUDE = 29_000.0
# Gives the 0.17-0.23 of deviation over mean that real tiles have, together with swell and wind.
_LOOKS = 10
_MEAN_WIND: Final = 5.5


@dataclass(frozen=True)
class SyntheticScene:
    """What one pass shows.

    Attributes:
        conditions: when, where and in which wind.
        image: amplitude, 0 where there is no data; uint16 (H, W).
        labels: number of the slick in each pixel, 1 for the first of `slicks`, 0 on the sea; int32 (H, W).
        slicks: what each of them is.
        target: class of each pixel, 0 = background, i = a slick of KINDS[i - 1]; uint8 (H, W).
    """

    conditions: Pass
    image: npt.NDArray[np.uint16]
    labels: npt.NDArray[np.int32]
    slicks: list[Slick]
    target: npt.NDArray[np.uint8]


def make_scene(seed: int, index: int, ground: Ground) -> SyntheticScene:
    """Make one scene.

    Args:
        seed: of the whole data set.
        index: number of the pass, from 0; each has random numbers of its own, whatever the other passes hold.
        ground: what all passes see.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    conditions = make_pass(rng, ground, index)
    valid = ~nodata_wedge(rng, ground.shape)
    slicks = place_slicks(rng, valid, ground, conditions)
    intensity = sea(rng, ground, conditions) * 10 ** (-slicks.damping_db / 10) * speckle(rng, ground.shape)
    intensity += ships(rng, valid & (slicks.labels == 0)) + platforms(ground, conditions)
    image = quantise(np.sqrt(intensity))
    image[~valid] = NODATA
    return SyntheticScene(conditions, image, slicks.labels, slicks.slicks, slicks.target)


def sea(rng: np.random.Generator, ground: Ground, conditions: Pass) -> Floats:
    """Backscattered intensity of clean sea, about 1 on average: wind, swell, calm patches, range; (H, W)."""
    shape = ground.shape
    log = np.full(shape, 0.1 + np.log(conditions.wind_speed / _MEAN_WIND))
    log += rng.uniform(0.3, 0.9) * np.linspace(0.5, -0.5, shape[1])
    log += 0.2 * spectral(rng, shape, lambda fy, fx: (np.hypot(fy, fx) + 1 / 800) ** -1.7)
    log += 0.08 * _wind_streaks(rng, shape, conditions.wind)
    log += rng.uniform(0.06, 0.16) * _swell(rng, shape)
    log -= calm_patches(rng, shape, rarity=1.3)
    log -= rng.uniform(0.0, 1.0) * _seen(ground, conditions)
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
        y, x = divmod(int(spot), clean.shape[1])
        echo += rng.uniform(8, 60) * _point_response(clean.shape, y, x, rng.uniform(1.5, 2.5))
    return np.where(clean, echo, 0.0)


def platforms(ground: Ground, conditions: Pass) -> Floats:
    """Intensity of the platforms among the ground's seeps, as bright in each pass; (H, W), to add."""
    echo = np.zeros(ground.shape)
    for seep in ground.seeps:
        if seep.platform:
            y, x = np.floor(seep.y - conditions.top), np.floor(seep.x - conditions.left)
            echo += 40.0 * _point_response(ground.shape, y, x, width=2.0)
    return echo


def nodata_wedge(rng: np.random.Generator, shape: tuple[int, int]) -> Bools:
    """Where the scene's slanting edge leaves pixels without data: a wedge along a side picked at random."""
    side = int(rng.integers(4))
    depth, length = shape if side % 2 == 0 else shape[::-1]
    border = rng.uniform(0.06, 0.14) * depth * np.linspace(0, 1, length)[:: rng.choice((-1, 1))]
    wedge: Bools = np.arange(depth)[:, None] < np.ceil(border)
    return np.rot90(wedge, side)


def quantise(amplitude: Floats) -> npt.NDArray[np.uint16]:
    """Amplitude relative to its mean as uint16 in the product's coarse steps, but never 0, the no-data."""
    step = np.rint(amplitude * _MEAN_AMPLITUDE / _TOP * (_LEVELS - 1))
    return (np.clip(step, 1, _LEVELS - 1) * _TOP // (_LEVELS - 1)).astype(np.uint16)


def _seen(ground: Ground, conditions: Pass) -> Floats:
    """The part of the ground's shoals that a pass sees, to the pixel; (H, W)."""
    top, left = (
        margin + round(start) for margin, start in zip(ground.margin, (conditions.top, conditions.left), strict=True)
    )
    return ground.shoals[top : top + ground.shape[0], left : left + ground.shape[1]]


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

    return spectral(rng, shape, gain)


def _wind_streaks(rng: np.random.Generator, shape: tuple[int, int], wind: float) -> Floats:
    """Streaks along the wind, many times longer than wide; deviation 1."""

    def gain(fy: Floats, fx: Floats) -> Floats:
        across, along = rotate(fy, fx, wind)
        band: Floats = np.exp(-((2 * np.pi) ** 2) / 2 * ((7 * across) ** 2 + (70 * along) ** 2))
        return band

    return spectral(rng, shape, gain)


def _blurred(image: Floats, weights: Floats, axis: int) -> Floats:
    blurred: Floats = ndimage.convolve1d(image, weights, axis=axis, mode="nearest")
    return blurred


def _point_response(shape: tuple[int, int], y: float, x: float, width: float) -> Floats:
    """The radar's image of a bright point in a pixel; (H, W)."""
    rows, columns = (np.arange(side, dtype=np.float64) - at for side, at in zip(shape, (y, x), strict=True))
    return np.outer(_sidelobes(rows, width), _sidelobes(columns, width))


def _sidelobes(offset: Floats, width: float) -> Floats:
    """The point response of the radar along one axis: a squared sinc, its far lobes fading."""
    return np.sinc(offset / width) ** 2 + 0.02 * np.exp(-np.abs(offset) / (4 * width))
