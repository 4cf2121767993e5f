"""The map of seeps, by what matplotlib was given to draw."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import EllipseCollection, LineCollection

from seepseg.figures import SeepMap, png_bytes, seeps_figure


def ground(title="one", unit="m", reported=(True, True, False)):
    seeps = pd.DataFrame({"x": [1000.0, 9000, 5000], "y": [1000.0, 4000, 2000], "major": 300.0, "minor": 100.0})
    seeps = seeps.assign(angle=45.0, p_seep=[0.9, 0.8, 0.2], kind=["seep", "platform", "seep"], reported=reported)
    chords = np.array([[[1000, 1000], [3000, 1000]], [[5000, 2000], [6000, 3000]]], float)
    edge = np.array([[0, 0], [10_000, 0], [10_000, 5000], [0, 5000], [0, 0]], float)
    return SeepMap(title, unit, [edge], chords, np.array([0.5, 0.01]), seeps, np.array([[1100.0, 1000]]))


def test_reported_seeps_have_ellipses_and_sure_slicks_lines():
    (axes, _) = seeps_figure([ground()]).axes
    (ellipses,) = [each for each in axes.collections if isinstance(each, EllipseCollection)]
    np.testing.assert_array_equal(ellipses.get_offsets(), [[1000, 1000], [9000, 4000]])
    np.testing.assert_array_equal(ellipses.get_widths(), [600, 600])  # both half axes
    lines = [each for each in axes.collections if isinstance(each, LineCollection)][1]
    assert len(lines.get_segments()) == 1 and list(lines.get_alpha()) == [0.4]  # the other one is none, almost surely
    bar = axes.lines[-1].get_xdata()
    assert np.ptp(bar) == 2000 and axes.texts[0].get_text() == "2 km"


def test_pixels_have_a_bar_in_pixels_and_many_grounds_are_cut_to_the_richest():
    maps = [ground(f"ground {number}", "px", (number > 1, False, False)) for number in range(6)]
    figure = seeps_figure(maps)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [f"ground {number}" for number in (2, 3, 4, 5)]
    assert panels[0].texts[0].get_text() == "2000 pixels"


def numbers_of(axes):
    return [each.get_text() for each in axes.texts if each.get_text().isdigit()]


def test_reported_seeps_have_the_numbers_of_tables():
    """Seeps of the second ground are numbered on after all of the first, which may not be drawn."""
    maps = [ground("one"), ground("two", reported=(False, False, True))]
    one, two = (axes for axes in seeps_figure(maps).axes if axes.get_title())
    assert numbers_of(one) == ["1", "2"] and numbers_of(two) == ["6"]
    maps = [ground(str(number), reported=(number > 0, False, False)) for number in range(5)]
    drawn = [axes for axes in seeps_figure(maps).axes if axes.get_title()]
    assert [numbers_of(axes) for axes in drawn] == [["4"], ["7"], ["10"], ["13"]]


def test_numbers_leave_each_other_and_markers_alone():
    rng = np.random.default_rng(0)
    places = rng.normal([5000, 2500], [900, 400], (60, 2))
    seeps = pd.DataFrame(places, columns=["x", "y"]).assign(major=100.0, minor=50.0, angle=0.0, p_seep=0.9)
    figure = seeps_figure([replace(ground(), seeps=seeps.assign(kind="seep", reported=True))])
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    written = [each for each in axes.texts if each.get_text().isdigit()]
    boxes = [each.get_window_extent() for each in written]
    assert 20 < len(written) < 60 and written[0].get_text() == "1"  # of the most probable, but not of all
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    markers = axes.transData.transform(places)
    assert not any(box.contains(*marker) for box in boxes for marker in markers)


def test_places_on_earth_are_told_in_degrees_with_north_up():
    """A degree is 10 km here; the ground begins at 179.5 E and 5 S."""
    plane = replace(ground(), to_degrees=lambda x, y: ((x / 10_000 + 359.5) % 360 - 180, y / 10_000 - 5))
    axes = seeps_figure([plane]).axes[0]
    ticks = dict(zip([each.get_text() for each in axes.get_xticklabels()], axes.get_xticks(), strict=True))
    assert [round(ticks[text]) for text in ("179.6° E", "180.0°", "179.8° W")] == [1000, 5000, 7000]
    assert axes.get_yticklabels()[0].get_text() == "5.0° S"
    assert "N" in [each.get_text() for each in axes.texts]
    assert "N" not in [each.get_text() for each in seeps_figure([ground(unit="px")]).axes[0].texts]


def test_pixels_count_downwards_as_in_tables():
    figure = seeps_figure([replace(ground(unit="px"), edges=[np.array([[0, -500], [900, -500], [900, 0], [0, 0]])])])
    FigureCanvasAgg(figure).draw()
    labels = {each.get_text() for each in figure.axes[0].get_yticklabels()}
    assert {"0", "200", "400"} <= labels and "-0" not in labels


def test_equal_maps_give_equal_bytes_and_no_map_a_note():
    assert png_bytes(seeps_figure([ground()]), 50) == png_bytes(seeps_figure([ground()]), 50)
    assert "no two passes" in seeps_figure([]).texts[0].get_text()


def test_passes_without_a_slick_are_drawn():
    """As in calm archives: nothing was found, and nothing is wrong."""
    full = ground()
    calm = replace(full, chords=full.chords[:0], p_slick=full.p_slick[:0], seeps=full.seeps[:0])
    assert png_bytes(seeps_figure([calm]), 50)
