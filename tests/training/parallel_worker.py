"""What a process does that test_parallel.py launches: the environment variable TASK names it, FOLDER is for results."""

import os
import signal
from pathlib import Path

import torch
from torch import nn

from seepseg.base.command import run_stage
from seepseg.base.distributed import all_sum, gather
from seepseg.base.errors import InputError
from seepseg.losses import LOSSES, SOFTMAX_ONLY, LossParams, build_loss
from seepseg.training.data_parallel import distribute
from seepseg.training.processes import join, run_processes

DEVICE = torch.device("cpu")
ROWS = {"unequal": 5, "empty": 1}  # of two processes one has 3 and the other 2; 1 and none

CHANNELS = {"softmax": 4, "sigmoid": 3}


def make_batch(rows):
    """Images (N, 1, 8, 8) and a mask (N, 1, 8, 8), in double precision, which shows errors in a formula."""
    generator = torch.Generator().manual_seed(rows)
    images = torch.randn(rows, 1, 8, 8, generator=generator, dtype=torch.float64)
    return images, (torch.randn(rows, 1, 8, 8, generator=generator) > 0.5)


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Upsample(size=(8, 8), mode="bilinear"),
        nn.Conv2d(4, 1, 1),
    ).double()


def dice_loss(logits, target):
    """A loss of sums over the batch that is no mean over its tiles."""
    probs = logits.sigmoid()
    hits, sizes = all_sum((probs * target).sum()), all_sum((probs + target).sum())
    return 1 - (2 * hits + 1) / (sizes + 1)


def hardest_loss(logits, target):
    """The mean over the worst tenth of all pixels, which has to see them together."""
    errors = gather((logits.sigmoid() - target.double()).abs().flatten())
    return errors.topk(len(errors) // 10).values.mean()


def train_step(model, images, target):
    """Losses, gradients and buffers of one step; `images` get a gradient too."""
    images.requires_grad_()
    logits = model(images)
    dice, hardest = dice_loss(logits, target), hardest_loss(logits, target)
    (dice + hardest).backward()
    model = getattr(model, "module", model)
    return {
        "dice": dice.detach(),
        "hardest": hardest.detach(),
        "logits": logits.detach(),
        "images.grad": images.grad,
        **{f"{name}.grad": weight.grad for name, weight in model.named_parameters()},
        **dict(model.named_buffers()),
    }


def make_losses():
    """Every loss in every form, by what it is."""
    weights = {"sqrt_balanced": torch.tensor([0.2, 1.0, 2.0, 3.0], dtype=torch.float64)}
    return {
        (name, head, reduction): build_loss(name, LossParams(reduction=reduction), head, weights)
        for name in LOSSES
        for head in ("softmax", "sigmoid")
        for reduction in ("per_class", "flattened")
        if head == "softmax" or name not in SOFTMAX_ONLY
    }


def make_prediction(rows, channels):
    """Logits (N, C, 8, 8), a target (N, 8, 8) with three classes, and a mask with no-data."""
    generator = torch.Generator().manual_seed(rows)
    logits = torch.randn(rows, channels, 8, 8, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 4, (rows, 8, 8), generator=generator)
    return logits, target, torch.rand(rows, 8, 8, generator=generator) > 0.1


def loss_and_gradient(loss, logits, target, valid):
    logits.requires_grad_()
    value = loss(logits, target, valid)
    value.backward()
    return value.detach(), logits.grad


def compute(group):
    results = {"counts": group.sum(torch.tensor([1, group.rank + 10]).numpy())}
    for case, rows in ROWS.items():
        images, target = make_batch(rows)
        results[case] = train_step(distribute(make_model(), group), group.share(images), group.share(target))
        results[f"{case} target"] = gather(group.share(target))
    for (name, head, reduction), loss in make_losses().items():
        for rows in ROWS.values():
            prediction = map(group.share, make_prediction(rows, CHANNELS[head]))
            results[name, head, reduction, rows] = loss_and_gradient(loss, *prediction)
    torch.save(results, Path(os.environ["FOLDER"], f"{group.rank}.pt"))


def main():
    with join(2, DEVICE) as group:
        torch.set_num_threads(1)
        match os.environ["TASK"], group.rank:
            case "compute", _:
                compute(group)
            case "killed", 1:
                os.kill(os.getpid(), signal.SIGKILL)
            case "input error", _:
                raise InputError("train.lr: expected less")
            case "defect", 1:
                raise ZeroDivisionError("a bug")
        all_sum(torch.ones(1))  # waits for the other process


if __name__ == "__main__":
    run_processes(lambda: run_stage(main))
