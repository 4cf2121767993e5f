"""The networks by name, as params.yaml chooses one."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from torch import nn

from seepseg.base.registry import Registry


class NetworkBlock(ABC):
    """A network with its parameters. A subclass is a `param_block`, and each of its fields has a default.

    All else depends on what `build` gives: a module that maps input channels, float32 (N, C_in, H, W), to logits
    (N, C, H, W), for any H and W.
    """

    __slots__ = ()

    @abstractmethod
    def build(self, in_channels: int, num_logits: int) -> nn.Module:
        """Build the network with fresh weights, drawn from torch's global generator.

        Args:
            in_channels: C_in, of the images.
            num_logits: C, output channels per pixel.

        Returns:
            The network, in training mode.

        Raises:
            InputError: one of `files` is missing or doesn't fit.
        """

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that `build` takes weights from."""
        return ()

    def without_files(self) -> Self:
        """The parameters that build the same network, of any weights, without reading a file."""
        return self


NETWORKS: Registry[NetworkBlock] = Registry()
register_network = NETWORKS.register
