"""Report: the page of a run, to look at it as a whole, at its slicks on a map, and at what may be wrong with labels.

Reads data/packed, data/split.csv, data/candidates, data/predictions, data/seeps, data.corrections,
models/model.safetensors, metrics and the pictures in plots/, and takes the section report of params.yaml. Writes
report/index.html, one file that opens from disk and needs no network.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.base.colours import class_colours
from seepseg.base.errors import InputError
from seepseg.base.files import read_json
from seepseg.base.params import load_params
from seepseg.data.out_of_fold import OutOfFoldScene, out_of_fold_scenes
from seepseg.data.packed import Packed, open_packed
from seepseg.detection.detector import Detector
from seepseg.detection.model_file import load_model
from seepseg.detection.slick_table import read_slick_table
from seepseg.evaluation.confusion import scores
from seepseg.evaluation.objects import object_scores
from seepseg.evaluation.scene_counts import SceneCounts
from seepseg.geo.place_json import place_from_json
from seepseg.models.trained_networks import check_classes
from seepseg.passes.other_passes import with_other_passes
from seepseg.passes.params import PassesParams
from seepseg.report.contents import SEEP_COLUMNS, Contents, ScenePage
from seepseg.report.params import ReportParams
from seepseg.report.pictures import THUMBNAIL, THUMBNAIL_QUALITY, jpeg
from seepseg.report.scene_slicks import StitchedScene, scene_slicks

PARAMS = "params.yaml"
PACKED = "data/packed"
SPLIT = "data/split.csv"
CANDIDATES = "data/candidates"
PREDICTIONS = "data/predictions"
MODEL = "models/model.safetensors"


@dataclass(frozen=True)
class Run:
    """What earlier stages left of a run.

    Attributes:
        packed: the tiles.
        parts: scenes, or parts of them, in the order in which slicks are numbered.
        counts: of each of them.
        candidates: int32 (N, H, W), mapped from disk, numbers of candidates.
        pred: uint8 (N, H, W), likewise, predicted classes.
        p_slick: float64 (m,), of all candidates.
        p_class: float64 (m, K), likewise.
        scene_of_slick: (m,), their scenes.
    """

    packed: Packed
    parts: list[OutOfFoldScene]
    counts: list[SceneCounts]
    candidates: npt.NDArray[np.int32]
    pred: npt.NDArray[np.uint8]
    p_slick: npt.NDArray[np.float64]
    p_class: npt.NDArray[np.float64]
    scene_of_slick: npt.NDArray[np.object_]

    @classmethod
    def open(cls, root: Path) -> "Run":
        """Open the files of a run.

        Raises:
            InputError: one is missing, or they are not of one run.
        """
        packed, model = open_packed(root / PACKED), load_model(root / MODEL)
        names = packed.class_names
        check_classes(root / MODEL, model.class_names, names, "train")
        table = read_slick_table(root / CANDIDATES / "candidates.csv", names)
        passes = load_params(PassesParams, "passes", root / PARAMS)
        seen = with_other_passes(table, packed, root / SPLIT, root / CANDIDATES / "footprints.csv", model, passes)
        slicks = Detector.of_model(model).classify(seen.drop(columns="split"))
        parts = out_of_fold_scenes(packed, root / SPLIT, len(model.networks))
        return cls(
            packed,
            parts,
            _counts(root / PREDICTIONS / "scenes.json", parts),
            _open_array(root / CANDIDATES / "labels.npy", packed, "detect"),
            _open_array(root / PREDICTIONS / "pred.npy", packed, "evaluate"),
            *slicks.probabilities(),
            slicks.candidates.table["scene"].to_numpy(),
        )

    def stitched(self) -> Iterator[StitchedScene]:
        """The parts, one after the other."""
        before = Counter[str]()
        for part in self.parts:
            scene, known = part.scene, self.packed.scenes.get("scenes", {}).get(part.scene.name, {})
            rows = scene.indices
            georeference = place_from_json(known)
            yield StitchedScene(
                scene.name,
                scene.origin or (0, 0),
                *(scene.stitch(each[rows]) for each in (self.packed.images, self.packed.targets, self.pred)),
                scene.stitch(self.candidates[rows]),
                before[scene.name],
                georeference,
                known.get("radiometry", {}).get("spacing") or None,
            )


def contents_of_run(root: Path, params: ReportParams) -> Contents:
    """Put together what the page shows."""
    run = Run.open(root)
    names = run.packed.class_names
    pooled: dict[str, Any] = {}
    for part, counts in zip(run.parts, run.counts, strict=True):
        pooled[part.split] = pooled.get(part.split, 0) + counts.confusion
    pages = []
    for part, counts, scene in zip(run.parts, run.counts, run.stitched(), strict=True):
        mine = run.scene_of_slick == scene.name
        slicks, outlines = scene_slicks(scene, (run.p_slick[mine], run.p_class[mine]), names, pooled[part.split])
        (top, left), (height, width) = scene.origin, scene.image.shape
        scored = scores(counts.confusion, names) | object_scores(*map(int, counts.objects[0]))
        known = run.packed.scenes.get("scenes", {}).get(scene.name, {})
        pages.append(
            ScenePage(
                scene.name,
                ", ".join([scene.name, *filter(None, [str(known.get("acquired") or "")[:10]])]),
                part.split,
                (left, top, left + width, top + height),
                scene.spacing,
                jpeg(scene.image, params.max_side, params.quality),
                jpeg(scene.image, THUMBNAIL, THUMBNAIL_QUALITY),
                {name: scored[name] for name in ("binary_dice", "macro_dice", "object_f1")},
                slicks,
                outlines,
                pd.DataFrame({name: [] for name in SEEP_COLUMNS}).astype(SEEP_COLUMNS),
            )
        )
    pages.sort(key=lambda page: page.split != "test")
    return Contents(
        "Run", [], {}, [], {}, class_colours(names), pages, [], pd.DataFrame(columns=["scene", "kind", "decision", "class_name", "outline"])
    )


def _counts(path: Path, parts: list[OutOfFoldScene]) -> list[SceneCounts]:
    """The counts of each part, as evaluate wrote them."""
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro evaluate`")
    document = read_json(path)
    counts = [SceneCounts.from_json(each) for split in document for each in document[split]]
    by_split = {split: [SceneCounts.from_json(each) for each in document[split]] for split in document}
    counts = [each for split in ("oof", "test") for each in by_split.get(split, [])]
    if [each.scene for each in counts] != [part.scene.name for part in parts]:
        raise InputError(f"{path}: expected the scenes of {SPLIT}, found others; run `dvc repro evaluate`")
    return counts


def _open_array(path: Path, packed: Packed, stage: str) -> npt.NDArray[Any]:
    """Open an array (N, H, W) without reading it into memory.

    Raises:
        InputError: the file is missing or of other tiles.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro {stage}`")
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.shape != packed.targets.shape:
        raise InputError(f"{path}: expected shape {packed.targets.shape}, found {array.shape}; run `dvc repro {stage}`")
    return array
