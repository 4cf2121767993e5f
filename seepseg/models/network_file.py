"""Network files, as train writes them: the weights of its networks, and how to build and feed them."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from seepseg.base.params import param_block
from seepseg.base.radiometry import Radiometry
from seepseg.base.scaling import Scaling
from seepseg.base.tensor_file import Kind, write_tensors
from seepseg.data.channels import InputParams
from seepseg.models import ModelParams

NETWORKS = Kind("networks", 6, "write it anew with `dvc repro train`")


@param_block
class NetworksMeta:
    """What belongs to the weights of networks.

    Attributes:
        model: how to build each network.
        networks: how many there are; their probabilities are averaged. Each is trained on all inner folds but the one
            that has its number, see `seepseg.data.packed.read_inner_folds`.
        class_names: names of the K classes, in the order of their target values, without background.
        input: what the networks are given of a tile.
        data_fingerprint: says which data they were trained on.
        radiometry: what the packed numbers of that data measure.
        tile_size: longer side of its tiles, in pixels.
        scaling: how numbers of images became the packed ones.
    """

    model: ModelParams
    networks: Annotated[int, Ge(1)]
    class_names: list[str]
    input: InputParams
    data_fingerprint: str
    radiometry: Radiometry
    tile_size: Annotated[int, Ge(1)]
    scaling: Scaling = field(default_factory=list)


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
