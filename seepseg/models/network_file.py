"""Network files: the weights of the networks that train fits, and how to build and feed them."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from seepseg.base.errors import InputError
from seepseg.base.params import param_block
from seepseg.base.tensor_file import Kind, open_tensors, write_tensors
from seepseg.data.channels import InputSpec
from seepseg.models import ModelParams, build_model

NETWORKS = Kind("networks", 4, "write it anew with `dvc repro train`")


@param_block
class NetworksMeta:
    """What belongs to the weights of networks.

    Attributes:
        model: how to build each network.
        networks: how many there are; what they say is averaged. None of them saw the part of the training tiles that
            has its number, see `seepseg.data.packed.read_parts`.
        class_names: names of the K classes, in the order of their target values, without background.
        input: what the networks are given of a tile.
        data_fingerprint: says which data it was trained on.
    """

    model: ModelParams
    networks: Annotated[int, Ge(1)]
    class_names: list[str]
    input: InputSpec
    data_fingerprint: str


def save_networks(path: Path, states: Sequence[Mapping[str, Tensor]], meta: NetworksMeta) -> None:
    """Write a network file; the same content gives the same bytes.

    Args:
        path: ends in `.safetensors`.
        states: the state dict of each network, on any device.
        meta: what belongs to them.

    Raises:
        ValueError: a number in the metadata is NaN or infinite.
    """
    tensors = {f"{number}.{name}": tensor for number, state in enumerate(states) for name, tensor in state.items()}
    write_tensors(path, NETWORKS, tensors, dataclasses.asdict(meta))


def load_networks(path: Path) -> tuple[nn.ModuleList, NetworksMeta]:
    """Read a network file and build its networks.

    Args:
        path: as written by `save_networks`.

    Returns:
        The networks, on the CPU in evaluation mode, and what belongs to them.

    Raises:
        InputError: the file is missing, damaged, of another kind or version, or not what it says of itself.
    """
    with open_tensors(path, NETWORKS) as file:
        meta = file.parse(NetworksMeta)
        file.check_count("networks", meta.networks)
        return file.read_module(lambda: build_networks(meta)), meta


def build_networks(meta: NetworksMeta) -> nn.ModuleList:
    """The networks, with any weights."""
    params = dataclasses.replace(meta.model, encoder_weights=None)
    return nn.ModuleList(
        build_model(params, meta.input.channels, num_classes=len(meta.class_names) + 1) for _ in range(meta.networks)
    )


def check_classes(path: Path, found: list[str], expected: list[str], stage: str) -> None:
    """Refuse a file made for other classes than those of the data.

    Raises:
        InputError: the names or their order differ; it says to run `stage`.
    """
    if found != expected:
        raise InputError(f"{path}: expected the classes {expected}, found {found}; run `dvc repro {stage}`")
