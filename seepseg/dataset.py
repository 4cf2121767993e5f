"""Packed tiles as batches of tensors."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seepseg.packed import NODATA, Indices, Packed


class Batch(NamedTuple):
    """Tiles and what is known of them, N tiles of H x W pixels on one device.

    Attributes:
        images: float32 (N, 1, H, W), intensity as it was recorded, 0..65535.
        target: int64 (N, H, W), 0 is background, 1..K are the classes.
        valid: bool (N, H, W), False on no-data.
    """

    images: Tensor
    target: Tensor
    valid: Tensor


def load_batch(packed: Packed, indices: Indices, device: torch.device) -> Batch:
    """Copy some tiles from disk to a device.

    Args:
        packed: the tiles.
        indices: int64 (N,), rows of the packed arrays.
        device: where the tensors shall lie.
    """
    images = torch.from_numpy(packed.images[indices].astype(np.float32)).unsqueeze(1)
    target = torch.from_numpy(packed.targets[indices].astype(np.int64))
    batch = Batch(images, target, images[:, 0] != NODATA)
    return Batch(*(tensor.to(device, non_blocking=True) for tensor in batch))


def in_order(indices: Indices, batch_size: int) -> Iterator[Indices]:
    """Cut indices into batches, the last one as small as it comes."""
    for start in range(0, len(indices), batch_size):
        yield indices[start : start + batch_size]


def shuffled(indices: Indices, batch_size: int, generator: torch.Generator) -> Iterator[Indices]:
    """Cut indices into batches in a random order.

    The last batch is left out of this epoch where it is less than half a batch and others came before: its few tiles
    would make a noisy step, and a single one has no statistics for normalisation over the batch.
    """
    order = indices[torch.randperm(len(indices), generator=generator).numpy()]
    return islice(in_order(order, batch_size), num_batches(len(indices), batch_size))


def num_batches(tiles: int, batch_size: int) -> int:
    """Number of batches that `shuffled` gives."""
    whole, rest = divmod(tiles, batch_size)
    return max(1, whole + (2 * rest >= batch_size))
