"""Faults planted into annotations, what an ideal annotator decides about listed slicks, and which faults are found."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from affine import Affine
from rasterio.features import rasterize

from seepseg.base.errors import InputError
from seepseg.data.corrections import COLUMNS, OTHER_CLASS, PREDICTED, RIGHT, WRONG

LEFT_OUT, INVENTED, RENAMED = FAULTS = ("left_out", "invented", "other_class")
GAP = 10  # pixels between an invented slick and any other
ATTEMPTS = 1000

Targets = Mapping[str, npt.NDArray[np.uint8]]  # the grid of each scene, (H, W), 0..K


def plant(
    slicks: pd.DataFrame, has_data: Mapping[str, npt.NDArray[np.bool_]], share: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Plant faults into annotations: as many of each kind, no slick with two.

    Args:
        slicks: what is true, a row each: `scene`, `class_name`, and `outline` in pixels of the scene's grid.
        has_data: of each scene bool (H, W), its grid.
        share: how many faults of a kind there are for each slick, up to 1/3.
        seed: of all choices.

    Returns:
        The annotations with faults, with the same columns; and the faults: `fault` (left_out, invented: the shape of a
        slick at a place where nothing is, other_class), `scene`, `outline`, and `true_class` and `given_class`, empty
        where there is no slick.

    Raises:
        InputError: there is no room for a slick.
    """
    rng = np.random.default_rng(seed)
    count = round(share * len(slicks))
    left_out, copied, renamed = (slicks.iloc[rows] for rows in np.split(rng.permutation(len(slicks))[: 3 * count], 3))
    names = sorted(slicks["class_name"].unique())
    others = [rng.choice([name for name in names if name != own]) for own in renamed["class_name"]]
    outlines = slicks["outline"].to_numpy(dtype=object)
    taken = {scene: list(outlines[rows]) for scene, rows in slicks.groupby("scene").indices.items()}
    invented = copied.assign(
        outline=[
            _elsewhere(outline, taken[scene], has_data[scene], scene, rng)
            for outline, scene in zip(copied["outline"], copied["scene"], strict=True)
        ]
    )
    annotated = slicks.assign(class_name=slicks["class_name"].mask(slicks.index.isin(renamed.index)))
    annotated.loc[renamed.index, "class_name"] = others
    annotated = pd.concat([annotated.drop(left_out.index), invented], ignore_index=True)
    faults = [
        left_out.assign(fault=LEFT_OUT, true_class=left_out["class_name"], given_class=""),
        invented.assign(fault=INVENTED, true_class="", given_class=invented["class_name"]),
        renamed.assign(fault=RENAMED, true_class=renamed["class_name"], given_class=others),
    ]
    columns = ["fault", "scene", "true_class", "given_class", "outline"]
    return annotated, pd.concat(faults, ignore_index=True)[columns]


def _elsewhere(
    outline: shapely.Geometry,
    taken: list[shapely.Geometry],
    has_data: npt.NDArray[np.bool_],
    scene: str,
    rng: np.random.Generator,
) -> shapely.Geometry:
    """The outline at a place where all pixels have data, and that is far from what is taken, as it is from now on."""
    left, top, right, bottom = map(int, shapely.bounds(outline))
    height, width = has_data.shape
    for _ in range(ATTEMPTS):
        x, y = int(rng.integers(width - (right - left) + 1)), int(rng.integers(height - (bottom - top) + 1))
        moved = shapely.transform(outline, lambda points, by=(x - left, y - top): points + by)
        if shapely.distance(moved, taken).min() > GAP and has_data[within(moved, has_data.shape)].all():
            taken.append(moved)
            return moved
    raise InputError(f"scene {scene}: expected room for one more slick, found none; plant fewer faults")


def within(outline: shapely.Geometry, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The pixels of a grid (H, W) whose centres lie in an outline, bool."""
    return np.asarray(rasterize([outline], shape, transform=Affine.identity(), dtype="uint8"), bool)


def judge(listed: pd.DataFrame, truth: Targets, class_names: Sequence[str]) -> pd.DataFrame:
    """What somebody decides on the page who knows the truth, and takes what is listed as it is outlined.

    A slick is one if most of its pixels are, of the class that most of these have. Where a predicted slick is none, or
    is of the class that is annotated there, the annotation is left as it is.

    Args:
        listed: a row each: `scene`, `kind`, `class_name`, `other_class` (see `seepseg.report.contents`), `outline`.
        truth: of all scenes.
        class_names: the K classes.

    Returns:
        A row of corrections for each.
    """
    rows = []
    for slick in listed.to_dict("records"):
        target = truth[slick["scene"]]
        counts = np.bincount(target[within(slick["outline"], target.shape)], minlength=len(class_names) + 1)
        is_slick = 2 * counts[0] <= counts.sum()
        true_class = class_names[int(counts[1:].argmax())] if is_slick else ""
        if not is_slick or (slick["kind"] == PREDICTED and true_class == slick["other_class"]):
            decision, true_class = WRONG, ""
        else:
            decision = RIGHT if true_class == slick["class_name"] else OTHER_CLASS
        rows.append((slick["scene"], slick["kind"], decision, true_class, slick["outline"].wkt))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def ranks(faults: pd.DataFrame, listed: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Which listed slicks are planted faults: those that share at least half of the smaller one of both.

    Args:
        faults: see `plant`.
        listed: a row each: `scene`, `outline`, and `rank` in its list, 1 for the first.

    Returns:
        Of each fault the best rank, NaN where no list has it; of each listed slick whether it is a fault.
    """
    best = pd.Series(np.nan, faults.index)
    is_fault = pd.Series(False, listed.index)
    for number, fault in faults.iterrows():
        here = listed[listed["scene"] == fault["scene"]]
        outlines = here["outline"].to_numpy(dtype=object)
        shared = shapely.area(shapely.intersection(outlines, fault["outline"]))
        hit = here.index[2 * shared >= np.minimum(shapely.area(outlines), fault["outline"].area)]
        best[number] = listed.loc[hit, "rank"].min()
        is_fault[hit] = True
    return best, is_fault


def repaired(faults: pd.DataFrame, before: Targets, after: Targets, truth: Targets) -> pd.Series:
    """Whether most of the pixels that each fault made wrong are right again.

    Args:
        faults: see `plant`.
        before: targets with faults.
        after: targets as corrected.
        truth: targets without faults.
    """
    found = []
    for fault in faults.to_dict("records"):
        old, new, true = (each[fault["scene"]] for each in (before, after, truth))
        wrong = within(fault["outline"], true.shape) & (old != true)
        found.append(2 * np.count_nonzero(new[wrong] == true[wrong]) > np.count_nonzero(wrong))
    return pd.Series(found, faults.index, dtype=bool)
