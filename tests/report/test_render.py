import json
import re
from dataclasses import replace

import pytest
import shapely
from made_up_page import ODD, ORIGIN, contents

from seepseg.report.contents import Score
from seepseg.report.page import render, score_bar, wkt
from seepseg.report.scene_map import empty_map


@pytest.fixture(scope="module")
def html():
    return render(contents())


def block(html, name):
    """Data within the page."""
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', html, re.S)[1])


def test_the_same_bytes_each_time(html):
    assert render(contents()) == html
    assert empty_map() == empty_map()


def test_names_are_escaped_in_text_and_data(html):
    assert "&lt;b&gt;&amp;&#34;old&#34;, oil" in html
    assert "<b>&" not in html
    assert block(html, "settings")["class_colours"][1] == [ODD, "#da9338"]


def test_loads_nothing(html):
    page = html.replace(html[html.index("BEGIN bokeh") : html.index("END bokeh")], "")  # names addresses, asks for none
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert {address[:1] if address.startswith("#") else address[:5] for address in addresses} == {"#", "data:"}
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")  # the name of SVG, which is no address


def test_scenes_are_data_with_gaps_as_null(html):
    scene = block(html, "scene-0")
    slicks = {slick["slick_id"]: slick for slick in scene["slicks"]}
    assert scene["box"] == [*ORIGIN, ORIGIN[0] + 400, ORIGIN[1] + 400] and scene["spacing"] == 10.0
    assert slicks["a1"]["p_slick"] is None and slicks["p1"]["p_slick"] == 0.91
    assert shapely.from_wkt(slicks["a2"]["outline"]).equals(contents().scenes[0].outlines[1])
    assert block(html, "scene-1")["spacing"] is None
    assert block(html, "settings")["corrections"][0]["decision"] == "wrong"


def test_outlines_are_whole_numbers():
    square = shapely.Polygon([(0, 0), (12, 0), (12, 7.0)])
    assert wkt(square) == "POLYGON ((0 0, 12 0, 12 7, 0 0))"


def test_bar_of_a_score():
    score = Score("dice", "Dice", "", 0.5, 0.25, 0.625, {"all sea": 0.0, "none": None, "more": 1.2})
    assert score_bar(score) == {"low": 25.0, "width": 37.5, "value": 50.0, "baselines": [0.0, 100.0]}
    assert score_bar(replace(score, low=None, high=None))["width"] == 0.0
    assert score_bar(replace(score, value=None)) is None


def test_a_run_with_nothing_to_look_at_says_so(html):
    assert "annotation and prediction agree" in render(replace(contents(0), reviews=[]))
    assert "annotation and prediction agree" not in html
