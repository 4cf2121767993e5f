"""Trained networks, built anew from a network file. Training itself has no use for this, and depends not on it."""

from pathlib import Path

from torch import nn

from seepseg.base.errors import InputError
from seepseg.base.tensor_reading import open_tensors
from seepseg.models import build_model
from seepseg.models.network_file import NETWORKS, NetworksMeta


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
    """The networks, with any weights; no other file is read, whatever the metadata say."""
    params, in_channels, num_classes = meta.model.without_files(), len(meta.input.channels), len(meta.class_names) + 1
    return nn.ModuleList(build_model(params, in_channels, num_classes) for _ in range(meta.networks))


def check_classes(path: Path, found: list[str], expected: list[str], stage: str) -> None:
    """Refuse a file made for other classes than those of the data.

    Raises:
        InputError: the names or their order differ; it says to run `stage`.
    """
    if found != expected:
        raise InputError(f"{path}: expected the classes {expected}, found {found}; run `dvc repro {stage}`")
