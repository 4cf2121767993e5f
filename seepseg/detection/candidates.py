"""Outline slicks where networks see them, and put all that is known of each into a table.

What to look at: every scene of the training tiles through the network that never saw it, and test scenes through all
networks together. So the table tells how the networks do on scenes that they never saw, from which `seepseg.detection.classifier`
and `seepseg.detection.postprocessing` learn, without a look at the test scenes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from annotated_types import Ge, Gt, Le, Len, Lt
from torch import nn

from seepseg.base.conventions import NODATA
from seepseg.base.device import DeviceName, amp_dtype
from seepseg.base.errors import InputError
from seepseg.base.params import param_block
from seepseg.data.channels import InputMaker
from seepseg.data.packed import PIXELS, Packed, read_parts, read_split
from seepseg.data.scenes import Scene, find_scenes
from seepseg.detection.features import CONNECTIVITY, FEATURES, measure_slicks
from seepseg.detection.recurrence import Recurrence
from seepseg.detection.runtime import Backend
from seepseg.detection.tta import Looks, ScenePredictor, SceneProbs
from seepseg.evaluation.objects import Labels, label_objects, overlapping_pairs
from seepseg.models.heads import Head

FOLDER = Path("data/outlines")
ARRAYS = {"labels": "i4", "foreground": "f2", "classes": "u1"}

TINY = 1e-4  # a class that a network rules out may still be the right one
ABOVE = (0.5, 0.7, 0.85, 0.95, 0.98)  # of the shares of a slick above these probabilities
RECURRENCE = "recurrence_"  # prefix of the columns with the logarithm of what was annotated there before
VOTE = "vote_"  # prefix of the columns with the logarithm of each class's share in the probabilities
# Of one network, about the probability of any class on the slick.
PROB_FEATURES = (
    "prob_mean", "log_odds_mean", "prob_peak", "log_odds_peak", *(f"above_{round(100 * level)}" for level in ABOVE)
)  # fmt: skip


@param_block
class OutlineParams:
    """Section `outline`; params.yaml says what each key does."""

    batch_size: Annotated[int, Ge(1)]
    threads: Annotated[int, Ge(1)]
    device: DeviceName
    amp: bool
    backend: Backend
    looks: Looks
    adapt_tiles: Annotated[int, Ge(0)]
    threshold: Annotated[float, Gt(0), Lt(1)]
    min_area: Annotated[int, Ge(1)]
    object_iou: Annotated[float, Gt(0), Le(1)]
    origins: dict[str, Annotated[tuple[int, ...], Len(2, 2)]]


class View(NamedTuple):
    """A scene, and who looks at it.

    Attributes:
        split: val, if the networks that look never saw it though others did; or test.
        scene: some or all tiles of a scene of the data.
        networks: the numbers of the networks that look.
    """

    split: str
    scene: Scene
    networks: tuple[int, ...]


def find_views(packed: Packed, networks: int) -> list[View]:
    """All scenes to look at: those of each part by the network that is blind to it, then the test scenes by all."""
    parts, shape = read_parts(packed), packed.images.shape[1:]
    views = [
        View("val", scene, (number,))
        for number in range(networks)
        for scene in find_scenes(packed.manifest, parts[number], shape)
    ]
    test = find_scenes(packed.manifest, read_split(packed)["test"], shape)
    return views + [View("test", scene, tuple(range(networks))) for scene in test]


def build_predictors(
    networks: nn.ModuleList, head: Head, make_input: InputMaker, params: OutlineParams, device: torch.device
) -> list[ScenePredictor]:
    """What runs each network over scenes, as section `outline` says; the networks move to the device."""
    return [
        ScenePredictor(
            network.to(device),
            head=head,
            make_input=make_input,
            batch_size=params.batch_size,
            device=device,
            dtype=amp_dtype(device, params.amp),
            backend=params.backend,
            key="outline.backend",
            looks=params.looks,
            adapt_tiles=params.adapt_tiles,
        )
        for network in networks
    ]


def slick_features(class_names: Sequence[str], recurrence: bool) -> list[str]:
    """Names of the columns of `slick_table` that a judgement may rest on; `recurrence` says whether on the place."""
    prefixes = (VOTE, RECURRENCE) if recurrence else (VOTE,)
    return [*FEATURES, *PROB_FEATURES, *(prefix + name for prefix in prefixes for name in class_names)]


def average(probs: Sequence[SceneProbs]) -> npt.NDArray[np.float32]:
    """Probability of any class by several networks, float32 (H, W): the mean of their log odds, as a probability."""
    if len(probs) == 1:
        return probs[0].foreground
    mean = np.mean([_log_odds(each.foreground) for each in probs], axis=0)
    # What no network has seen stays 0.
    foreground: npt.NDArray[np.float32] = np.where(probs[0].foreground > 0, 1 / (1 + np.exp(-mean)), 0)
    return foreground.astype(np.float32)


def average_classes(probs: Sequence[SceneProbs], foreground: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Probability of each class by several networks, float32 (N, K, h, w): shares in `foreground` of their sums."""
    if len(probs) == 1:
        return probs[0].class_probs.astype(np.float32)
    total = np.sum([each.class_probs for each in probs], axis=0, dtype=np.float32)
    scale = probs[0].scene.cut(foreground)[:, None] / np.maximum(total.sum(axis=1, keepdims=True), 1e-6)
    classes: npt.NDArray[np.float32] = total * scale
    return classes


