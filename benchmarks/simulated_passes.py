"""Slicks of many passes over a ground whose seeps are known: no image, only their ends and probabilities."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from seepseg.passes.ground import Ground, Pass
from seepseg.passes.slick_ends import SlickEnds

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Simulated:
    """What passes show, and what is true.

    Attributes:
        slicks: n, of seeps and others.
        ground: P passes, each a strip of 60 to 100 % of its width.
        seeps: float64 (M, 2), true places.
        rates: float64 (M,), true recurrence rates.
        seep: int64 (n,), the seep of each slick, or -1.
    """

    slicks: SlickEnds
    ground: Ground
    seeps: Floats
    rates: Floats
    seep: npt.NDArray[np.int64]


def simulate(
    rng: np.random.Generator,
    passes: int,
    seeps: int = 60,
    others: int = 150,
    side: float = 3000.0,
    rates: tuple[float, float] = (0.2, 0.9),
    scatter: float = 6.0,
    crowded: float = 0.5,
) -> Simulated:
    """Simulate passes.

    Slicks drift in one direction per pass, give or take, and either end is listed first. Those of seeps start near it
    and are mostly taken for slicks; others lie anywhere, some of them crowd, and they are mostly doubted.

    Args:
        rng: of numbers.
        passes: P.
        seeps: M.
        others: mean number per pass of slicks that come from no seep.
        side: of the ground, in pixels.
        rates: least and largest recurrence rate.
        scatter: standard deviation of the ends at a seep, in pixels, along x and y.
        crowded: share of the others in a crowd, a bell of 20 % of the side.

    Returns:
        Slicks that lie within their pass.
    """
    xy, rate = rng.uniform(100, side - 100, (seeps, 2)), rng.uniform(*rates, seeps)
    width = rng.uniform(0.6, 1, passes) * side
    left = rng.uniform(0, side - width)
    in_pass, of = np.nonzero(rng.random((passes, seeps)) < rate)
    count = rng.poisson(others, passes)
    elsewhere = rng.uniform(0, side, (count.sum(), 2))
    crowd = rng.random(len(elsewhere)) < crowded
    elsewhere[crowd] = rng.normal(0.6 * side, side / 10, (crowd.sum(), 2))
    start = np.concatenate([xy[of] + rng.normal(0, scatter, (len(of), 2)), elsewhere])
    in_pass = np.concatenate([in_pass, np.repeat(np.arange(passes), count)])
    of = np.concatenate([of, np.full(len(elsewhere), -1)])
    p_slick = np.where(of >= 0, rng.beta(3, 1.5, len(of)), rng.beta(0.5, 1.5, len(of)))
    angle = rng.uniform(0, 2 * np.pi, passes)[in_pass] + rng.normal(0, 0.4, len(of))
    length = rng.lognormal(3.7, 0.8, len(of))
    far = start + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ends = np.stack([start, far], axis=1)
    turned = rng.random(len(of)) < 0.5
    ends[turned] = ends[turned][:, ::-1]
    low, high = left[in_pass, None], (left + width)[in_pass, None]
    x, y = ends[:, :, 0], ends[:, :, 1]
    kept = ((x > low) & (x < high) & (y > 0) & (y < side)).all(axis=1)
    number = int(kept.sum())
    slicks = SlickEnds(
        names=[str(each) for each in range(number)],
        pass_number=in_pass[kept],
        ends=ends[kept],
        p_slick=p_slick[kept],
        p_class=np.full((number, 2), 0.5),
        area=4 * length[kept],
        centreline=length[kept],
        half_width=np.ones((number, 2)),
        bright=np.ones((number, 2)),
    )
    strips = shapely.box(left, 0, left + width, side)
    each = [Pass(f"pass{number:04d}", None, strip) for number, strip in enumerate(strips)]
    return Simulated(slicks, Ground(each, "px", 1.0, None), xy, rate, of[kept])
