"""The `Detector`: from a scene to classified slicks, one way for training, evaluation and new scenes."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from seepseg.base.conventions import NODATA
from seepseg.base.device import amp_dtype
from seepseg.data.block_array import BlockArray, block_shape
from seepseg.data.channels import InputMaker
from seepseg.data.pixels import ScenePixels, Window
from seepseg.detection.candidates import PieceCollector, average, most_probable_classes
from seepseg.detection.centrelines import find_centrelines
from seepseg.detection.classifier import SlickClassifier
from seepseg.detection.detection import (
    FOREGROUND_STEPS,
    UNSEEN,
    Detection,
    Slicks,
    candidate_columns,
    candidate_rows,
    slick_columns,
    slick_rows,
)
from seepseg.detection.marked_slicks import MarkedSlicks
from seepseg.detection.model_file import Model
from seepseg.detection.network_features import NetworkSums
from seepseg.detection.padded_block import PaddedBlock
from seepseg.detection.postprocessing import (
    Postprocessing,
    accepted,
    draw_slicks,
    score_candidates,
    slick_classes,
)
from seepseg.detection.proposal import DetectParams, ProposalParams
from seepseg.detection.shapes import find_boxes
from seepseg.detection.tta import ScenePredictor, typical_tiles
from seepseg.evaluation.objects import Labels
from seepseg.models.network_file import NetworksMeta

Watch = Callable[[int, int], None]
"""Is told how many of how many steps are done."""
See = Callable[[Window, npt.NDArray[np.float32], npt.NDArray[np.uint8]], None]
"""Is shown a block: float32 (h, w), probability of any class; uint8 (h, w), the networks' most probable class, 1..K."""


@dataclass(frozen=True)
class Candidates:
    """What the networks propose in a scene.

    Attributes:
        slicks: the candidates.
        annotated: the annotated slicks, where they were given, as the networks see them.
        classes: uint8 (H, W), on candidates, and what is too small for one, the networks' most probable class, 1..K.
    """

    slicks: MarkedSlicks
    annotated: MarkedSlicks | None
    classes: BlockArray[np.uint8]


