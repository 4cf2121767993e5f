"""What earlier stages left of a run, and its scenes as the page shows them, one in memory at a time."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.base.conventions import NODATA
from seepseg.data.corrections import are_correctable
from seepseg.data.out_of_fold import OutOfFoldScene
from seepseg.data.packed import Packed
from seepseg.evaluation.confusion import Counts
from seepseg.evaluation.scene_counts import SceneCounts
from seepseg.geo.place_json import place_from_json
from seepseg.passes.views import fitting_starts, grid_shift
from seepseg.report.contents import Review, ReviewItem, ScenePage
from seepseg.report.decisions import decisions
from seepseg.report.params import ReportParams
from seepseg.report.review import Place, choose, review_item, reviews
from seepseg.report.scene_page import Part, scene_page
from seepseg.report.scene_slicks import StitchedScene, scene_slicks


@dataclass(frozen=True)
class Run:
    """What earlier stages left of a run.

    Attributes:
        packed: N tiles.
        parts: scenes, or parts of them, in the order in which slicks are numbered.
        counts: of each of them.
        candidates: int32 (N, H, W), mapped from disk, numbers of candidates.
        pred: uint8 (N, H, W), likewise, predicted classes.
        p_slick: float64 (m,), of all candidates.
        p_class: float64 (m, K), likewise.
        scene_of_slick: (m,), their scenes.
        origins: see `seepseg.passes.params.PassesParams`.
    """

    packed: Packed
    parts: Sequence[OutOfFoldScene]
    counts: Sequence[SceneCounts]
    candidates: npt.NDArray[np.int32]
    pred: npt.NDArray[np.uint8]
    p_slick: npt.NDArray[np.float64]
    p_class: npt.NDArray[np.float64]
    scene_of_slick: npt.NDArray[np.object_]
    origins: Mapping[str, Sequence[int]]

    def stitched(self, number: int, first: int = 0) -> StitchedScene:
        """A part; `first` is the number of annotated slicks in earlier parts of its scene."""
        split, scene, _ = self.parts[number]
        known, rows, origin = self.packed.scenes.get("scenes", {}).get(scene.name, {}), scene.indices, scene.origin
        georeference = place_from_json(known) if origin is not None else None
        spacing = known.get("radiometry", {}).get("spacing")
        if not spacing and georeference is not None:
            spacing = georeference.spacing(scene.shape)
        on_grid = origin is not None and georeference is None and fitting_starts(scene.name, self.origins)
        return StitchedScene(
            scene.name,
            split,
            str(self.packed.manifest.loc[rows[0], "tile"]) if origin is None else "",
            str(known.get("acquired") or "")[:10],
            origin or (0, 0),
            self.image(number),
            scene.stitch(self.packed.targets[rows]),
            scene.stitch(self.pred[rows]),
            scene.stitch(self.candidates[rows]),
            first,
            georeference,
            spacing or None,
            grid_shift(scene.name, self.origins, scene.tile_shape) if on_grid else None,
        )

    def image(self, number: int) -> npt.NDArray[np.uint16]:
        """The image of a part, uint16 (H, W)."""
        scene = self.parts[number].scene
        return scene.stitch(self.packed.images[scene.indices])

    def pooled(self, split: str) -> Counts:
        """The confusion of a split."""
        tables = [each.confusion for part, each in zip(self.parts, self.counts, strict=True) if part.split == split]
        pooled: Counts = np.stack(tables).sum(axis=0)
        return pooled


def pages_of(run: Run, corrections: pd.DataFrame, seeps: pd.DataFrame, params: ReportParams) -> Iterator[Part]:
    """The scenes as the page shows them, in the order of the parts.

    Args:
        run: the run.
        corrections: see `seepseg.data.corrections`.
        seeps: of all grounds, as stage seeps writes them.
        params: of pictures.
    """
    names, before = run.packed.class_names, Counter[str]()
    cells = run.packed.manifest.groupby("scene")[["row", "col"]]
    correctable = {scene: are_correctable(of_tiles) for scene, of_tiles in cells}
    pooled = {split: run.pooled(split) for split in {part.split for part in run.parts}}
    for number, part in enumerate(run.parts):
        scene = run.stitched(number, before[part.scene.name])
        mine = run.scene_of_slick == scene.name
        slicks, outlines = scene_slicks(scene, (run.p_slick[mine], run.p_class[mine]), names, pooled[part.split])
        before[scene.name] += int((slicks["kind"] == "annotated").sum())
        slicks["decision"] = decisions(slicks, outlines, corrections[corrections["scene"] == scene.name])
        page = scene_page(scene, run.counts[number], slicks, outlines, seeps, correctable[scene.name], names, params)
        km2 = np.count_nonzero(scene.image != NODATA) * (scene.spacing or np.nan) ** 2 / 1e6
        yield Part(page, len(part.scene.indices), km2, scene.date)


def reviews_of(run: Run, pages: Sequence[ScenePage], params: ReportParams, min_iou: float) -> list[Review]:
    """What to look at next; each scene that has some is opened once more.

    Args:
        run: the run.
        pages: of all its parts, in their order.
        params: how many, and how sure.
        min_iou: see `choose`.
    """
    chosen = choose(pages, params, min_iou)
    items: dict[tuple[str, Place], ReviewItem] = {}
    for number, page in enumerate(pages):
        here = [(each.key, place) for each in chosen for place in each.places if place.page == number]
        if here:
            image = run.image(number)
            items |= {(key, place): review_item(page, place.slick, key, image, params.quality) for key, place in here}
    return reviews(chosen, items)
