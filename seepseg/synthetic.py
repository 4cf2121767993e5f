"""Synthetic SAR scenes: a rough sea with seven kinds of dark slicks, cut into annotated tiles.

A scene is made as one field and then cut, so that slicks run on over tile borders as they do in a real pass:

    intensity = sea * damping by slicks * speckle + ships

stored as amplitude, with a wedge of no-data at one edge.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

NODATA: Final = 0
COLUMNS: Final = 5

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Pixel = TypeVar("Pixel", np.uint8, np.uint16)

# The look of the product that the real tiles come from: amplitude in 192 steps over the range of uint16.
_TOP = 65535
_LEVELS = 192
_MEAN_AMPLITUDE = 29_000.0
# Gives the 0.17-0.23 of deviation over mean that real tiles have, together with swell and wind.
_LOOKS = 10

# Slick sizes below are pixels in tiles of this side; smaller tiles get smaller slicks.
_REFERENCE_TILE = 256
_SLICK_GAP = 5.0
_PLACING_ATTEMPTS = 60


@dataclass(frozen=True)
class Footprint:
    """One slick on a canvas of its own.

    Attributes:
        inside: about the distance to the outline in pixels, positive inside; (h, w).
        strength: share of the kind's damping, 0 on clean sea, below 0 where the slick is brighter; (h, w).
    """

    inside: Floats
    strength: Floats


@dataclass(frozen=True)
class Kind:
    """One class of slicks.

    Attributes:
        name: what the slick looks like.
        share: share of a scene's pixels to cover.
        damping_db: by how much a slick of full strength lowers the backscattered intensity, in decibels.
        draw: makes one slick, given a generator and the scale of sizes.
    """

    name: str
    share: float
    damping_db: float
    draw: Callable[[np.random.Generator, float], Footprint]


# Slicks


def trail(rng: np.random.Generator, scale: float) -> Footprint:
    """A long thin meandering line, broad at its source, that dies out; some have a side branch."""
    length = int(scale * rng.uniform(220, 480))
    direction = rng.uniform(0, 2 * np.pi)
    width = scale * rng.uniform(2.0, 3.0)
    path = _meander(rng, length, direction, scale)
    half_width = _uneven(rng, width * np.linspace(1.15, 0.5, length), 0.3, scale)
    if rng.random() < 0.35:
        start = int(length * rng.uniform(0.2, 0.6))
        branch = _meander(rng, length // 3, direction + rng.choice((-1, 1)) * rng.uniform(0.5, 0.9), scale)
        path = np.concatenate([path, path[:, start : start + 1] + branch], axis=1)
        branch_width = _uneven(rng, 0.8 * width * np.linspace(1.0, 0.5, length // 3), 0.3, scale)
        half_width = np.concatenate([half_width, branch_width])
    return _ribbon(path, half_width, edge=1.5)


def patch(rng: np.random.Generator, scale: float) -> Footprint:
    """A compact round pool."""
    return _blob(rng, radius=scale * rng.uniform(15, 23), elongation=rng.uniform(1.0, 1.4), raggedness=0.12, edge=2.5)


def fan(rng: np.random.Generator, scale: float) -> Footprint:
    """A wedge that the wind draws out from its apex into fading fingers."""
    length, spread = scale * rng.uniform(80, 110), 0.5
    y, x = _canvas(length + 6 * scale)
    along, across = _rotate(y, x, rng.uniform(0, 2 * np.pi))
    along = along + 0.5 * length
    angle = across / (along + 0.15 * length) / spread
    fingers = np.abs(_smooth(rng, (81,), 2.5))
    reach = length * np.interp(angle, np.linspace(-1, 1, 81), np.clip(0.45 + 0.45 * fingers, 0.45, 1.0))
    side = (1 - np.abs(angle)) * spread * np.clip(along + 0.15 * length, 0, None)
    inside = np.minimum(np.minimum(along, side), 0.4 * (reach - along))
    return Footprint(inside, _soft(inside, 2.0) * np.clip(1.1 - 0.35 * along / length, 0, 1))


def curl(rng: np.random.Generator, scale: float) -> Footprint:
    """A broad filament that an eddy winds into a hook or an S."""
    length = int(scale * rng.uniform(130, 190))
    curvature = np.linspace(1 / 60, 1 / 17, length) / scale
    if rng.random() < 0.5:
        curvature *= np.tanh(np.linspace(-3, 4, length))
    heading = rng.uniform(0, 2 * np.pi) + rng.choice((-1, 1)) * np.cumsum(curvature)
    half_width = _uneven(rng, np.full(length, scale * rng.uniform(4.8, 6.0)), 0.2, scale)
    return _ribbon(_path(heading + 0.2 * _smooth(rng, (length,), 5 * scale)), half_width, edge=2.0)


def cluster(rng: np.random.Generator, scale: float) -> Footprint:
    """A slick that has broken up into a field of small scraps, some of them gone."""
    y, x = _canvas(62 * scale)
    y, x = _rotate(y, x, rng.uniform(0, 2 * np.pi))
    inside = np.full(y.shape, -np.inf)
    for row, column in np.argwhere(rng.random((5, 8)) < 0.75) - (2.0, 3.5):
        center_y, center_x = scale * (11 * np.array((row, column)) + rng.uniform(-4.5, 4.5, 2))
        scrap = scale * rng.uniform(2.2, 4.2) - np.hypot(y - center_y, 0.8 * (x - center_x))
        inside = np.maximum(inside, scrap)
    inside = inside + 0.6 * scale * _smooth(rng, y.shape, 2 * scale)
    return Footprint(inside, _soft(inside, 1.5))


def film(rng: np.random.Generator, scale: float) -> Footprint:
    """A broad thin sheet with ragged but clear edges, hardly darker than the sea."""
    return _blob(rng, radius=scale * rng.uniform(28, 38), elongation=rng.uniform(1.3, 2.0), raggedness=0.22, edge=3.0)


def ring(rng: np.random.Generator, scale: float) -> Footprint:
    """A dark rim around a bright eye, where rising gas roughens the water."""
    radius = scale * rng.uniform(11, 15)
    disc = _blob(rng, radius=radius, elongation=rng.uniform(1.0, 1.2), raggedness=0.06, edge=2.0)
    eye = _soft(disc.inside - 0.45 * radius, 2.0)
    return Footprint(disc.inside, disc.strength - 1.45 * eye)


# In the order of the classes: 1 is the first.
KINDS: Final = (
    Kind("trail", share=0.0090, damping_db=4.5, draw=trail),
    Kind("patch", share=0.0034, damping_db=10.0, draw=patch),
    Kind("fan", share=0.0042, damping_db=7.5, draw=fan),
    Kind("curl", share=0.0036, damping_db=7.0, draw=curl),
    Kind("cluster", share=0.0026, damping_db=7.5, draw=cluster),
    Kind("film", share=0.0048, damping_db=3.6, draw=film),
    Kind("ring", share=0.0010, damping_db=8.0, draw=ring),
)


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


# The scene


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
            near = inside > -_SLICK_GAP * scale
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


# Drawing


def _canvas(half: float) -> tuple[Floats, Floats]:
    """Rows and columns, relative to the center, of a square canvas."""
    axis = np.arange(-np.ceil(half), np.ceil(half) + 1)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


def _rotate(y: Floats, x: Floats, angle: float) -> tuple[Floats, Floats]:
    """Coordinates across and along the direction of `angle`."""
    return np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x


def _soft(inside: Floats, edge: float) -> Floats:
    """0 outside, 1 inside, rising over `edge` pixels around the outline."""
    return np.clip(inside / edge + 0.5, 0.0, 1.0)


def _blob(rng: np.random.Generator, *, radius: float, elongation: float, raggedness: float, edge: float) -> Footprint:
    """An ellipse whose outline smooth noise pushes in and out."""
    y, x = _canvas(1.35 * radius * elongation**0.5 * (1 + raggedness) + 4)
    across, along = _rotate(y, x, rng.uniform(0, 2 * np.pi))
    distance = np.hypot(across * elongation**0.5, along / elongation**0.5)
    ragged = _smooth(rng, y.shape, radius / 4) + 0.4 * _smooth(rng, y.shape, radius / 12)
    inside = radius - distance + raggedness * radius * ragged
    return Footprint(inside, _soft(inside, edge))


def _path(heading: Floats) -> Floats:
    """Points one pixel apart along a line of given heading; (2, length)."""
    return np.cumsum([np.sin(heading), np.cos(heading)], axis=1)


def _meander(rng: np.random.Generator, length: int, direction: float, scale: float) -> Floats:
    """A path that wavers around its direction, in wide bends and small kinks; (2, length)."""
    return _path(direction + 0.45 * _smooth(rng, (length,), 25 * scale) + 0.3 * _smooth(rng, (length,), 4 * scale))


def _uneven(rng: np.random.Generator, half_width: Floats, variation: float, scale: float) -> Floats:
    """A line's width with random variation along it, nearly broken off in places."""
    return half_width * np.clip(1 + variation * _smooth(rng, half_width.shape, 5 * scale), 0.15, None)


def _ribbon(path: Floats, half_width: Floats, *, edge: float) -> Footprint:
    """A line of varying width: each pixel belongs to its nearest point of the path."""
    margin = int(np.ceil(half_width.max() + _SLICK_GAP + edge))
    points = np.rint(path - path.min(axis=1, keepdims=True)).astype(int) + margin
    off_line = np.ones(points.max(axis=1) + margin + 1)
    width_there = np.zeros(off_line.shape)
    off_line[points[0], points[1]] = 0
    width_there[points[0], points[1]] = half_width
    distance, nearest = ndimage.distance_transform_edt(off_line, return_indices=True)
    inside = width_there[nearest[0], nearest[1]] - distance
    return Footprint(inside, _soft(inside, edge))


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


# Noise


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Floats:
    """White noise smoothed by a Gaussian, with deviation 1."""
    noise: Floats = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    noise /= noise.std()
    return noise


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
        across, along = _rotate(fy, fx, angle)
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
