"""Run a model over the tiles of a split."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seepseg.dataset import Batch, in_order, load_batch
from seepseg.packed import Indices, Packed
from seepseg.transforms import Normalization, normalize


class Predicted(NamedTuple):
    """What a model says of a batch of N tiles.

    Attributes:
        indices: int64 (N,), rows of the packed arrays.
        batch: the tiles themselves.
        logits: float32 (N, C, H, W).
    """

    indices: Indices
    batch: Batch
    logits: Tensor


@torch.inference_mode()
def predict(
    model: nn.Module,
    packed: Packed,
    indices: Indices,
    *,
    batch_size: int,
    normalization: Normalization,
    device: torch.device,
    dtype: torch.dtype | None = None,
) -> Iterator[Predicted]:
    """Run a model over tiles, in order, without gradients.

    Args:
        model: on `device`; set to evaluation mode here.
        packed: the tiles.
        indices: int64, rows of the packed arrays.
        batch_size: tiles at a time.
        normalization: as in training.
        device: where to compute.
        dtype: reduced precision to compute in, `None` for float32.

    Yields:
        One `Predicted` per batch.
    """
    model.eval()
    for chosen in in_order(indices, batch_size):
        batch = load_batch(packed, chosen, device)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            logits = model(normalize(batch.images, batch.valid, normalization))
        yield Predicted(chosen, batch, logits.float())
