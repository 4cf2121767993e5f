"""Optimiser, learning-rate schedule and weight average, from torch's own parts."""

import itertools
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    PolynomialLR,
    SequentialLR,
    StepLR,
)
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn

OptimizerName = Literal["adamw", "adam"]
ScheduleName = Literal["constant", "cosine", "poly", "step"]


def build_optimizer(name: OptimizerName, model: nn.Module, lr: float, weight_decay: float) -> Optimizer:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) or Adam (Kingma & Ba 2015, arXiv 1412.6980).

    Weight decay acts on convolution kernels only: shrinking a bias or a normalisation's scale regularises nothing.
    """
    kernels = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    # One pass over each weight instead of ten; other devices have no such kernel.
    fused = all(weight.device.type in ("cpu", "cuda") for weight in model.parameters())
    return AdamW(groups, lr=lr, fused=fused) if name == "adamw" else Adam(groups, lr=lr, fused=fused)


def build_schedule(
    name: ScheduleName,
    optimizer: Optimizer,
    *,
    steps: int,
    warmup_steps: int,
    poly_power: float,
    step_every: int,
    step_factor: float,
) -> LRScheduler:
    """Learning rate by optimiser step: a linear rise, then a schedule over the steps that remain.

    With t the step after warm-up and T their number: constant is 1; cosine (1 + cos(pi t / T)) / 2; poly
    (1 - t / T)^poly_power; step step_factor^floor(t / step_every); each times the optimiser's rate.

    Args:
        name: the schedule after warm-up.
        optimizer: holds the highest rate.
        steps: optimiser steps of the whole run.
        warmup_steps: steps of the rise, at most `steps`; the first one is at 1 / warmup_steps of the rate.
        poly_power: of poly.
        step_every: of step, in optimiser steps.
        step_factor: of step.
    """
    rest = max(1, steps - warmup_steps)
    after: LRScheduler
    match name:
        case "constant":
            after = ConstantLR(optimizer, factor=1.0)
        case "cosine":
            after = CosineAnnealingLR(optimizer, T_max=rest)
        case "poly":
            after = PolynomialLR(optimizer, total_iters=rest, power=poly_power)
        case "step":
            after = StepLR(optimizer, step_size=step_every, gamma=step_factor)
    if warmup_steps <= 1:  # the rise would start at the full rate
        return after
    rise = LinearLR(optimizer, start_factor=1 / warmup_steps, total_iters=warmup_steps - 1)
    return SequentialLR(optimizer, [rise, after], milestones=[warmup_steps])


class WeightAverage(AveragedModel):
    """Exponential moving average of all weights and of the normalisations' running statistics.

    The share of the old average kept at step n is min(decay, (1 + n) / (10 + n)), so that a short training is
    averaged over about its last ninth, and not over its random beginning. At step 0 nothing is kept.

    Args:
        model: the model in training.
        decay: largest share of the old average kept at each step; 0 keeps the newest weights alone.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        def average(averaged: PARAM_LIST, current: PARAM_LIST, num_averaged: Tensor | int) -> None:
            kept = self.kept_share(int(num_averaged))
            get_ema_multi_avg_fn(kept)(averaged, current, num_averaged)  # type: ignore[no-untyped-call]

        super().__init__(model, multi_avg_fn=average, use_buffers=True)
        self.decay = decay

    def kept_share(self, step: int) -> float:
        """The share of the old average that is kept at a step, counted from 0."""
        return min(self.decay, (1 + step) / (10 + step)) if step else 0.0

    def update_on_device(self, model: nn.Module, new_share: Tensor) -> None:
        """Do what `update_parameters` does on the device, but for `n_averaged`, which the host counts.

        Counts of batches, which nothing reads, are the newest instead of averages rounded down.

        Args:
            model: the model in training.
            new_share: float32 (), on the device: 1 - `kept_share`.
        """
        pairs = zip(
            itertools.chain(self.module.parameters(), self.module.buffers()),
            itertools.chain(model.parameters(), model.buffers()),
            strict=True,
        )
        floats: tuple[list[Tensor], list[Tensor]] = ([], [])
        for averaged, current in pairs:
            if averaged.is_floating_point():
                floats[0].append(averaged.detach())
                floats[1].append(current.detach())
            else:  # a count of batches
                averaged.copy_(current)
        change = torch._foreach_sub(floats[1], floats[0])
        torch._foreach_mul_(change, new_share)
        torch._foreach_add_(floats[0], change)
