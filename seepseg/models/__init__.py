"""Segmentation networks, built by name.

Every network maps input channels (`seepseg.data.channels`), float32 (N, C_in, H, W), to logits (N, C, H, W), for any
H and W.
"""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le

from seepseg.base.params import param_block
from seepseg.models.attention_unet import MIN_DEPTH, AttentionDecoder
from seepseg.models.blocks import Norm, Upsampling, init_weights
from seepseg.models.heads import Head
from seepseg.models.resnet_unet import MAX_DEPTH, STEM, ResNetEncoder, ResNetName, load_encoder_weights
from seepseg.models.unet import Decoder, Encoder, UNet, UNetEncoder

__all__ = ["ModelParams", "UNet", "build_model"]


@param_block
class ModelParams:
    """Section `model` of params.yaml.

    Attributes:
        name: the network. The encoder of resnet_unet is a ResNet, with its own widths and batch norm; `depth`
            of its 5 levels are used; `width`, `norm` and `upsampling` shape its decoder;
            `stem` must be 2, which is what the ResNet's first convolution does.
        head: softmax has a logit for background and each class, sigmoid one for each class.
        width: channels of the finest level; each further level has twice as many.
        depth: resolution levels.
        stem: the finest level is that many times coarser than the image.
        norm: after each 3x3 convolution.
        upsampling: in the decoder; bilinear interpolation, or a 2x2 transposed convolution.
        encoder: of resnet_unet.
        encoder_weights: of resnet_unet; a file with a torchvision ResNet state dict to start from.
    """

    name: Literal["unet", "attention_unet", "resnet_unet"]
    head: Head
    width: Annotated[int, Ge(1)]
    depth: Annotated[int, Ge(2), Le(10)]
    stem: Literal[1, 2, 4]
    norm: Norm
    upsampling: Upsampling
    encoder: ResNetName
    encoder_weights: str | None

    def __post_init__(self) -> None:
        if self.name == "attention_unet" and self.depth < MIN_DEPTH:
            raise ValueError(f"depth of at least {MIN_DEPTH} for attention_unet")
        if self.name == "resnet_unet" and self.depth > MAX_DEPTH:
            raise ValueError(f"depth of at most {MAX_DEPTH} for resnet_unet")
        if self.name == "resnet_unet" and self.stem != STEM:
            raise ValueError(f"stem {STEM} for resnet_unet, whose first convolution has stride {STEM}")


def build_model(params: ModelParams, in_channels: int, num_classes: int) -> UNet:
    """Build a network with fresh weights, drawn from torch's global generator.

    Args:
        params: section `model`.
        in_channels: C_in, of the images.
        num_classes: K + 1, background included.

    Returns:
        The network, in training mode; its logits have K + 1 channels with head softmax, K with sigmoid.

    Raises:
        InputError: the file of `encoder_weights` is missing or doesn't fit.
    """
    num_logits = num_classes if params.head == "softmax" else num_classes - 1
    widths = [params.width * 2**level for level in range(params.depth)]
    encoder: Encoder
    if params.name == "resnet_unet":
        encoder = ResNetEncoder(params.encoder, in_channels, params.depth)
    else:
        encoder = UNetEncoder(in_channels, widths, params.stem, params.norm)
    decoder_type = AttentionDecoder if params.name == "attention_unet" else Decoder
    decoder = decoder_type(encoder.widths, widths[:-1], params.norm, params.upsampling)
    model = UNet(encoder, decoder, num_logits)
    init_weights(model)
    if isinstance(encoder, ResNetEncoder) and params.encoder_weights is not None:
        load_encoder_weights(encoder, params.encoder, Path(params.encoder_weights))
    return model
