"""The map of the page, drawn by Bokeh: empty, for map.js to fill with the scene that is chosen."""

from functools import partial
from typing import Any, Literal

from bokeh.core.types import ID
from bokeh.embed import json_item
from bokeh.models import (
    BasicTickFormatter,
    BoxZoomTool,
    ColumnDataSource,
    HoverTool,
    PanTool,
    Range1d,
    ResetTool,
    WheelZoomTool,
)
from bokeh.models.annotations import MetricLength, ScaleBar
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure
from bokeh.resources import Resources

INK = "#1b2a33"
QUIET = "#51626d"
HALO = "#ffffff"  # beneath lines, as some classes are as dark as the sea
SLICK_FIELDS = ("xs", "ys", "colour", "name", "other", "p_slick", "p_class", "overlap", "area", "place")
SEEP_FIELDS = ("x", "y", "radius", "marker", "size", "fill", "name", "p_seep", "rate", "error")


def bokeh_script() -> str:
    """Bokeh's own code, of which the map needs the core only: all controls of the page are those of the browser."""
    return "\n".join(Resources(mode="inline", components=["bokeh"], log_level="error").js_raw)


def empty_map() -> dict[str, Any]:
    """Build the map without a scene.

    Returns:
        What `Bokeh.embed.embed_item` takes, the same bytes however often this is called. Its models bear names: `map`,
        `scale`, `metres`, and `picture`, `predicted`, `annotated`, `chosen`, `seeps`, the columns that are drawn.
    """
    plot = figure(
        name="map",
        x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=1, end=0),  # rows run downwards
        sizing_mode="stretch_both",
        min_height=300,
        tools=[],
        toolbar_location="right",
        x_axis_label="pixels",
        y_axis_label="pixels",
        background_fill_color="#e9eef1",
        outline_line_color="#c2ced5",
    )
    plot.toolbar.logo = None
    for axis in plot.axis:
        axis.formatter = BasicTickFormatter(use_scientific=False)
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = "#8a9aa5"
        axis.major_label_text_color = axis.axis_label_text_color = QUIET
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font = axis.major_label_text_font = "system-ui, sans-serif"
    plot.grid.visible = False
    pan, wheel = PanTool(), WheelZoomTool()
    plot.add_tools(pan, wheel, BoxZoomTool(match_aspect=True), ResetTool())
    plot.toolbar.active_drag, plot.toolbar.active_scroll = pan, wheel
    _draw_slicks(plot)
    _draw_seeps(plot)
    plot.add_layout(_scale_bar())
    return _renumbered(dict(json_item(plot, ID("map"))))


def _draw_slicks(plot: figure) -> None:
    """The picture, a band around the slick that is chosen, predicted slicks filled, annotated ones as dashed lines."""
    picture = ColumnDataSource({"url": [], "x": [], "y": [], "w": [], "h": []}, name="picture")
    plot.image_url("url", "x", "y", "w", "h", anchor="top_left", source=picture)
    sources = {name: ColumnDataSource({k: [] for k in SLICK_FIELDS}, name=name) for name in ("predicted", "annotated")}
    chosen = ColumnDataSource({"xs": [], "ys": []}, name="chosen")
    line = partial(plot.multi_polygons, xs="xs", ys="ys", fill_alpha=0, line_join="round")
    line(line_color=INK, line_width=11, source=chosen)
    line(line_color=HALO, line_width=8, source=chosen)
    predicted = plot.multi_polygons(
        xs="xs",
        ys="ys",
        fill_color="colour",
        fill_alpha=0.45,
        line_color="colour",
        line_width=1.5,
        source=sources["predicted"],
    )
    line(line_color=HALO, line_alpha=0.7, line_width=3.5, source=sources["annotated"])
    annotated = line(line_color="colour", line_width=2, line_dash=[6, 3], source=sources["annotated"])
    places = {"overlap": "overlap", "area": "area", "place": "place"}
    sure = {"is a slick": "p_slick", "is of this class": "p_class"}
    fields = {"predicted": "name", **sure, "annotated here": "other", **places}
    plot.add_tools(_hover(predicted, fields, "right"))
    plot.add_tools(_hover(annotated, {"annotated": "name", "predicted here": "other", **places}, "left"))


def _draw_seeps(plot: figure) -> None:
    """Seeps as points within the circles of their errors."""
    source = ColumnDataSource({name: [] for name in SEEP_FIELDS}, name="seeps")
    plot.circle("x", "y", radius="radius", fill_alpha=0, line_color=HALO, line_alpha=0.7, line_width=4, source=source)
    plot.circle("x", "y", radius="radius", fill_alpha=0, line_color=INK, line_width=1.5, source=source)
    points = plot.scatter(
        "x", "y", marker="marker", size="size", fill_color="fill", line_color=INK, line_width=1.2, source=source
    )
    fields = {"": "name", "is no chance": "p_seep", "recurrence rate": "rate", "error radius": "error"}
    plot.add_tools(_hover(points, fields, "above"))


def _hover(drawn: "GlyphRenderer[Any]", fields: dict[str, str], side: Literal["left", "right", "above"]) -> HoverTool:
    """What is told at the pointer: columns by their names for people. Bokeh escapes what is in the columns."""
    rows = "".join(
        f'<span style="color:{QUIET}">{name}</span><span>@{column}</span>' for name, column in fields.items()
    )
    html = f'<div style="display:grid;grid-template-columns:auto auto;gap:1px 10px;font-size:13px">{rows}</div>'
    return HoverTool(renderers=[drawn], tooltips=html, point_policy="follow_mouse", attachment=side, visible=False)


def _scale_bar() -> ScaleBar:
    """A bar in metres or kilometres, told by a range of its own, as that of the map is in pixels."""
    return ScaleBar(
        name="scale",
        range=Range1d(start=0, end=1, name="metres"),
        unit="m",
        dimensional=MetricLength(ticks=[1, 2, 5, 10, 20, 50, 100, 200, 500], include=["m", "km"]),
        location="bottom_left",
        background_fill_alpha=0.85,
        border_line_color=None,
        visible=False,
    )


def _renumbered(item: dict[str, Any]) -> dict[str, Any]:
    """Number the models anew from 1, as Bokeh numbers all that it makes in a process."""
    numbers: dict[str, str] = {}

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: number(value) if key == "id" else walk(value) for key, value in node.items()}
        return [walk(value) for value in node] if isinstance(node, list | tuple) else node

    def number(key: str) -> str:
        return numbers.setdefault(key, f"m{len(numbers) + 1}")

    root = number(item["root_id"])
    return {**walk(item), "root_id": root}
