"""Run a model over tiles, or over the tiles of whole scenes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seepseg.dataset import Batch, TileLoader, in_order
from seepseg.heads import Head, class_probs, foreground_probs
from seepseg.inputs import InputMaker
from seepseg.packed import Indices, Packed
from seepseg.scenes import Scene

Flips = Literal[1, 4, 8]


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
    loader: TileLoader,
    batches: Sequence[Indices],
    *,
    make_input: InputMaker,
    dtype: torch.dtype | None = None,
    flips: Flips = 1,
) -> Iterator[Predicted]:
    """Run a model over tiles, in order, without gradients.

    Args:
        model: on the loader's device; set to evaluation mode here.
        loader: of the tiles.
        batches: of each, int64 (N,) rows of the packed arrays, among those that the loader was made for.
        make_input: as in training.
        dtype: reduced precision to compute in, `None` for float32.
        flips: average the logits of so many copies of each tile: 4 are mirrored or turned by 180 degrees, 8 also by
            quarter turns; 1 is the tile alone.

    Yields:
        One `Predicted` per batch.
    """
    model.eval()
    for indices, batch in zip(batches, loader.batches(batches), strict=True):
        images = make_input(batch.images, batch.valid, indices)
        if not len(images):  # one process's share of a small batch; pixel-unshuffle takes no empty one
            images = images.new_zeros(1, *images.shape[1:])
        with torch.autocast(loader.device.type, dtype=dtype, enabled=dtype is not None):
            logits = _over_flips(model, images, flips)[: len(indices)]
        yield Predicted(indices, batch, logits)


def _over_flips(model: nn.Module, images: Tensor, flips: Flips) -> Tensor:
    """Mean of the logits, float32, over copies whose rows or columns are reversed, or exchanged, and turned back."""
    total: Tensor | None = None
    for number in range(flips):
        reversed_dims = [dim for bit, dim in ((1, -1), (2, -2)) if number & bit]
        swap = number >= 4
        copy = images.flip(reversed_dims)
        logits = model(copy.transpose(-2, -1) if swap else copy).float()
        logits = (logits.transpose(-2, -1) if swap else logits).flip(reversed_dims)
        total = logits if total is None else total + logits
    assert total is not None, "there is at least one copy"
    return total / flips


@dataclass(frozen=True)
class SceneProbs:
    """What a model says of a scene.

    Attributes:
        scene: where its N tiles lie.
        image: uint16 (H, W), the stitched scene.
        foreground: float32 (H, W), probability of any class, stitched; 0 where nothing was seen.
        class_probs: float16 (N, K, h, w), probability of each class, tile by tile.
    """

    scene: Scene
    image: npt.NDArray[np.uint16]
    foreground: npt.NDArray[np.float32]
    class_probs: npt.NDArray[np.float16]


def predict_scene(
    model: nn.Module,
    packed: Packed,
    scene: Scene,
    *,
    head: Head,
    batch_size: int,
    device: torch.device,
    make_input: InputMaker,
    dtype: torch.dtype | None,
    flips: Flips,
) -> SceneProbs:
    """Run a model over the tiles of a scene.

    Args:
        model: on `device`.
        packed: holds the tiles.
        scene: whose tiles.
        head: what the channels of the logits mean.
        batch_size: tiles at a time.
        device: where to compute.
        make_input: as in training.
        dtype: see `predict`.
        flips: see `predict`.
    """
    foreground, classes = [], []
    batches = in_order(scene.indices, batch_size)
    loader = TileLoader(packed, np.sort(scene.indices), device)
    for _, batch, logits in predict(model, loader, batches, make_input=make_input, dtype=dtype, flips=flips):
        foreground.append((foreground_probs(logits, head) * batch.valid).cpu().numpy())
        classes.append(class_probs(logits, head).half().cpu().numpy())  # seven classes of a whole scene are large
    image = scene.stitch(packed.images[scene.indices])
    return SceneProbs(scene, image, scene.stitch(np.concatenate(foreground)), np.concatenate(classes))
