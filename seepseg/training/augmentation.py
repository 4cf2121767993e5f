"""Paired augmentation of whole batches.

A training batch goes through, in this order:

1. `augment_intensity`, on intensity as it was recorded, which is what speckle multiplies;
2. `seepseg.data.channels.InputMaker`, of the whole tile, so that training and prediction see the same statistics;
3. `seepseg.training.sampling.crop`, where crops are trained on;
4. `augment`: gain, which normalising a tile would undo, then flips and zoom of image, target and valid.

Prediction uses the second alone. Every random number comes from the `RandomSource` that the caller passes. On a GPU
nothing here makes the host wait for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor

from seepseg.base.errors import InputError
from seepseg.base.params import param_block


@param_block
class AugmentParams:
    """Random changes of training tiles and crops."""

    rot180: bool = True
    """half a turn, or none"""
    hflip: bool = True
    """mirrored left and right, or not"""
    dihedral: bool = True
    """one of all eight flips and quarter turns; contains the two above"""
    resize: Annotated[float, Ge(0), Le(4)] = 0.0
    """random zoom, 0.25: by 0.8 to 1.25, in and out equally likely"""
    gain: Annotated[float, Ge(0)] = 0.1
    """standard deviation of a factor and an offset of the normalised image, one a tile"""
    speckle: Annotated[float, Ge(0)] = 0.0
    """standard deviation of a factor of recorded intensity, one a pixel"""


class RandomSource(Protocol):
    """Random numbers for the tiles of one batch, a row per tile; what comes out depends on the order of the calls."""

    def uniform(self, *shape: int) -> Tensor:
        """From 0 to 1, float32 (tiles, *shape), on any device."""

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, float32 (tiles, *shape), on any device."""


