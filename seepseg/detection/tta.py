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
import itertools
import math
from collections.abc import Iterator, Sequence
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


Corner = tuple[int, int]
"""Row and column of the first pixel of a window of a tile's size, in a padded block."""


class PaddedBlock:
    """A block of a scene on a device, with as much around it as the shifted windows need.

    Windows side by side are cut and added as one, as a GPU takes as long for the smallest of operations as the host
    needs to ask for it.

    Args:
        scene: gives the pixels.
        block: a part of it that begins where a tile begins.
        tile_shape: height and width of a tile, in pixels.
        device: where its pixels are to be.

    Attributes:
        shape: height H and width W of whole tiles, with what is around them.
        tiles: the corner of each tile with a valid pixel.
    """

    def __init__(self, scene: ScenePixels, block: Window, tile_shape: tuple[int, int], device: torch.device) -> None:
        self.tile_shape = tile_shape
        self._block = block
        # Of each axis, where the windows of the grid of tiles begin in the scene, and those of the shifted grid.
        axes = list(zip(scene.shape, tile_shape, block[:2], block[2:], strict=True))
        starts = [[window_starts(*axis, back) for back in (0, axis[1] // 2)] for axis in axes]
        self._first = [min(itertools.chain(*grids)) for grids in starts]
        ends = [max(itertools.chain(*grids)) + side for grids, side in zip(starts, tile_shape, strict=True)]
        # Whole tiles, also at the end of a scene.
        tiles = [range(start, start + length, side) for _, side, start, length in axes]
        ends = [max(end, grid[-1] + side) for end, grid, side in zip(ends, tiles, tile_shape, strict=True)]
        self._starts = starts
        self.shape = ends[0] - self._first[0], ends[1] - self._first[1]
        self._recorded = scene.read(Window(self._first[0], self._first[1], *self.shape))
        # The bits of uint16, which few operations of torch take.
        self._on_device = torch.from_numpy(self._recorded.view(np.int16)).to(device)
        self.tiles = self._seen(tiles[0], tiles[1])

    @property
    def is_empty(self) -> bool:
        """Whether the block, without what is around it, has no valid pixel."""
        return not self.tiles

    def corners(self, shift: tuple[int, int]) -> list[Corner]:
        """Windows that overlap the block and have a valid pixel.

        Args:
            shift: so many half tiles lies their grid above and left of that of the tiles.
        """
        rows, columns = (grids[half] for grids, half in zip(self._starts, shift, strict=True))
        return self._seen(rows, columns)

    def _seen(self, rows: Sequence[int], columns: Sequence[int]) -> list[Corner]:
        """Windows with a valid pixel, of those that begin in these rows and columns of the scene."""
        height, width = self.tile_shape
        corners = [(row - self._first[0], column - self._first[1]) for row, column in itertools.product(rows, columns)]
        return [(y, x) for y, x in corners if (self._recorded[y : y + height, x : x + width] != NODATA).any()]

    def cut_recorded(self, corners: list[Corner]) -> Tensor:
        """Intensity as it was recorded, float32 (N, 1, h, w), of windows."""
        return recorded_intensity(self.cut(self._on_device, corners))

    def cut(self, canvas: Tensor, corners: list[Corner]) -> Tensor:
        """Windows of a canvas, (..., H, W) -> (N, ..., h, w)."""
        return torch.cat([view for _, view in self._side_by_side(canvas, corners)])

    def add(self, canvas: Tensor, corners: list[Corner], values: Tensor) -> None:
        """Add to a canvas (..., H, W), on any device, in windows that don't overlap; values (N, ..., h, w) or 1."""
        values = values.to(canvas.device)
        for which, view in self._side_by_side(canvas, corners):
            view.add_(values[which])

    def crop(self, canvas: Tensor) -> Tensor:
        """A canvas without what is around the block."""
        top, left, height, width = self._block
        y, x = top - self._first[0], left - self._first[1]
        return canvas[..., y : y + height, x : x + width]

    def _side_by_side(self, canvas: Tensor, corners: list[Corner]) -> Iterator[tuple[slice, Tensor]]:
        """For each run of windows side by side, which they are, and the view (N, ..., h, w) of them."""
        height, width = self.tile_shape
        starts = [n for n, (y, x) in enumerate(corners) if not n or corners[n - 1] != (y, x - width)]
        for start, stop in itertools.pairwise([*starts, len(corners)]):
            (y, x), count = corners[start], stop - start
            run = canvas[..., y : y + height, x : x + count * width]
            yield slice(start, stop), run.view(*run.shape[:-1], count, width).movedim(-2, 0)


def window_starts(length: int, side: int, first: int, extent: int, back: int) -> list[int]:
    """Where the windows begin that overlap a part of an axis.

    Args:
        length: of the scene.
        side: of a window.
        first: where the part begins.
        extent: of the part.
        back: so far before the scene the grid of windows begins.

    Returns:
        Ascending, from below 0 for a grid that begins before the scene. A last window of which less than half would lie
        in the scene is moved back to its end, as a network sees little in a narrow strip.
    """
    starts = list(range(-back, length, side))
    if length >= side and length - starts[-1] < side // 2:
        starts[-1] = length - side
    return [start for start in starts if start < first + extent and start + side > first]


def recorded_intensity(bits: Tensor) -> Tensor:
    """The bits of uint16, int16 (N, h, w), as float32 (N, 1, h, w)."""
    return (bits.int() & 0xFFFF).to(torch.float32).unsqueeze(1)


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
