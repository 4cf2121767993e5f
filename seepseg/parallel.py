"""Training by several processes, each with its own device and its share of every batch, as exact as by one.

A loss is a function of sums over the pixels of the whole batch. Each process holds a share of the batch, and the
sums are added up over the processes (`all_sum`), so that every process computes the same loss L of the same batch.
Backward, the gradient of such a sum is added up over the processes too: with P processes, a process gets P times
the part of dL/dw that comes from its share. DistributedDataParallel takes the mean over the processes, which is
dL/dw. With one process nothing of this happens, and `all_sum` gives back what it was given.
"""

from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.parallel import DistributedDataParallel

Rows = TypeVar("Rows", Tensor, npt.NDArray[Any])


@dataclass(frozen=True)
class World:
    """This process among those that train together; `seepseg.processes.join` makes it.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        device: its own.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def share(self, rows: Rows) -> Rows:
        """Take this process's share of the rows of a batch; shares differ by one row at most, and may be empty."""
        return rows[self.rank :: self.size]

    def sum(self, counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Add up an array over the processes, such as int64 counts of pixels; `counts` itself where there is one."""
        if self.size == 1:
            return counts
        totals: npt.NDArray[Any] = all_sum(torch.from_numpy(counts).to(self.device)).cpu().numpy()
        return totals

    def of_main(self, value: Any) -> Any:
        """What the main process gives, in each of them: anything that pickle takes, which goes to no one else."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, device=self.device)
        return values[0]


def all_sum(tensor: Tensor) -> Tensor:
    """Add up a tensor over the processes; the same bits in each of them, and itself where there is only one.

    The gradient is added up likewise: it is that of the sum of what the processes compute from the total. All of
    them must come here in the same order, with tensors of one shape.
    """
    return cast(Tensor, _AllSum.apply(tensor)) if dist.is_initialized() else tensor  # type: ignore[no-untyped-call]


class _AllSum(Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return all_sum(gradient)


def gather(rows: Tensor) -> Tensor:
    """Join the rows (first dimension) of all processes, for a loss that must see every pixel at once.

    Every process must compute the same scalar from the whole. The gradients that come back are then the same in
    all of them, and their sum, which `all_sum` would give, is the own one times the number of processes.

    Args:
        rows: (N, ...), of any type; N may differ between processes.

    Returns:
        The rows of process 0, then those of process 1, and so on; `rows` itself where there is one process.
    """
    return cast(Tensor, _Gather.apply(rows)) if dist.is_initialized() else rows  # type: ignore[no-untyped-call]


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        lengths = torch.zeros(dist.get_world_size(), dtype=torch.int64, device=rows.device)
        lengths[dist.get_rank()] = len(rows)
        dist.all_reduce(lengths)
        ctx.lengths = lengths.tolist()
        # Only parts of one shape can be exchanged.
        padded = rows.new_zeros(max(ctx.lengths), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in ctx.lengths]
        dist.all_gather(parts, padded)
        return torch.cat([part[:length] for part, length in zip(parts, ctx.lengths, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        start = sum(ctx.lengths[: dist.get_rank()])
        return gradient[start : start + ctx.lengths[dist.get_rank()]] * len(ctx.lengths)


class PooledBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the mean and variance over the shares of all processes together, on any device.

    `torch.nn.SyncBatchNorm` does the same, faster, and refuses tensors that are not on a GPU.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Normalise (N, C, H, W); N may differ between processes, and be 0."""
        if not self.training:
            return super().forward(images)
        given, images = images.dtype, images.to(torch.promote_types(images.dtype, torch.float32))
        # In double precision, as sums over so many pixels drift, and by more or less as they are split.
        pixels = images.new_full((1,), images.numel() // images.shape[1], dtype=torch.float64)
        totals = all_sum(torch.cat([images.sum((0, 2, 3), dtype=torch.float64), pixels]))
        count, mean = totals[-1], totals[:-1] / totals[-1]
        centred = images - mean.to(images.dtype)[:, None, None]
        variance = all_sum(centred.square().sum((0, 2, 3), dtype=torch.float64)) / count
        with torch.no_grad():
            self._track(mean.to(images.dtype), (variance * count / (count - 1)).to(images.dtype))
        scale = self.weight * (variance + self.eps).rsqrt().to(images.dtype)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(given)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None, "no norm here averages over all batches"
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def distribute(model: nn.Module, world: World) -> nn.Module:
    """Make what all processes train together: one set of weights, gradients averaged, batch norms pooled.

    Args:
        model: on the device of `world`. Its batch norms are replaced in place; their weights and names stay.
        world: of one process: nothing is done.

    Returns:
        What to call in training; its attribute `module` is the model, unless it is the model itself.
    """
    if world.size == 1:
        return model
    on_gpu = world.device.type == "cuda"
    if on_gpu:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    else:
        _pool_norms(model)
    # The buffers are the norms' running statistics, which are the same in all processes already.
    return DistributedDataParallel(model, device_ids=[world.device] if on_gpu else None, forward_sync_buffers=False)


def _pool_norms(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = PooledBatchNorm2d  # which has the same state
