from dataclasses import replace

import pytest
import shapely
from made_up_page import COLOURS, ODD, ORIGIN, SIDE, contents
from page_driver import Page, start_browser

from seepseg.data.corrections import read_corrections
from seepseg.report.page import render

LEFT, TOP = ORIGIN
SCHEMES = {"file", "data", "blob", "about"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def driver(folder):
    driver = start_browser(folder)
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, folder):
    path = folder / "index.html"
    if not path.is_file():
        path.write_text(render(contents()), encoding="utf-8")
    return Page(driver, path).open()


def at(*points):
    """Pixels of the first scene's picture as pixels of its grid."""
    return [(LEFT + x, TOP + y) for x, y in points]


def test_opens_without_an_error_and_asks_for_nothing(page):
    for thumb in page.all(".thumb"):
        thumb.click()
    page.js("window.scrollTo(0, document.body.scrollHeight)")
    assert page.errors() == []
    assert {address.split(":")[0] for address in page.requests()} <= SCHEMES


def test_what_asks_for_something_is_told(page):
    page.js("new Image().src = 'http://127.0.0.1:9/picture.png'")
    page.until("return new Promise((end) => setTimeout(() => end(true), 300))")
    assert "violates" in page.errors()[0]  # the page forbids it, and the test above sees it


def test_map_shows_the_scene_with_square_pixels_and_rows_downwards(page):
    left, top, right, bottom = page.window()
    assert left <= LEFT < LEFT + SIDE <= right and top <= TOP < TOP + SIDE <= bottom
    (x0, y0), (x1, y1) = page.on_screen(LEFT, TOP), page.on_screen(LEFT + SIDE, TOP + SIDE)
    assert abs((x1 - x0) - (y1 - y0)) <= 1 and y1 > y0
    assert page.drawn("picture.x") == [LEFT] and page.drawn("picture.h") == [SIDE]


def test_map_is_panned_zoomed_and_reset(page):
    before = page.window()
    page.point(*at((200, 20))[0], drag=(60, 30))
    after = page.window()
    pixel = (before[2] - before[0]) / page.js("return Bokeh.documents[0].get_model_by_name('map').inner_width")
    assert [round((b - a) / pixel) for a, b in zip(after, before, strict=True)] == [60, 30, 60, 30]
    page.click("#zoom-in")
    inner = page.window()
    assert round((inner[2] - inner[0]) / (after[2] - after[0]), 3) == 0.7
    page.click("#whole")
    assert page.window() == pytest.approx(before)


def test_a_row_chooses_its_slick_and_the_map_goes_there(page):
    page.click("tr[data-slick=a2]")
    assert page.chosen() == ["a2"]
    (rings,) = page.drawn("chosen.xs")[0]
    assert len(rings) == 2 and min(rings[0]) == LEFT + 250  # with its hole
    left, top, right, bottom = page.window()
    assert (left + right) / 2 == LEFT + 300 and (top + bottom) / 2 == TOP + 100
    assert bottom - top == pytest.approx(200)  # twice the longer side
    assert "Annotated slick a2" in page.one("#slick").text and "wrong" in page.one("#slick").text


def test_a_click_on_the_map_chooses_the_row_and_further_ones_what_lies_beneath(page):
    page.click("#slicks th:nth-child(1) button")
    (place,) = at((100, 100))
    page.point(*place, click=True)
    first = page.until("return document.querySelector('tr[aria-selected=true]')?.dataset.slick")
    page.js("window.before = arguments[0]", first)
    page.driver.implicitly_wait(0)
    page.until("return new Promise((end) => setTimeout(() => end(true), 500))")  # no double click
    page.point(*place, click=True)
    second = page.until(
        "const now = document.querySelector('tr[aria-selected=true]')?.dataset.slick; return now !== before && now"
    )
    assert {first, second} == {"a1", "p1"}
    page.until("return new Promise((end) => setTimeout(() => end(true), 500))")
    page.point(*at((295, 95))[0], click=True)  # the hole of a2
    page.until("return !document.querySelector('tr[aria-selected=true]')")
    page.point(*at((180, 300))[0], click=True)  # the second part of p3
    page.until("return document.querySelector('tr[aria-selected=true]')?.dataset.slick === 'p3'")


def test_names_under_the_pointer_are_text(page):
    page.point(*at((90, 280))[0])
    shown = "const tip = document.querySelector('.bk-Tooltip')?.shadowRoot; return tip?.textContent"
    page.until(f"{shown}.includes('annotated here')")
    text = page.js(shown)
    assert f"{ODD} (p3)" in text and "0.55" in text and "0.48 km²" in text and "56.2000° N, 2.5000° E" in text
    assert page.js(shown.replace("?.textContent", ".querySelector('b')")) is None


