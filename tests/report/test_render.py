import json
import re
from dataclasses import replace

import pytest
import shapely
from made_up_page import ODD, ORIGIN, contents
from shapely.affinity import translate

from seepseg.report.contents import Score
from seepseg.report.page import render, score_bar, svg_path
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
    assert slicks["a1"]["outline"] == "M1150,2050v100h-100v-100z"
    assert block(html, "scene-1")["spacing"] is None
    assert block(html, "settings")["corrections"][0]["decision"] == "wrong"


def test_outlines_go_along_the_edges_of_pixels():
    """The ring of a square with a hole, and another square."""
    holed = shapely.Polygon([(5, 7), (5, 2), (9, 2), (9, 7)], [[(6, 3), (7, 3), (7, 4), (6, 4)]])
    assert svg_path(holed) == "M5,7v-5h4v5zM6,3h1v1h-1z"
    assert svg_path(shapely.MultiPolygon([holed, translate(holed, 10)])).split(" ")[1] == "M15,7v-5h4v5zM16,3h1v1h-1z"


def test_parts_of_a_scene_are_told_apart():
    """Two parts with the same name: the slicks of the second one have other numbers."""
    first, second, third = contents().scenes
    others = second.slicks.assign(slick_id=second.slicks["slick_id"] + "0")
    parts = [first, replace(second, name=first.name, slicks=others), third]
    review = contents().reviews[0]
    items = [review.items[0], replace(review.items[1], scene=first.name, slick_id="p30", around=["p30"])]
    html = render(replace(contents(), scenes=parts, reviews=[replace(review, items=items)]))
    assert [(item["scene"], item["slick_id"]) for item in block(html, "review-0")] == [(0, "p3"), (1, "p30")]
    assert [slick["slick_id"] for slick in block(html, "scene-1")["slicks"]][:2] == ["a10", "a20"]


def test_bar_of_a_score():
    score = Score("dice", "Dice", "", 0.5, 0.25, 0.625, {"all sea": 0.0, "none": None, "more": 1.2})
    assert score_bar(score) == {"low": 25.0, "width": 37.5, "value": 50.0, "baselines": [0.0, 100.0]}
    assert score_bar(replace(score, low=None, high=None))["width"] == 0.0
    assert score_bar(replace(score, value=None)) is None


def test_a_run_with_nothing_to_look_at_says_so(html):
    assert "annotation and prediction agree" in render(replace(contents(0), reviews=[]))
    nothing = [replace(review, total=0, items=[]) for review in contents().reviews]
    assert "annotation and prediction agree" in render(replace(contents(0), reviews=nothing))
    assert "annotation and prediction agree" not in html
