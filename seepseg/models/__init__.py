"""Segmentation networks, built by name. Every one is `logits = f(images)`.

A network is added by a module that registers its parameters (see `seepseg.models.registry`) and is imported here.
"""

from typing import Annotated

from torch import nn

from seepseg.base.params import param_block
from seepseg.base.registry import OneOf
from seepseg.models import attention_unet, resnet_unet, unet  # noqa: F401 - imported to be registered
from seepseg.models.heads import Head
from seepseg.models.registry import NETWORKS, NetworkBlock

__all__ = ["ModelParams", "build_model"]


@param_block
@NETWORKS.add_fields
class ModelParams:
    """The network, and below it the parameters of each kind."""

    name: Annotated[str, OneOf(NETWORKS)] = "unet"
    """one of the networks below"""
    head: Head = "softmax"
    """softmax (background and classes exclude each other) | sigmoid (a channel a class)"""

    @property
    def network(self) -> NetworkBlock:
        """The parameters of the network that is chosen."""
        params: NetworkBlock = getattr(self, self.name)
        return params

    def without_files(self) -> "ModelParams":
        """What rebuilds the network that is chosen: of the others the defaults, and no file to take weights from."""
        return ModelParams(name=self.name, head=self.head, **{self.name: self.network.without_files()})


def build_model(params: ModelParams, in_channels: int, num_classes: int) -> nn.Module:
    """Build a network with fresh weights, drawn from torch's global generator.

    Args:
        params: section `model`.
        in_channels: C_in, of the images.
        num_classes: K + 1, background included.

    Returns:
        The network, in training mode: float32 (N, C_in, H, W) -> logits (N, C, H, W), for any H and W; C is K + 1 with
        head softmax, K with sigmoid.

    Raises:
        InputError: a file of first weights is missing or doesn't fit.
    """
    return params.network.build(in_channels, num_classes if params.head == "softmax" else num_classes - 1)