def test_filters_hide_rows_and_outlines(page):
    assert page.rows() == ["p3", "a3", "p2", "a2", "p1", "a1"]  # by cost
    page.click("#filters input[value=annotated]")
    assert page.rows() == ["p3", "p2", "p1"] and page.drawn("annotated.name") == []
    page.set("#least", "0.85", "input")
    assert page.rows() == ["p2", "p1"] and page.drawn("predicted.name") == [f"{ODD} (p2)", "seep (p1)"][::-1]
    page.click("#filters input[value=seep]")
    assert page.rows() == ["p2"]
    assert page.drawn("predicted.colour") == [COLOURS[ODD]]
    page.click("#filters input[value=seeps]")
    assert page.drawn("seeps.x") == []


def test_table_is_sorted_with_gaps_last(page):
    page.click("#slicks th:nth-child(4) button")
    assert page.rows()[:3] == ["p1", "p2", "p3"]
    page.click("#slicks th:nth-child(4) button")
    assert page.rows()[:3] == ["p3", "p2", "p1"]
    assert page.one("#slicks th[aria-sort=ascending]").text.strip().startswith("p_slick")


LEAVING = "return !window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"


def test_decisions_come_back_as_corrections(page, folder):
    page.click("[data-review='0'] article[data-scene=scene-1] input[value=right]")  # p3, by its card
    page.click("tr[data-slick=p1]")
    page.click("#slick input[value=wrong]")
    assert page.one("#count").text == "2 decisions, not saved yet"
    page.click("[data-review='1'] article[data-scene=scene-2] input[value=other_class]")
    assert page.one("#count").text == "2 decisions, not saved yet; 1 without a class"
    page.set("[data-review='1'] article[data-scene=scene-2] select", ODD, "change")
    assert page.one("#count").text == "3 decisions, not saved yet"
    assert page.js(LEAVING)  # the browser asks

    saved = read_corrections(page.saved(folder), list(COLOURS))
    rows = saved[["scene", "kind", "decision", "class_name"]].to_numpy().tolist()
    assert rows == [
        ["scene-1", "annotated", "wrong", ""],  # that of earlier
        ["scene-1", "predicted", "right", ODD],
        ["scene-1", "predicted", "wrong", ""],
        ["scene-2", "annotated", "other_class", ODD],
    ]
    first, second, _ = contents().scenes
    expected = [first.outlines[1], first.outlines[5], first.outlines[3], second.outlines[1]]
    assert saved["outline"].tolist() == [shapely.to_wkt(outline, trim=True) for outline in expected]
    assert page.one("#count").text == "all decisions saved"
    assert "Saved as decisions.csv" in page.one("#saved").text
    assert "Put it at labels/decisions.csv and run dvc repro" in page.one("#saved").text
    assert not page.js(LEAVING)
    page.click("[data-review='0'] article[data-scene=scene-1] .undo")
    assert page.one("#count").text == "1 decision, not saved yet"  # the file has one too many
    page.click("[data-review='0'] article[data-scene=scene-1] input[value=wrong]")
    assert page.one("#count").text == "1 decision, not saved yet"


def test_a_later_decision_takes_the_place_of_an_earlier_one(page, folder):
    page.click("tr[data-slick=a2]")
    assert "Judged before: wrong" in page.one("#slick").text
    page.click("#slick input[value=right]")
    page.click("[data-review='0'] article[data-scene=scene-1] input[value=right]")
    page.click("[data-review='0'] article[data-scene=scene-1] .undo")
    saved = read_corrections(page.saved(folder), list(COLOURS))
    assert saved[["kind", "decision", "class_name"]].to_numpy().tolist() == [["annotated", "right", "platform"]]


def test_a_slick_is_judged_alike_on_the_map_and_in_its_card(page):
    card = "[data-review='2'] article[data-scene=scene-2]"
    page.click(f"{card} .card-head a")
    assert page.one(".thumb[aria-pressed=true]").get_attribute("data-scene") == "1" and page.chosen() == ["a3"]
    page.click("#slick input[value=wrong]")
    assert page.one(f"{card} input[value=wrong]").is_selected()
    assert "Annotation is right: leave seep" in page.one(card).text
    assert page.one("tr[data-slick=a3] td:last-child").text == "wrong"


def test_the_keyboard_is_enough(page, folder):
    page.js("document.getElementById('map-frame').focus()")
    before = page.window()
    page.press("ARROW_RIGHT")
    assert page.window()[0] > before[0]
    for _ in range(40):  # toolbar of the map, table heads, then the rows
        page.press("TAB")
        if page.js("return document.activeElement.matches('#slicks tbody tr')"):
            break
    page.press("ARROW_DOWN")
    assert page.chosen() == ["a3"]
    page.js("document.querySelector('#slick input').focus()")
    page.press("ARROW_DOWN")
    assert page.one("#slick input[value=wrong]").is_selected()
    page.js("document.querySelector('#save').focus()")
    (folder / "downloads" / "decisions.csv").unlink(missing_ok=True)
    page.press("ENTER")
    assert page.one("#count").text == "all decisions saved"


