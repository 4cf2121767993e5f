"""The frame of a map: degrees along its edges and north where it lies on earth, else pixels; and a scale bar."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import ScaledTranslation

Floats = npt.NDArray[np.float64]
ToDegrees = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""From x and y in a plane, (k,) each, to longitude and latitude."""

FRAME_COLOUR, GRID_COLOUR = "#bbbbbb", "#e9e9e9"
TICKS = 0.9, 0.8  # inches, between two along either axis at least
SAMPLES = 65  # places along an axis at which degrees are asked for
POINTS = 72.0  # in an inch
BAR = 9.0  # points, of the scale bar above the map


def frame(
    axes: Axes, unit: str, low: Floats, high: Floats, per_unit: float, to_degrees: ToDegrees | None = None
) -> None:
    """Draw the frame.

    Args:
        axes: of the map, in a plane with x to the right and y up.
        unit: of the plane, "m" or "px".
        low: float64 (2,), x and y of the lower left corner.
        high: likewise of the upper right one.
        per_unit: inches that a unit takes.
        to_degrees: None without a place on earth.
    """
    axes.spines[:].set(visible=True, color=FRAME_COLOUR, linewidth=0.6)
    axes.tick_params(color=FRAME_COLOUR, length=3)
    if to_degrees is None:
        _plain_axes(axes, unit)
    else:
        _degree_axes(axes, to_degrees, low, high, per_unit)
        _north(axes)
    _scale_bar(axes, unit, low, high)


def _plain_axes(axes: Axes, unit: str) -> None:
    """Coordinates as in tables: pixels count downwards."""
    axes.grid(color=GRID_COLOUR, linewidth=0.6)
    axes.set(xlabel=f"x, {_long(unit)}", ylabel=f"y, {_long(unit)}")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{(-value if unit == 'px' else value) + 0.0:g}"))


def _degree_axes(axes: Axes, to_degrees: ToDegrees, low: Floats, high: Floats, per_unit: float) -> None:
    """Longitude along the lower edge and latitude along the left one, with their lines across the map."""
    x, y = (np.linspace(start, end, SAMPLES) for start, end in zip(low, high, strict=True))
    lon, lat = (each.reshape(SAMPLES, SAMPLES) for each in to_degrees(*(each.ravel() for each in np.meshgrid(x, y))))
    middle = float(lon[SAMPLES // 2, SAMPLES // 2])
    lon = (lon - middle + 180) % 360 - 180 + middle  # beyond 180 where the map lies across it
    for values, at_edge, along, axis, ends, apart in (
        (lon, lon[0], x, axes.xaxis, "EW", TICKS[0]),
        (lat, lat[:, 0], y, axes.yaxis, "NS", TICKS[1]),
    ):
        step = _round(float(np.ptp(at_edge)) * apart / (float(np.ptp(along)) * per_unit), up=True)
        levels = np.arange(np.ceil(values.min() / step), np.floor(values.max() / step) + 1) * step
        if len(levels):
            axes.contour(x, y, values, levels, colors=GRID_COLOUR, linewidths=0.6, linestyles="solid", zorder=0.5)
        order = np.argsort(at_edge)
        shown = levels[(levels >= at_edge.min()) & (levels <= at_edge.max())]
        places = np.interp(shown, at_edge[order], along[order])
        axis.set_ticks(places.tolist(), [_degrees(value, step, ends) for value in shown.tolist()])


def _degrees(value: float, step: float, ends: str) -> str:
    """Such as 91.5° W."""
    value = (value + 180) % 360 - 180 if ends == "EW" else value
    decimals = max(-int(np.floor(np.log10(step))), 0)
    on_line = round(abs(value), decimals) in (0, 180)  # neither side
    return f"{abs(value):.{decimals}f}°" + ("" if on_line else f" {ends[int(value < 0)]}")


def _north(axes: Axes) -> None:
    """An arrow above the upper right corner: north, in the middle of the map."""
    arrow = {"arrowstyle": "<|-", "color": "black", "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    foot, head = (axes.transAxes + _up(axes, points) for points in (2.0, 17.0))
    axes.annotate("", (1, 1), (1, 1), xycoords=foot, textcoords=head, arrowprops=arrow, annotation_clip=False)
    by = axes.transAxes + _up(axes, BAR)
    axes.annotate("N", (1, 1), (-6, 0), by, textcoords="offset points", ha="right", va="center", fontweight="bold")


def _up(axes: Axes, points: float) -> ScaledTranslation:
    return ScaledTranslation(0, points / POINTS, axes.figure.dpi_scale_trans)


def _scale_bar(axes: Axes, unit: str, low: Floats, high: Floats) -> None:
    """A bar of a round length above the upper left corner, about a fifth of the panel."""
    length = _round(float(high[0] - low[0]) / 5)
    label = f"{length:g} {_long(unit)}" if unit == "px" else f"{length / 1000:g} km"
    above = axes.get_xaxis_transform() + _up(axes, BAR)
    bar: dict[str, Any] = {
        "color": "black",
        "linewidth": 2.5,
        "solid_capstyle": "butt",
        "clip_on": False,
        "transform": above,
    }
    axes.plot([low[0], low[0] + length], [1, 1], **bar)
    axes.annotate(label, (low[0] + length, 1), (5, 0), above, textcoords="offset points", va="center", fontsize=8)


def _round(wanted: float, up: bool = False) -> float:
    """The nearest of 1, 2 and 5, with any power of ten, that is no larger; or no smaller."""
    power = 10.0 ** np.floor(np.log10(wanted))
    steps = [step * power for step in (1, 2, 5, 10)]
    return float(min(step for step in steps if step >= wanted) if up else max(step for step in steps if step <= wanted))


def _long(unit: str) -> str:
    return "pixels" if unit == "px" else "metres"
