"""What an epoch trains on: whole tiles, or crops that favour slicks, and rare classes of them.

Slicks cover 2 % of the pixels and some classes a hundredth of those, so that tiles drawn at random hardly show them.
A share of the crops is therefore drawn around a slick's pixel: first the class, then a tile that holds it, then a pixel
of it, which may lie anywhere in the crop.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor

from seepseg.base.params import param_block
from seepseg.data.packed import Indices
from seepseg.training.augmentation import take_pixels


@param_block
class SamplingParams:
    """What an epoch trains on."""

    crop: Annotated[int, Ge(0)] = 128
    """side of square crops, in pixels; 0: every whole tile once"""
    crops_per_tile: Annotated[int, Ge(1)] = 8
    """an epoch has as many crops as training tiles times this"""
    class_share: Annotated[float, Ge(0), Le(1)] = 0.6
    """of the crops are drawn around a pixel of a class, the others anywhere"""
    frequency_exponent: Annotated[float, Ge(0), Le(1)] = 0.25
    """a class is drawn by its pixels to the power of this: 1 as it occurs, 0 all alike"""

    def per_epoch(self, tiles: int) -> int:
        """Number of samples of an epoch over so many tiles."""
        return tiles * self.crops_per_tile if self.crop else tiles


class Samples(NamedTuple):
    """What one batch trains on.

    Attributes:
        indices: int64 (N,), rows of the packed arrays; with crops a row may come again.
        classes: int64 (N,), the class that the crop has to show a pixel of, or 0 for a crop anywhere.
    """

    indices: Indices
    classes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sampler:
    """Draws the samples of epoch after epoch.

    Attributes:
        params: section `sampling`.
        indices: int64 (N,), rows of the training tiles in the packed arrays, ascending.
        class_pixels: int64 (N, K+1), their valid pixels of each class, background first.
        batch_size: samples a batch.
    """

    params: SamplingParams
    indices: Indices
    class_pixels: npt.NDArray[np.int64]
    batch_size: int

    @property
    def num_samples(self) -> int:
        """Samples of an epoch."""
        return self.params.per_epoch(len(self.indices))

    @property
    def num_batches(self) -> int:
        """Batches of an epoch.

        The last batch is left out of an epoch where it is less than half a batch and others came before: its few
        samples would make a noisy step, and a single one has no statistics for normalisation over the batch.
        """
        whole, rest = divmod(self.num_samples, self.batch_size)
        return max(1, whole + (2 * rest >= self.batch_size))

    def epoch(self, generator: torch.Generator) -> list[Samples]:
        """Draw an epoch's batches."""
        n = self.num_samples
        rows = torch.cat(
            [
                torch.randperm(len(self.indices), generator=generator)
                for _ in range(self.params.crops_per_tile if self.params.crop else 1)
            ]
        ).numpy()
        classes = np.zeros(n, dtype=np.int64)
        if self.params.crop and self.params.class_share:
            rows, classes = self._on_classes(rows, torch.rand(n, 3, generator=generator, dtype=torch.float64).numpy())
        starts = [number * self.batch_size for number in range(self.num_batches)]
        return [
            Samples(self.indices[rows[start : start + self.batch_size]], classes[start : start + self.batch_size])
            for start in starts
        ]

    def _on_classes(
        self, rows: npt.NDArray[np.int64], draws: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Give a share of the samples a class, and a tile that holds it."""
        totals = self.class_pixels[:, 1:].sum(axis=0).astype(np.float64)
        weights = np.where(totals > 0, np.maximum(totals, 1) ** self.params.frequency_exponent, 0)
        if not weights.any():  # no slick at all
            return rows, np.zeros(len(rows), dtype=np.int64)
        bounds = np.cumsum(weights) / weights.sum()
        chosen = draws[:, 0] < self.params.class_share
        classes = np.where(chosen, np.searchsorted(bounds, draws[:, 1], side="right") + 1, 0)
        rows = rows.copy()
        for number in np.unique(classes[chosen]):
            tiles, wanted = np.flatnonzero(self.class_pixels[:, number]), classes == number
            rows[wanted] = tiles[(draws[wanted, 2] * len(tiles)).astype(np.int64)]
        return rows, classes


def crop(
    images: Tensor, target: Tensor, valid: Tensor, classes: Tensor, side: int, draws: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut a square out of each tile.

    Args:
        images: (N, C, H, W).
        target: integer (N, H, W).
        valid: bool (N, H, W).
        classes: int64 (N,), of each tile the class that its crop must show, of which it has a valid pixel, or 0; see
            `Samples`.
        side: of the square; what exceeds a tile at the right or below is 0 and not valid.
        draws: uniform from 0 to 1, float32 (N, 3): which pixel of the class, and where in the crop it lies.

    Returns:
        The three, with H = W = `side`.
    """
    height, width = target.shape[-2:]
    pad = (0, max(side - width, 0), 0, max(side - height, 0))
    corners = _corners(target, valid, classes.to(target.device), side, draws.to(target.device))
    apply = _cut_each if target.device.type == "cpu" else _cut_all
    return tuple(apply(F.pad(tensor, pad), corners, side) for tensor in (images, target, valid))  # type: ignore[return-value]


def _cut_each(tensor: Tensor, corners: Tensor, side: int) -> Tensor:
    """Cut tile by tile: the fastest on a CPU.

    Args:
        tensor: (N, ..., H, W).
        corners: int64 (N, 2), row and column of the first pixel.
        side: of the square.
    """
    cut = zip(tensor, corners.tolist(), strict=True)
    return torch.stack([tile[..., y : y + side, x : x + side] for tile, (y, x) in cut])


def _cut_all(tensor: Tensor, corners: Tensor, side: int) -> Tensor:
    """All at once, without the host knowing where, as a GPU wants it; see `_cut_each`."""
    within = torch.arange(side, device=tensor.device)
    rows, columns = (corners[:, axis, None] + within for axis in (0, 1))  # (N, side) each
    return take_pixels(tensor, rows[:, :, None] * tensor.shape[-1] + columns[:, None])


def _corners(target: Tensor, valid: Tensor, classes: Tensor, side: int, draws: Tensor) -> Tensor:
    """The row and column of the upper left pixel of each crop, int64 (N, 2); all at once, as a GPU wants it."""
    height, width = target.shape[-2:]
    which, *shifts = draws.double().unbind(1)  # (N,) each
    counted = ((target == classes[:, None, None]) & valid).flatten(1).cumsum(1, dtype=torch.int32)  # (N, H * W)
    rank = (which * counted[:, -1]).to(torch.int32) + 1
    place = torch.searchsorted(counted, rank[:, None])[:, 0]  # the pixel with that rank among those of the class
    corners = []
    for at, shift, length in zip((place // width, place % width), shifts, (height, width), strict=True):
        room = max(length - side, 0)
        around = (at - (shift * side).long()).clamp(0, room)
        corners.append(torch.where(classes > 0, around, (shift * (room + 1)).long()))
    return torch.stack(corners, dim=1)
