"""Test-time augmentation: a network over a whole scene, several times at each pixel, with norms adapted to the scene.

Neither needs a label, and both help on scenes that a network was not trained on:

- A tile ends where the grid says, in the middle of slicks. The passes are therefore shifted by half a tile against each
  other, and mirrored, so that what is at the edge of one tile is in the middle of another.
- A scene's wind and incidence angle change what the layers of a network get from what they got in training. Its batch
  norms therefore take mean and variance from the scene, as far as it has tiles enough to tell them.
"""

import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from seepseg.base.conventions import NODATA
from seepseg.base.device import autocast
from seepseg.data.channels import InputMaker
from seepseg.data.scenes import Scene
from seepseg.detection.proposal import Backend, Tta
from seepseg.detection.runtime import prepare, replace_weights
from seepseg.models.heads import Head, class_probs, foreground_probs

# Of the passes, in half tiles; each is mirrored in its own way, too.
SHIFTS = ((0, 0), (1, 1), (0, 1), (1, 0))

Images = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class SceneProbs:
    """The probabilities that a network gives a scene.

    Attributes:
        scene: where its N tiles lie.
        foreground: float32 (H, W), probability of any class, stitched; 0 where nothing was seen.
        class_probs: float16 (N, K, h, w), probability of each class, tile by tile.
    """

    scene: Scene
    foreground: npt.NDArray[np.float32]
    class_probs: npt.NDArray[np.float16]


Window = tuple[int, int]
"""Row and column of the first pixel of a window of a tile's size, in a padded scene."""


