"""What to look at next: slicks where prediction and annotation contradict each other, and one of them is wrong.

What costs most, and is surest, comes first; what people have judged already isn't asked again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from seepseg.report.contents import OF_SPLIT, Review, ReviewItem, ScenePage
from seepseg.report.params import ReportParams
from seepseg.report.pictures import jpeg

SMALLEST = 96  # pixels of the scene that a picture shows in each direction, if there are so many
LARGEST = 320  # pixels of a picture's side
TITLES = {
    "unannotated": "Predicted, not annotated",
    "missed": "Annotated, not predicted",
    "other_class": "Annotated as another class",
}
EXPLANATIONS = {
    "unannotated": "Slicks more likely than not, says the model, and no pixel of them is annotated. Large ones come "
    "first. Where you see a slick, the annotation has forgotten it; where you see none, the model is wrong.",
    "missed": "Of these annotated slicks nothing is predicted, not a pixel. Large ones come first. Where you see no "
    "slick, the annotation is wrong or out of place; where you see one, the model has missed it.",
    "other_class": "The model calls these annotated slicks, which it outlines alike, by another class: the annotation "
    "names them wrongly, or the model does. First what costs macro Dice most, times the probability of that class.",
}


class Place(NamedTuple):
    """A slick: row `slick` of page `page`."""

    page: int
    slick: int


@dataclass(frozen=True)
class ReviewPlaces:
    """Slicks of one kind.

    Attributes:
        key: of the kind.
        total: how many there are.
        places: of the first of them.
    """

    key: str
    total: int
    places: list[Place]


def choose(pages: Sequence[ScenePage], params: ReportParams, min_iou: float) -> list[ReviewPlaces]:
    """Choose what to look at next: what costs most first, times the probability that the prediction is right.

    What stands alone costs binary Dice by its area; macro Dice would put specks of a rare class first. Another class
    costs macro Dice, and only where both sides outline the same slick.

    Args:
        pages: all scenes; of slicks that count alike, those of the first scenes come first.
        params: how many of each kind, and how sure the model has to be.
        min_iou: intersection over union from which on an annotated and a predicted slick are one.
    """
    slicks = pd.concat([_with_others(page).assign(page=n) for n, page in enumerate(pages)])
    predicted, there = slicks["kind"] == "predicted", slicks["other_class"]
    p_other = slicks["p_class_other"].where(slicks["class_name_other"] != slicks["class_name"])
    same = (slicks["overlap"] >= min_iou) & (slicks["p_slick_other"] >= params.sure)
    kinds = {
        "unannotated": (
            predicted & (there == "") & (slicks["p_slick"] >= params.sure),
            slicks["area_px"] * slicks["p_slick"],
        ),
        "missed": (~predicted & (there == ""), slicks["area_px"]),
        "other_class": (~predicted & same & (p_other >= params.sure), slicks["cost"] * p_other),
    }
    return [
        _first(key, slicks.assign(rank=rank)[of_kind & (slicks["decision"] == "")], params.n_review)
        for key, (of_kind, rank) in kinds.items()
    ]


def _with_others(page: ScenePage) -> pd.DataFrame:
    """The slicks of a scene with their `row`, and what is told of the other one, as columns `<name>_other`."""
    slicks = page.slicks.assign(row=range(len(page.slicks)))
    others = slicks.set_index("slick_id")[["class_name", "p_slick", "p_class"]].add_suffix("_other")
    return slicks.join(others, on="other_id")


def _first(key: str, slicks: pd.DataFrame, count: int) -> ReviewPlaces:
    first = slicks.sort_values("rank", ascending=False, kind="stable").head(count)
    places = zip(first["page"].tolist(), first["row"].tolist(), strict=True)
    return ReviewPlaces(key, len(slicks), [Place(*each) for each in places])


def review_item(page: ScenePage, slick: int, key: str, image: npt.NDArray[np.uint16], quality: int) -> ReviewItem:
    """What is shown of a slick.

    Args:
        page: its scene.
        slick: its row there.
        key: of the kind of review.
        image: uint16 (H, W), of the box of the page.
        quality: of the JPEG.
    """
    left, top, right, bottom = box = surroundings(page.outlines[slick], page.box)
    x, y = page.box[:2]
    row = _with_others(page).iloc[slick]
    return ReviewItem(
        page.name,
        row["slick_id"],
        sentence(key, row, page.split),
        box,
        jpeg(image[top - y : bottom - y, left - x : right - x], LARGEST, quality),
        _within(page, box),
    )


def reviews(chosen: Sequence[ReviewPlaces], items: dict[tuple[str, Place], ReviewItem]) -> list[Review]:
    """Put the lists together from their items."""
    return [
        Review(
            each.key,
            TITLES[each.key],
            EXPLANATIONS[each.key],
            each.total,
            [items[each.key, place] for place in each.places],
        )
        for each in chosen
    ]


def surroundings(outline: shapely.Geometry, within: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The part of a picture around a slick: a square of twice its longer side, at least `SMALLEST`, as far as it fits.

    Args:
        outline: of the slick, in whole pixels.
        within: left, top, right and bottom of the picture.

    Returns:
        Left, top, right and bottom; moved, not cut, where the slick is near an edge of the picture.
    """
    ends = shapely.bounds(outline).astype(int).reshape(2, 2).T  # first and end along x, along y
    side = max(SMALLEST, *(2 * (end - first) for first, end in ends.tolist()))
    cut = []
    for (first, end), (low, high) in zip(ends.tolist(), (within[::2], within[1::2]), strict=True):
        length = min(side, high - low)
        start = min(max((first + end - length) // 2, low), high - length)
        cut.append((start, start + length))
    (left, right), (top, bottom) = cut
    return left, top, right, bottom


def sentence(key: str, slick: pd.Series, split: str) -> str:
    """Why a slick, see `_with_others`, is to be looked at, in words with numbers."""
    area = f"{slick['area_px']:,} pixels" + ("" if np.isnan(slick["area_km2"]) else f", {slick['area_km2']:.3g} km²")
    name, p_slick, p_class = slick[
        [f"{each}{'_other' if key == 'other_class' else ''}" for each in ("class_name", "p_slick", "p_class")]
    ]
    sure = f"a slick with probability {p_slick:.2f}, of {name} with {p_class:.2f}"
    what, then = {
        "unannotated": (f"Predicted: {sure} ({area}). Nothing is annotated here", "Annotated so"),
        "missed": (f"Annotated as {slick['class_name']} ({area}). Nothing is predicted here", "Without it"),
        "other_class": (
            f"Annotated as {slick['class_name']} ({area}). Predicted: {sure}; overlap {slick['overlap']:.2f}",
            "Annotated as predicted",
        ),
    }[key]
    points, way = f"{abs(100 * slick['cost']):.2f}", "more" if slick["cost"] >= 0 else "less"
    if points == "0.00":
        points, way = "less than 0.01", "off"
    return f"{what}. {then}, macro Dice of the {OF_SPLIT[split]} would be {points} points (of 100) {way}."


def _within(page: ScenePage, box: tuple[int, int, int, int]) -> list[str]:
    """The slicks in a box."""
    outlines, frame = np.array(page.outlines, dtype=object), shapely.box(*box)
    there = shapely.intersects(outlines, frame) & ~shapely.touches(outlines, frame)
    ids: list[str] = page.slicks["slick_id"].to_numpy()[there].tolist()
    return ids
