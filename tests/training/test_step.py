"""One step, one epoch, and what is monitored."""

from copy import copy

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from seepseg.base.distributed import ProcessGroup
from seepseg.base.errors import InputError
from seepseg.data.channels import InputMaker, InputParams
from seepseg.data.loading import Batch, TileLoader
from seepseg.data.packed import Packed
from seepseg.evaluation.confusion import confusion_counts
from seepseg.models.heads import class_probs
from seepseg.training.augmentation import AugmentParams, BatchRandom
from seepseg.training.monitoring import (
    History,
    Monitor,
    _count_by_bins,
    _count_by_products,
    binary_cross_entropy,
    count_pairs,
    is_better,
)
from seepseg.training.optimisation import WeightAverage, build_optimizer, build_schedule
from seepseg.training.sampling import Samples
from seepseg.training.step import (
    LOSSES_EVERY,
    PIXELS_EVERY,
    BatchMaker,
    EagerStep,
    Optimization,
    StepResult,
    draw_inputs,
    train_epoch,
)

NAMES = ["thin", "broad"]
CPU = torch.device("cpu")


def mean_logit(logits, target, valid):
    return logits.mean()


def optimization(model, lr=0.1, grad_clip=0.0):
    optimizer = build_optimizer("adam", model, lr, 0.0)
    schedule = build_schedule(
        "constant", optimizer, steps=10, warmup_steps=0, poly_power=1.0, step_every=1, step_factor=1.0
    )
    average = WeightAverage(model, 0.0)
    return Optimization(model, model, optimizer, schedule, average, grad_clip, None, CPU)


def step_on(run):
    """What takes steps on batches that are made already."""

    def step(batch, loss):
        logits, value = run.step(batch, loss)
        return StepResult(value, logits, batch)

    return step


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


READS = {
    "counts": lambda monitor: monitor.counts[2:].tolist(),
    "bce_sum": lambda monitor: [monitor.bce_sum],
    "confusion": lambda monitor: monitor.confusion.flatten().tolist(),
}


@pytest.mark.parametrize("first", READS)
def test_pixels_count_once_however_the_monitor_is_read(batch, first):
    def expected(times):
        bce = pytest.approx(times * binary_cross_entropy(logits, batch.target, "softmax")[batch.valid].sum().item())
        table = [times, 0, 0, times, 0, 0, times, 0, 0]
        return {"counts": [bce, *table], "bce_sum": [bce], "confusion": table}

    def read(monitor):
        return {name: READS[name](monitor) for name in (first, *READS)}

    logits = torch.zeros(1, 3, 2, 2)  # background everywhere
    monitor, other = Monitor(mean_logit, "softmax", NAMES), Monitor(mean_logit, "softmax", NAMES)
    monitor.add_pixels(logits, batch)
    assert read(monitor) == read(monitor) == expected(1)
    for each in (monitor, other, other):
        each.add_pixels(logits, batch)
    before = copy(monitor)
    monitor += other
    assert read(monitor) == expected(4)
    assert (read(other), read(before)) == (expected(2), expected(2))
    other += monitor
    assert read(other) == expected(6)


def test_a_copy_counts_by_itself(batch):
    monitor = Monitor(mean_logit, "softmax", NAMES)
    monitor.add_pixels(torch.zeros(1, 3, 2, 2), batch)
    other = copy(monitor)
    other.add_pixels(torch.zeros(1, 3, 2, 2), batch)
    assert (other.confusion.sum(), monitor.confusion.sum()) == (6, 3)


def test_what_a_monitor_is_set_to_replaces_what_it_has_not_counted_yet(batch):
    monitor = Monitor(mean_logit, "softmax", NAMES)
    monitor.add_pixels(torch.zeros(1, 3, 2, 2), batch)
    counts = np.arange(12, dtype=np.float64)
    monitor.counts = counts
    assert monitor.counts.tolist() == counts.tolist()
    assert (monitor.tiles, monitor.loss_sum, monitor.bce_sum) == (0, 1, 2)
    assert monitor.confusion.tolist() == [[3, 4, 5], [6, 7, 8], [9, 10, 11]]
    monitor.add_pixels(torch.zeros(1, 3, 2, 2), batch)
    assert monitor.confusion.tolist() == [[4, 4, 5], [7, 7, 8], [10, 10, 11]]


