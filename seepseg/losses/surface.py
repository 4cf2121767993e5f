"""A loss of edges: whether the edges of slicks are within a pixel of where they should be, whatever their class."""

import torch
import torch.nn.functional as F
from torch import Tensor

from seepseg.base.distributed import all_sum
from seepseg.losses.batch_statistics import EPSILON, BatchStatistics


def binary_surface(batch: BatchStatistics) -> Tensor:
    """1 - F1 of the edges of all classes as one against background, with a tolerance of 1 pixel, shape ().

    An edge is e = pool(1 - p) - (1 - p), the inner one of a mask, with the maximum over 3 x 3 pixels as pool. Of the
    edges found, e_p, the share sum(e_p pool(e_g)) / sum(e_p) is right (precision P); of the true ones, e_g, the share
    sum(e_g pool(e_p)) / sum(e_g) is found (recall R); F1 is 2 P R / (P + R). The four sums are over the whole batch.
    What ends where the tile or its data end has no edge there. A batch without a true edge has no F1, and gives 0.

    References:
        Bokhovkin & Burnaev 2019, Boundary loss for remote sensing imagery semantic segmentation (arXiv 1905.07852),
        equations 4 to 9 with theta_0 = theta = 3; there for each image and class.
    """
    valid = batch.valid[:, None]
    found = _edges(batch.slick_probs[:, None], valid)
    true = _edges((batch.target > 0)[:, None].to(found), valid)
    sums = [found, found * _pool(true), true, true * _pool(found)]
    all_found, right, all_true, recalled = all_sum(torch.stack([each.sum((1, 2, 3)).sum() for each in sums]))
    precision, recall = right / all_found.clamp(min=EPSILON), recalled / all_true.clamp(min=EPSILON)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=EPSILON)
    return torch.where(all_true > 0, 1 - f1, 0.0)


def _edges(probs: Tensor, valid: Tensor) -> Tensor:
    """Inner edges of soft masks; all (N, 1, H, W)."""
    rest = (1 - probs) * valid  # 0, which no maximum sees, where there are no data
    return (_pool(rest) - rest) * valid


def _pool(values: Tensor) -> Tensor:
    """Maximum of each pixel and its neighbours in the tile, (N, 1, H, W)."""
    maximum: Tensor = F.max_pool2d(values, 3, stride=1, padding=1)
    return maximum
