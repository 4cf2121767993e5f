"""The settings of a training, and what is built of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import nn

from seepseg.base.conventions import BACKGROUND
from seepseg.base.device import DeviceName, amp_dtype
from seepseg.base.distributed import ProcessGroup
from seepseg.base.params import param_block
from seepseg.data.channels import InputParams
from seepseg.data.packed import Indices, Packed, class_pixels
from seepseg.losses import Loss, LossParams, build_loss
from seepseg.models import ModelParams
from seepseg.models.heads import Head
from seepseg.training.augmentation import AugmentParams
from seepseg.training.data_parallel import distribute
from seepseg.training.optimisation import OptimizerName, ScheduleName, WeightAverage, build_optimizer, build_schedule
from seepseg.training.sampling import Sampler, SamplingParams
from seepseg.training.step import Optimization


@param_block
class TrainParams:
    """How the networks are trained."""

    seed: Annotated[int, Ge(0)] = 1
    """of weights, samples and augmentation"""
    networks: Annotated[int, Ge(1)] = 4
    """each trains on all inner folds but one, on which it validates; at most one a fold"""
    threads: Annotated[int, Ge(1)] = 2
    """results are identical only for the same number"""
    device: DeviceName = "auto"
    """auto (cuda, then mps, then cpu) | cuda | mps | cpu"""
    devices: Annotated[int, Ge(1)] = 1
    """processes that share each batch, with a GPU each; on the CPU, with `threads` each"""
    amp: bool = True
    """mixed precision where it is faster: on CUDA, and CPUs with bfloat16 products"""
    epochs: Annotated[int, Ge(1)] = 20
    """passes over the samples"""
    batch_size: Annotated[int, Ge(1)] = 16
    """tiles or crops a step"""
    optimizer: OptimizerName = "adamw"
    """adamw | adam"""
    lr: Annotated[float, Gt(0), Le(10)] = 3.0e-3
    """the highest learning rate"""
    weight_decay: Annotated[float, Ge(0), Le(1)] = 1.0e-2
    """of convolution kernels"""
    schedule: ScheduleName = "poly"
    """constant | cosine | poly | step, after warm-up"""
    warmup_epochs: Annotated[int, Ge(0)] = 1
    """in which the learning rate rises linearly"""
    poly_power: Annotated[float, Gt(0)] = 0.9
    """of schedule poly: exponent of the share of steps that remain"""
    step_epochs: Annotated[int, Ge(1)] = 10
    """of schedule step: epochs between two steps"""
    step_factor: Annotated[float, Gt(0), Le(1)] = 0.1
    """of schedule step: what the learning rate is multiplied by"""
    grad_clip: Annotated[float, Ge(0)] = 1.0
    """largest norm of the gradient; 0: any"""
    ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.998
    """exponential average of the weights, which is what is kept; 0: off"""
    keep: Literal["last", "best"] = "last"
    """last: the last epoch | best: the one with the highest validation macro Dice"""
    early_stopping: Annotated[int, Ge(0)] = 0
    """epochs without a better validation macro Dice; 0: off"""

    def __post_init__(self) -> None:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs below epochs {self.epochs}, so that a schedule remains")
        if self.devices > max(self.batch_size // 2, 1):  # half a batch is the smallest that an epoch may end with
            raise ValueError(f"devices of at most half of batch_size {self.batch_size}, which they share")


@dataclass(frozen=True)
class Settings:
    """The sections of params.yaml that decide what comes of a training."""

    train: TrainParams
    input: InputParams
    model: ModelParams
    loss: LossParams
    sampling: SamplingParams
    augment: AugmentParams


def build_losses(
    params: LossParams, head: Head, class_names: list[str], class_weights: Mapping[str, Any], device: torch.device
) -> dict[str, Loss]:
    """The losses that a training minimises, by name.

    Args:
        params: section `loss`.
        head: what the channels of the logits mean.
        class_names: names of the K classes.
        class_weights: weight of background and of each class by its name, under each kind of weighting.
        device: of the logits.
    """
    weights = {
        kind: torch.tensor([by_class[name] for name in (BACKGROUND, *class_names)], device=device)
        for kind, by_class in class_weights.items()
    }
    names = [name for name, _ in params.schedule] or [params.name]
    return {name: build_loss(name, params, head, weights) for name in names}


def build_sampler(params: SamplingParams, packed: Packed, train: Indices, batch_size: int) -> Sampler:
    """What draws the training samples from the rows of the training tiles."""
    return Sampler(params, train, class_pixels(packed.manifest.iloc[train]), batch_size)


def build_optimization(
    params: TrainParams, network: nn.Module, steps_per_epoch: int, group: ProcessGroup
) -> Optimization:
    """All that changes the weights of a network, for epochs of so many batches."""
    model = distribute(network, group)  # first, as it may exchange modules of the network
    optimizer = build_optimizer(params.optimizer, network, params.lr, params.weight_decay)
    schedule = build_schedule(
        params.schedule,
        optimizer,
        steps=params.epochs * steps_per_epoch,
        warmup_steps=params.warmup_epochs * steps_per_epoch,
        poly_power=params.poly_power,
        step_every=params.step_epochs * steps_per_epoch,
        step_factor=params.step_factor,
    )
    average = WeightAverage(network, params.ema_decay)
    dtype = amp_dtype(group.device, params.amp)
    return Optimization(network, model, optimizer, schedule, average, params.grad_clip, dtype, group.device)
