"""Attention U-Net (Oktay et al. 2018, arXiv 1804.03999): a U-Net whose skips are told where to look."""

from collections.abc import Sequence
from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from seepseg.base.params import param_block
from seepseg.models.blocks import Norm, Upsampling, double
from seepseg.models.registry import register_network
from seepseg.models.unet import Decoder, UNet, UNetEncoder, UNetParams, level_widths


class AttentionGate(nn.Module):
    """Additive attention: scale each position of a skip x by a share that x and a coarser signal g give.

    q = psi(relu(W_x x + W_g g + b_g)) + b_psi    eq. (1), on the grid of g
    alpha = sigmoid(q)                            eq. (2)
    output = alpha, resampled to the grid of x, times x

    Args:
        skip_channels: of x.
        gating_channels: of g.

    References:
        Oktay et al. 2018, "Attention U-Net", arXiv 1804.03999, eqs. (1), (2) and fig. 2.
    """

    def __init__(self, skip_channels: int, gating_channels: int) -> None:
        super().__init__()
        inner = max(skip_channels // 2, 1)
        self.w_x = nn.Conv2d(skip_channels, inner, 1, stride=2, bias=False)  # to the grid of g; b_g is w_g's
        self.w_g = nn.Conv2d(gating_channels, inner, 1)
        self.psi = nn.Conv2d(inner, 1, 1)

    def forward(self, skip: Tensor, gating: Tensor) -> Tensor:
        """Gate (N, skip_channels, H, W), which keeps its shape, by (N, gating_channels, H / 2, W / 2)."""
        q = self.psi(F.relu(self.w_x(skip) + self.w_g(gating)))  # (N, 1, H / 2, W / 2)
        alpha = double(q.sigmoid())
        return alpha * skip  # (N, 1, H, W) * (N, skip_channels, H, W)


class AttentionDecoder(Decoder):
    """The U-Net's decoder with a gate on every skip but the finest.

    The finest skip passes ungated, as in the paper: its features are too simple to tell objects apart.
    """

    def __init__(
        self, encoder_widths: Sequence[int], widths: Sequence[int], norm: Norm, upsampling: Upsampling
    ) -> None:
        super().__init__(encoder_widths, widths, norm, upsampling)
        coarser = (*widths[2:], encoder_widths[-1])
        self.gates = nn.ModuleList(
            AttentionGate(skip, gating) for skip, gating in zip(encoder_widths[1:-1], coarser, strict=True)
        )

    def select(self, level: int, skip: Tensor, coarser: Tensor) -> Tensor:
        """Gate the encoder's map of a level by the decoder's next coarser one."""
        if level == 0:
            return skip
        gated: Tensor = self.gates[level - 1](skip, coarser)
        return gated


@register_network("attention_unet")
@param_block
class AttentionUNetParams(UNetParams):
    """U-Net with attention gates: Oktay et al. 2018."""

    depth: Annotated[int, Ge(3), Le(10)] = 5
    """resolution levels; with fewer than 3 no skip has a gate"""

    def build(self, in_channels: int, num_logits: int) -> nn.Module:
        """Build the network."""
        widths = level_widths(self.width, self.depth)
        encoder = UNetEncoder(in_channels, widths, self.stem, self.norm)
        return UNet(encoder, AttentionDecoder(widths, widths[:-1], self.norm, self.upsampling), num_logits)
