"""Packed tiles as batches of tensors."""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seepseg.base.conventions import NODATA
from seepseg.data.packed import Indices, Packed

BYTES_A_PIXEL = 3  # of image and target
# Of a GPU's free memory for tiles that stay there; the rest is for the network.
RESIDENT_SHARE = 0.3  # at its peak twice that, while the chunks are joined
RESIDENT_CHUNK = 256  # tiles on their way at a time


class Batch(NamedTuple):
    """Tiles and what is known of them, N tiles of H x W pixels on one device.

    Attributes:
        images: float32 (N, 1, H, W), intensity as it was recorded, 0..65535.
        target: uint8 (N, H, W), 0 is background, 1..K are the classes.
        valid: bool (N, H, W), False on no-data.
    """

    images: Tensor
    target: Tensor
    valid: Tensor


class Tiles(NamedTuple):
    """Tiles as they are packed, 3 bytes a pixel, on the way to a device or on it.

    Attributes:
        images: int16 (N, H, W), the bits of uint16, which few operations of torch take.
        target: uint8 (N, H, W).
    """

    images: Tensor
    target: Tensor

    def to_batch(self) -> Batch:
        """Widen to what networks and losses take, on the same device."""
        images = (self.images.int() & 0xFFFF).to(torch.float32).unsqueeze(1)
        return Batch(images, self.target, images[:, 0] != NODATA)


class TileLoader:
    """Copies chosen tiles to a device, from a copy of all that lies there or from the files mapped into memory.

    On a GPU the tiles that will be asked for stay on the device where they fit; else they go there through pinned
    memory. On a CPU the files' pages in the system's cache are as near as a copy. What is not on the device is read
    one batch ahead of its use.

    Args:
        packed: the tiles.
        indices: rows of the packed arrays, ascending, that will be asked for.
        device: where batches are wanted.
    """

    def __init__(self, packed: Packed, indices: Indices, device: torch.device) -> None:
        self.packed = packed
        self.device = device
        self._rows = indices
        self._resident: Tiles | None = None
        size = len(indices) * math.prod(packed.images.shape[1:]) * BYTES_A_PIXEL
        if _fits(size, device):
            chunks = list(map(self._to_device, in_order(indices, RESIDENT_CHUNK)))
            self._resident = Tiles(*(torch.cat(tensors) for tensors in zip(*chunks, strict=True)))

    def batches(self, chosen: Iterable[Indices]) -> Iterator[Batch]:
        """Load batch after batch; see `tiles`."""
        for tiles in self.tiles(chosen):
            yield tiles.to_batch()

    def tiles(self, chosen: Iterable[Indices]) -> Iterator[Tiles]:
        """Load batch after batch, as packed; the next one is read from disk while the caller works on this one.

        Args:
            chosen: of each batch, int64 (N,) rows of the packed arrays, among those announced.
        """
        if self._resident is not None:
            for indices in chosen:
                places = send(torch.from_numpy(np.searchsorted(self._rows, indices)), self.device)
                yield Tiles(*(tensor[places] for tensor in self._resident))
            return
        with ThreadPoolExecutor(1, "tile-loader") as reader:
            ahead: Future[Tiles] | None = None
            for indices in chosen:
                ahead, ready = reader.submit(self._to_device, indices), ahead
                if ready is not None:
                    yield ready.result()
            if ahead is not None:
                yield ahead.result()

    def _to_device(self, indices: Indices) -> Tiles:
        read = Tiles(
            torch.from_numpy(self.packed.images[indices].view(np.int16)),
            torch.from_numpy(self.packed.targets[indices]),
        )
        return Tiles(*(send(tensor, self.device) for tensor in read))


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU to a device, without waiting where that is a GPU."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes can stay on a device that gains from it."""
    return device.type == "cuda" and size <= RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]


def in_order(indices: Indices, batch_size: int) -> list[Indices]:
    """Cut indices into batches, the last one as small as it comes."""
    return [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
