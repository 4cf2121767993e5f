"""Seven kinds of slicks for synthetic scenes, each with a shape, a damping and an edge of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from seepseg.synthetic.noise import Floats

Bools = npt.NDArray[np.bool_]

SLICK_GAP = 5.0  # pixels of clean sea between two slicks


@dataclass(frozen=True)
class Footprint:
    """One slick on a canvas of its own.

    Attributes:
        inside: about the distance to the edge in pixels, positive inside; (h, w).
        strength: share of the kind's damping, 0 on clean sea, below 0 where the slick is brighter; (h, w).
        origin: row and column where the oil came up, the upwind end.
    """

    inside: Floats
    strength: Floats
    origin: tuple[float, float]


@dataclass(frozen=True)
class SlickKind:
    """One class of slicks.

    Attributes:
        name: what the slick looks like.
        share: share of a scene's pixels to cover.
        damping_db: by how much a slick of full strength lowers the backscattered intensity, in decibels.
        from_seep: whether seeps give such slicks; others appear anywhere.
        draw: makes one slick, given a generator, the scale of sizes and the direction of drift (radians, from along
            columns to along rows).
    """

    name: str
    share: float
    damping_db: float
    from_seep: bool
    draw: Callable[[np.random.Generator, float, float], Footprint]


# Slicks


def trail(rng: np.random.Generator, scale: float, drift: float) -> Footprint:
    """A long thin meandering line, broad at its source, that dies out; some have a side branch."""
    length = int(scale * rng.uniform(220, 480))
    width = scale * rng.uniform(2.0, 3.0)
    path = _meander(rng, length, drift, scale)
    half_width = _uneven(rng, width * np.linspace(1.15, 0.5, length), 0.3, scale)
    if rng.random() < 0.35:
        start = int(length * rng.uniform(0.2, 0.6))
        branch = _meander(rng, length // 3, drift + rng.choice((-1, 1)) * rng.uniform(0.5, 0.9), scale)
        path = np.concatenate([path, path[:, start : start + 1] + branch], axis=1)
        branch_width = _uneven(rng, 0.8 * width * np.linspace(1.0, 0.5, length // 3), 0.3, scale)
        half_width = np.concatenate([half_width, branch_width])
    return _ribbon(path, half_width, edge=1.5)


def patch(rng: np.random.Generator, scale: float, drift: float) -> Footprint:
    """A compact round pool."""
    radius, elongation = scale * rng.uniform(15, 23), rng.uniform(1.0, 1.4)
    return _blob(rng, drift, radius=radius, elongation=elongation, raggedness=0.12, edge=2.5)


def fan(rng: np.random.Generator, scale: float, drift: float) -> Footprint:
    """A wedge that the wind draws out from its apex into fading fingers."""
    length, spread = scale * rng.uniform(80, 110), 0.5
    y, x = _canvas(length + 6 * scale)
    across, along = rotate(y, x, drift)
    along = along + 0.5 * length
    angle = across / (along + 0.15 * length) / spread
    fingers = np.abs(_smooth(rng, (81,), 2.5))
    reach = length * np.interp(angle, np.linspace(-1, 1, 81), np.clip(0.45 + 0.45 * fingers, 0.45, 1.0))
    side = (1 - np.abs(angle)) * spread * np.clip(along + 0.15 * length, 0, None)
    inside = np.minimum(np.minimum(along, side), 0.4 * (reach - along))
    strength = _soft(inside, 2.0) * np.clip(1.1 - 0.35 * along / length, 0, 1)
    return Footprint(inside, strength, _upwind(y.shape, 0.5 * length, drift))


def curl(rng: np.random.Generator, scale: float, drift: float) -> Footprint:
    """A broad filament that an eddy winds into a hook or an S."""
    length = int(scale * rng.uniform(130, 190))
    curvature = np.linspace(1 / 60, 1 / 17, length) / scale
    if rng.random() < 0.5:
        curvature *= np.tanh(np.linspace(-3, 4, length))
    heading = drift + rng.choice((-1, 1)) * np.cumsum(curvature)
    half_width = _uneven(rng, np.full(length, scale * rng.uniform(4.8, 6.0)), 0.2, scale)
    return _ribbon(_path(heading + 0.2 * _smooth(rng, (length,), 5 * scale)), half_width, edge=2.0)


def cluster(rng: np.random.Generator, scale: float, drift: float) -> Footprint:
    """A slick that has broken up into a field of small scraps, some of them gone."""
    y, x = _canvas(62 * scale)
    y, x = rotate(y, x, drift)
    inside = np.full(y.shape, -np.inf)
    for row, column in np.argwhere(rng.random((5, 8)) < 0.75) - (2.0, 3.5):
        center_y, center_x = scale * (11 * np.array((row, column)) + rng.uniform(-4.5, 4.5, 2))
        scrap = scale * rng.uniform(2.2, 4.2) - np.hypot(y - center_y, 0.8 * (x - center_x))
        inside = np.maximum(inside, scrap)
    inside = inside + 0.6 * scale * _smooth(rng, y.shape, 2 * scale)
    return Footprint(inside, _soft(inside, 1.5), _upwind(y.shape, 40 * scale, drift))


def film(rng: np.random.Generator, scale: float, drift: float) -> Footprint:
    """A broad thin sheet with ragged but clear edges, hardly darker than the sea."""
    radius, elongation = scale * rng.uniform(28, 38), rng.uniform(1.3, 2.0)
    return _blob(rng, drift, radius=radius, elongation=elongation, raggedness=0.22, edge=3.0)


def ring(rng: np.random.Generator, scale: float, drift: float) -> Footprint:
    """A dark rim around a bright eye, where rising gas roughens the water."""
    radius = scale * rng.uniform(11, 15)
    disc = _blob(rng, drift, radius=radius, elongation=rng.uniform(1.0, 1.2), raggedness=0.06, edge=2.0)
    eye = _soft(disc.inside - 0.45 * radius, 2.0)
    return Footprint(disc.inside, disc.strength - 1.45 * eye, disc.origin)


# In the order of the classes: 1 is the first.
KINDS: Final = (
    SlickKind("trail", share=0.0090, damping_db=4.5, from_seep=True, draw=trail),
    SlickKind("patch", share=0.0034, damping_db=10.0, from_seep=True, draw=patch),
    SlickKind("fan", share=0.0042, damping_db=7.5, from_seep=True, draw=fan),
    SlickKind("curl", share=0.0036, damping_db=7.0, from_seep=True, draw=curl),
    SlickKind("cluster", share=0.0026, damping_db=7.5, from_seep=False, draw=cluster),
    SlickKind("film", share=0.0048, damping_db=3.6, from_seep=False, draw=film),
    SlickKind("ring", share=0.0010, damping_db=8.0, from_seep=False, draw=ring),
)


# Drawing


def _canvas(half: float) -> tuple[Floats, Floats]:
    """Rows and columns, relative to the center, of a square canvas."""
    axis = np.arange(-np.ceil(half), np.ceil(half) + 1)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


def rotate(y: Floats, x: Floats, angle: float) -> tuple[Floats, Floats]:
    """Coordinates across and along the direction of `angle`."""
    return np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x


def _soft(inside: Floats, edge: float) -> Floats:
    """0 outside, 1 inside, rising over `edge` pixels around the slick's edge."""
    return np.clip(inside / edge + 0.5, 0.0, 1.0)


