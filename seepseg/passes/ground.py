"""The ground that several passes see: where on it a pixel of each lies, and which pass saw which place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from seepseg.passes.coverage import Coverage
from seepseg.passes.grouping import by_pass
from seepseg.passes.params import PassesParams
from seepseg.passes.views import ScenesOnPlane, SceneView, ToGround, fitting_starts, lay_on_earth, lay_on_grid

__all__ = ["Ground", "Grounds", "Pass", "SceneOnGround", "SceneView", "some_of"]

Unit = Literal["m", "px"]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHOWN = 3  # names in a notice


@dataclass(frozen=True)
class Pass:
    """What one pass saw of a ground.

    Attributes:
        name: of the scene; of several frames of one overflight, all names joined by "+".
        acquired: when, in UTC, if that is known.
        footprint: polygons on the ground, what it has data of.
    """

    name: str
    acquired: datetime | None
    footprint: shapely.Geometry


@dataclass(frozen=True)
class Ground:
    """A stretch of ground, and all passes over it, in a plane.

    Attributes:
        passes: two or more, in the order of their names; each shares ground with another one, at least by way of
            others.
        unit: of coordinates and distances: metres, x to the east and y to the north; or pixels, x along columns and y
            along rows, where the passes have no place on earth.
        spacing: of the pixels, in that unit: the median over passes; 1 for pixels.
        crs: of the plane; None in pixels.
    """

    passes: Sequence[Pass]
    unit: Unit
    spacing: float
    crs: CRS | None

    @cached_property
    def _coverage(self) -> Coverage:
        return Coverage([each.footprint for each in self.passes])

    def sees(self, x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which passes saw which places.

        Args:
            x: float (n,), on the ground.
            y: likewise.

        Returns:
            bool (n, P).
        """
        return self._coverage.holds(np.asarray(x, np.float64), np.asarray(y, np.float64))


class SceneOnGround(NamedTuple):
    """Where a scene belongs.

    Attributes:
        ground: number of its ground.
        number: of its pass there.
        spacing: of its pixels, in the unit of the ground.
        to_ground: from pixel coordinates (x, y) of the scene to places on the ground.
    """

    ground: int
    number: int
    spacing: float
    to_ground: ToGround