@pytest.mark.parametrize("num_classes", [2, 8, 17, 256])
def test_pairs_are_counted_by_bins_as_by_products_and_as_elsewhere(num_classes):
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(num_classes, (3, 40, 50), generator=generator, dtype=torch.uint8)
    pred = torch.randint(num_classes, (3, 40, 50), generator=generator)
    valid = torch.rand(3, 40, 50, generator=generator) < 0.7
    expected = confusion_counts(target.numpy(), pred.numpy(), valid.numpy(), num_classes)
    for count in (_count_by_bins, _count_by_products, count_pairs):
        found = count(target, pred, valid, num_classes)
        assert found.dtype == torch.int64 and found.tolist() == expected.tolist()
    assert count_pairs(*(tensor.to("meta") for tensor in (target, pred, valid)), num_classes).is_meta  # asks nothing


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


def make_batch(side=0, **augment):
    off = {"rot180": False, "hflip": False, "dihedral": False, "resize": 0.0, "gain": 0.0, "speckle": 0.0}
    return BatchMaker(InputMaker(InputParams(channels=("intensity", "lee"))), side, AugmentParams(**off | augment))


@pytest.fixture
def packed():
    """Four tiles of 6 x 5 pixels; each has a few of class 1, and pixels that no other has."""
    images = 20 + np.random.default_rng(0).permutation(4 * 6 * 5).astype(np.uint16).reshape(4, 6, 5)
    targets = (images % 7 == 0).astype(np.uint8)
    return Packed(images, targets, pd.DataFrame({"tile": list("abcd")}))


def inputs_of(packed, rank=0, processes=1):
    loader = TileLoader(packed, np.arange(4), CPU)
    order = [Samples(np.array([3, 0, 1]), np.array([1, 0, 1])), Samples(np.array([2, 2]), np.array([0, 1]))]
    return draw_inputs(loader, order, torch.Generator().manual_seed(0), ProcessGroup(rank, processes, CPU))


def test_processes_share_the_inputs_of_each_batch(packed):
    whole = [(*tiles, classes, random.uniform(3)) for tiles, classes, random in inputs_of(packed)]
    assert [classes.tolist() for *_, classes, _ in whole] == [[1, 0, 1], [0, 1]]
    assert torch.equal(whole[0][0], torch.from_numpy(packed.images[[3, 0, 1]].view(np.int16)))
    for rank in range(2):
        shares = [(*tiles, classes, random.uniform(3)) for tiles, classes, random in inputs_of(packed, rank, 2)]
        for share, batch in zip(shares, whole, strict=True):
            assert all(map(torch.equal, share, (tensor[rank::2] for tensor in batch)))


def test_a_batch_is_cut_out_of_whole_tiles_that_were_normalised(packed):
    tiles, classes, random = next(inputs_of(packed))
    recorded = tiles.to_batch()
    whole = make_batch()(recorded, classes, random)
    flat = recorded.images[:, 0].flatten(1)
    normalised = (flat - flat.mean(1, keepdim=True)) / flat.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(whole.images[:, 0].flatten(1), normalised)
    assert whole.images.shape == (3, 2, 6, 5)
    images, target, valid = make_batch(side=3)(recorded, classes, random)
    assert images.shape == (3, 2, 3, 3) and valid.all()
    assert target[classes == 1].flatten(1).any(1).all()
    for crop, classes_of_crop, tile in zip(images, target, zip(*whole, strict=True), strict=True):
        rows, columns = ((tile[0][0] == crop[0, 0, 0]).nonzero()).T
        assert len(rows) == 1
        place = slice(rows, rows + 3), slice(columns, columns + 3)
        assert crop.equal(tile[0][:, *place]) and classes_of_crop.equal(tile[1][place])


class Counted:
    """Random numbers, and what was asked for."""

    def __init__(self, device):
        self.source, self.device, self.calls = BatchRandom(torch.Generator().manual_seed(0), 3), device, []

    def uniform(self, *shape):
        self.calls.append(("uniform", *shape))
        return self.source.uniform(*shape).to(self.device)

    def normal(self, *shape):
        self.calls.append(("normal", *shape))
        return self.source.normal(*shape).to(self.device)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_random_numbers_are_drawn_in_one_order_and_nothing_else_is_asked_for(packed, device):
    # A tensor without values, on "meta" as on a GPU, takes the ways that don't wait for it; where asked, it fails.
    tiles, classes, _ = next(inputs_of(packed))
    recorded, random = Batch(*(tensor.to(device) for tensor in tiles.to_batch())), Counted(device)
    make = make_batch(side=4, dihedral=True, resize=0.2, gain=0.1, speckle=0.1)
    made = make(recorded, classes.to(device), random)
    assert [tensor.shape for tensor in made] == [(3, 2, 4, 4), (3, 4, 4), (3, 4, 4)]
    speckle, cut, gain, flips, zoom = ("normal", 1, 6, 5), ("uniform", 3), ("normal", 2, 1, 1, 1), *[("uniform", 3)] * 2
    assert random.calls == [speckle, cut, gain, flips, zoom]


