"""U-Net (Ronneberger et al. 2015, arXiv 1505.04597): the skeleton that all networks here share."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from seepseg.base.params import param_block
from seepseg.models.blocks import ConvBlock, Norm, Upsampling, init_weights, make_upsampling, pad_to_multiple
from seepseg.models.registry import NetworkBlock, register_network


class Encoder(nn.Module):
    """What a network needs of an encoder.

    Called with (N, C, H, W), H and W multiples of `multiple`, it gives one feature map per level, finest
    first: level i is (N, widths[i], H / (stem * 2**i), W / (stem * 2**i)).
    """

    widths: tuple[int, ...]
    stem: int

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this for every level to halve the one before exactly."""
        return int(self.stem * 2 ** (len(self.widths) - 1))


class UNetEncoder(Encoder):
    """Two convolutions a level, 2x2 max-pooling between levels.

    Args:
        in_channels: C, of the images.
        widths: channels of each level, finest first.
        stem: blocks of stem x stem pixels become channels first (pixel-unshuffle): nothing is lost, and every
            level works on stem**2 times fewer positions.
        norm: after each convolution.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], stem: int, norm: Norm) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.stem = stem
        inputs = (in_channels * stem**2, *widths[:-1])
        self.levels = nn.ModuleList(ConvBlock(i, o, norm) for i, o in zip(inputs, widths, strict=True))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps, finest first."""
        x = F.pixel_unshuffle(images, self.stem)  # (N, C * stem**2, H / stem, W / stem)
        features: list[Tensor] = []
        for index, level in enumerate(self.levels):
            x = level(F.max_pool2d(x, 2) if index else x)
            features.append(x)
        return features


class Decoder(nn.Module):
    """From the coarsest feature map to the finest: double, join the encoder's map there, convolve twice.

    Args:
        encoder_widths: channels of the encoder's levels, finest first.
        widths: channels of the decoder's levels, finest first, one fewer: the coarsest has no decoder block.
        norm: after each convolution.
        upsampling: bilinear keeps the channels, transposed convolves to those of the finer level.
    """

    def __init__(
        self, encoder_widths: Sequence[int], widths: Sequence[int], norm: Norm, upsampling: Upsampling
    ) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.ups = nn.ModuleList()
        self.blocks = nn.ModuleList()
        below = (*widths[1:], encoder_widths[-1])  # channels that arrive from the next coarser level
        for skip, width, coarser in zip(encoder_widths[:-1], widths, below, strict=True):
            up, channels = make_upsampling(upsampling, coarser, width)
            self.ups.append(up)
            self.blocks.append(ConvBlock(skip + channels, width, norm))

    def select(self, level: int, skip: Tensor, coarser: Tensor) -> Tensor:
        """Return what is joined of the encoder's map of a level; here, all of it. A hook for attention.

        Args:
            level: 0 is the finest.
            skip: the encoder's map, (N, C, H, W).
            coarser: the decoder's map of the next coarser level, (N, D, H / 2, W / 2).
        """
        return skip

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the finest decoded map, (N, widths[0], H, W), of the encoder's maps, finest first."""
        x = features[-1]
        for level in reversed(range(len(self.blocks))):
            skip = self.select(level, features[level], x)  # (N, skip, h, w)
            up = self.ups[level](x)  # (N, coarser, h / 2, w / 2) -> (N, up, h, w)
            joined = torch.cat([skip, up], dim=1)  # (N, skip + up, h, w)
            x = self.blocks[level](joined)  # (N, widths[level], h, w)
        return x


class UNet(nn.Module):
    """Encoder, decoder and a 1x1 head that gives logits at the resolution of the images, with fresh weights in all.

    Args:
        encoder: its `stem` says how much coarser than the image its finest level is.
        decoder: made for the widths of that encoder.
        num_logits: C, output channels per pixel.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, num_logits: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = nn.Conv2d(decoder.widths[0], num_logits * encoder.stem**2, 1)
        init_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits for images of any size.

        Args:
            images: see `seepseg.data.channels`, float32 (N, C_in, H, W), H and W at least 1.

        Returns:
            Logits, (N, C, H, W).
        """
        height, width = images.shape[-2:]
        finest = self.decoder(self.encoder(pad_to_multiple(images, self.encoder.multiple)))  # (N, width, h, w)
        x = self.head(finest)  # (N, C * stem**2, H' / stem, W' / stem)
        return F.pixel_shuffle(x, self.encoder.stem)[..., :height, :width]


def level_widths(width: int, depth: int) -> list[int]:
    """Channels of each level, finest first: they double from one to the next."""
    return [width * 2**level for level in range(depth)]


@register_network("unet")
@param_block
class UNetParams(NetworkBlock):
    """U-Net: Ronneberger et al. 2015."""

    width: Annotated[int, Ge(1)] = 16
    """channels of the finest level; they double at each further one"""
    depth: Annotated[int, Ge(2), Le(10)] = 5
    """resolution levels"""
    stem: Literal[1, 2, 4] = 2
    """1: full resolution | 2, 4: pixel-unshuffle first, 4 or 16 times cheaper"""
    norm: Norm = "batch"
    """none | batch | group"""
    upsampling: Upsampling = "bilinear"
    """bilinear | transposed"""

    def build(self, in_channels: int, num_logits: int) -> nn.Module:
        """Build the network."""
        widths = level_widths(self.width, self.depth)
        encoder = UNetEncoder(in_channels, widths, self.stem, self.norm)
        return UNet(encoder, Decoder(widths, widths[:-1], self.norm, self.upsampling), num_logits)
