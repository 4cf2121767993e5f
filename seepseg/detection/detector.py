"""The `Detector`: from a scene to classified slicks, one way for training, evaluation and new scenes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import ndimage
from torch import nn

from seepseg.base.device import amp_dtype
from seepseg.data.channels import InputMaker
from seepseg.data.scenes import Scene
from seepseg.detection.candidates import average, find_candidates, most_probable_classes
from seepseg.detection.classifier import SlickClassifier
from seepseg.detection.features import slick_features
from seepseg.detection.model_file import Model
from seepseg.detection.postprocessing import (
    Postprocessing,
    ScoredCandidates,
    accepted,
    draw_slicks,
    score_candidates,
    slick_classes,
)
from seepseg.detection.proposal import DetectParams, ProposalParams
from seepseg.detection.tta import Images, ScenePredictor, SceneProbs
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


@dataclass(frozen=True)
class Candidates:
    """What the networks propose in a scene.

    Attributes:
        scene: where its N tiles lie.
        image: uint16 (H, W), stitched.
        foreground: float32 (H, W), probability of any class by the networks together.
        classes: uint8 (H, W), their most probable class of each pixel, 1..K.
        labels: int32 (H, W), 1..n on the candidates.
        n: number of candidates.
        probs: of each network, by its number.
        class_names: the K classes.
    """

    scene: Scene
    image: npt.NDArray[np.uint16]
    foreground: npt.NDArray[np.float32]
    classes: npt.NDArray[np.uint8]
    labels: Labels
    n: int
    probs: Mapping[int, SceneProbs]
    class_names: Sequence[str]

    def measure(self, labels: Labels, n: int) -> pd.DataFrame:
        """Features of any slicks of this scene, annotated ones too; see `seepseg.detection.features.slick_features`."""
        return slick_features(self.image, self.probs, labels, n, self.class_names)


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

    def propose(self, scene: Scene, images: Images, networks: Sequence[int] | None = None) -> Candidates:
        """Propose what may be slicks in a scene.

        Args:
            scene: where its N tiles lie.
            images: uint16 (N, h, w), the tiles.
            networks: numbers of the networks to ask; all of them by default.
        """
        chosen = range(len(self.predictors)) if networks is None else networks
        probs = {number: self.predictors[number].predict(scene, images) for number in chosen}
        of_networks = list(probs.values())
        image, foreground = scene.stitch(images), average(of_networks)
        labels, n = find_candidates(foreground, self.proposal.threshold, self.proposal.min_area)
        return Candidates(
            scene=scene,
            image=image,
            foreground=foreground,
            classes=most_probable_classes(of_networks),
            labels=labels,
            n=n,
            probs=probs,
            class_names=self.class_names,
        )

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

    def detect(self, scene: Scene, images: Images) -> tuple[npt.NDArray[np.uint8], pd.DataFrame]:
        """Propose, classify and draw.

        Args:
            scene: where its N tiles lie.
            images: uint16 (N, h, w), the tiles.

        Returns:
            The class of each pixel, uint8 (H, W), 0 for background; and a row with `COLUMNS` for each slick: its number
            in the scene; the name of its class; pixels; the box around it in pixels of the stitched scene, bottom and
            right being the first behind it; the probability that it is a slick, by the classifier, or by its surest
            pixel where that is not asked; and that of its class, if it is one.
        """
        found = self.propose(scene, images)
        if not found.n:
            return np.zeros(found.labels.shape, np.uint8), pd.DataFrame(columns=list(COLUMNS))
        slicks = self.classify(found.measure(found.labels, found.n).assign(scene=scene.name))
        pred = self.draw(found.labels, slicks.accepted, slicks.classes, found.classes)
        return pred, _rows(found, slicks, self.class_names)[slicks.accepted].reset_index(drop=True)


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


def _rows(found: Candidates, slicks: Slicks, class_names: Sequence[str]) -> pd.DataFrame:
    """A row for each candidate, with `COLUMNS`."""
    boxes = ndimage.find_objects(found.labels)
    candidates, classes = slicks.candidates, slicks.classes
    if candidates.probs is None:
        shares = candidates.mean_probability
        p_class = shares / shares.sum(axis=1, keepdims=True)
        p_slick = candidates.table["prob_peak"].to_numpy(np.float64)
    else:
        p_class, p_slick = candidates.probs.classes, candidates.probs.p_slick
    return pd.DataFrame(
        {
            "scene": found.scene.name,
            "slick": candidates.table["slick"].astype(int),
            "class": [class_names[number - 1] for number in classes],
            "area": candidates.table["area"].astype(int),
            "top": [rows.start for rows, _ in boxes],
            "left": [columns.start for _, columns in boxes],
            "bottom": [rows.stop for rows, _ in boxes],
            "right": [columns.stop for _, columns in boxes],
            "p_slick": p_slick,
            "p_class": p_class[np.arange(len(classes)), classes - 1],
        }
    )[list(COLUMNS)]
