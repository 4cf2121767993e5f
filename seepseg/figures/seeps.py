"""The map of seeps: where they are, how sure that is, and the slicks that tell of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from seepseg.figures.style import house_style, note_figure

Floats = npt.NDArray[np.float64]

MOST_PANELS = 4
LEAST_SHOWN = 0.05  # probability of a slick, from which its chord is drawn: it is as opaque as that is
WIDTH = 9.0  # inches, of the widest panel
COLOURS = ListedColormap(mpl.colormaps["RdPu"](np.linspace(0.3, 1, 256)))  # without the palest, unseen on white
PLATFORM_COLOUR, KNOWN_COLOUR, SLICK_COLOUR, EDGE_COLOUR = "#2f4b7c", "#0b8a3a", "#8a8f99", "#555555"


@dataclass(frozen=True)
class SeepMap:
    """What is drawn of one ground, in a plane with x to the right and y up.

    Attributes:
        title: of the panel.
        unit: "m" or "px".
        edges: (k, 2) each, the rings around what the passes saw.
        chords: float64 (n, 2, 2), both ends of each slick.
        p_slick: float64 (n,), of these.
        seeps: columns `x`, `y`, `major`, `minor`, `angle` (of the 95 % error ellipse: half axes, and degrees
            counter-clockwise from the right), `p_seep`, `kind` and `reported`.
        known: float64 (m, 2), seeps that are known.
    """

    title: str
    unit: str
    edges: Sequence[Floats]
    chords: Floats
    p_slick: Floats
    seeps: pd.DataFrame
    known: Floats


@house_style()
def seeps_figure(maps: Sequence[SeepMap]) -> Figure:
    """Draw seeps by their probability, with their error ellipses, over the slicks of all passes.

    Seeps that are reported have a black edge and an ellipse, others are small. Of many grounds those with the most
    seeps are drawn.
    """
    if not maps:
        return note_figure("no map of seeps: no two passes see the same ground")
    most = sorted(range(len(maps)), key=lambda index: (-maps[index].seeps["reported"].sum(), index))[:MOST_PANELS]
    drawn = [maps[index] for index in sorted(most)]
    heights = [min(max(_height(each), 2.5), 9.0) for each in drawn]
    figure = Figure(figsize=(WIDTH + 1.4, sum(heights) + 0.7 * len(drawn) + 0.5), layout="constrained")
    panels = figure.subplots(len(drawn), 1, squeeze=False, height_ratios=heights)[:, 0]
    colours = mpl.cm.ScalarMappable(Normalize(0, 1), COLOURS)
    for axes, each in zip(panels, drawn, strict=True):
        _panel(axes, each, colours)
    figure.colorbar(colours, ax=panels.tolist(), label="probability of being a seep", shrink=0.6, pad=0.02)
    figure.legend(handles=_handles(any(len(each.known) for each in drawn)), loc="outside lower center", ncols=5)
    return figure


def _panel(axes: Axes, drawn: SeepMap, colours: mpl.cm.ScalarMappable) -> None:
    axes.add_collection(LineCollection(list(drawn.edges), colors=EDGE_COLOUR, linewidths=0.8))
    shown = drawn.p_slick >= LEAST_SHOWN
    if shown.any():
        lines = LineCollection(list(drawn.chords[shown]), colors=SLICK_COLOUR, linewidths=0.7, zorder=2)
        lines.set_alpha(list(drawn.p_slick[shown] * 0.8))
        axes.add_collection(lines)
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
    if len(drawn.known):
        axes.plot(*drawn.known.T, "+", color=KNOWN_COLOUR, markersize=9, markeredgewidth=1.3, zorder=5)
    low, high = _extent(drawn)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xticks=[], yticks=[], title=drawn.title)
    axes.spines[["left", "bottom"]].set_visible(False)
    _scale_bar(axes, drawn.unit, low, high)


def _markers(axes: Axes, seeps: pd.DataFrame, colours: mpl.cm.ScalarMappable) -> None:
    for is_platform, marker in ((False, "o"), (True, "s")):
        for is_reported, size, edge in ((False, 10, "none"), (True, 30, "black")):
            rows = seeps[((seeps["kind"] == "platform") == is_platform) & (seeps["reported"] == is_reported)]
            faces = PLATFORM_COLOUR if is_platform else colours.to_rgba(rows["p_seep"].to_numpy())
            axes.scatter(rows["x"], rows["y"], size, faces, marker=marker, edgecolors=edge, linewidths=0.6, zorder=4)


def _scale_bar(axes: Axes, unit: str, low: Floats, high: Floats) -> None:
    """A bar of a round length, about a fifth of the panel."""
    wanted = (high[0] - low[0]) / 5
    power = 10.0 ** np.floor(np.log10(wanted))
    length = max(step * power for step in (1, 2, 5) if step * power <= wanted)
    label = f"{length:g} pixels" if unit == "px" else f"{length / 1000:g} km"
    left, bottom = low + 0.02 * (high - low)
    axes.plot([left, left + length], [bottom, bottom], color="black", linewidth=2.5, solid_capstyle="butt", zorder=6)
    axes.annotate(label, (left + length, bottom), (5, 0), textcoords="offset points", va="center", fontsize=8)


def _handles(with_known: bool) -> list[Line2D]:
    def entry(label: str, **look: object) -> Line2D:
        return Line2D([], [], linestyle="", label=label, **look)  # type: ignore[arg-type]

    dark = COLOURS(0.8)
    return [
        entry("seep that is reported, with 95 % error ellipse", marker="o", color=dark, markeredgecolor="black", ms=6),
        entry("seep that is not sure enough", marker="o", color=dark, ms=3),
        entry("platform", marker="s", color=PLATFORM_COLOUR, markeredgecolor="black", ms=6),
        Line2D([], [], color=SLICK_COLOUR, label="slick"),
        *([entry("seep that is known", marker="+", color=KNOWN_COLOUR, ms=9)] if with_known else []),
    ]


def _extent(drawn: SeepMap) -> tuple[Floats, Floats]:
    points = np.concatenate(list(drawn.edges))
    margin = 0.02 * float(np.ptp(points, axis=0).max())
    return points.min(axis=0) - margin, points.max(axis=0) + margin


def _height(drawn: SeepMap) -> float:
    low, high = _extent(drawn)
    return float(WIDTH * (high[1] - low[1]) / (high[0] - low[0]))