@dataclass(frozen=True)
class Grounds:
    """All grounds that several of some scenes see.

    Attributes:
        grounds: in the order of their first passes, those on earth first.
        scenes: by name, where each belongs; scenes that share ground with no other are not among them.
        notices: what people should know of scenes that have none, and of `passes.origins`, a line each.
    """

    grounds: list[Ground]
    scenes: Mapping[str, SceneOnGround]
    notices: Sequence[str]

    @classmethod
    def of_scenes(
        cls, views: Sequence[SceneView], origins: Mapping[str, Sequence[int]], tile_side: int | tuple[int, int]
    ) -> "Grounds":
        """Find out which scenes see the same ground.

        Scenes with a georeference are laid on a plane about the middle of their ground; others on the common grid of
        tiles, if `origins` has their place there. Scenes of both kinds are never on one ground. Frames of one
        overflight are one pass: they show the same slicks.

        Args:
            views: of scenes with different names.
            origins: see `seepseg.passes.params.PassesParams`; of several that fit a name the longest counts.
            tile_side: of tiles, in pixels; or height and width.
        """
        height, width = (tile_side, tile_side) if isinstance(tile_side, int) else tile_side
        views = sorted(views, key=lambda view: view.name)
        seen = [view for view in views if not view.footprint.is_empty]
        on_earth = [view for view in seen if view.georeference is not None]
        on_grid = [view for view in seen if view.georeference is None and fitting_starts(view.name, origins)]
        grounds, found = list[Ground](), dict[str, SceneOnGround]()
        for laid in [*lay_on_earth(on_earth), *lay_on_grid(on_grid, origins, (height, width))]:
            groups = by_pass([view.acquired for view in laid.views])
            if len(groups) > 1:
                found |= _on_ground(len(grounds), laid, groups)
                grounds.append(_ground(laid, groups))
        laid_names = {view.name for view in [*on_earth, *on_grid]}
        unseen = {view.name for view in views} - {view.name for view in seen}
        doubtful = [view.name for view in on_grid if len(fitting_starts(view.name, origins)) > 1]
        notices = _notices(
            {
                "share ground with no other pass": sorted(laid_names - found.keys()),
                "have no known footprint": sorted(unseen),
                "have no georeference and fit none of passes.origins": [
                    view.name for view in seen if view.name not in laid_names
                ],
                "fit several of passes.origins, of which the longest counts": doubtful,
            }
        )
        on_no_map = [view.name for view in views if view.georeference is None]
        return cls(grounds, found, notices + _unused_origins(on_no_map, origins))

    def place(self, scenes: Sequence[str], x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Ints, Floats, Floats]:
        """Where on which ground points of scenes lie.

        Args:
            scenes: (n,) name of the scene of each point.
            x: float (n,), in pixel coordinates of the whole scene.
            y: likewise.

        Returns:
            Number of the ground, int64 (n,), and x and y on it, float64 (n,); -1 and NaN where it is on none.
        """
        pixels = np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)])
        number, places = np.full(pixels.shape[1], -1), np.full(pixels.shape, np.nan)
        for scene, rows in self._by_scene(scenes):
            known = rows[np.isfinite(pixels[:, rows]).all(axis=0)]
            if known.size:
                number[known], places[:, known] = scene.ground, scene.to_ground(*pixels[:, known])
        return number, places[0], places[1]

    def pass_numbers(self, scenes: Sequence[str]) -> Ints:
        """Number of each scene's pass on its ground, int64 (n,); -1 where it has none."""
        numbers = np.full(len(scenes), -1)
        for scene, rows in self._by_scene(scenes):
            numbers[rows] = scene.number
        return numbers

    def spacings(self, scenes: Sequence[str]) -> Floats:
        """Spacing of each scene's pixels in the unit of its ground, float64 (n,); NaN where it has none."""
        spacings = np.full(len(scenes), np.nan)
        for scene, rows in self._by_scene(scenes):
            spacings[rows] = scene.spacing
        return spacings

    def _by_scene(self, scenes: Sequence[str]) -> list[tuple[SceneOnGround, npt.NDArray[np.intp]]]:
        """The scenes that are on a ground, and which of the rows are of each."""
        names, of = np.unique(np.asarray(scenes, dtype=np.str_), return_inverse=True)
        ends = np.bincount(of, minlength=len(names)).cumsum()
        rows = np.split(np.argsort(of, kind="stable"), ends)  # after the last one, none
        return [(self.scenes[name], at) for name, at in zip(names.tolist(), rows, strict=False) if name in self.scenes]


def _on_ground(ground: int, laid: ScenesOnPlane, groups: Sequence[Sequence[int]]) -> dict[str, SceneOnGround]:
    """Where scenes belong; each group of them is a pass."""
    order = _in_order(laid, groups)
    return {
        laid.views[each].name: SceneOnGround(ground, number, laid.spacings[each], laid.to_ground[each])
        for number, group in enumerate(order)
        for each in group
    }


def _ground(laid: ScenesOnPlane, groups: Sequence[Sequence[int]]) -> Ground:
    passes = []
    for group in _in_order(laid, groups):
        times = [time for each in group if (time := laid.views[each].acquired) is not None]
        footprint = laid.footprints[group[0]] if len(group) == 1 else shapely.union_all(laid.footprints[list(group)])
        passes.append(Pass(_name(laid, group), min(times, default=None), footprint))
    return Ground(passes, "px" if laid.crs is None else "m", float(np.median(laid.spacings)), laid.crs)


def _in_order(laid: ScenesOnPlane, groups: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    return sorted(groups, key=lambda group: _name(laid, group))


def _name(laid: ScenesOnPlane, group: Sequence[int]) -> str:
    return "+".join(laid.views[each].name for each in group)


def _notices(scenes: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for each thing to say of some scenes."""
    return [f"scenes that {fault}: {some_of(names)}" for fault, names in scenes.items() if names]


def _unused_origins(names: Sequence[str], origins: Mapping[str, Sequence[int]]) -> list[str]:
    """A line on starts of names with which no scene starts, if there are scenes that need one.

    Nobody wrote those of the default.
    """
    unused = [start for start in origins if not any(name.startswith(start) for name in names)]
    if not names or not unused or origins == PassesParams().origins:
        return []
    starts = sorted({name[: max(map(len, unused))] for name in names})
    return [f"passes.origins that fit no scene: {some_of(unused)}; names of scenes start with {some_of(starts)}"]


def some_of(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
