"""The page of a run as one HTML file: it loads nothing, and opens from disk.

What people see first is HTML; scenes and slicks to look at are data within the page, which page.js turns into pictures
when they are wanted, so that a hundred scenes stay quick. Outlines are in it once, in steps along the edges of pixels.
"""

import base64
import math
from typing import Any

import numpy as np
import pandas as pd
import shapely
from markupsafe import Markup

from seepseg.report.contents import Contents, ReviewItem, ScenePage, Score
from seepseg.report.layout import environment
from seepseg.report.scene_map import bokeh_script, empty_map

SPLITS = {"test": "Test scenes", "oof": "Training scenes, each predicted by networks that have not seen it"}
SCRIPTS = ("outlines.js", "decisions.js", "map.js", "table.js", "review.js", "page.js")
DECIMALS = 6  # of numbers within the page


def render(contents: Contents) -> str:
    """Write the page of a run.

    Args:
        contents: all that it shows.

    Returns:
        HTML with all pictures, styles and scripts in it, all text escaped; the same bytes for the same contents.
    """
    page = environment().get_template("page.html")
    reviews = [review for review in contents.reviews if review.total]
    number = {(scene.name, slick): i for i, scene in enumerate(contents.scenes) for slick in scene.slicks["slick_id"]}
    return page.render(
        title=contents.title,
        contents=contents,
        splits=[(SPLITS[split], contents.scores[split]) for split in SPLITS if contents.scores.get(split)],
        figures={title: data_uri(png, "image/png") for title, png in contents.figures.items()},
        thumbnails=[data_uri(scene.thumbnail, "image/jpeg") for scene in contents.scenes],
        pictures=[data_uri(scene.picture, "image/jpeg") for scene in contents.scenes],
        scenes=[scene_data(scene) for scene in contents.scenes],
        reviews=reviews,
        items=[[_item_data(item, number[item.scene, item.slick_id]) for item in each.items] for each in reviews],
        settings={
            "class_colours": list(contents.class_colours.items()),  # a list keeps the order of the classes
            "corrections": _records(contents.corrections.fillna("")),
            "corrections_file": contents.corrections_file,
            "scenes": len(contents.scenes),
        },
        map_item=empty_map(),
        bokeh=Markup(bokeh_script()),
        scripts=SCRIPTS,
        bar=score_bar,
    )


def scene_data(scene: ScenePage) -> dict[str, Any]:
    """What page.js needs of a scene, but for its picture: slicks with outlines, and seeps."""
    slicks = _records(scene.slicks)
    for slick, outline in zip(slicks, scene.outlines, strict=True):
        slick["outline"] = svg_path(outline)
    return {
        "name": scene.name,
        "title": scene.title,
        "box": [int(edge) for edge in scene.box],
        "spacing": scene.spacing,
        "correctable": scene.correctable,
        "slicks": slicks,
        "seeps": _records(scene.seeps),
    }


def _item_data(item: ReviewItem, scene: int) -> dict[str, Any]:
    """What page.js needs of a slick to look at, in the scene of that number."""
    return {
        "scene": scene,
        "slick_id": item.slick_id,
        "text": item.text,
        "box": [int(edge) for edge in item.box],
        "picture": data_uri(item.picture, "image/jpeg"),
        "around": item.around,
    }


def score_bar(score: Score) -> dict[str, Any] | None:
    """Where the parts of a score's bar lie, in percent of its width, which is 0 to 1.

    Returns:
        low and width of the interval, value, and the baselines; None where there is no score.
    """
    if score.value is None:
        return None
    low, high = (score.value if end is None else end for end in (score.low, score.high))
    return {
        "low": _percent(low),
        "width": round(_percent(high) - _percent(low), 2),
        "value": _percent(score.value),
        "baselines": [_percent(value) for value in score.baselines.values() if value is not None],
    }


def _percent(share: float) -> float:
    return round(100 * min(max(share, 0.0), 1.0), 2)


def data_uri(content: bytes, kind: str) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def svg_path(outline: shapely.Geometry) -> str:
    """An outline along the edges of pixels as the path of an SVG: `M12,40h3v2h-3z`, polygons apart by blanks.

    That takes a quarter of the text that WKT takes.
    """
    polygons = shapely.get_parts(outline)
    return " ".join("".join(map(_ring, (each.exterior, *each.interiors))) for each in polygons)


def _ring(ring: shapely.LinearRing) -> str:
    points = shapely.get_coordinates(ring).astype(np.int64)
    steps = np.diff(points, axis=0)[:-1].tolist()  # z is the last one
    assert all(0 in step for step in steps), "an outline leaves the edges of pixels"
    x, y = points[0].tolist()
    return f"M{x},{y}{''.join(f'h{across}' if across else f'v{down}' for across, down in steps)}z"


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as JSON has them: NaN, which it lacks, is None."""
    return [{str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, DECIMALS)
    return value
