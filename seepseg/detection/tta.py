"""Test-time augmentation: a network over a whole scene, several times at each pixel, with norms adapted to the scene.

Neither needs a label, and both help on scenes that a network was not trained on:

- A tile ends where the grid says, in the middle of slicks. The passes are therefore shifted by half a tile against each
  other, and mirrored, so that what is at the edge of one tile is in the middle of another.
- A scene's wind and incidence angle change what the layers of a network get from what they got in training. Its batch
  norms therefore take mean and variance from the scene, as far as it has tiles enough to tell them.
"""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

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
from seepseg.detection.runtime import prepare
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
        network = self._prepare(self._adapted(scene, images)) if self.norm_prior_tiles else self._as_trained
        total, weights = self._sum_passes(network, scene, images)
        foreground, classes = [], []
        for logits, weight, image in zip(total, weights, images, strict=True):
            mean = (logits / weight.clamp(min=1e-6))[None].to(self.device)  # (1, C, h, w)
            seen = torch.from_numpy(image != NODATA).to(self.device)
            foreground.append((foreground_probs(mean, self.head)[0] * seen).cpu().numpy())
            classes.append(class_probs(mean, self.head)[0].half().cpu().numpy())  # classes of a whole scene are large
        return SceneProbs(scene, scene.stitch(np.stack(foreground)), np.stack(classes))

    @cached_property
    def _as_trained(self) -> nn.Module:
        return self._prepare(self.network)

    def _prepare(self, network: nn.Module) -> nn.Module:
        return prepare(network, self.backend, self.device)

    def _sum_passes(self, network: nn.Module, scene: Scene, images: Images) -> tuple[Tensor, Tensor]:
        """Sums of the weighted logits, float32 (N, C, h, w), and of the weights, (N, h, w), tile by tile.

        A window weighs what share of it was seen: one that lies half outside of the scene knows less.
        """
        height, width = scene.tile_shape
        whole = np.pad(scene.stitch(images), ((height, height), (width, width)))
        total: Tensor | None = None
        weights = torch.zeros(len(images), height, width)
        for number in range(self.tta):
            shift = [half * (side // 2) for half, side in zip(SHIFTS[number % 4], scene.tile_shape, strict=True)]
            for batch in _batches(_windows(scene, shift), self.batch_size):
                cut = np.stack([whole[y + height : y + 2 * height, x + width : x + 2 * width] for y, x in batch])
                recorded = torch.from_numpy(cut.astype(np.float32))[:, None].to(self.device)
                valid = recorded[:, 0] != NODATA
                if not valid.any():
                    continue
                logits = self._run(network, self.make_input(recorded, valid), number).cpu()
                share = valid.float().mean((1, 2)).cpu()
                total = torch.zeros(len(images), *logits.shape[1:]) if total is None else total
                for window, of_window, weight in zip(batch, logits, share, strict=True):
                    for tile, at, within in _overlaps(scene, window):
                        total[tile][:, *at] += weight * of_window[:, *within]
                        weights[tile][at] += weight
        if total is None:  # no pixel was seen
            nothing = torch.zeros(1, 1, height, width, device=self.device)
            logits = self._run(network, self.make_input(nothing, nothing[:, 0] != NODATA), 0)
            total = torch.zeros(len(images), *logits.shape[1:])
        return total, weights

    def _run(self, network: nn.Module, images: Tensor, number: int) -> Tensor:
        """Logits, float32, of images that are mirrored and perhaps turned as in this pass; turned back again."""
        reversed_dims = [dim for bit, dim in ((1, -1), (2, -2)) if number & bit]
        swap = number >= 4
        given = images.flip(reversed_dims)
        with autocast(self.device, self.dtype):
            logits: Tensor = network(given.transpose(-2, -1) if swap else given)
        return (logits.transpose(-2, -1) if swap else logits).float().flip(reversed_dims)

    def _adapted(self, scene: Scene, images: Images) -> nn.Module:
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
            norm.momentum = None  # the mean over all batches
            norm.train()
        parts = -(-len(images) // self.batch_size)
        for chosen in np.array_split(np.arange(len(images)), parts):  # batches of one size have one weight
            recorded = torch.from_numpy(images[chosen].astype(np.float32))[:, None].to(self.device)
            self._run(adapted, self.make_input(recorded, recorded[:, 0] != NODATA), 0)
        share = len(images) / (len(images) + self.norm_prior_tiles)
        for norm, (mean, var) in zip(norms, before, strict=True):
            own_mean, own_var = norm.running_mean, norm.running_var
            assert own_mean is not None and own_var is not None, "all norms here keep statistics"
            # Of a mixture of two distributions.
            between = share * (1 - share) * (own_mean - mean).square()
            norm.running_var = share * own_var + (1 - share) * var + between
            norm.running_mean = share * own_mean + (1 - share) * mean
            norm.eval()
        return adapted


Window = tuple[int, int]


def _windows(scene: Scene, shift: list[int]) -> list[Window]:
    """Row and column of the first pixel of each window of a tile's size that overlaps a tile, from a shifted grid."""
    steps = [(0, side) if by else (0,) for by, side in zip(shift, scene.tile_shape, strict=True)]
    return sorted(
        {
            (int(top) - shift[0] + down, int(left) - shift[1] + right)
            for top, left in zip(scene.top, scene.left, strict=True)
            for down, right in itertools.product(*steps)
        }
    )


def _overlaps(scene: Scene, window: Window) -> Iterator[tuple[int, tuple[slice, slice], tuple[slice, slice]]]:
    """Number of each tile that a window overlaps, and where that is: in the tile, and in the window."""
    corners = np.stack([scene.top, scene.left], axis=1) - np.array(window)  # of the tiles, within the window
    for tile in np.flatnonzero((np.abs(corners) < scene.tile_shape).all(axis=1)).tolist():
        at, within = [], []
        for offset, side in zip(corners[tile].tolist(), scene.tile_shape, strict=True):
            at.append(slice(max(-offset, 0), side - max(offset, 0)))
            within.append(slice(max(offset, 0), side - max(-offset, 0)))
        yield tile, (at[0], at[1]), (within[0], within[1])


def _batches(windows: list[Window], batch_size: int) -> Iterator[list[Window]]:
    for start in range(0, len(windows), batch_size):
        yield windows[start : start + batch_size]
