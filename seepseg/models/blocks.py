"""What the networks share: norm, convolution block, upsampling, padding, weight initialisation."""

import math
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["none", "batch", "group"]
Upsampling = Literal["bilinear", "transposed"]

MAX_GROUPS = 8


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Make the norm layer that follows a convolution; group norm takes up to 8 equal groups of channels."""
    match norm:
        case "none":
            return nn.Identity()
        case "batch":
            return nn.BatchNorm2d(channels)
        case "group":
            return nn.GroupNorm(math.gcd(channels, MAX_GROUPS), channels)


class ConvBlock(nn.Sequential):
    """Twice 3x3 convolution, norm, ReLU: (N, in_channels, H, W) -> (N, out_channels, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        bias = norm == "none"  # a norm subtracts the mean, and with it any bias
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias),
            make_norm(norm, out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=bias),
            make_norm(norm, out_channels),
            nn.ReLU(inplace=True),
        )


def make_upsampling(upsampling: Upsampling, in_channels: int, out_channels: int) -> tuple[nn.Module, int]:
    """Make a layer that doubles height and width.

    Returns:
        The layer, and the channels that it gives: bilinear has no weights and keeps `in_channels`, transposed
        maps to `out_channels`.
    """
    if upsampling == "bilinear":
        return Doubling(), in_channels
    return nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2), out_channels


class Doubling(nn.Module):
    """`double` as a layer."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 2 H, 2 W)."""
        return double(images)


def double(images: Tensor) -> Tensor:
    """Double height and width, bilinear between the centres of pixels: (N, C, H, W) -> (N, C, 2 H, 2 W)."""
    # On GPUs torch's own has no deterministic gradient but one that sorts, which makes a training step longer by half.
    if images.device.type != "cpu" and torch.are_deterministic_algorithms_enabled():
        return double_by_products(images)
    return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)


def double_by_products(images: Tensor) -> Tensor:
    """What `double` gives, by a product with a matrix along each side; without copies of channels that lie together."""
    count, channels, height, width = images.shape
    wide = _doubling(width, images.dtype, images.device) @ images.permute(0, 2, 3, 1)  # (N, H, 2 W, C)
    both = _doubling(height, images.dtype, images.device) @ wide.flatten(2)  # (N, 2 H, 2 W * C)
    return both.view(count, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


@cache
def _doubling(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrix (2 size, size) that doubles a column of pixels."""
    with torch.inference_mode(False):  # or the first prediction would keep it from being trained with
        columns = torch.eye(size).unsqueeze(0)
        doubled = F.interpolate(columns, scale_factor=2, mode="linear", align_corners=False)[0].T
        return doubled.to(device, dtype).contiguous()


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of (N, C, H, W) until height and width are multiples of `multiple`."""
    height, width = images.shape[-2:]
    missing = (0, -width % multiple, 0, -height % multiple)
    return F.pad(images, missing, mode="replicate") if any(missing) else images


def init_weights(model: nn.Module) -> None:
    """Draw all convolution weights from torch's global generator; biases become 0.

    He normal: variance 2 / fan-in where a ReLU follows, which is after every kernel larger than 1x1, and
    1 / fan-in elsewhere, so that activations keep their size from layer to layer. (An attention gate adds two
    1x1 convolutions before its ReLU, which makes 2 again.)

    References:
        He et al. 2015, "Delving Deep into Rectifiers", arXiv 1502.01852, eq. (10).
    """
    for module in model.modules():
        match module:
            case nn.ConvTranspose2d():
                # 2x2 with stride 2: an output pixel sees one input pixel, so fan-in is in_channels.
                nn.init.normal_(module.weight, std=module.in_channels**-0.5)
            case nn.Conv2d():
                followed_by_relu = module.kernel_size != (1, 1)
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu" if followed_by_relu else "linear")
            case _:
                continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
