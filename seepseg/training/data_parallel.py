"""One network trained by several processes: averaged gradients, pooled batch norms."""

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from seepseg.base.distributed import ProcessGroup, all_sum


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


def distribute(model: nn.Module, group: ProcessGroup) -> nn.Module:
    """Make what all processes train together: one set of weights, gradients averaged, batch norms pooled.

    Args:
        model: on the device of `group`. Its batch norms are replaced in place; their weights and names stay.
        group: of one process: nothing is done.

    Returns:
        What to call in training; its attribute `module` is the model, unless it is the model itself.
    """
    if group.size == 1:
        return model
    on_gpu = group.device.type == "cuda"
    if on_gpu:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    else:
        _pool_norms(model)
    # The buffers are the norms' running statistics, which are the same in all processes already.
    return DistributedDataParallel(model, device_ids=[group.device] if on_gpu else None, forward_sync_buffers=False)


def _pool_norms(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = PooledBatchNorm2d  # which has the same state
