"""A run that never was: scenes with slicks whose places can be told by heart."""

from io import BytesIO

import numpy as np
import pandas as pd
import shapely
from PIL import Image

from seepseg.report.contents import SEEP_COLUMNS, SLICK_COLUMNS, Contents, Review, ReviewItem, ScenePage, Score, Table

ODD = '<b>&"old", oil'  # a class name that breaks what is not escaped or quoted
COLOURS = {"seep": "#a00604", ODD: "#da9338", "platform": "#1010f2"}
SIDE = 400  # pixels of a scene
ORIGIN = (1000, 2000)  # of the first scene in its grid
AROUND = {"p3": ["a2", "p3"], "a2": ["a1", "a2", "p1"], "a3": ["a3", "p2"]}  # what may be in a picture
CORRECTIONS = ["scene", "kind", "decision", "class_name", "outline"]


def contents(num_scenes: int = 3) -> Contents:
    """Contents with as many scenes; the first one lies apart from the corner of its grid."""
    scenes = [scene(index) for index in range(num_scenes)]
    earlier = pd.DataFrame(
        [["scene-1", "annotated", "wrong", "", scenes[0].outlines[1].wkt]] if num_scenes else [], columns=CORRECTIONS
    )
    return Contents(
        title="Slicks of a run that never was",
        summary=[
            "Trained on 2 scenes, tested on 1.",
            "A slick is found in two of three cases, and named rightly in one.",
        ],
        scores={"test": scores(0.05), "oof": scores(0.0)},
        tables=[
            Table("Data", "By scene.", ["scene", "split", "slicks"], [[s.name, s.split, "3"] for s in scenes[:4]]),
            Table(
                "Parameters", "Those that differ.", ["name", "value"], [[f"param {i}", str(i / 4)] for i in range(20)]
            ),
        ],
        figures={"Precision and recall": picture(320, 240, "PNG"), "Confusion": picture(320, 240, "PNG")},
        class_colours=COLOURS,
        scenes=scenes,
        reviews=reviews(scenes),
        corrections=earlier,
        corrections_file="labels/decisions.csv",
    )


def scores(more: float) -> list[Score]:
    """Three scores, one of which is not known."""
    trivial = {"all sea": 0.0, "all slick": 0.04}
    return [
        Score("binary_dice", "Slick or sea", "Of 10 pixels, 7 are on both sides.", 0.673 + more, 0.61, 0.74, trivial),
        Score(
            "macro_dice", "Mean over classes", "Classes are told in one of three cases.", 0.281, 0.24, 0.314, trivial
        ),
        Score("object_f1", "Slicks found", "Not known: no slick is annotated.", None, None, None),
    ]


def scene(index: int) -> ScenePage:
    """A scene of two pairs of slicks, a seep and a platform.

    a1 and p1 are a square of 100 pixels at 50, 50 of the picture and one beside it by 20 pixels, of the same class; a2
    lies alone, with a hole; p3 lies alone in two parts.
    """
    left, top = ORIGIN if index == 0 else (0, 0)
    at = lambda x, y, w, h: shapely.box(left + x, top + y, left + x + w, top + y + h)  # noqa: E731
    holed = at(250, 60, 100, 80).difference(at(280, 80, 30, 30))
    two = shapely.union_all([at(60, 260, 60, 40), at(150, 280, 60, 40)])
    rows = [
        ["a1", "annotated", "seep", "seep", "p1", np.nan, np.nan, 0.67, 10000, 1.0, 0.0, 2.5, 56.25, ""],
        [
            "a2",
            "annotated",
            "platform",
            "",
            "",
            np.nan,
            np.nan,
            0.0,
            7100,
            0.71,
            0.002,
            2.6,
            56.25,
            "wrong" * (index == 0),
        ],
        ["a3", "annotated", "seep", ODD, "p2", np.nan, np.nan, 1.0, 3600, 0.36, 0.003, 2.7, 56.2, ""],
        ["p1", "predicted", "seep", "seep", "a1", 0.91, 0.8, 0.67, 10000, 1.0, 0.001, 2.5, 56.25, ""],
        ["p2", "predicted", ODD, "seep", "a3", 0.85, 0.6, 1.0, 3600, 0.36, 0.003, 2.7, 56.2, ""],
        ["p3", "predicted", ODD, "", "", 0.55, 0.95, 0.0, 4800, 0.48, 0.0041, 2.5, 56.2, ""],
    ]
    outlines = [at(50, 50, 100, 100), holed, at(290, 290, 60, 60), at(70, 50, 100, 100), at(290, 290, 60, 60), two]
    seeps = [
        [1, "seep", "seep", 0.97, True, 0.6, left + 200.0, top + 200.0, 25.0],
        [2, "platform", "platform", 0.7, False, 0.3, left + 240.0, top + 330.0, 12.0],
    ]
    return ScenePage(
        name=f"scene-{index + 1}",
        title=f"Scene {index + 1}, {2019 + index // 12}-{index % 12 + 1:02}-07",
        split="test" if index == 0 else "oof",
        box=(left, top, left + SIDE, top + SIDE),
        spacing=None if index == 1 else 10.0,
        picture=picture(SIDE, SIDE, seed=index),
        thumbnail=picture(160, 160, seed=index),
        correctable=True,
        scores={"binary_dice": None if index == 2 else 0.7 - index / 200, "macro_dice": 0.3, "object_f1": 0.5},
        slicks=pd.DataFrame(rows, columns=list(SLICK_COLUMNS)).astype(SLICK_COLUMNS),
        outlines=outlines,
        seeps=pd.DataFrame(seeps, columns=list(SEEP_COLUMNS)).astype(SEEP_COLUMNS),
    )


def reviews(scenes: list[ScenePage]) -> list[Review]:
    """A kind each with the slicks of all scenes that are of it."""
    kinds = {
        "unannotated": ("p3", "Predicted, not annotated", "The model is sure, and nobody annotated them."),
        "missed": ("a2", "Annotated, not predicted", "The model sees nothing of them."),
        "other_class": ("a3", "Predicted as another class", "Both see a slick, and name it differently."),
    }
    result = []
    for key, (slick_id, title, explanation) in kinds.items():
        items = [review_item(s, slick_id) for s in scenes if not (key == "missed" and s is scenes[0])]
        result.append(Review(key, title, explanation, len(items) + 20, items))
    return result


def review_item(page: ScenePage, slick_id: str) -> ReviewItem:
    """A slick with all that is around it."""
    row = list(page.slicks["slick_id"]).index(slick_id)
    x, y = (int(value) for value in page.outlines[row].centroid.coords[0])
    text = f"{page.slicks['class_name'][row]} of {page.slicks['area_px'][row]} pixels."
    return ReviewItem(
        page.name, slick_id, text, (x - 80, y - 80, x + 80, y + 80), picture(160, 160, seed=x), AROUND[slick_id]
    )


def picture(width: int, height: int, kind: str = "JPEG", seed: int = 0) -> bytes:
    """Speckle that darkens to the left."""
    rng = np.random.default_rng(seed)
    grey = np.linspace(60, 140, width) * rng.gamma(8, 1 / 8, (height, width))
    out = BytesIO()
    Image.fromarray(grey.clip(1, 255).astype(np.uint8)).save(out, kind)
    return out.getvalue()
