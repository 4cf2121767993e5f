"""Model files: networks, slick classifiers and post-processing in one file, all that a new scene needs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from seepseg.base.params import param_block
from seepseg.base.tensor_file import Kind, write_tensors
from seepseg.base.tensor_reading import open_tensors
from seepseg.detection.classifier import ClassifierMeta, SlickClassifier, build_classifiers
from seepseg.detection.postprocessing import Postprocessing
from seepseg.detection.proposal import ProposalParams
from seepseg.models.network_file import NetworksMeta
from seepseg.models.trained_networks import build_networks

MODEL = Kind("model", 4, "write it anew with `dvc repro classify`, or have it sent again")


@param_block
class ModelMeta:
    """What belongs to the weights of a model.

    Attributes:
        networks: how to build and feed the networks; class names and data.
        proposal: how candidates are proposed, for which the classifiers were fitted.
        classifiers: how to build the classifiers.
        postprocessing: for their probabilities.
    """

    networks: NetworksMeta
    proposal: ProposalParams
    classifiers: ClassifierMeta
    postprocessing: Postprocessing

    def __post_init__(self) -> None:
        names, count = self.networks.class_names, self.networks.networks
        if self.classifiers.class_names != names:
            raise ValueError(f"classifiers of the networks' classes {names}, found {self.classifiers.class_names}")
        if self.classifiers.classifiers != count:
            raise ValueError(f"a classifier for each of {count} networks, found {self.classifiers.classifiers}")
        if len(self.postprocessing.class_weights) != len(names):
            found = len(self.postprocessing.class_weights)
            raise ValueError(f"post-processing with weights of {len(names)} classes, found {found}")


@dataclass(frozen=True)
class Model:
    """What finds the slicks of a scene and classifies them.

    Attributes:
        meta: all but the weights.
        networks: propose candidates.
        classifiers: give them probabilities; classifier i was fitted without what network i was not trained on.
    """

    meta: ModelMeta
    networks: Sequence[nn.Module]
    classifiers: Sequence[SlickClassifier]

    @property
    def class_names(self) -> list[str]:
        """Names of the K classes, in the order of their target values."""
        return self.meta.networks.class_names


def save_model(path: Path, model: Model) -> None:
    """Write a model file; the same model gives the same bytes.

    Args:
        path: ends in `.safetensors`.
        model: the whole.
    """
    parts = {"networks": nn.ModuleList(model.networks), "classifiers": nn.ModuleList(model.classifiers)}
    write_tensors(path, MODEL, nn.ModuleDict(parts).state_dict(), asdict(model.meta))


def load_model(path: Path) -> Model:
    """Read a model file.

    Returns:
        The model, on the CPU in evaluation mode.

    Raises:
        InputError: the file is missing, damaged, of another kind or version, or not what it says of itself.
    """
    with open_tensors(path, MODEL) as file:
        meta = file.parse(ModelMeta)
        file.check_count("networks", meta.networks.networks)

        def build() -> nn.ModuleDict:
            return nn.ModuleDict(
                {"networks": build_networks(meta.networks), "classifiers": build_classifiers(meta.classifiers)}
            )

        modules: Any = file.read_module(build)
        return Model(meta, list(modules["networks"]), list(modules["classifiers"]))
