"""Test-time augmentation: a network over a scene, several times at each pixel, with norms adapted to the scene.

Neither needs a label, and both help on scenes that a network was not trained on:

- A tile ends where the grid says, in the middle of slicks. The passes are therefore shifted by half a tile against each
  other, and mirrored, so that what is at the edge of one tile is in the middle of another.
- A scene's wind and incidence angle change what the layers of a network get from what they got in training. Its batch
  norms therefore take mean and variance from the scene, as far as it has tiles enough to tell them.

A scene is worked on block by block, so that its size is no matter. What a pixel gets does not depend on the blocks: the
windows that reach over the edge of a block are computed on both sides of it.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from seepseg.base.conventions import NODATA
from seepseg.base.device import autocast
from seepseg.data.channels import InputMaker
from seepseg.data.pixels import ScenePixels, Window
from seepseg.detection.padded_block import Corner, PaddedBlock, recorded_intensity
from seepseg.detection.proposal import Backend, Tta
from seepseg.detection.runtime import prepare, replace_weights
from seepseg.models.heads import Head, class_probs, foreground_probs

# Of the passes, in half tiles; each is mirrored in its own way, too.
SHIFTS = ((0, 0), (1, 1), (0, 1), (1, 0))

MAX_ADAPTED = 256  # tiles that norms are adapted to; more would tell little more

Images = npt.NDArray[np.uint16]


class BlockProbs(NamedTuple):
    """The probabilities that a network gives a block of a scene.

    Attributes:
        foreground: float32 (H, W), probability of any class; 0 where nothing was seen.
        class_probs: float16 (K, H, W), probability of each class; of no meaning where nothing was seen.
    """

    foreground: npt.NDArray[np.float32]
    class_probs: npt.NDArray[np.float16]


def typical_tiles(scene: ScenePixels, tile_shape: tuple[int, int]) -> Images:
    """Tiles that tell what a scene looks like: all that have a valid pixel or, of many, some evenly spread over it.

    Returns:
        uint16 (N, h, w).
    """
    rows, columns = (-(-length // side) for length, side in zip(scene.shape, tile_shape, strict=True))
    total, tried = rows * columns, MAX_ADAPTED
    while True:
        chosen = np.linspace(0, total - 1, min(tried, total)).round().astype(int)
        corners = [(cell // columns * tile_shape[0], cell % columns * tile_shape[1]) for cell in chosen.tolist()]
        tiles = [tile for tile in (scene.read(Window(*corner, *tile_shape)) for corner in corners) if tile.any()]
        # Where the most is land or no-data, more has to be looked at.
        if tried >= total or len(tiles) > MAX_ADAPTED // 2:
            spread = tiles[:: -(-len(tiles) // MAX_ADAPTED) or 1]
            return np.stack(spread) if spread else np.zeros((0, *tile_shape), np.uint16)
        tried *= 4


@dataclass(frozen=True)
class ScenePredictor:
    """Runs a network over scenes, block by block.

    Attributes:
        network: on `device`; left as it is.
        head: what the channels of its logits mean.
        make_input: as in training.
        batch_size: tiles at a time.
        device: where to compute.
        dtype: reduced precision to compute in, `None` for float32.
        backend: what computes; see `seepseg.detection.runtime.prepare`.
        tta: passes over each pixel: 1 is the tile alone; 4 are shifted by half a tile along neither, both or one of the
            axes, and mirrored along neither, one or both; 8 the same once more with rows and columns exchanged.
        norm_prior_tiles: the statistics of training weigh as much in the norms as so many tiles of the scene; 0 leaves
            them alone.
    """

    network: nn.Module
    head: Head
    make_input: InputMaker
    batch_size: int
    device: torch.device
    dtype: torch.dtype | None
    backend: Backend
    tta: Tta
    norm_prior_tiles: int

    @torch.inference_mode()
    def adapt(self, tiles: Images) -> None:
        """Adapt to a scene, before its blocks are predicted.

        Args:
            tiles: uint16 (N, h, w), see `typical_tiles`.
        """
        if self.norm_prior_tiles:
            replace_weights(self._prepared, self._adapted(tiles) if len(tiles) else self.network)

    @torch.inference_mode()
    def predict(self, block: PaddedBlock) -> BlockProbs:
        """Run the network over a block that is not empty."""
        return self._probs(block, self._sum_passes(block))

    @cached_property
    def _prepared(self) -> nn.Module:
        return prepare(self.network, self.backend, self.device)

    def _sum_passes(self, block: PaddedBlock) -> Tensor:
        """Sums of the weighted logits and, as the last channel, of the weights, float32 (C + 1, H, W).

        A window weighs what share of it was seen: one that lies half outside of the scene knows less.
        """
        sums: Tensor | None = None
        for number in range(self.tta):
            for batch in _batches(block.corners(SHIFTS[number % 4]), self.batch_size):
                images, valid = self._make_input(block.cut_recorded(batch))
                logits = self._run(self._prepared, images, number)
                share = valid.float().mean((1, 2)).view(-1, 1, 1, 1)
                if sums is None:
                    shape = (logits.shape[1] + 1, *block.shape)
                    sums = torch.zeros(shape, device=device_with_room(self.device, 4 * math.prod(shape)))
                block.add(sums[:-1], batch, logits.mul_(share))
                block.add(sums[-1:], batch, share)
        assert sums is not None, "an empty block is passed over"
        return sums

    def _make_input(self, recorded: Tensor) -> tuple[Tensor, Tensor]:
        """What the network is given, float32 (N, C_in, h, w), and the valid pixels, bool (N, h, w)."""
        valid = recorded[:, 0] != NODATA
        return self.make_input(recorded, valid), valid

    def _probs(self, block: PaddedBlock, sums: Tensor) -> BlockProbs:
        """Probabilities of sums as in `_sum_passes`."""
        num_classes = len(sums) - 1 - (self.head == "softmax")  # without background
        foreground = sums.new_zeros(block.shape)
        classes = sums.new_zeros(num_classes, *block.shape, dtype=torch.float16)
        for batch in _batches(block.tiles, self.batch_size):
            of_tiles = block.cut(sums, batch).to(self.device)  # (N, C + 1, h, w)
            mean = of_tiles[:, :-1] / of_tiles[:, -1:].clamp(min=1e-6)
            seen = block.cut_recorded(batch)[:, 0] != NODATA
            block.add(foreground, batch, foreground_probs(mean, self.head) * seen)
            block.add(classes, batch, class_probs(mean, self.head).to(torch.float16))
        return BlockProbs(_to_host(block.crop(foreground)), _to_host(block.crop(classes)))

    def _run(self, network: nn.Module, images: Tensor, number: int) -> Tensor:
        """Logits, float32, of images that are mirrored and perhaps turned as in this pass; turned back, as a copy."""
        reversed_dims = [dim for bit, dim in ((1, -1), (2, -2)) if number & bit]
        swap = number >= 4
        given = images.flip(reversed_dims)
        with autocast(self.device, self.dtype):
            logits: Tensor = network(given.transpose(-2, -1) if swap else given)
        return (logits.transpose(-2, -1) if swap else logits).flip(reversed_dims).float()

    def _adapted(self, tiles: Images) -> nn.Module:
        """A copy with batch norms adapted to the scene.

        With n tiles, its statistics weigh n / (n + N) and those of training N / (n + N), N being `norm_prior_tiles`.

        References:
            Schneider et al. 2020, "Improving robustness against common corruptions by covariate shift adaptation",
            arXiv 2006.16971, eq. (3).
        """
        adapted: nn.Module = copy.deepcopy(self.network).eval()
        adapted.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        norms = [module for module in adapted.modules() if isinstance(module, _BatchNorm)]
        if not norms:
            return adapted
        before = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]  # type: ignore[union-attr]
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
        count = len(tiles)
        # Batches of one size have one weight.
        parts = np.array_split(tiles.view(np.int16), -(-count // self.batch_size))
        for number, part in enumerate(parts):
            for norm in norms:
                norm.momentum = 1 / (number + 1)  # the mean over all batches; with None, a GPU would wait at each norm
            images, _ = self._make_input(recorded_intensity(torch.from_numpy(part).to(self.device)))
            self._run(adapted, images, 0)
        share = count / (count + self.norm_prior_tiles)
        for norm, (mean, var) in zip(norms, before, strict=True):
            own_mean, own_var = norm.running_mean, norm.running_var
            assert own_mean is not None and own_var is not None, "all norms here keep statistics"
            # Of a mixture of two distributions.
            between = share * (1 - share) * (own_mean - mean).square()
            norm.running_var = share * own_var + (1 - share) * var + between
            norm.running_mean = share * own_mean + (1 - share) * mean
            norm.eval()
        return adapted


def device_with_room(device: torch.device, size: int) -> torch.device:
    """The device, or the CPU where so many bytes are more than half of a GPU's free memory."""
    if device.type != "cuda":
        return device
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + unused
    return device if size <= free / 2 else torch.device("cpu")


def _batches(corners: list[Corner], batch_size: int) -> Iterator[list[Corner]]:
    for start in range(0, len(corners), batch_size):
        yield corners[start : start + batch_size]


def _to_host(tensor: Tensor) -> npt.NDArray[Any]:
    if tensor.device.type != "cuda":
        return tensor.contiguous().cpu().numpy()
    # A GPU writes to pinned memory several times faster; torch keeps it for the next scene.
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return pinned.copy_(tensor).numpy()