def test_all_controls_are_reached_with_the_tabulator(page):
    reached = set()
    for _ in range(150):
        page.press("TAB")
        reached.add(page.js("const e = document.activeElement; return e.id || e.value || e.className || e.tagName"))
        if "BODY" in reached:
            break
    assert {
        "save" if page.one("#save").is_enabled() else "thumb",
        "thumb",
        "annotated",
        ODD,
        "least",
        "zoom-in",
        "map-frame",
    } <= reached
    assert "right" in reached  # decisions of cards


WIDE = """
    const right = document.documentElement.clientWidth + 1;
    const scrolled = (e) => e.closest('.scrolled, #map-frame, svg, script');
    const beyond = (e) => !scrolled(e) && e.getBoundingClientRect().right > right;
    const wide = [...document.querySelectorAll("body *")].filter(beyond);
    const texts = [...document.querySelectorAll('button, label, legend, dt, dd, h3, h4, figcaption')];
    const cut = texts.filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1);
    return [...wide, ...cut].map((e) => e.outerHTML.slice(0, 99));
"""


def test_parts_of_a_scene_are_told_apart(driver, folder):
    """Two parts with the same name, side by side; what is judged in one is not judged in the other."""
    first, second, _ = contents().scenes
    ids = {name: f"{name}0" for name in second.slicks["slick_id"]}
    second = replace(second, name=first.name, slicks=second.slicks.replace({"slick_id": ids}))
    item = replace(contents().reviews[0].items[1], scene=first.name, slick_id="p30", around=["p30"])
    review = replace(contents().reviews[0], items=[item])
    path = folder / "parts.html"
    path.write_text(render(replace(contents(), scenes=[first, second], reviews=[review])), encoding="utf-8")
    page = Page(driver, path).open()
    assert page.one(".card h4").text == "1. Scene 2, 2019-02-07, p30"
    page.click(".thumb[data-scene='1']")
    assert page.one("#scene-title").text.startswith("Scene 2") and set(page.rows()) == set(ids.values())
    assert page.drawn("picture.x") == [0]
    page.click(".thumb[data-scene='0']")
    page.click(".card-head a")
    assert page.chosen() == ["p30"] and page.one(".thumb[aria-pressed=true]").get_attribute("data-scene") == "1"
    page.click("#slick input[value=right]")
    assert page.one(".card input[value=right]").is_selected()
    assert page.errors() == []


def test_what_can_not_be_corrected_is_not_judged(driver, folder):
    first, *others = contents().scenes
    scenes = [replace(first, correctable=False), *others]
    path = folder / "ambiguous.html"
    path.write_text(render(replace(contents(), scenes=scenes)), encoding="utf-8")
    page = Page(driver, path).open()
    page.click("tr[data-slick=p1]")
    assert page.all("#slick input") == [] and "data.grid_columns" in page.one("#slick").text
    assert page.all("article[data-scene=scene-1] input") == []
    assert len(page.all("article[data-scene=scene-2] input")) == 9


def test_of_one_class_no_other_is_offered(driver, folder):
    path = folder / "one_class.html"
    one = contents(2)
    scenes = [replace(s, slicks=s.slicks.assign(class_name="seep")) for s in one.scenes]
    path.write_text(render(replace(one, scenes=scenes, class_colours={"seep": "#a00604"})), encoding="utf-8")
    page = Page(driver, path).open()
    page.click("tr[data-slick=a2]")
    assert [radio.get_attribute("value") for radio in page.all("#slick input")] == ["right", "wrong"]
    assert page.errors() == []


@pytest.mark.parametrize(("width", "text"), [(1440, 100), (1024, 100), (1152, 125), (1024, 125), (400, 100)])
def test_nothing_overflows(page, width, text):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1.25, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        page.js(f"document.documentElement.style.fontSize = '{text}%'")
        page.click("tr[data-slick=p2]")
        assert page.js(WIDE) == []
        assert page.js("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_hundred_scenes_open_in_seconds(driver, folder):
    path = folder / "hundred.html"
    path.write_text(render(contents(100)), encoding="utf-8")
    page = Page(driver, path).open()
    assert page.js("return performance.now()") < 30_000
    assert len(page.all(".card")) == 30  # ten of each kind; more when asked for
    page.click("[data-review='0'] .more button")
    assert len(page.all(".card")) == 40
    page.click(".thumb[data-scene='99']")
    page.until("return document.getElementById('scene-title').textContent.startsWith('Scene 100')")
    assert page.errors() == []
