"""The map of seeps, by what matplotlib was given to draw."""

from dataclasses import replace

import numpy as np
import pandas as pd
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


def test_equal_maps_give_equal_bytes_and_no_map_a_note():
    assert png_bytes(seeps_figure([ground()]), 50) == png_bytes(seeps_figure([ground()]), 50)
    assert "no two passes" in seeps_figure([]).texts[0].get_text()


def test_passes_without_a_slick_are_drawn():
    """As in calm archives: nothing was found, and nothing is wrong."""
    full = ground()
    calm = replace(full, chords=full.chords[:0], p_slick=full.p_slick[:0], seeps=full.seeps[:0])
    assert png_bytes(seeps_figure([calm]), 50)
