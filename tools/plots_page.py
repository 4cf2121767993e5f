"""Let the pages of `dvc plots` work without a network; `make` runs this after each install.

DVC's own page loads Vega, which draws the plots, from a server. This writes .dvc/plots_page.html, the same page with
Vega within, and names it in .dvc/config.local; git ignores both. Another page that is configured stays.
"""

from importlib.resources import files
from pathlib import Path

from dvc.config import Config
from dvc_render.html import HTML, PAGE_HTML

PAGE = "plots_page.html"
SCRIPTS = ("vega5.js", "vega-lite5.js", "vega-embed6.js")  # in this order


def main(root: Path = Path()) -> None:
    """Write the page and configure it."""
    folder = root / ".dvc"
    (folder / PAGE).write_text(page(), encoding="utf-8")
    config = Config(str(folder))
    if not config.get("plots", {}).get("html_template"):
        with config.edit("local") as local:
            local.setdefault("plots", {})["html_template"] = PAGE


def page() -> str:
    """The page into which DVC puts plots."""
    vega = files("js_lib_vega_embed") / "static/js_lib_vega_embed"
    scripts = "\n".join(f"<script>{(vega / name).read_text(encoding='utf-8')}</script>" for name in SCRIPTS)
    return str(PAGE_HTML).replace(f"{{{HTML.SCRIPTS_PLACEHOLDER}}}", scripts)


if __name__ == "__main__":
    main()
