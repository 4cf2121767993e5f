"""Model files: networks, namers and decision rule in one file, all that it takes to name the slicks of a new scene."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from seepseg.base.params import param_block
from seepseg.base.tensor_file import Kind, open_tensors, write_tensors
from seepseg.detection.classifier import Namer, NamersMeta, build_namers
from seepseg.detection.postprocessing import DecisionRule
from seepseg.models.network_file import NetworksMeta, build_networks

MODEL = Kind("model", 1, "write it anew with `dvc repro decide`, or have it sent again")


@dataclass(frozen=True)
class Model:
    """What outlines the slicks of a scene and names them.

    Attributes:
        networks: outline.
        meta: what belongs to them: class names, input, and more.
        namers: judge the outlines, each blind to what the network of its number is blind to.
        rule: decides which of them stay, and what they are called.
    """

    networks: nn.ModuleList
    meta: NetworksMeta
    namers: Sequence[Namer]
    rule: DecisionRule


@param_block
class ModelMeta:
    """What belongs to the weights of a model.

    Attributes:
        networks: how to build and feed the networks; class names and data.
        namers: how to build the namers.
        rule: for their judgements.
    """

    networks: NetworksMeta
    namers: NamersMeta
    rule: DecisionRule

    def __post_init__(self) -> None:
        names, count = self.networks.class_names, self.networks.networks
        if self.namers.class_names != names:
            raise ValueError(f"namers of the networks' classes {names}, found {self.namers.class_names}")
        if self.namers.namers != count:
            raise ValueError(f"a namer for each of {count} networks, found {self.namers.namers}")
        if len(self.rule.class_weights) != len(names):
            raise ValueError(f"a rule with weights of {len(names)} classes, found {len(self.rule.class_weights)}")


def save_model(path: Path, model: Model, namers: NamersMeta) -> None:
    """Write a model file; the same model gives the same bytes.

    Args:
        path: ends in `.safetensors`.
        model: the whole.
        namers: what belongs to its namers.

    Raises:
        ValueError: its parts don't belong together.
    """
    meta = ModelMeta(networks=model.meta, namers=namers, rule=model.rule)
    modules = nn.ModuleDict({"networks": model.networks, "namers": nn.ModuleList(model.namers)})
    write_tensors(path, MODEL, modules.state_dict(), asdict(meta))


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
            return nn.ModuleDict({"networks": build_networks(meta.networks), "namers": build_namers(meta.namers)})

        modules: Any = file.read_module(build)
        return Model(modules["networks"], meta.networks, list(modules["namers"]), meta.rule)
