"""Find and name the slicks of scenes that nobody has annotated."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from seepseg.base.errors import InputError
from seepseg.data.scenes import Scene
from seepseg.detection.candidates import RECURRENCE, OutlineParams, average, average_classes, find_slicks, slick_table
from seepseg.detection.model_file import Model
from seepseg.detection.postprocessing import Outlined, judge_outlines, kept, named, paint
from seepseg.detection.recurrence import Recurrence
from seepseg.detection.tta import Images, ScenePredictor
from seepseg.evaluation.objects import Labels

COLUMNS = (
    "scene",
    "slick",
    "class",
    "area",
    "top",
    "left",
    "bottom",
    "right",
    "slick_probability",
    "class_probability",
)


def as_fitted(params: OutlineParams, model: Model) -> OutlineParams:
    """Section `outline` with the values that the rule of a model was fitted for.

    Raises:
        InputError: the model judges slicks by what was annotated at their place, which it does not hold.
    """
    if any(name.startswith(RECURRENCE) for namer in model.namers for name in namer.features):
        raise InputError("the model was trained with name.recurrence, which needs annotated scenes: train one without")
    rule = model.rule
    return replace(
        params,
        looks=rule.looks,
        adapt_tiles=rule.adapt_tiles,
        threshold=rule.threshold,
        min_area=rule.outline_area,
    )


def name_slicks(
    scene: Scene, images: Images, model: Model, predictors: Sequence[ScenePredictor]
) -> tuple[npt.NDArray[np.uint8], pd.DataFrame]:
    """Outline the slicks of a scene, decide which of them stay, and name those.

    Args:
        scene: where its N tiles lie.
        images: uint16 (N, h, w), the tiles.
        model: judges and decides.
        predictors: run its networks, see `as_fitted`.

    Returns:
        The class of each pixel, uint8 (N, h, w), 0 for background; and a row with `COLUMNS` for each slick: its number
        in the scene, from 1; the name of its class; pixels; the box around it in pixels of the stitched scene, bottom
        and right being the first behind it; the probability that it is a slick, by the namers, or by its surest pixel
        where they have no say; and that of its class, if it is one.
    """
    rule, names = model.rule, model.meta.class_names
    probs = {number: predictor.predict(scene, images) for number, predictor in enumerate(predictors)}
    image, foreground = scene.stitch(images), average(list(probs.values()))
    labels, n = find_slicks(foreground, rule.threshold, rule.outline_area)
    if not n:
        return np.zeros(images.shape, np.uint8), pd.DataFrame(columns=list(COLUMNS))
    unknown = np.zeros(image.shape, np.uint8)
    nowhere = Recurrence(np.full((scene.indices.max() + 1, 2), -1), np.zeros((len(names), 1, 1)))
    table = slick_table(
        image, (labels, n), unknown, unknown.astype(np.int32), probs, [nowhere] * len(predictors), names
    )
    outlined = judge_outlines(table.assign(scene=0), model.namers if rule.needs_namers else None)
    stay, classes = kept(outlined, rule), named(outlined, rule)
    by_pixel = None
    if rule.naming == "pixel":
        by_pixel = (average_classes(list(probs.values()), foreground).argmax(axis=1) + 1).astype(np.uint8)
    pred = paint(scene.cut(labels), stay, classes, by_pixel)
    return pred, _rows(scene, labels, outlined, classes, names)[stay].reset_index(drop=True)


def _rows(
    scene: Scene, labels: Labels, outlined: Outlined, classes: npt.NDArray[np.uint8], class_names: Sequence[str]
) -> pd.DataFrame:
    """A row for each outline, with `COLUMNS`."""
    boxes = ndimage.find_objects(labels)
    judgement, votes = outlined.judgement, outlined.votes
    probs = votes / votes.sum(axis=1, keepdims=True) if judgement is None else judgement.classes
    found = outlined.table["prob_peak"] if judgement is None else judgement.found
    return pd.DataFrame(
        {
            "scene": scene.name,
            "slick": outlined.table["slick"].astype(int),
            "class": [class_names[number - 1] for number in classes],
            "area": outlined.table["area"].astype(int),
            "top": [rows.start for rows, _ in boxes],
            "left": [columns.start for _, columns in boxes],
            "bottom": [rows.stop for rows, _ in boxes],
            "right": [columns.stop for _, columns in boxes],
            "slick_probability": np.asarray(found, dtype=np.float64),
            "class_probability": probs[np.arange(len(classes)), classes - 1],
        }
    )[list(COLUMNS)]
