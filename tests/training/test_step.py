"""One step, one epoch, and what is monitored."""

import pytest
import torch
from torch import nn

from seepseg.base.errors import InputError
from seepseg.data.loading import Batch
from seepseg.models.heads import class_probs
from seepseg.training.monitoring import History, Monitor, binary_cross_entropy, is_better
from seepseg.training.optimisation import build_average, build_optimizer, build_schedule
from seepseg.training.step import PIXELS_EVERY, Optimization, train_epoch

NAMES = ["thin", "broad"]


def mean_logit(logits, target, valid):
    return logits.mean()


def optimization(model, lr=0.1, grad_clip=0.0):
    optimizer = build_optimizer("adam", model, lr, 0.0)
    schedule = build_schedule(
        "constant", optimizer, steps=10, warmup_steps=0, poly_power=1.0, step_every=1, step_factor=1.0
    )
    average = build_average(model, 0.0)
    return Optimization(model, model, optimizer, schedule, average, grad_clip, None, torch.device("cpu"))


@pytest.fixture
def batch():
    target = torch.tensor([[[0, 1], [2, 2]]], dtype=torch.uint8)
    return Batch(torch.ones(1, 1, 2, 2), target, torch.tensor([[[True, True], [True, False]]]))


def test_monitor_pools_counts_and_averages_over_tiles(batch):
    monitor = Monitor(mean_logit, "softmax", NAMES)
    right = nn.functional.one_hot(batch.target.long(), 3).permute(0, 3, 1, 2) * 6.0
    monitor.add_loss(2.0, tiles=1)
    monitor.add_pixels(right, batch)
    monitor.add_loss(6.5, tiles=2)
    monitor.add_pixels(torch.zeros(1, 3, 2, 2), batch)  # ties: background everywhere
    assert monitor.confusion.tolist() == [[2, 0, 0], [1, 1, 0], [1, 0, 1]]  # the invalid pixel is not there
    row = monitor.row("val")
    assert row["val_loss"] == 5
    bce = [binary_cross_entropy(logits, batch.target, "softmax")[batch.valid] for logits in (right, 0 * right)]
    assert row["val_bce"] == pytest.approx(torch.cat(bce).mean().item())
    # Of four slick pixels two were found, without a false alarm: Dice 2 * 2 / (2 * 2 + 2).
    assert row["val_dice"] == row["val_macro_dice"] == pytest.approx(2 / 3)
    assert monitor.class_dice() == {"thin": pytest.approx(2 / 3), "broad": pytest.approx(2 / 3)}


def test_the_history_counts_the_tiles_of_all_networks_together(batch):
    history = History()
    right = nn.functional.one_hot(batch.target.long(), 3).permute(0, 3, 1, 2) * 6.0
    rows = []
    for logits, loss in ((right, 1.0), (0 * right, 3.0)):
        train, val = Monitor(mean_logit, "softmax", NAMES), Monitor(mean_logit, "softmax", NAMES)
        for monitor in (train, val):
            monitor.add_loss(loss, tiles=1)
            monitor.add_pixels(logits, batch)
        rows.append(history.add(1, "dicece", 0.1, train, val))
    assert [row["val_dice"] for row in rows] == [1, 0]  # each network alone
    (row,) = history.epochs
    assert row["val_loss"] == row["train_loss"] == 2
    assert row["val_dice"] == pytest.approx(2 / 3)  # of all their pixels
    assert [line["val_dice"] for line in history.classes] == [row["val_dice_thin"], row["val_dice_broad"]]
    assert row | {"epoch": 1, "loss_name": "dicece", "lr": 0.1} == row


def test_an_epoch_lowers_the_loss_and_updates_the_average(batch):
    torch.manual_seed(0)
    model = nn.Conv2d(1, 3, 1)
    run = optimization(model)

    def cross_entropy(logits, target, valid):
        return nn.functional.cross_entropy(logits, target.long())

    losses = []
    for _ in range(3):
        monitor = Monitor(cross_entropy, "softmax", NAMES)
        for _ in train_epoch(run, [batch] * 5, monitor):
            pass
        losses.append(monitor.mean_loss)
    assert losses[0] > losses[1] > losses[2]
    assert torch.equal(run.average.module.weight, model.weight)  # decay 0 keeps the newest


def test_the_gradient_is_clipped(batch):
    model = nn.Conv2d(1, 3, 1)
    run = optimization(model, grad_clip=0.5)
    run.step(batch, lambda logits, target, valid: 1e3 * logits.mean())
    norm = torch.cat([weight.grad.flatten() for weight in model.parameters()]).norm()
    assert norm.item() == pytest.approx(0.5, rel=1e-4)


def test_divergence_is_told_with_a_remedy(batch):
    monitor = Monitor(lambda logits, target, valid: logits.mean() * torch.nan, "softmax", NAMES)
    with pytest.raises(InputError, match=r"training diverged: the loss became nan .* lower train\.lr"):
        list(train_epoch(optimization(nn.Conv2d(1, 3, 1)), [batch], monitor))


def test_pixels_are_counted_in_one_batch_of_several_and_the_loss_in_all(batch):
    monitor = Monitor(mean_logit, "softmax", NAMES)
    list(train_epoch(optimization(nn.Conv2d(1, 3, 1)), [batch] * (2 * PIXELS_EVERY + 1), monitor))
    assert monitor.tiles == 2 * PIXELS_EVERY + 1
    assert monitor.confusion.sum() == 3 * batch.valid.sum()


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_binary_cross_entropy_is_that_of_torch(head):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 3 + (head == "softmax"), 5, 4, generator=generator)
    target = torch.randint(0, 4, (2, 5, 4), generator=generator, dtype=torch.uint8)
    probs = class_probs(logits, head)
    yes = (target[:, None] == torch.tensor([1, 2, 3])[:, None, None]).float()
    expected = nn.functional.binary_cross_entropy(probs, yes, reduction="none").mean(1)
    torch.testing.assert_close(binary_cross_entropy(logits, target, head), expected)
    sure = binary_cross_entropy(1e3 * logits, target, head)  # a confident mistake stays finite
    assert sure.isfinite().all() and sure.max() > 1


@pytest.mark.parametrize(
    ("value", "best", "expected"),
    [(0.2, 0.1, True), (0.1, 0.1, False), (None, 0.1, False), (0.0, None, True)],
)
def test_only_a_higher_score_is_better(value, best, expected):
    assert is_better(value, best) is expected
