"""The common ground of all passes: where seeps and shoals lie, and how each pass sees them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from seepseg.synthetic.noise import Floats, calm_patches
from seepseg.synthetic.slicks import KINDS

Shape = tuple[int, int]

# Slick sizes are pixels in scenes of this side; smaller scenes get smaller slicks.
_REFERENCE_SIDE = 512
_RECURRENCE: Final = (0.3, 1.0)
_PLATFORMS = 0.15
# Passes are shifted by up to this share of their sides, so that any two see at least 0.81 of their ground together.
_SHIFT = 0.05
# Seeps keep off the edges by this share of the sides, so that all passes reach them, and by pixels from each other.
_EDGE = 0.12
_SEEP_GAP = 90.0
_PLACING_ATTEMPTS = 200

_FIRST_PASS = datetime(2021, 1, 4, 0, 12, 20, tzinfo=UTC)
_REPEAT_CYCLE = timedelta(days=12)


@dataclass(frozen=True)
class Seep:
    """A place that leaks again and again.

    Attributes:
        y: row on the ground, in pixels from the corner of the first one.
        x: column, likewise.
        kind: class of most of its slicks, 1 for the first of KINDS.
        recurrence: probability that a pass shows a slick from here.
        platform: whether the source is a platform, a bright target in each pass, and no natural seep.
    """

    y: float
    x: float
    kind: int
    recurrence: float
    platform: bool


@dataclass(frozen=True)
class Ground:
    """What stays from pass to pass.

    Attributes:
        shape: of each scene, in pixels.
        scale: factor of slick sizes.
        seeps: all sources that recur.
        shoals: calm patches over shoals, as the logarithm of intensity that the darkest pass loses; the ground with a
            margin of `margin` on each side.
        prevailing: direction of drift in most passes.
    """

    shape: Shape
    scale: float
    seeps: tuple[Seep, ...]
    shoals: Floats
    prevailing: float

    @property
    def margin(self) -> Shape:
        """Rows and columns by which a pass may be shifted."""
        return _margin(self.shape)


@dataclass(frozen=True)
class Pass:
    """When and how a satellite sees the ground. Directions are radians from along columns to along rows.

    Attributes:
        acquired: time, UTC.
        top: row of the ground at which the scene starts; a fraction of a pixel, too.
        left: column, likewise.
        wind: direction in which it blows.
        wind_speed: metres per second.
        current: direction in which it flows.
        current_speed: metres per second.
    """

    acquired: datetime
    top: float
    left: float
    wind: float
    wind_speed: float
    current: float
    current_speed: float

    @property
    def drift(self) -> float:
        """Direction in which oil goes: 3 % of the wind, and the current."""
        along_rows, along_columns = (
            0.03 * self.wind_speed * part(self.wind) + self.current_speed * part(self.current)
            for part in (np.sin, np.cos)
        )
        return float(np.arctan2(along_rows, along_columns))


def make_ground(seed: int, shape: Shape) -> Ground:
    """Make the ground of a data set.

    Args:
        seed: of the whole data set.
        shape: rows and columns of each scene, at least 32.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    scale = min(1.0, min(shape) / _REFERENCE_SIDE) ** 0.5
    sources = list(_sources(rng, shape, scale))
    places: list[tuple[float, float]] = []
    for _ in sources:
        places.append(_place_apart(rng, shape, places, _SEEP_GAP * scale))
    platforms = rng.choice(len(sources), int(np.ceil(_PLATFORMS * len(sources))), replace=False)
    seeps = tuple(
        Seep(*place, *source, platform=index in platforms)
        for index, (place, source) in enumerate(zip(places, sources, strict=True))
    )
    rows, columns = (side + 2 * margin for side, margin in zip(shape, _margin(shape), strict=True))
    shoals = calm_patches(rng, (rows, columns), rarity=1.1)
    return Ground(shape, scale, seeps, shoals, prevailing=rng.uniform(0, 2 * np.pi))


def make_pass(rng: np.random.Generator, ground: Ground, index: int) -> Pass:
    """Make the conditions of one pass; `index` counts passes from 0."""
    top, left = (_SHIFT * side * rng.uniform(-1, 1) for side in ground.shape)
    return Pass(
        acquired=_FIRST_PASS + index * _REPEAT_CYCLE,
        top=top,
        left=left,
        wind=rng.normal(ground.prevailing, 1.0),
        wind_speed=5.5 * np.exp(np.clip(rng.normal(0.0, 0.3), -0.7, 0.7)),
        current=rng.uniform(0, 2 * np.pi),
        current_speed=rng.uniform(0.0, 0.1),
    )


def _sources(rng: np.random.Generator, shape: Shape, scale: float) -> Iterator[tuple[int, float]]:
    """Kind and recurrence rate of as many seeps as give, on average, all that their kinds are to cover."""
    for number, kind in enumerate(KINDS, start=1):
        budget, size = kind.share * shape[0] * shape[1] * kind.from_seep, 0.0
        while budget > size / 2:
            recurrence = rng.uniform(*_RECURRENCE)
            yield number, recurrence
            size = recurrence * np.count_nonzero(kind.draw(rng, scale, 0.0).inside > 0)
            budget -= size


def _margin(shape: Shape) -> Shape:
    return int(np.ceil(_SHIFT * shape[0])), int(np.ceil(_SHIFT * shape[1]))


def _place_apart(
    rng: np.random.Generator, shape: Shape, others: list[tuple[float, float]], gap: float
) -> tuple[float, float]:
    """A place away from the edges and from the others; anywhere away from the edges where it is too crowded."""
    for _ in range(_PLACING_ATTEMPTS):
        y, x = (side * rng.uniform(_EDGE, 1 - _EDGE) for side in shape)
        if all(np.hypot(y - other_y, x - other_x) >= gap for other_y, other_x in others):
            break
    return float(y), float(x)
