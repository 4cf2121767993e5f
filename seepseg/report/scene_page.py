"""A scene as the page shows it."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import shapely

from seepseg.evaluation.confusion import scores
from seepseg.evaluation.objects import object_scores
from seepseg.evaluation.scene_counts import SceneCounts
from seepseg.report.contents import ScenePage
from seepseg.report.params import ReportParams
from seepseg.report.pictures import THUMBNAIL, THUMBNAIL_QUALITY, jpeg
from seepseg.report.scene_slicks import StitchedScene
from seepseg.report.seeps_in_scene import seeps_in_scene

SHOWN = ("binary_dice", "macro_dice", "object_f1")


class Part(NamedTuple):
    """A scene, or a part of it.

    Attributes:
        page: what is shown of it.
        tiles: how many it has.
        km2: of ground that it has data of; NaN where that is unknown.
        date: when it was acquired; empty where that is unknown.
    """

    page: ScenePage
    tiles: int
    km2: float
    date: str


def scene_page(
    scene: StitchedScene,
    counts: SceneCounts,
    slicks: pd.DataFrame,
    outlines: list[shapely.Geometry],
    seeps: pd.DataFrame,
    correctable: bool,
    class_names: Sequence[str],
    params: ReportParams,
) -> ScenePage:
    """Put together what the page shows of a scene.

    Args:
        scene: the scene.
        counts: of it alone.
        slicks: see `seepseg.report.scene_slicks.scene_slicks`.
        outlines: likewise.
        seeps: of all grounds.
        correctable: whether corrections can be made to it.
        class_names: the K classes.
        params: of pictures.
    """
    known = scores(counts.confusion, class_names) | object_scores(*map(int, counts.objects[0]))
    return ScenePage(
        scene.name,
        ", ".join(part for part in (scene.name, scene.tile, scene.date) if part),
        scene.split,
        scene.box,
        scene.spacing,
        jpeg(scene.image, params.max_side, params.quality),
        jpeg(scene.image, THUMBNAIL, THUMBNAIL_QUALITY),
        correctable,
        {name: known[name] for name in SHOWN},
        slicks,
        outlines,
        seeps_in_scene(seeps, scene.box, scene.georeference, scene.spacing, scene.shift),
    )
