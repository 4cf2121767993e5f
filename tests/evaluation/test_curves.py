"""Precision-recall curves over the probability of any class."""

import numpy as np

from seepseg.evaluation.curves import PrHistogram

NAMES = ["oil", "gas"]


def curve_of(foreground, classes, target, valid=None, names=NAMES):
    histogram = PrHistogram(names)
    histogram.update(foreground, classes, target, np.ones(target.shape, bool) if valid is None else valid)
    return histogram.curve()


def points(table, name, *thresholds):
    """Precision and recall of one curve at some thresholds."""
    chosen = table[table["class"] == name].set_index("threshold")
    return [tuple(chosen.loc[threshold, ["precision", "recall"]]) for threshold in thresholds]


def test_curve_by_eye():
    foreground = np.array([[0.9, 0.5, 0.25, 0.9]], dtype=np.float32)
    classes, target = np.array([[1, 1, 1, 1]], np.uint8), np.array([[1, 0, 1, 0]], np.uint8)
    table = curve_of(foreground, classes, target, np.array([[True, True, True, False]]), ["oil"])
    assert points(table, "oil", 0, 0.25) == [(2 / 3, 1), (2 / 3, 1)]  # p >= t, not p > t
    assert points(table, "oil", 17 / 64, 0.5) == [(1 / 2, 1 / 2), (1 / 2, 1 / 2)]
    assert points(table, "oil", 33 / 64) == [(1, 1 / 2)]
    assert table["threshold"].max() == 57 / 64  # nothing reaches 58/64, 0.906


def test_a_class_counts_the_pixels_whose_most_probable_class_it_is():
    # Oil as oil, gas as oil, gas as gas, sea as gas.
    foreground = np.array([0.75, 0.5, 0.25, 0.75], np.float32)
    classes, target = np.array([1, 1, 2, 2], np.uint8), np.array([1, 2, 2, 0], np.uint8)
    table = curve_of(foreground, classes, target)
    assert table["class"].unique().tolist() == ["oil", "gas", "any"]
    assert points(table, "oil", 0, 0.5, 33 / 64, 0.75) == [(1 / 2, 1), (1 / 2, 1), (1, 1), (1, 1)]
    # One of two pixels of gas is more probably oil: at no threshold is it found.
    assert points(table, "gas", 0, 0.25, 17 / 64, 0.75) == [(1 / 2, 1 / 2), (1 / 2, 1 / 2), (0, 0), (0, 0)]
    assert points(table, "any", 0, 0.5, 0.75) == [(3 / 4, 1), (2 / 3, 2 / 3), (1 / 2, 1 / 3)]


def random_pixels(seed, shape=(2, 8, 8)):
    generator = np.random.default_rng(seed)
    classes, target = generator.integers(1, 3, shape, np.uint8), generator.integers(0, 3, shape, np.uint8)
    return generator.random(shape), classes, target, generator.random(shape) < 0.8


def test_curve_agrees_with_thresholding():
    foreground, classes, target, valid = random_pixels(6)
    table = curve_of(foreground, classes, target, valid)
    assert table["class"].unique().tolist() == ["oil", "gas", "any"]
    assert table.groupby("class").size().max() <= 64
    told = {"oil": (classes == 1, target == 1), "gas": (classes == 2, target == 2), "any": (classes > 0, target > 0)}
    for row in table.itertuples():
        is_class, actual = (array[valid] for array in told[row[1]])
        found = (foreground[valid] >= row.threshold) & is_class
        assert row.precision == (found & actual).sum() / found.sum()
        assert row.recall == (found & actual).sum() / actual.sum()


def test_curve_does_not_depend_on_the_batches():
    arrays = random_pixels(7, (4, 8, 8))
    parts = PrHistogram(NAMES)
    for part in (slice(0, 1), slice(1, 4)):
        parts.update(*(array[part] for array in arrays))
    assert parts.curve().equals(curve_of(*arrays))


def test_curve_leaves_out_an_absent_class():
    target = np.array([[0, 1], [1, 0]], np.uint8)
    table = curve_of(np.ones((2, 2)), np.array([[1, 2], [1, 2]], np.uint8), target)
    assert table["class"].unique().tolist() == ["oil", "any"]
    assert table["threshold"].max() == 63 / 64  # a probability of 1 has no bin of its own