@dataclass(frozen=True)
class BatchRandom:
    """Random numbers for the tiles of one batch, a row per tile.

    Several processes that share a batch each draw the numbers of all its tiles and keep those of their own, so that
    a tile is augmented alike however many processes there are.

    Attributes:
        generator: of the random numbers.
        tiles: size of the whole batch.
        rank: which process this is; it holds the tiles rank, rank + processes, ...
        processes: how many share the batch.
    """

    generator: torch.Generator
    tiles: int
    rank: int = 0
    processes: int = 1

    def uniform(self, *shape: int) -> Tensor:
        """From 0 to 1, float32 (tiles here, *shape), on the generator's device."""
        return self._draw(torch.rand, shape)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, float32 (tiles here, *shape), on the generator's device."""
        return self._draw(torch.randn, shape)

    def _draw(self, kind: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        return kind((self.tiles, *shape), generator=self.generator, device=self.generator.device)[
            self.rank :: self.processes
        ]


def augment_intensity(images: Tensor, valid: Tensor, params: AugmentParams, random: RandomSource) -> Tensor:
    """Multiply each valid pixel of recorded intensity by a factor around 1, as speckle does.

    Args:
        images: recorded intensity, or its square root, float32 (N, 1, H, W).
        valid: bool (N, H, W).
        params: `speckle` is read.
        random: the random numbers of these tiles.

    Returns:
        float32 (N, 1, H, W), nowhere negative.
    """
    if not params.speckle:
        return images
    noise = random.normal(*images.shape[1:]).to(images.device)
    return torch.where(valid.unsqueeze(1), images * (1 + params.speckle * noise).clamp(min=0), images)


def augment(
    images: Tensor, target: Tensor, valid: Tensor, params: AugmentParams, random: RandomSource
) -> tuple[Tensor, Tensor, Tensor]:
    """Change the gain of normalised tiles, then what `augment_geometry` does.

    Args and Returns are those of `augment_geometry`.
    """
    if params.gain:
        factor, offset = (params.gain * random.normal(2, 1, 1, 1)).to(images.device).unbind(1)  # (N, 1, 1, 1) each
        images = torch.where(valid.unsqueeze(1), images * (1 + factor) + offset, 0)
    return augment_geometry(images, target, valid, params, random)


def augment_geometry(
    images: Tensor, target: Tensor, valid: Tensor, params: AugmentParams, random: RandomSource
) -> tuple[Tensor, Tensor, Tensor]:
    """Flip, turn and zoom tiles at random, each in its own way, image, target and valid alike.

    Args:
        images: normalised, 0 on no-data, float32 (N, C, H, W).
        target: classes, integer (N, H, W).
        valid: bool (N, H, W).
        params: what to do.
        random: the random numbers of these tiles.

    Returns:
        The three, of the same shapes. What lies outside of a tile is 0 and not valid.

    Raises:
        InputError: quarter turns of tiles that are not square.
    """
    batch = _flip(images, target, valid, params, random)
    if params.resize:
        batch = _resize(*batch, params.resize, random)
    return batch


def _flip(
    images: Tensor, target: Tensor, valid: Tensor, params: AugmentParams, random: RandomSource
) -> tuple[Tensor, Tensor, Tensor]:
    """Apply to each tile an element of the group of flips and quarter turns, or of the subgroup that is allowed.

    Its 8 elements are the ways to swap rows and columns or not, reverse rows or not, reverse columns or not.
    """
    if params.dihedral and images.shape[-2] != images.shape[-1]:
        height, width = images.shape[-2:]
        raise InputError(
            f"augment.dihedral: quarter turns need square tiles, found {height} x {width} pixels; "
            "set it to false, rot180 and hflip fit any shape"
        )
    swap, first, second = (random.uniform(3) < 0.5).unbind(1)  # (N,) each
    if not params.dihedral:
        turn, mirror = first & params.rot180, second & params.hflip
        swap, first, second = torch.zeros_like(swap), turn, turn != mirror  # half a turn reverses both
    apply = _flip_each if images.device.type == "cpu" else _flip_all
    return apply(images, swap, first, second), apply(target, swap, first, second), apply(valid, swap, first, second)


def _flip_each(tensor: Tensor, swap: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Tile by tile, each copied once: several times faster on a CPU than passes over the whole batch.

    Args:
        tensor: (N, ..., H, W).
        swap: bool (N,), on the CPU: rows and columns, before what follows.
        rows: bool (N,), reverse them.
        columns: bool (N,), likewise.
    """
    flipped = torch.empty_like(tensor)
    each = zip(tensor, flipped, swap.tolist(), rows.tolist(), columns.tolist(), strict=True)
    for tile, result, is_swapped, *is_reversed in each:
        reversed_dims = [dim for dim, wanted in zip((-2, -1), is_reversed, strict=True) if wanted]
        result.copy_((tile.transpose(-2, -1) if is_swapped else tile).flip(reversed_dims))
    return flipped


def _flip_all(tensor: Tensor, swap: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """All at once, without the host knowing what is flipped, as a GPU wants it; see `_flip_each`."""
    height, width = tensor.shape[-2:]
    swap, rows, columns = (chosen.to(tensor.device)[:, None, None] for chosen in (swap, rows, columns))
    row = torch.arange(height, device=tensor.device)[:, None]  # of the result
    column = torch.arange(width, device=tensor.device)
    row = torch.where(rows, height - 1 - row, row)  # (N, H, 1)
    column = torch.where(columns, width - 1 - column, column)  # (N, 1, W)
    source = torch.where(swap, column * width + row, row * width + column)  # (N, H, W), among a tile's pixels
    return take_pixels(tensor, source)


def take_pixels(tensor: Tensor, source: Tensor) -> Tensor:
    """Put tiles together from pixels of other tiles, in one pass.

    Args:
        tensor: (N, ..., H, W).
        source: int64 (N, h, w), the number of each pixel in its tile, row by row.

    Returns:
        (N, ..., h, w).
    """
    inner = tensor.shape[1:-2]
    index = source.flatten(1)[(slice(None), *(None for _ in inner))].expand(-1, *inner, -1)
    return tensor.flatten(-2).gather(-1, index).view(*tensor.shape[:-2], *source.shape[1:])


def _resize(
    images: Tensor, target: Tensor, valid: Tensor, share: float, random: RandomSource
) -> tuple[Tensor, Tensor, Tensor]:
    """Zoom each tile about a random point of it; bilinear for the image, nearest for target and valid."""
    numbers = random.uniform(3).to(images.device)
    zoom = (1 + share) ** (2 * numbers[:, :1] - 1)  # (N, 1)
    point = 2 * numbers[:, 1:] - 1  # (N, 2), x and y from -1 to 1 across the tile
    # Output position p shows input position point + (p - point) / zoom.
    scale = torch.eye(2, device=images.device) / zoom.unsqueeze(-1)  # (N, 2, 2)
    shift = (point * (1 - 1 / zoom)).unsqueeze(-1)  # (N, 2, 1)
    grid = F.affine_grid(torch.cat([scale, shift], dim=-1), list(images.shape), align_corners=False)
    seen = valid.unsqueeze(1)  # (N, 1, H, W)
    # Outside of the tile both read 0, that is background and not valid.
    classes = torch.stack([target, valid], 1).float()  # (N, 2, H, W), small whole numbers, exact in float32
    exact = F.grid_sample(classes, grid, mode="nearest", align_corners=False)
    smooth = F.grid_sample(torch.cat([images * seen, seen], 1), grid, mode="bilinear", align_corners=False)
    target, valid = exact[:, 0].to(target.dtype), exact[:, 1].bool()
    # The share of valid pixels in each mean is divided out, so that no-data and the outside don't bleed in.
    images = torch.where(valid.unsqueeze(1), smooth[:, :-1] / smooth[:, -1:], 0)
    return images, target, valid
