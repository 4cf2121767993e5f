"""Confusion counts, and the scores made of them."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice, compute_iou, get_confusion_matrix

from seepseg.evaluation.confusion import confusion_counts, scores

NAMES = ["oil", "gas"]
# Rows actual, columns predicted: background, oil, gas.
TABLE = np.array([[90, 4, 0], [2, 6, 2], [0, 0, 0]])


def random_maps(seed, num_classes=4, shape=(3, 16, 16)):
    generator = np.random.default_rng(seed)
    target = generator.integers(0, num_classes, shape)
    pred = np.where(generator.random(shape) < 0.6, target, generator.integers(0, num_classes, shape))
    return target, pred, generator.random(shape) < 0.9


def test_counts_by_eye():
    target = np.array([[0, 0, 1, 2]], dtype=np.uint8)
    pred = np.array([[0, 1, 1, 1]])
    valid = np.array([[True, True, True, True]])
    counts = confusion_counts(target, pred, valid, 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert counts.dtype == np.int64


def test_invalid_pixels_do_not_count_whatever_they_hold():
    target, pred = np.array([1, 200]), np.array([1, -5])
    assert confusion_counts(target, pred, np.array([True, False]), 2).tolist() == [[0, 0], [0, 1]]
    assert not confusion_counts(target, pred, np.array([False, False]), 2).any()


def test_counts_add_up_over_batches():
    target, pred, valid = random_maps(0)
    parts = sum(confusion_counts(t, p, v, 4) for t, p, v in zip(target, pred, valid, strict=True))
    assert (parts == confusion_counts(target, pred, valid, 4)).all()
    assert parts.sum() == valid.sum()


@pytest.mark.parametrize(
    ("target", "pred", "message"),
    [
        ([3, 1], [0, 0], r"target: expected classes 0\.\.2, found 1\.\.3"),
        ([0, 0], [0, 3], r"pred: expected classes 0\.\.2, found 0\.\.3"),
        ([1, 1], [-1, 2], r"pred: expected classes 0\.\.2, found -1\.\.2"),
        ([0, 0], [0], r"expected one shape, found \(2,\), \(1,\) and \(2,\)"),
    ],
)
def test_counts_refuse_what_is_no_class(target, pred, message):
    with pytest.raises(ValueError, match=message):
        confusion_counts(np.array(target), np.array(pred), np.array([True, True]), 3)


def test_scores_by_hand():
    assert scores(TABLE, NAMES) == {
        "binary_dice": 2 * 8 / (2 * 8 + 4 + 2),
        "binary_iou": 8 / 14,
        "binary_precision": 8 / 12,
        "binary_recall": 8 / 10,
        # Two of ten oil pixels went to gas, which is absent: no score of its own, yet oil misses them.
        "dice": {"oil": 2 * 6 / (2 * 6 + 4 + 4), "gas": None},
        "iou": {"oil": 6 / 14, "gas": None},
        "precision": {"oil": 6 / 10, "gas": None},
        "recall": {"oil": 6 / 10, "gas": None},
        "macro_dice": 12 / 20,
        "macro_iou": 6 / 14,
        "pixel_accuracy": 96 / 104,
    }


def test_a_class_never_found_scores_0_without_a_precision():
    measured = scores(np.array([[5, 0, 0], [0, 3, 0], [2, 0, 0]]), NAMES)
    assert measured["dice"] == {"oil": 1.0, "gas": 0.0}
    assert measured["recall"]["gas"] == 0.0
    assert measured["precision"]["gas"] is None
    assert measured["macro_dice"] == 0.5


def test_false_alarms_of_an_absent_class_lower_the_binary_scores():
    clean = scores(np.array([[90, 0, 0], [0, 10, 0], [0, 0, 0]]), NAMES)
    alarmed = scores(np.array([[80, 0, 10], [0, 10, 0], [0, 0, 0]]), NAMES)
    assert clean["binary_dice"] == 1.0
    assert alarmed["binary_dice"] == 2 / 3
    assert alarmed["macro_dice"] == 1.0


def test_without_slicks_only_false_alarms_have_a_score():
    silent = scores(np.diag([10, 0, 0]), NAMES)
    assert {silent[f"binary_{name}"] for name in ("dice", "iou", "precision", "recall")} == {None}
    assert (silent["macro_dice"], silent["macro_iou"], silent["pixel_accuracy"]) == (None, None, 1.0)
    alarmed = scores(np.array([[9, 1, 0], [0, 0, 0], [0, 0, 0]]), NAMES)
    assert (alarmed["binary_dice"], alarmed["binary_precision"], alarmed["binary_recall"]) == (0.0, 0.0, None)


def test_without_pixels_nothing_has_a_score():
    measured = scores(np.zeros((3, 3), dtype=np.int64), NAMES)
    assert measured["pixel_accuracy"] is None
    assert measured["macro_dice"] is None


@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_monai(seed):
    target, pred, valid = random_maps(seed)
    # Pooled over all pixels, MONAI sees one picture; (B, C, pixels, 1), one channel per class.
    one_hot = [
        torch.nn.functional.one_hot(torch.from_numpy(array[valid]), 4).T[None, :, :, None] for array in (pred, target)
    ]
    measured = scores(confusion_counts(target, pred, valid, 4), ["a", "b", "c"])
    tp, fp, _, fn = get_confusion_matrix(*one_hot, include_background=False)[0].T
    expected = {
        "dice": compute_dice(*one_hot, include_background=False)[0],
        "iou": compute_iou(*one_hot, include_background=False)[0],
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
    }
    for name, values in expected.items():
        assert list(measured[name].values()) == pytest.approx(values.tolist(), abs=1e-6)
    assert measured["macro_dice"] == pytest.approx(expected["dice"].mean().item(), abs=1e-6)
    merged = [array[:, 1:].amax(1, keepdim=True) for array in one_hot]
    assert measured["binary_dice"] == pytest.approx(compute_dice(*merged).item(), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_properties_of_scores(seed):
    target, pred, valid = random_maps(seed)
    names = ["a", "b", "c"]
    table = confusion_counts(target, pred, valid, 4)
    measured = scores(table, names)
    for name in names:
        dice, iou = measured["dice"][name], measured["iou"][name]
        assert dice == pytest.approx(2 * iou / (1 + iou))
        assert dice == pytest.approx(2 / (1 / measured["precision"][name] + 1 / measured["recall"][name]))
    turned = scores(table.T, names)
    assert turned["dice"] == measured["dice"]
    assert turned["precision"] == measured["recall"]
    assert scores(3 * table, names) == measured
    perfect = scores(np.diag(table.sum(axis=1)), names)
    assert {perfect["macro_dice"], perfect["binary_dice"], perfect["pixel_accuracy"]} == {1.0}
