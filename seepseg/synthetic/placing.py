"""Which slicks a pass shows, and where: those of seeps first, then some that come from anywhere."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from seepseg.synthetic.ground import Ground, Pass, Seep
from seepseg.synthetic.noise import Floats, spectral
from seepseg.synthetic.slicks import KINDS, SLICK_GAP, Bools, Footprint

_ATTEMPTS = 60
_ATTEMPTS_AT_A_SEEP = 30
# A seep gives slicks of its kind, but for this share of them.
_OTHER_KIND = 0.1
# Currents carry the rising oil aside by some pixels, other ones in each pass.
_RISE = 2.0
# Radians: the drift isn't the same everywhere.
_DRIFT_SPREAD = 0.12


@dataclass(frozen=True)
class Slick:
    """One slick of a scene.

    Attributes:
        kind: its class, 1 for the first of KINDS.
        seep: where it comes from, as an index of the ground's seeps; None if it comes from none.
        pixels: its area.
    """

    kind: int
    seep: int | None
    pixels: int


@dataclass
class Slicks:
    """The slicks of a scene.

    Attributes:
        labels: number of the slick in each pixel, 1 for the first of `slicks`; 0 on the sea and on no-data; (H, W).
        damping_db: by how much they lower the intensity, in decibels; (H, W).
        slicks: what each of them is.
    """

    labels: npt.NDArray[np.int32]
    damping_db: Floats
    slicks: list[Slick] = field(default_factory=list)

    @property
    def target(self) -> npt.NDArray[np.uint8]:
        """Class of each pixel, 0 = background; (H, W)."""
        return np.array([0, *(slick.kind for slick in self.slicks)], np.uint8)[self.labels]


@dataclass(frozen=True)
class _Placer:
    """Puts slicks on the sea of one scene, apart from each other; `damping` is a factor of each kind's."""

    slicks: Slicks
    valid: Bools
    damping: Floats
    gap: float

    def put(
        self, kind: int, seep: int | None, footprint: Footprint, place: tuple[float, float], strength: float
    ) -> int:
        """Put a slick with its origin at `place`: its pixels, or 0 if there is no data or another slick is near."""
        y, x = (int(np.floor(coordinate)) for coordinate in place)
        height, width = self.valid.shape
        if not (0 <= y < height and 0 <= x < width and self.valid[y, x]):
            return 0
        on_scene, on_canvas = _overlap(self.valid.shape, footprint.inside.shape, (y, x), footprint.origin)
        inside = footprint.inside[on_canvas]
        labels = self.slicks.labels[on_scene]  # a view
        covered = (inside > 0) & self.valid[on_scene]
        if np.any((inside > -self.gap) & (labels > 0)) or not covered.any():
            return 0
        slick = Slick(kind, seep, int(np.count_nonzero(covered)))
        self.slicks.slicks.append(slick)
        labels[covered] = len(self.slicks.slicks)
        full = strength * KINDS[kind - 1].damping_db
        self.slicks.damping_db[on_scene] += full * footprint.strength[on_canvas] * self.damping[on_scene]
        return slick.pixels


def place_slicks(rng: np.random.Generator, valid: Bools, ground: Ground, conditions: Pass) -> Slicks:
    """Let seeps leak, each by its recurrence rate; then strew slicks of each kind until it covers its share.

    Args:
        rng: the scene's generator.
        valid: where there is data; (H, W).
        ground: seeps, and the scale of sizes.
        conditions: shift, drift and wind of the pass.
    """
    slicks = Slicks(np.zeros(valid.shape, np.int32), np.zeros(valid.shape))
    # Oil is thicker in some places than in others, and strong wind mixes it into the water.
    thickness = 1 + 0.2 * spectral(rng, valid.shape, lambda fy, fx: (np.hypot(fy, fx) + 1 / 50) ** -1.3)
    damping = np.clip(thickness, 0.4, 1.5) * (5.5 / conditions.wind_speed) ** 0.25
    placer = _Placer(slicks, valid, damping, SLICK_GAP * ground.scale)
    # The compact kinds first: long ones find a way between them.
    for index, seep in reversed(list(enumerate(ground.seeps))):
        if rng.random() < seep.recurrence:
            _leak(rng, placer, index, seep, ground.scale, conditions)
    for number in range(1, len(KINDS) + 1):
        _strew(rng, placer, number, ground.scale)
    return slicks


def _leak(rng: np.random.Generator, placer: _Placer, index: int, seep: Seep, scale: float, conditions: Pass) -> None:
    """Put the slick of a seep, which starts there and drifts with the wind; the stronger it leaks, the larger."""
    kinds = [number for number, kind in enumerate(KINDS, start=1) if kind.from_seep]
    kind = int(rng.choice(kinds)) if rng.random() < _OTHER_KIND else seep.kind
    strength = rng.uniform(0.8, 1.1)
    for _ in range(_ATTEMPTS_AT_A_SEEP):
        drift = conditions.drift + rng.normal(0, _DRIFT_SPREAD)
        y, x = np.array((seep.y - conditions.top, seep.x - conditions.left)) + rng.normal(0, _RISE * scale, 2)
        footprint = KINDS[kind - 1].draw(rng, scale * strength, drift)
        if placer.put(kind, index, footprint, (y, x), strength):
            break


def _strew(rng: np.random.Generator, placer: _Placer, kind: int, scale: float) -> None:
    """Put slicks that no seep gives, say, of passing ships: anywhere, in any direction."""
    sizes = [slick.pixels for slick in placer.slicks.slicks if slick.kind == kind]
    budget = KINDS[kind - 1].share * placer.valid.size - sum(sizes)
    for _ in range(_ATTEMPTS):
        if sizes and budget <= sizes[-1] / 2:
            break
        y, x = rng.uniform(0, placer.valid.shape)
        footprint = KINDS[kind - 1].draw(rng, scale, rng.uniform(0, 2 * np.pi))
        if pixels := placer.put(kind, None, footprint, (y, x), rng.uniform(0.9, 1.1)):
            sizes.append(pixels)
            budget -= pixels


def _overlap(
    scene: tuple[int, ...], canvas: tuple[int, ...], place: tuple[int, int], origin: tuple[float, float]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of a scene that a canvas covers whose origin is put in place, and that part of the canvas."""
    starts = [at - round(offset) for at, offset in zip(place, origin, strict=True)]
    in_scene = [
        slice(max(start, 0), min(start + side, limit)) for start, side, limit in zip(starts, canvas, scene, strict=True)
    ]
    in_canvas = [slice(part.start - start, part.stop - start) for part, start in zip(in_scene, starts, strict=True)]
    return tuple(in_scene), tuple(in_canvas)