def _blob(
    rng: np.random.Generator, drift: float, *, radius: float, elongation: float, raggedness: float, edge: float
) -> Footprint:
    """An ellipse, long in the direction of drift, whose edge smooth noise pushes in and out."""
    y, x = _canvas(1.35 * radius * elongation**0.5 * (1 + raggedness) + 4)
    across, along = rotate(y, x, drift)
    distance = np.hypot(across * elongation**0.5, along / elongation**0.5)
    ragged = _smooth(rng, y.shape, radius / 4) + 0.4 * _smooth(rng, y.shape, radius / 12)
    inside = radius - distance + raggedness * radius * ragged
    return Footprint(inside, _soft(inside, edge), _upwind(y.shape, radius * elongation**0.5, drift))


def _upwind(canvas: tuple[int, ...], distance: float, drift: float) -> tuple[float, float]:
    """Row and column of the point that far upwind of the canvas's center."""
    return (canvas[0] - 1) / 2 - distance * np.sin(drift), (canvas[1] - 1) / 2 - distance * np.cos(drift)


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
    margin = int(np.ceil(half_width.max() + SLICK_GAP + edge))
    points = np.rint(path - path.min(axis=1, keepdims=True)).astype(int) + margin
    off_line = np.ones(points.max(axis=1) + margin + 1)
    width_there = np.zeros(off_line.shape)
    off_line[points[0], points[1]] = 0
    width_there[points[0], points[1]] = half_width
    distance, nearest = ndimage.distance_transform_edt(off_line, return_indices=True)
    inside = width_there[nearest[0], nearest[1]] - distance
    return Footprint(inside, _soft(inside, edge), (float(points[0, 0]), float(points[1, 0])))


# Noise


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Floats:
    """White noise smoothed by a Gaussian, with deviation 1."""
    noise: Floats = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    noise /= noise.std()
    return noise