def test_an_eager_step_trains_on_what_was_made_of_the_tiles(packed):
    torch.manual_seed(0)
    model, losses = nn.Conv2d(2, 3, 1), []
    before = model.weight.detach().clone()
    step = EagerStep(optimization(model), make_batch(side=3, gain=0.1))
    again = make_batch(side=3, gain=0.1)
    for given, same in zip(inputs_of(packed), inputs_of(packed), strict=True):
        with torch.no_grad():
            expected = again(same.tiles.to_batch(), same.classes, same.random)
            logits = model(expected.images)
        result = step(given, mean_logit)
        assert all(map(torch.equal, result.batch, expected))
        assert result.logits.equal(logits) and result.loss.equal(logits.mean())
        assert not result.loss.requires_grad and not result.logits.requires_grad
        losses.append(result.loss)
    assert not model.weight.equal(before) and step.optimization.average.n_averaged == len(losses) == 2


def test_an_epoch_lowers_the_loss_and_updates_the_average(batch):
    torch.manual_seed(0)
    model = nn.Conv2d(1, 3, 1)
    run = optimization(model)

    def cross_entropy(logits, target, valid):
        return nn.functional.cross_entropy(logits, target.long())

    losses = []
    for _ in range(3):
        monitor = Monitor(cross_entropy, "softmax", NAMES)
        list(train_epoch(step_on(run), [batch] * 5, monitor))
        losses.append(monitor.mean_loss)
    assert losses[0] > losses[1] > losses[2]
    assert torch.equal(run.average.module.weight, model.weight)  # decay 0 keeps the newest


def test_the_gradient_is_clipped(batch):
    model = nn.Conv2d(1, 3, 1)
    run = optimization(model, grad_clip=0.5)
    run.step(batch, lambda logits, target, valid: 1e3 * logits.mean())
    norm = torch.cat([weight.grad.flatten() for weight in model.parameters()]).norm()
    assert norm.item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("losses_every", [1, 3])
def test_divergence_is_told_with_the_tiles_before_it_and_a_remedy(batch, monkeypatch, losses_every):
    monkeypatch.setitem(LOSSES_EVERY, "cpu", losses_every)
    two = Batch(*(torch.cat([tensor, tensor]) for tensor in batch))
    factors = iter([1, 1, 1, 1, torch.nan, 1])
    monitor = Monitor(lambda logits, target, valid: logits.mean() * next(factors), "softmax", NAMES)
    with pytest.raises(InputError, match=r"training diverged: the loss became nan after 8 tiles .* lower train\.lr"):
        list(train_epoch(step_on(optimization(nn.Conv2d(1, 3, 1))), [two] * 6, monitor))


def test_an_epoch_says_after_each_batch_or_after_some_how_many_are_done(batch, monkeypatch):
    def run():
        torch.manual_seed(0)
        monitor = Monitor(mean_logit, "softmax", NAMES)
        return list(train_epoch(step_on(optimization(nn.Conv2d(1, 3, 1))), [batch] * 7, monitor, first=2)), monitor

    each, first = run()
    monkeypatch.setitem(LOSSES_EVERY, "cpu", 3)
    some, second = run()
    assert each == [3, 4, 5, 6, 7, 8, 9] and some == [5, 8, 9]
    assert first.counts.tolist() == second.counts.tolist()
    assert first.tiles == 7 and first.confusion.sum() == 2 * 3  # of batches 4 and 8, three valid pixels each
    assert list(train_epoch(step_on(None), [], first, first=9)) == []  # an epoch that was stopped after its last batch


def test_the_monitor_knows_all_batches_whenever_an_epoch_says_so(batch, monkeypatch):
    monkeypatch.setitem(LOSSES_EVERY, "cpu", 3)
    monitor = Monitor(mean_logit, "softmax", NAMES)
    for done in train_epoch(step_on(optimization(nn.Conv2d(1, 3, 1))), [batch] * 7, monitor):
        assert monitor.tiles == done


def test_pixels_are_counted_in_one_batch_of_several_and_the_loss_in_all(batch):
    monitor = Monitor(mean_logit, "softmax", NAMES)
    list(train_epoch(step_on(optimization(nn.Conv2d(1, 3, 1))), [batch] * (2 * PIXELS_EVERY + 1), monitor))
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