class PaddedScene:
    """A scene on a device, with as much no-data around it as the shifted windows need.

    Windows side by side are cut and added as one, as a GPU takes as long for the smallest of operations as the host
    needs to ask for it.

    Args:
        scene: where its N tiles lie.
        images: uint16 (N, h, w), the tiles.
        device: where its pixels are to be.

    Attributes:
        scene: the same.
        shape: height H and width W with what is around it.
        tiles: the window of each tile.
    """

    def __init__(self, scene: Scene, images: Images, device: torch.device) -> None:
        self.scene = scene
        self._margin = [side - side // 2 for side in scene.tile_shape]
        self._recorded = np.pad(scene.stitch(images), [(margin, margin) for margin in self._margin])
        # The bits of uint16, which few operations of torch take.
        self._on_device = torch.from_numpy(self._recorded.view(np.int16)).to(device)
        self.shape: tuple[int, int] = self._recorded.shape
        down, across = self._margin
        corners = zip(scene.top.tolist(), scene.left.tolist(), strict=True)
        self.tiles: list[Window] = [(top + down, left + across) for top, left in corners]

    def windows(self, shift: tuple[int, int]) -> list[Window]:
        """All windows that overlap a tile, row by row, of the tiles' grid shifted up and left by so many half tiles."""
        offsets = []
        for half, side in zip(shift, self.scene.tile_shape, strict=True):
            back = half * (side // 2)
            offsets.append((-back, side - back) if back else (0,))
        return sorted({(y + down, x + right) for y, x in self.tiles for down, right in itertools.product(*offsets)})

    def any_seen(self, windows: list[Window]) -> bool:
        """Whether one of the windows has a valid pixel; known without asking the device."""
        height, width = self.scene.tile_shape
        return any((self._recorded[y : y + height, x : x + width] != NODATA).any() for y, x in windows)

    def cut_recorded(self, windows: list[Window]) -> Tensor:
        """Intensity as it was recorded, float32 (N, 1, h, w), of windows."""
        return (self.cut(self._on_device, windows).int() & 0xFFFF).to(torch.float32).unsqueeze(1)

    def cut(self, canvas: Tensor, windows: list[Window]) -> Tensor:
        """Windows of a canvas, (..., H, W) -> (N, ..., h, w)."""
        return torch.cat([view for _, view in self._side_by_side(canvas, windows)])

    def add(self, canvas: Tensor, windows: list[Window], values: Tensor) -> None:
        """Add to a canvas (..., H, W), on any device, in windows that don't overlap; values (N, ..., h, w) or 1."""
        values = values.to(canvas.device)
        for which, view in self._side_by_side(canvas, windows):
            view.add_(values[which])

    def crop(self, canvas: Tensor) -> Tensor:
        """A canvas without what is around the scene."""
        (down, across), (height, width) = self._margin, self.scene.shape
        return canvas[..., down : down + height, across : across + width]

    def _side_by_side(self, canvas: Tensor, windows: list[Window]) -> Iterator[tuple[slice, Tensor]]:
        """For each run of windows side by side, which they are, and the view (N, ..., h, w) of them."""
        height, width = self.scene.tile_shape
        starts = [n for n, (y, x) in enumerate(windows) if not n or windows[n - 1] != (y, x - width)]
        for start, stop in itertools.pairwise([*starts, len(windows)]):
            (y, x), count = windows[start], stop - start
            run = canvas[..., y : y + height, x : x + count * width]
            yield slice(start, stop), run.view(*run.shape[:-1], count, width).movedim(-2, 0)


@dataclass(frozen=True)
class ScenePredictor:
    """Runs a network over scenes.

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
    def predict(self, scene: Scene, images: Images) -> SceneProbs:
        """Run the network over a scene.

        Args:
            scene: where its N tiles lie.
            images: uint16 (N, h, w), the tiles.
        """
        padded = PaddedScene(scene, images, self.device)
        network = self._prepared
        if self.norm_prior_tiles:
            replace_weights(network, self._adapted(padded))
        return self._probs(padded, self._sum_passes(network, padded))

    @cached_property
    def _prepared(self) -> nn.Module:
        return prepare(self.network, self.backend, self.device)

    def _sum_passes(self, network: nn.Module, padded: PaddedScene) -> Tensor:
        """Sums of the weighted logits and, as the last channel, of the weights, float32 (C + 1, H, W).

        A window weighs what share of it was seen: one that lies half outside of the scene knows less.
        """
        sums: Tensor | None = None
        for number in range(self.tta):
            for batch in _batches(padded.windows(SHIFTS[number % 4]), self.batch_size):
                # The first batch is computed in any case, for the number of its channels.
                if sums is not None and not padded.any_seen(batch):
                    continue
                images, valid = self._make_input(padded, batch)
                logits = self._run(network, images, number)
                share = valid.float().mean((1, 2)).view(-1, 1, 1, 1)
                if sums is None:
                    shape = (logits.shape[1] + 1, *padded.shape)
                    sums = torch.zeros(shape, device=device_with_room(self.device, 4 * math.prod(shape)))
                padded.add(sums[:-1], batch, logits.mul_(share))
                padded.add(sums[-1:], batch, share)
        assert sums is not None, "a scene has tiles"
        return sums

    def _make_input(self, padded: PaddedScene, windows: list[Window]) -> tuple[Tensor, Tensor]:
        """What the network is given of windows, float32 (N, C_in, h, w), and their valid pixels, bool (N, h, w)."""
        recorded = padded.cut_recorded(windows)
        valid = recorded[:, 0] != NODATA
        return self.make_input(recorded, valid), valid

    def _probs(self, padded: PaddedScene, sums: Tensor) -> SceneProbs:
        """Probabilities of sums as in `_sum_passes`."""
        num_classes = len(sums) - 1 - (self.head == "softmax")  # without background
        foreground = sums.new_zeros(padded.shape)
        classes = sums.new_empty(len(padded.tiles), num_classes, *padded.scene.tile_shape, dtype=torch.float16)
        for number, batch in enumerate(_batches(padded.tiles, self.batch_size)):
            of_tiles = padded.cut(sums, batch).to(self.device)  # (N, C + 1, h, w)
            mean = of_tiles[:, :-1] / of_tiles[:, -1:].clamp(min=1e-6)
            seen = padded.cut_recorded(batch)[:, 0] != NODATA
            padded.add(foreground, batch, foreground_probs(mean, self.head) * seen)
            start = number * self.batch_size
            classes[start : start + len(batch)] = class_probs(mean, self.head)
        return SceneProbs(padded.scene, _to_host(padded.crop(foreground)), _to_host(classes))

    def _run(self, network: nn.Module, images: Tensor, number: int) -> Tensor:
        """Logits, float32, of images that are mirrored and perhaps turned as in this pass; turned back, as a copy."""
        reversed_dims = [dim for bit, dim in ((1, -1), (2, -2)) if number & bit]
        swap = number >= 4
        given = images.flip(reversed_dims)
        with autocast(self.device, self.dtype):
            logits: Tensor = network(given.transpose(-2, -1) if swap else given)
        return (logits.transpose(-2, -1) if swap else logits).flip(reversed_dims).float()

    def _adapted(self, padded: PaddedScene) -> nn.Module:
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
        tiles = len(padded.tiles)
        parts = np.array_split(np.arange(tiles), -(-tiles // self.batch_size))  # batches of one size have one weight
        for number, part in enumerate(parts):
            for norm in norms:
                norm.momentum = 1 / (number + 1)  # the mean over all batches; with None, a GPU would wait at each norm
            self._run(adapted, self._make_input(padded, [padded.tiles[tile] for tile in part])[0], 0)
        share = tiles / (tiles + self.norm_prior_tiles)
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


def _batches(windows: list[Window], batch_size: int) -> Iterator[list[Window]]:
    for start in range(0, len(windows), batch_size):
        yield windows[start : start + batch_size]


def _to_host(tensor: Tensor) -> npt.NDArray[Any]:
    if tensor.device.type != "cuda":
        return tensor.contiguous().cpu().numpy()
    # A GPU writes to pinned memory several times faster; torch keeps it for the next scene.
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return pinned.copy_(tensor).numpy()