def find_slicks(foreground: npt.NDArray[np.float32], threshold: float, min_area: int) -> tuple[Labels, int]:
    """Outline what may be slicks.

    Args:
        foreground: float32 (H, W), probability of any class.
        threshold: that all pixels of an outline reach.
        min_area: pixels of the smallest.

    Returns:
        int32 (H, W), 1..n on the slicks, and n.
    """
    labels, n = label_objects((foreground >= threshold) & (foreground > 0), CONNECTIVITY)
    kept = np.bincount(labels.ravel(), minlength=n + 1)[1:] >= min_area
    numbers = np.concatenate([[0], np.where(kept, kept.cumsum(), 0)]).astype(np.int32)
    return numbers[labels], int(kept.sum())


def annotated_outlines(image: npt.NDArray[np.uint16], target: npt.NDArray[np.uint8]) -> tuple[Labels, int]:
    """The outlines of annotated slicks, as `find_slicks` gives them; what lies on no-data does not count."""
    return label_objects((target > 0) & (image != NODATA), CONNECTIVITY)


def slick_table(
    image: npt.NDArray[np.uint16],
    outlines: tuple[Labels, int],
    target: npt.NDArray[np.uint8],
    annotated: Labels,
    probs: Mapping[int, SceneProbs],
    known: Sequence[Recurrence],
    class_names: Sequence[str],
) -> pd.DataFrame:
    """What is known of the outlined slicks of a scene.

    Args:
        image: uint16 (H, W), the stitched scene.
        outlines: int32 (H, W), 1..n on the slicks, and n.
        target: uint8 (H, W), the annotated classes.
        annotated: int32 (H, W), their outlines, see `annotated_outlines`.
        probs: what each network says, by its number.
        known: what was annotated in the scenes that each network was trained on.
        class_names: the K classes.

    Returns:
        A row for each slick and network, slick by slick: `slick` (1..n), `network`, `area` in pixels, `pixels_<class>`
        (how many of them are annotated as that), `match` (the annotated slick with which it overlaps most, numbered
        as in `annotated_outlines`, 0 for none) and `iou` with that; then the columns of `slick_features`, recurrence
        among them.
    """
    labels, n = outlines
    num_classes = len(class_names) + 1
    target = np.where(annotated > 0, target, 0)  # what lies on no-data does not count
    cells = labels[labels > 0].astype(np.int64) * num_classes + target[labels > 0]
    pixels = np.bincount(cells, minlength=(n + 1) * num_classes).reshape(n + 1, num_classes)[1:]
    match, iou = np.zeros(n, dtype=np.int64), np.zeros(n)
    ours, theirs, overlap = overlapping_pairs(labels, annotated)
    order = np.argsort(overlap, kind="stable")  # the last one written is the largest
    match[ours[order] - 1], iou[ours[order] - 1] = theirs[order], overlap[order]
    slicks = pd.DataFrame({"slick": np.arange(1, n + 1), "area": pixels.sum(axis=1)})
    slicks[[PIXELS + name for name in class_names]] = pixels[:, 1:]
    slicks = pd.concat([slicks, pd.DataFrame({"match": match, "iou": iou}), measure_slicks(image, labels, n)], axis=1)
    tables = [
        pd.concat(
            [
                slicks.assign(network=number),
                _seen(each, labels, n, class_names),
                pd.DataFrame(
                    known[number].measure(each.scene, labels, n), columns=[RECURRENCE + name for name in class_names]
                ),
            ],
            axis=1,
        )
        for number, each in probs.items()
    ]
    return pd.concat(tables).sort_values(["slick", "network"], kind="stable").reset_index(drop=True)