class Detector:
    """Proposes candidates in a scene, and classifies them.

    Args:
        class_names: the K classes.
        proposal: how candidates are proposed.
        predictors: of the networks; none where candidates are there already.
        classifiers: one for each network; none where candidates are only proposed.
        postprocessing: likewise.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        proposal: ProposalParams,
        predictors: Sequence[ScenePredictor] = (),
        classifiers: Sequence[SlickClassifier] = (),
        postprocessing: Postprocessing | None = None,
    ) -> None:
        self.class_names = class_names
        self.proposal = proposal
        self.predictors = predictors
        self.classifiers = classifiers
        self.postprocessing = postprocessing

    @classmethod
    def of_networks(
        cls, networks: Sequence[nn.Module], meta: NetworksMeta, params: DetectParams, device: torch.device
    ) -> "Detector":
        """A detector that only proposes; the networks move to the device."""
        return cls(meta.class_names, params, build_predictors(networks, meta, params, device))

    @classmethod
    def of_model(
        cls, model: Model, params: DetectParams | None = None, device: torch.device | None = None
    ) -> "Detector":
        """The detector of a model file.

        Args:
            model: read from the file; how candidates are proposed is the model's, not that of `params`.
            params: where to compute; without it, candidates are only classified.
            device: likewise.
        """
        meta, predictors = model.meta, list[ScenePredictor]()
        if params is not None and device is not None:
            as_fitted = replace(params, **asdict(meta.proposal))
            predictors = build_predictors(model.networks, meta.networks, as_fitted, device)
        return cls(model.class_names, meta.proposal, predictors, model.classifiers, meta.postprocessing)

    def propose(
        self,
        scene: ScenePixels,
        tile_shape: tuple[int, int],
        networks: Sequence[int] | None = None,
        annotated: npt.NDArray[np.int32] | None = None,
        see: See | None = None,
        watch: Watch | None = None,
    ) -> Candidates:
        """Propose what may be slicks in a scene.

        Args:
            scene: gives the pixels.
            tile_shape: height and width of what the networks are given at a time, in pixels.
            networks: numbers of the networks to ask; all of them by default.
            annotated: int32 (H, W), 1..n on annotated slicks, if the networks shall be asked about these, too.
            see: is shown each block with data.
            watch: is told how far it is.
        """
        chosen = range(len(self.predictors)) if networks is None else networks
        tiles = typical_tiles(scene, tile_shape)
        for number in chosen:
            self.predictors[number].adapt(tiles)
        block = block_shape(scene.shape, tile_shape)
        pieces = PieceCollector(scene.shape, block, self.proposal.threshold, self.proposal.min_area)
        classes = BlockArray(scene.shape, np.uint8, block)
        given = None if annotated is None else BlockArray.of(annotated, block)
        of_pieces, of_given = NetworkSums(chosen, self.class_names), NetworkSums(chosen, self.class_names)
        windows = classes.windows()
        for done, window in enumerate(windows):
            padded = PaddedBlock(scene, window, tile_shape, self.predictors[chosen[0]].device)
            if not padded.is_empty:
                probs = {number: self.predictors[number].predict(padded) for number in chosen}
                foreground, by_pixel = average(list(probs.values())), most_probable_classes(list(probs.values()))
                labels = pieces.add(window, foreground)
                of_pieces.add(labels, probs)
                classes.write(window, np.where(labels > 0, by_pixel, 0).astype(np.uint8))
                if given is not None:
                    of_given.add(given.read(window), probs)
                if see is not None:
                    see(window, foreground, by_pixel)
            if watch is not None:
                watch(done + 1, len(windows))
        numbers, n = pieces.join()
        slicks = MarkedSlicks(scene, pieces.labels, find_boxes(pieces.labels, n), of_pieces.features(n, numbers))
        marked = None
        if given is not None and annotated is not None:
            count = int(annotated.max(initial=0))
            marked = MarkedSlicks(scene, given, find_boxes(given, count), of_given.features(count))
        return Candidates(slicks, marked, classes)

    def classify(self, table: pd.DataFrame) -> Slicks:
        """Say which candidates are slicks, and of what class.

        Args:
            table: rows of features, of any number of scenes, with a column `scene`; sorted by slick.
        """
        assert self.postprocessing is not None, "a detector of networks alone only proposes"
        candidates = score_candidates(table, self.classifiers, self.postprocessing)
        return Slicks(
            candidates, accepted(candidates, self.postprocessing), slick_classes(candidates, self.postprocessing)
        )

    def draw(
        self,
        labels: Labels,
        is_slick: npt.NDArray[np.bool_],
        classes: npt.NDArray[np.uint8],
        by_pixel: npt.NDArray[np.uint8],
    ) -> npt.NDArray[np.uint8]:
        """The predicted mask; see `draw_slicks`. `by_pixel` counts where post-processing wants classes by pixel."""
        assert self.postprocessing is not None, "a detector of networks alone only proposes"
        chosen = by_pixel if self.postprocessing.class_from == "pixel" else None
        return draw_slicks(labels, is_slick, classes, chosen)

    def detect(self, scene: ScenePixels, tile_shape: tuple[int, int], watch: Watch | None = None) -> Detection:
        """Propose, classify and draw.

        Args:
            scene: gives the pixels.
            tile_shape: height and width of what the networks are given at a time, in pixels.
            watch: is told how far it is.
        """
        block = block_shape(scene.shape, tile_shape)
        foreground = BlockArray(scene.shape, np.uint8, block)
        for window in foreground.windows():
            foreground.write(window, np.full(window[2:], UNSEEN, np.uint8))

        def see(window: Window, probs: npt.NDArray[np.float32], _: npt.NDArray[np.uint8]) -> None:
            in_steps = np.rint(probs * FOREGROUND_STEPS).astype(np.uint8)
            foreground.write(window, np.where(scene.read(window) == NODATA, UNSEEN, in_steps).astype(np.uint8))

        found = self.propose(scene, tile_shape, see=see, watch=watch)
        labels, mask = BlockArray(scene.shape, np.int32, block), BlockArray(scene.shape, np.uint8, block)
        names = self.class_names
        if not len(found.slicks):
            slicks_of_none, none = (pd.DataFrame(columns=of(names)) for of in (slick_columns, candidate_columns))
            return Detection(scene, labels, mask, foreground, slicks_of_none, none, [], None)
        lines = find_centrelines(found.slicks.labels, found.slicks.boxes, with_paths=True)
        features = found.slicks.measure(torch.get_num_threads(), lines).assign(scene=scene.name)
        slicks = self.classify(features)
        numbers = np.concatenate([[0], slicks.numbers]).astype(np.int32)
        for window in labels.windows():
            candidates = found.slicks.labels.read(window)
            labels.write(window, numbers[candidates])
            mask.write(window, self.draw(candidates, slicks.accepted, slicks.classes, found.classes.read(window)))
        rows, all_rows = (of(found.slicks, slicks, names) for of in (slick_rows, candidate_rows))
        return Detection(scene, labels, mask, foreground, rows, all_rows, lines.paths, features)


def build_predictors(
    networks: Sequence[nn.Module], meta: NetworksMeta, params: DetectParams, device: torch.device
) -> list[ScenePredictor]:
    """What runs each network over scenes; the networks move to the device."""
    return [
        ScenePredictor(
            network.to(device),
            head=meta.model.head,
            make_input=InputMaker(meta.input),
            batch_size=params.batch_size,
            device=device,
            dtype=amp_dtype(device, params.amp),
            backend=params.backend,
            tta=params.tta,
            norm_prior_tiles=params.norm_prior_tiles,
        )
        for network in networks
    ]
