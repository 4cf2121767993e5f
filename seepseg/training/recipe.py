"""The settings of a training, and what is built of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt

from seepseg.base.conventions import BACKGROUND
from seepseg.base.device import DeviceName, amp_dtype
from seepseg.base.distributed import ProcessGroup
from seepseg.base.params import param_block
from seepseg.data.channels import InputParams
from seepseg.data.packed import Indices, Packed, class_pixels
from seepseg.losses import Loss, LossParams, build_loss
from seepseg.models import ModelParams, UNet
from seepseg.models.heads import Head
from seepseg.training.augmentation import AugmentParams
from seepseg.training.data_parallel import distribute
from seepseg.training.deep_supervision import DeeplySupervised
from seepseg.training.optimisation import OptimizerName, ScheduleName, build_average, build_optimizer, build_schedule
from seepseg.training.sampling import Sampler, SamplingParams
from seepseg.training.step import Optimization


@param_block
class TrainParams:
    """Section `train` of params.yaml, which says what each key does."""

    seed: Annotated[int, Ge(0)]
    networks: Annotated[int, Ge(1)]
    threads: Annotated[int, Ge(1)]
    device: DeviceName
    devices: Annotated[int, Ge(1)]
    amp: bool
    epochs: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]
    optimizer: OptimizerName
    lr: Annotated[float, Gt(0), Le(10)]
    weight_decay: Annotated[float, Ge(0), Le(1)]
    schedule: ScheduleName
    warmup_epochs: Annotated[int, Ge(0)]
    poly_power: Annotated[float, Gt(0)]
    step_epochs: Annotated[int, Ge(1)]
    step_factor: Annotated[float, Gt(0), Le(1)]
    grad_clip: Annotated[float, Ge(0)]
    ema_decay: Annotated[float, Ge(0), Lt(1)]
    keep: Literal["last", "best"]
    early_stopping: Annotated[int, Ge(0)]
    deep_supervision: bool

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


def build_optimization(params: TrainParams, network: UNet, steps_per_epoch: int, group: ProcessGroup) -> Optimization:
    """All that changes the weights of a network, for epochs of so many batches."""
    model = DeeplySupervised(network).to(group.device) if params.deep_supervision else network
    distributed = distribute(model, group)  # first, as it may exchange modules of the network
    optimizer = build_optimizer(params.optimizer, model, params.lr, params.weight_decay)
    schedule = build_schedule(
        params.schedule,
        optimizer,
        steps=params.epochs * steps_per_epoch,
        warmup_steps=params.warmup_epochs * steps_per_epoch,
        poly_power=params.poly_power,
        step_every=params.step_epochs * steps_per_epoch,
        step_factor=params.step_factor,
    )
    average = build_average(network, params.ema_decay)
    dtype = amp_dtype(group.device, params.amp)
    return Optimization(network, distributed, optimizer, schedule, average, params.grad_clip, dtype, group.device)