def read_slicks(which: Literal["annotated", "outlined"], folder: Path = FOLDER) -> pd.DataFrame:
    """Read a table of slicks: `split`, `scene` (the number of the view), then the columns of `slick_table`.

    Raises:
        InputError: the file is missing.
    """
    path = folder / f"{which}.csv"
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro outline`")
    return pd.read_csv(path, dtype={"split": "str"})


def open_array(name: str, tiles: int, folder: Path = FOLDER) -> npt.NDArray[Any]:
    """Open one of `ARRAYS`, (N, H, W), without reading it into memory.

    Args:
        name: which.
        tiles: N, of all views.
        folder: where they lie.

    Raises:
        InputError: the file is missing or has another number of tiles.
    """
    path = folder / f"{name}.npy"
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro outline`")
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if len(array) != tiles:
        raise InputError(f"{path}: expected {tiles} tiles, found {len(array)}; run `dvc repro outline`")
    return array


def _seen(probs: SceneProbs, labels: Labels, n: int, class_names: Sequence[str]) -> pd.DataFrame:
    """What one network sees of each slick: the columns of its probabilities and of its votes, float32."""
    on_slick = labels > 0
    number, p = labels[on_slick] - 1, probs.foreground[on_slick]
    area = np.bincount(number, minlength=n)
    peak = np.zeros(n, np.float32)
    np.maximum.at(peak, number, p)
    measured = [
        np.bincount(number, weights=p, minlength=n) / area,
        np.bincount(number, weights=_log_odds(p), minlength=n) / area,
        peak,
        _log_odds(peak),
        *(np.bincount(number, weights=p >= level, minlength=n) / area for level in ABOVE),
    ]
    in_tiles = probs.scene.cut(labels)
    cells, on_tile = in_tiles[in_tiles > 0] - 1, in_tiles > 0
    votes = [np.bincount(cells, weights=tiles[on_tile], minlength=n) for tiles in probs.class_probs.swapaxes(0, 1)]
    shares = np.stack(votes) / np.maximum(np.sum(votes, axis=0), TINY)
    columns = dict(zip(PROB_FEATURES, measured, strict=True))
    columns |= {VOTE + name: np.log(np.maximum(share, TINY)) for name, share in zip(class_names, shares, strict=True)}
    return pd.DataFrame(columns).astype(np.float32)


def _log_odds(probs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """log(p / (1 - p)), with probabilities kept 1e-6 away from 0 and 1."""
    p = probs.astype(np.float64).clip(1e-6, 1 - 1e-6)
    odds: npt.NDArray[np.float64] = np.log(p / (1 - p))
    return odds
