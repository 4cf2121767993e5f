"""The `Detector`: from a scene to classified slicks, one way for training, evaluation and new scenes."""

from collections.abc import Callable, Mapping, Sequence
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
from seepseg.detection.classifier import SlickClassifier
from seepseg.detection.features import image_features
from seepseg.detection.model_file import Model
from seepseg.detection.network_features import NetworkSums
from seepseg.detection.postprocessing import (
    Postprocessing,
    ScoredCandidates,
    accepted,
    draw_slicks,
    score_candidates,
    slick_classes,
)
from seepseg.detection.proposal import DetectParams, ProposalParams
from seepseg.detection.shapes import Boxes, find_boxes
from seepseg.detection.tta import PaddedBlock, ScenePredictor, typical_tiles
from seepseg.evaluation.objects import Labels
from seepseg.models.network_file import NetworksMeta

COLUMNS = (
    "scene",
    "slick",
    "class",
    "area",
    "top",
    "left",
    "bottom",
    "right",
    "p_slick",
    "p_class",
)
MEASURED = ("length", "intensity", "sea_near")  # features that are handed on with each slick
P_CLASS = "p_"  # prefix of the columns with the probability of each class

FOREGROUND_STEPS = 200  # of a probability in 8 bits
UNSEEN = 255  # in 8 bits, where there is no data

Watch = Callable[[int, int], None]
"""Is told how many of how many steps are done."""
See = Callable[[Window, npt.NDArray[np.float32], npt.NDArray[np.uint8]], None]
"""Is shown a block: float32 (h, w), probability of any class; uint8 (h, w), the networks' most probable class, 1..K."""


@dataclass(frozen=True)
class MarkedSlicks:
    """Slicks of a scene, proposed or annotated, and what the networks say of them.

    Attributes:
        scene: gives the pixels.
        labels: int32 (H, W), 1..n on the slicks.
        boxes: of the n slicks.
        of_networks: features of the slicks by each network, by its number; a row per slick.
    """

    scene: ScenePixels
    labels: BlockArray[np.int32]
    boxes: Boxes
    of_networks: Mapping[int, pd.DataFrame]

    def __len__(self) -> int:
        return len(self.boxes)

    def measure(self) -> pd.DataFrame:
        """Features of the slicks.

        Returns:
            A row for each slick and network, slick by slick: `slick` (1..n), `network` and `area` in pixels; then the
            features, float32, intensities in the image's units, lengths in pixels.
        """
        of_image = image_features(self.scene, self.labels, self.boxes)
        keys = pd.DataFrame({"slick": np.arange(1, len(self) + 1), "area": self.boxes.area})
        tables = [
            pd.concat([keys.assign(network=number), of_image, table], axis=1)
            for number, table in self.of_networks.items()
        ]
        return pd.concat(tables).sort_values(["slick", "network"], kind="stable").reset_index(drop=True)


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


@dataclass(frozen=True)
class Detection:
    """The slicks of a scene.

    Attributes:
        scene: gives the pixels.
        labels: int32 (H, W), 1..n on the slicks, 0 elsewhere.
        classes: uint8 (H, W), the predicted mask: 1..K on the slicks, 0 elsewhere.
        foreground: uint8 (H, W), probability of any class in `FOREGROUND_STEPS`, `UNSEEN` where there is no data.
        slicks: a row for each slick, in the order of its number: `COLUMNS`, the name of its class among them, and the
            box around it in pixels, bottom and right being the first behind it; the probability that it is a slick, by
            the classifier, or by its surest pixel where that is not asked; that of its class, if it is one, and of
            each class; and the features `MEASURED`.
    """

    scene: ScenePixels
    labels: BlockArray[np.int32]
    classes: BlockArray[np.uint8]
    foreground: BlockArray[np.uint8]
    slicks: pd.DataFrame


@dataclass(frozen=True)
class Slicks:
    """Classified candidates, a row per candidate in the order of their table.

    Attributes:
        candidates: with their probabilities.
        accepted: bool (n,), whether it is a slick.
        classes: uint8 (n,), 1..K.
    """

    candidates: ScoredCandidates
    accepted: npt.NDArray[np.bool_]
    classes: npt.NDArray[np.uint8]


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
        if not len(found.slicks):
            return Detection(scene, labels, mask, foreground, pd.DataFrame(columns=self.slick_columns))
        slicks = self.classify(found.slicks.measure().assign(scene=scene.name))
        numbers = np.concatenate([[0], np.where(slicks.accepted, slicks.accepted.cumsum(), 0)]).astype(np.int32)
        for window in labels.windows():
            candidates = found.slicks.labels.read(window)
            labels.write(window, numbers[candidates])
            mask.write(window, self.draw(candidates, slicks.accepted, slicks.classes, found.classes.read(window)))
        return Detection(scene, labels, mask, foreground, self._rows(found.slicks, slicks))

    @property
    def slick_columns(self) -> list[str]:
        """Columns of `Detection.slicks`."""
        return [*COLUMNS, *(P_CLASS + name for name in self.class_names), *MEASURED]

    def _rows(self, found: MarkedSlicks, slicks: Slicks) -> pd.DataFrame:
        """A row for each accepted candidate, with `slick_columns`."""
        candidates, classes, boxes = slicks.candidates, slicks.classes, found.boxes
        if candidates.probs is None:
            shares = candidates.mean_probability
            p_class = shares / shares.sum(axis=1, keepdims=True)
            p_slick = candidates.table["prob_peak"].to_numpy(np.float64)
        else:
            p_class, p_slick = candidates.probs.classes, candidates.probs.p_slick
        rows = pd.DataFrame(
            {
                "scene": found.scene.name,
                "class": [self.class_names[number - 1] for number in classes],
                "area": boxes.area,
                "top": boxes.first[0],
                "left": boxes.first[1],
                "bottom": boxes.end[0],
                "right": boxes.end[1],
                "p_slick": p_slick,
                "p_class": p_class[np.arange(len(classes)), classes - 1],
                **{P_CLASS + name: p for name, p in zip(self.class_names, p_class.T, strict=True)},
                **{name: candidates.table[name].to_numpy() for name in MEASURED},
            }
        )[slicks.accepted]
        return rows.assign(slick=np.arange(1, len(rows) + 1))[self.slick_columns].reset_index(drop=True)


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
