"""Training by several processes, each with its own device and its share of every batch, as exact as by one.

A loss is a function of sums over the pixels of the whole batch. Each process holds a share of the batch, and the
sums are added up over the processes (`all_sum`), so that every process computes the same loss L of the same batch.
In the backward pass the gradient of such a sum is added up over the processes too: with P processes, a process gets P
times the contribution of its share to dL/dw. DistributedDataParallel takes the mean over the processes, which is
dL/dw. With one process nothing of this happens, and `all_sum` gives back what it was given.
"""

from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

Rows = TypeVar("Rows", Tensor, npt.NDArray[Any])


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those that train together; `seepseg.training.processes.join` makes it.

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


# torch.distributed.nn.functional has sums and gathering with gradients, too, but deprecates both in favour of a private
# module, and gathers equally many rows only.
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
        # Only tensors of one shape can be exchanged.
        padded = rows.new_zeros(max(ctx.lengths), *rows.shape[1:])
        padded[: len(rows)] = rows
        received = [torch.empty_like(padded) for _ in ctx.lengths]
        dist.all_gather(received, padded)
        return torch.cat([each[:length] for each, length in zip(received, ctx.lengths, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        start = sum(ctx.lengths[: dist.get_rank()])
        return gradient[start : start + ctx.lengths[dist.get_rank()]] * len(ctx.lengths)
