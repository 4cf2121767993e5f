"""Deep supervision: in training, every level of a network's decoder has logits of its own that the loss compares, too.

References:
    Lee et al. 2015, "Deeply-Supervised Nets", arXiv 1409.5185; with the weights of Isensee et al. 2021, "nnU-Net",
    Nature Methods 18, 203-211: half as much for each coarser level, 1 in all.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seepseg.losses import Loss
from seepseg.models import UNet
from seepseg.models.blocks import init_weights


class Level(NamedTuple):
    """What a level of the decoder says.

    Attributes:
        logits: float (N, C, h, w).
        side: each of their pixels stands for a square of so many pixels of the image; h and w cover the image.
    """

    logits: Tensor
    side: int


class DeeplySupervised(nn.Module):
    """A network in training with a 1x1 head for each coarser level of its decoder; the heads are no part of it.

    Args:
        network: which is trained; shared, not copied.
    """

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network
        num_logits = network.head.out_channels // network.encoder.stem**2
        self.heads = nn.ModuleList(nn.Conv2d(width, num_logits, 1) for width in network.decoder.widths[1:])
        init_weights(self.heads)

    def forward(self, images: Tensor) -> list[Level]:
        """Logits of each level for images (N, C_in, H, W), finest first, which are those of the network itself."""
        height, width = images.shape[-2:]
        finest, *coarser = self.network.decode(images)
        levels = [Level(self.network.logits(finest, images), side=1)]
        for number, (head, decoded) in enumerate(zip(self.heads, coarser, strict=True), start=1):
            side = self.network.encoder.stem * 2**number
            levels.append(Level(head(decoded)[..., : -(-height // side), : -(-width // side)], side))
        return levels


def loss_of_levels(loss: Loss, levels: Sequence[Level], target: Tensor, valid: Tensor) -> Tensor:
    """Weighted mean of the losses of all levels, each with half the weight of the finer one before it.

    Args:
        loss: of one level.
        levels: finest first.
        target: integer (N, H, W); a coarse pixel is compared with the one in the middle of its square.
        valid: bool (N, H, W).

    Returns:
        A scalar.
    """
    total, weights = levels[0].logits.new_zeros((), dtype=torch.float32), 0.0
    for number, (logits, side) in enumerate(levels):
        # Squares that end outside of the image are filled up with what is not valid.
        beyond = (0, -target.shape[-1] % side, 0, -target.shape[-2] % side)
        coarse, seen = (F.pad(each, beyond)[:, side // 2 :: side, side // 2 :: side] for each in (target, valid))
        total = total + 0.5**number * loss(logits.float(), coarse, seen)
        weights += 0.5**number
    return total / weights
