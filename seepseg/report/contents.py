"""What the page of a run shows, before it is drawn: values only.

All places are pixels of the whole grid of a scene: x to the right, y downwards, the first pixel reaching from 0, 0 to
1, 1.
"""

from dataclasses import dataclass, field

import pandas as pd
import shapely

OF_SPLIT = {"test": "test scenes", "oof": "training scenes"}
SLICK_COLUMNS = {
    "slick_id": "str",  # a1, a2, ... of annotated slicks, p1, p2, ... of predicted ones, by their numbers in the scene
    "kind": "str",  # annotated | predicted
    "class_name": "str",  # of an annotated slick that of most of its pixels
    "other_class": "str",  # that at its place on the other side, predicted or annotated; empty: none there
    "other_id": "str",  # the slick there with the largest overlap; empty: none
    "p_slick": "float64",  # of predicted slicks; NaN else
    "p_class": "float64",  # probability of class_name, if it is a slick; of predicted slicks
    "overlap": "float64",  # intersection over union with the best slick of the other kind, 0..1
    "area_px": "int64",
    "area_km2": "float64",  # NaN where the scale is not known
    "cost": "float64",  # what macro Dice of the split would gain if the annotation said what is predicted here
    "lon": "float64",  # of a point within; NaN without a place on earth
    "lat": "float64",
    "decision": "str",  # right | wrong | other_class where data.corrections judged it already, else empty
}
SEEP_COLUMNS = {
    "seep_id": "int64",
    "kind": "str",  # seep | platform
    "class_name": "str",
    "p_seep": "float64",
    "reported": "bool",
    "recurrence_rate": "float64",
    "x": "float64",
    "y": "float64",
    "error_radius": "float64",  # pixels
}


@dataclass(frozen=True)
class ScenePage:
    """A scene on the map, or a part of it.

    Attributes:
        name: of the scene; parts of it have the same.
        title: for people, with the date where it is known.
        split: oof or test.
        box: left, top, right, bottom of the picture, in pixels of the grid.
        spacing: metres of a pixel; None where it is not known.
        picture: JPEG, of the scene's pixels or of larger ones.
        thumbnail: JPEG, 160 pixels wide at most.
        correctable: whether corrections can be made to it, see `seepseg.data.corrections.are_correctable`.
        scores: of this scene alone by name: binary_dice, macro_dice, object_f1; None where there is none.
        slicks: `SLICK_COLUMNS`, a row each.
        outlines: of each row of `slicks`, polygons and multipolygons along the edges of pixels.
        seeps: `SEEP_COLUMNS`, of the ground of the scene, those within the picture.
    """

    name: str
    title: str
    split: str
    box: tuple[int, int, int, int]
    spacing: float | None
    picture: bytes
    thumbnail: bytes
    correctable: bool
    scores: dict[str, float | None]
    slicks: pd.DataFrame
    outlines: list[shapely.Geometry]
    seeps: pd.DataFrame


@dataclass(frozen=True)
class ReviewItem:
    """A slick to look at next.

    Attributes:
        scene: its name, which tells the slick together with its `slick_id`.
        slick_id: of `ScenePage.slicks`.
        text: why, a sentence.
        box: of the picture, as in `ScenePage`.
        picture: JPEG of the image around it.
        around: `slick_id` of each slick in the box, this one among them.
    """

    scene: str
    slick_id: str
    text: str
    box: tuple[int, int, int, int]
    picture: bytes
    around: list[str]


@dataclass(frozen=True)
class Review:
    """One kind of what to look at next.

    Attributes:
        key: unannotated | missed | other_class.
        title: for people.
        explanation: what the items have in common, and what a fault of the label would look like; a sentence or two.
        total: how many there are, of which `items` are the first.
        items: those that cost the score most first.
    """

    key: str
    title: str
    explanation: str
    total: int
    items: list[ReviewItem]


@dataclass(frozen=True)
class Score:
    """A score at a glance.

    Attributes:
        name: as in metrics/evaluate.json.
        title: for people.
        meaning: what a geologist reads from it, a sentence with the number in words.
        value, low, high: with its 95 % interval; None where there is none.
        baselines: of trivial predictions, by their names for people.
    """

    name: str
    title: str
    meaning: str
    value: float | None
    low: float | None
    high: float | None
    baselines: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table: the first column is of text, the others are numbers or text as they are to be shown."""

    title: str
    note: str
    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Contents:
    """The whole page.

    Attributes:
        title: of the page.
        summary: what was trained on what, and what came of it, sentences in plain words.
        scores: by split (oof, test), those that count most first.
        tables: data set and leakage, scores by class, parameters that differ from the defaults, seeps, ...
        figures: PNG by title: curves, confusion, reliability.
        class_colours: by class name, #rrggbb.
        scenes: test scenes first.
        reviews: what to look at next.
        corrections: rows that are in data.corrections already, with its columns, so that what is saved holds them, too.
        corrections_file: the file that data.corrections names; empty without one.
    """

    title: str
    summary: list[str]
    scores: dict[str, list[Score]]
    tables: list[Table]
    figures: dict[str, bytes]
    class_colours: dict[str, str]
    scenes: list[ScenePage]
    reviews: list[Review]
    corrections: pd.DataFrame
    corrections_file: str
