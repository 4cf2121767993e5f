"""Run a model over the tiles that validate it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seepseg.base.device import autocast
from seepseg.data.channels import InputMaker
from seepseg.data.loading import Batch, TileLoader
from seepseg.data.packed import Indices


class Predicted(NamedTuple):
    """The logits of a batch of N tiles.

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
    loader: TileLoader,
    batches: Sequence[Indices],
    *,
    make_input: InputMaker,
    dtype: torch.dtype | None = None,
) -> Iterator[Predicted]:
    """Run a model over tiles, in order, without gradients.

    Args:
        model: on the loader's device; set to evaluation mode here.
        loader: of the tiles.
        batches: of each, int64 (N,) rows of the packed arrays, among those that the loader was made for.
        make_input: as in training.
        dtype: reduced precision to compute in, `None` for float32.

    Yields:
        One `Predicted` per batch.
    """
    model.eval()
    for indices, batch in zip(batches, loader.batches(batches), strict=True):
        images = make_input(batch.images, batch.valid)
        if not len(images):  # one process's share of a small batch; pixel-unshuffle takes no empty one
            images = images.new_zeros(1, *images.shape[1:])
        with autocast(loader.device, dtype):
            logits = model(images).float()[: len(indices)]
        yield Predicted(indices, batch, logits)
