"""A page of `dvc plots`, from the plots of the pipeline, in a browser."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from page_driver import Page, start_browser

from tools.plots_page import main

ROOT = Path(__file__).parents[2]
# One of our own templates, and one of DVC's.
PLOTS = """
plots:
- reliability.csv: {template: reliability, title: Reliability}
- curve.csv: {x: step, y: loss, title: Loss}
"""


def run(folder, *command):
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def page(tmp_path):
    run(tmp_path, "git", "init", "--quiet")
    run(tmp_path, sys.executable, "-m", "dvc", "init", "--quiet")
    main(tmp_path)
    shutil.copytree(ROOT / ".dvc/plots", tmp_path / ".dvc/plots")
    (tmp_path / "dvc.yaml").write_text(PLOTS)
    (tmp_path / "curve.csv").write_text("step,loss\n0,1\n1,0.5\n2,0.25\n")
    rows = "test,0.125,0.25,100\ntest,0.75,0.5,10\noof,0.25,0.5,50\n"
    (tmp_path / "reliability.csv").write_text(f"split,probability,slick_share,pixels\n{rows}")
    run(tmp_path, sys.executable, "-m", "dvc", "plots", "show")
    driver = start_browser(tmp_path)
    yield Page(driver, tmp_path / "dvc_plots/index.html")
    driver.quit()


def test_plots_are_drawn_without_a_request(page):
    page.driver.get(page.path.as_uri())
    page.until("return document.querySelectorAll('.vega-embed canvas, .vega-embed svg.marks').length === 2")
    assert page.js("return [...document.querySelectorAll('.vega-embed canvas')].every(each => each.width > 300)")
    assert [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"] == []
    events = (json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance"))
    sent = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    assert page.path.as_uri() in sent and not {url.split(":")[0] for url in sent} & {"http", "https", "ws", "wss"}
