"""The map of seeps: where they are, how sure that is, and the slicks that tell of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import AbstractPathEffect, withStroke

from seepseg.figures.map_frame import POINTS, Floats, ToDegrees, frame
from seepseg.figures.style import house_style, note_figure

MOST_PANELS = 4
LEAST_SHOWN = 0.05  # probability of a slick, from which its chord is drawn: it is as opaque as that is
WIDTH, HEIGHT = 9.0, 9.0  # inches, of the widest and of the highest panel
NARROWEST = 4.0, 6.0  # inches, of a figure, and below which its legend has two columns
COLOURS = ListedColormap(mpl.colormaps["RdPu"](np.linspace(0.3, 1, 256)))  # without the palest, unseen on white
# Told apart by shape as well, for those who don't see all colours.
PLATFORM_COLOUR, KNOWN_COLOUR, SLICK_COLOUR, EDGE_COLOUR = "#2f4b7c", "#009e73", "#8a8f99", "#555555"
LETTER = 5.5, 9.0  # points, width and height of a figure of a number, with some room
MARKER, FARTHEST = 5.0, 22.0  # points, from a seep to its number


@dataclass(frozen=True)
class SeepMap:
    """What is drawn of one ground, in a plane with x to the right and y up.

    Attributes:
        title: of the panel.
        unit: "m" or "px".
        edges: (k, 2) each, the rings around what the passes saw.
        chords: float64 (n, 2, 2), both ends of each slick.
        p_slick: float64 (n,), of these.
        seeps: all places of the ground in the order of their numbers; columns `x`, `y`, `major`, `minor`, `angle` (of
            the 95 % error ellipse: half axes, and degrees counter-clockwise from the right), `p_seep`, `kind` and
            `reported`.
        known: float64 (m, 2), seeps that are known.
        to_degrees: to longitude and latitude; None without a place on earth.
    """

    title: str
    unit: str
    edges: Sequence[Floats]
    chords: Floats
    p_slick: Floats
    seeps: pd.DataFrame
    known: Floats
    to_degrees: ToDegrees | None = None


@house_style()
def seeps_figure(maps: Sequence[SeepMap]) -> Figure:
    """Draw seeps by their probability, with their error ellipses, over the slicks of all passes.

    Seeps that are reported have a black edge, an ellipse and their number, `seep_id` of tables, as far as numbers don't
    cover each other; others are small. Of many grounds those with the most seeps are drawn.

    Args:
        maps: of all grounds, in the order in which their seeps are numbered on.
    """
    if not maps:
        return note_figure("no map of seeps: no two passes see the same ground")
    most = sorted(range(len(maps)), key=lambda index: (-maps[index].seeps["reported"].sum(), index))[:MOST_PANELS]
    drawn = [maps[index] for index in sorted(most)]
    firsts = np.cumsum([1, *(len(each.seeps) for each in maps)])[sorted(most)].tolist()
    heights = [min(max(WIDTH * _slenderness(each), 2.5), HEIGHT) for each in drawn]
    width = max(NARROWEST[0], *(min(WIDTH, HEIGHT / _slenderness(each)) for each in drawn))
    figure = Figure(figsize=(width + 1.9, sum(heights) + 1.1 * len(drawn) + 0.6), layout="constrained")
    panels = figure.subplots(len(drawn), 1, squeeze=False, height_ratios=heights)[:, 0]
    colours = mpl.cm.ScalarMappable(Normalize(0, 1), COLOURS)
    for axes, each, first, height in zip(panels, drawn, firsts, heights, strict=True):
        low, high = _extent(each)
        per_unit = float(np.min(np.array([width, height]) / (high - low)))
        _panel(axes, each, colours, per_unit)
        _numbers(axes, each.seeps, first, per_unit * POINTS)
    figure.colorbar(colours, ax=panels.tolist(), label="probability of being a seep", shrink=0.6, pad=0.02)
    handles = _handles(any(len(each.known) for each in drawn))
    figure.legend(handles=handles, loc="outside lower center", ncols=2 if width < NARROWEST[1] else 3)
    return figure


def _panel(axes: Axes, drawn: SeepMap, colours: mpl.cm.ScalarMappable, per_unit: float) -> None:
    """Draw all but numbers; `per_unit` inches are a unit of the plane."""
    axes.add_collection(LineCollection(list(drawn.edges), colors=EDGE_COLOUR, linewidths=0.8, zorder=1.5))
    shown = drawn.p_slick >= LEAST_SHOWN
    if shown.any():
        lines = LineCollection(list(drawn.chords[shown]), colors=SLICK_COLOUR, linewidths=0.7, zorder=2)
        lines.set_alpha(list(drawn.p_slick[shown] * 0.8))
        axes.add_collection(lines)
    if len(drawn.known):
        halo = [withStroke(linewidth=3.5, foreground="white")]
        axes.plot(*drawn.known.T, "+", color=KNOWN_COLOUR, ms=13, markeredgewidth=1.5, zorder=2.5, path_effects=halo)
    reported = drawn.seeps[drawn.seeps["reported"]]
    axes.add_collection(
        EllipseCollection(
            2 * reported["major"].to_numpy(),
            2 * reported["minor"].to_numpy(),
            reported["angle"].to_numpy(),
            units="xy",
            offsets=reported[["x", "y"]].to_numpy(),
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors="#222222",
            linewidths=0.7,
            zorder=3,
        )
    )
    _markers(axes, drawn.seeps, colours)
    low, high = _extent(drawn)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.set_title(drawn.title, pad=22)  # above the scale bar and the arrow
    frame(axes, drawn.unit, low, high, per_unit, drawn.to_degrees)


def _markers(axes: Axes, seeps: pd.DataFrame, colours: mpl.cm.ScalarMappable) -> None:
    for is_platform, marker in ((False, "o"), (True, "s")):
        for is_reported, size, edge in ((False, 10, "none"), (True, 30, "black")):
            rows = seeps[((seeps["kind"] == "platform") == is_platform) & (seeps["reported"] == is_reported)]
            faces = PLATFORM_COLOUR if is_platform else colours.to_rgba(rows["p_seep"].to_numpy())
            axes.scatter(rows["x"], rows["y"], size, faces, marker=marker, edgecolors=edge, linewidths=0.6, zorder=4)


def _numbers(axes: Axes, seeps: pd.DataFrame, first: int, scale: float) -> None:
    """Write the number of each reported seep beside it, where there is room; the most probable ones come first.

    Args:
        axes: in which to write.
        seeps: of the ground.
        first: number of the first one.
        scale: points in a unit of the plane.
    """
    points = seeps[["x", "y"]].to_numpy(np.float64) * scale
    taken = [(*point, MARKER, MARKER) for point in points[seeps["reported"].to_numpy(bool)].tolist()]
    halo: list[AbstractPathEffect] = [withStroke(linewidth=2.5, foreground="white")]
    for row in np.flatnonzero(seeps["reported"]).tolist():
        text, ellipse = str(first + row), float(seeps["major"].iloc[row]) * scale
        width, tall = LETTER[0] * len(text) / 2, LETTER[1] / 2
        for dx, dy in _around(min(MARKER + ellipse, FARTHEST), width, tall):
            box = (*(points[row] + [dx, dy]).tolist(), width, tall)
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                label = axes.annotate(
                    text,
                    tuple(seeps[["x", "y"]].iloc[row]),
                    (dx, dy),
                    textcoords="offset points",
                    ha="center",
                    va="center_baseline",
                    fontsize=8,
                    zorder=6,
                )
                label.set_path_effects(halo)
                break


def _around(distance: float, width: float, tall: float) -> Iterator[tuple[float, float]]:
    """Places for the middle of a text around a point, the upper right one first."""
    for angle in np.radians([45, 0, 135, 180, -45, -135, 90, -90]).tolist():
        yield np.cos(angle) * (distance + width), np.sin(angle) * (distance + tall)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two boxes (x, y, half width, half height) do."""
    return abs(one[0] - other[0]) < one[2] + other[2] and abs(one[1] - other[1]) < one[3] + other[3]


