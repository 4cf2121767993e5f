"""Pages of `dvc plots` that load nothing."""

import re
import subprocess
import sys

import pytest

from tools.plots_page import PAGE, main

PLOT = """
plots:
- curve.csv: {x: step, y: loss}
"""


def dvc(folder, *arguments):
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.e2e
def test_the_page_of_dvc_plots_loads_no_script(tmp_path):
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    dvc(tmp_path, "init", "--quiet")
    main(tmp_path)
    (tmp_path / "dvc.yaml").write_text(PLOT)
    (tmp_path / "curve.csv").write_text("step,loss\n0,1\n1,0.5\n")
    dvc(tmp_path, "plots", "show")
    html = (tmp_path / "dvc_plots/index.html").read_text()
    assert "vegaEmbed('#" in html and html.count("<script>") == 3
    assert not re.search(r"<script[^>]*src|<link", html)


def test_each_library_ends_where_it_should(tmp_path):
    """A library that ended its own tag, or held a name of the template, would break the page."""
    (tmp_path / ".dvc").mkdir()
    main(tmp_path)
    text = (tmp_path / ".dvc" / PAGE).read_text()
    assert text.count("</script>") == 3
    assert [text.count(f"{{{name}}}") for name in ("plot_divs", "refresh_tag", "scripts")] == [1, 1, 0]


def test_a_page_that_somebody_configured_stays(tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config.local").write_text("[plots]\n    html_template = mine.html\n")
    main(tmp_path)
    assert (tmp_path / ".dvc/config.local").read_text() == "[plots]\n    html_template = mine.html\n"
