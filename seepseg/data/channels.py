"""What a network is given of a tile: channels made of recorded intensity, normalised tile by tile.

An input channel is added by a function in this module that is registered under a name.
"""

from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import MinLen
from torch import Tensor

from seepseg.base.params import param_block
from seepseg.base.registry import OneOf

# Makes a channel, float32 (N, 1, H, W) in units of recorded intensity, of recorded intensity, of the same type, and of
# a mask of its valid pixels, bool (N, 1, H, W). What it gives elsewhere doesn't matter.
Channel = Callable[[Tensor, Tensor], Tensor]

CHANNELS: dict[str, Channel] = {}

# Intensities are whole numbers: below one step a deviation is rounding error, as in a constant tile.
MIN_STD = 1.0
LEE_WINDOW = 7  # pixels
NOISE_EVERY = 4  # of the pixels in each direction, speckle is estimated from one of so many
TINY = 1e-6


def register_channel(name: str) -> Callable[[Channel], Channel]:
    """Make a decorator that registers a function under the name by which params.yaml chooses its channel."""

    def register(channel: Channel) -> Channel:
        assert name not in CHANNELS, f"two channels are registered as '{name}'"
        CHANNELS[name] = channel
        return channel

    return register


@register_channel("intensity")
def intensity(images: Tensor, seen: Tensor) -> Tensor:
    """Intensity as it was recorded."""
    return images


@register_channel("lee")
def lee_filter(images: Tensor, seen: Tensor) -> Tensor:
    """Intensity with speckle evened out, but less where the image varies by more than speckle does.

    m + w (x - m), w = (1 - Cu^2 / Ci^2) / (1 + Cu^2), not below 0, with the local mean m and the local coefficient of
    variation Ci in a window of 7 x 7 pixels. That of speckle alone, Cu, is taken for the median of Ci in a tile,
    since most of a tile is sea without edges.

    Args:
        images: recorded intensity, float32 (N, 1, H, W).
        seen: bool (N, 1, H, W), where they are valid.

    Returns:
        float32 (N, 1, H, W).

    References:
        Lee 1981, "Speckle analysis and smoothing of synthetic aperture radar images", Computer Graphics and Image
        Processing 17, 24-32; for multiplicative noise.
    """
    known = images * seen
    sums = torch.cat([known, known.square(), seen], dim=1)  # (N, 3, H, W)
    reach = LEE_WINDOW // 2
    sums = F.avg_pool2d(sums, (LEE_WINDOW, 1), stride=1, padding=(reach, 0))  # rows, then columns: a third of the work
    sums = F.avg_pool2d(sums, (1, LEE_WINDOW), stride=1, padding=(0, reach))
    means = sums[:, :2] / sums[:, 2:].clamp(min=TINY)
    mean = means[:, :1]
    variation = ((means[:, 1:] - mean.square()).clamp(min=0) / mean.square().clamp(min=TINY)).clamp(min=TINY)  # Ci^2
    sample = torch.where(seen, variation, torch.nan)[..., ::NOISE_EVERY, ::NOISE_EVERY].flatten(1)
    noise = sample.nanquantile(0.5, dim=1, interpolation="lower").nan_to_num().view(-1, 1, 1, 1)  # Cu^2
    weight = ((1 - noise / variation) / (1 + noise)).clamp(min=0)
    filtered: Tensor = mean + weight * (images - mean)
    return filtered


@param_block
class InputParams:
    """What networks are given of a tile; each tile is normalised by the mean and deviation of its intensity."""

    channels: Annotated[tuple[Annotated[str, OneOf(CHANNELS)], ...], MinLen(1)] = ("intensity",)
    """some of: intensity, lee (intensity with speckle evened out)"""

    def __post_init__(self) -> None:
        if len(set(self.channels)) < len(self.channels):
            raise ValueError(f"channels that differ, found {', '.join(self.channels)}")


class InputMaker:
    """Makes what networks are given of recorded tiles.

    Args:
        params: section `input`.
    """

    def __init__(self, params: InputParams) -> None:
        self.params = params

    def __call__(self, images: Tensor, valid: Tensor) -> Tensor:
        """Make the input of a batch.

        Every channel is measured by the mean and standard deviation of intensity over the tile's valid pixels.

        Args:
            images: recorded intensity, float32 (N, 1, H, W).
            valid: bool (N, H, W), False on no-data.

        Returns:
            float32 (N, C, H, W) with the C channels of the parameters, 0 on no-data; all 0 for a tile that is constant
            or holds nothing valid.
        """
        seen = valid.unsqueeze(1)  # (N, 1, H, W)
        channels = torch.cat([CHANNELS[name](images, seen) for name in self.params.channels], dim=1)  # (N, C, H, W)
        count = seen.sum((1, 2, 3), keepdim=True).clamp(min=1)  # (N, 1, 1, 1)
        mean = torch.where(seen, images, 0).sum((1, 2, 3), keepdim=True) / count
        centred = torch.where(seen, images - mean, 0)
        std = torch.linalg.vector_norm(centred, dim=(1, 2, 3), keepdim=True) / count.sqrt()
        return torch.where(seen, channels - mean, 0).div_(std.clamp(min=MIN_STD))