def _handles(with_known: bool) -> list[Line2D]:
    def entry(label: str, **look: object) -> Line2D:
        return Line2D([], [], linestyle="", label=label, **look)  # type: ignore[arg-type]

    dark = COLOURS(0.8)
    return [
        entry("seep that is reported, with 95 % error ellipse", marker="o", color=dark, markeredgecolor="black", ms=6),
        entry("seep that is not sure enough", marker="o", color=dark, ms=3),
        entry("platform", marker="s", color=PLATFORM_COLOUR, markeredgecolor="black", ms=6),
        Line2D([], [], color=SLICK_COLOUR, label="candidate, end to end"),
        Line2D([], [], color=EDGE_COLOUR, linewidth=0.8, label="edge of what passes saw"),
        *([entry("seep that is known", marker="+", color=KNOWN_COLOUR, ms=10, mew=1.5)] if with_known else []),
    ]


def _extent(drawn: SeepMap) -> tuple[Floats, Floats]:
    points = np.concatenate(list(drawn.edges))
    margin = 0.02 * float(np.ptp(points, axis=0).max())
    return points.min(axis=0) - margin, points.max(axis=0) + margin


def _slenderness(drawn: SeepMap) -> float:
    """Height of a panel by its width."""
    low, high = _extent(drawn)
    return float((high[1] - low[1]) / (high[0] - low[0]))
