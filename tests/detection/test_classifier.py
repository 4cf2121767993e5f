"""The slick classifier: ensembles that learn from features of slicks."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from seepseg.base.errors import InputError
from seepseg.detection.classifier import (
    ClassifierMeta,
    average_probs,
    build_classifiers,
    fit_classifier,
    fit_in_passes,
)
from seepseg.detection.ensemble import ClassifierParams, Ensemble

pytestmark = pytest.mark.usefixtures("one_thread")  # as in the stage

PARAMS = {
    "members": 3,
    "hidden": 16,
    "epochs": 60,
    "batch_size": 16,
    "lr": 1e-2,
    "weight_decay": 0.0,
    "dropout": 0.1,
    "noise": 0.05,
    "inverse_frequency_exponent": 0.5,
    "area_exponent": 0.0,
    "seed": 1,
}
NAMES = ["oil", "gas", "ship"]


def meta(**values):
    fixed = {"class_names": NAMES, "features": ["a", "b", "noise"], "classifiers": 1, "members": 3, "hidden": 16}
    return ClassifierMeta(**fixed | values)


def slicks(n=240, seed=0):
    """Class by the angle of two features of very different size; a third one means nothing."""
    generator = np.random.default_rng(seed)
    a, b, noise = generator.normal(size=(3, n))
    classes = np.digitize(np.arctan2(b, a), [-1, 1])
    table = pd.DataFrame({"a": 1000 * a + 5000, "b": b / 100, "noise": noise}).astype(np.float32)
    table[[f"pixels_{name}" for name in NAMES]] = 10 * np.eye(3, dtype=int)[classes]
    return table.assign(area=10, scene=0, slick=np.arange(n), network=0)


def candidates(n=240, seed=0):
    """Slicks where a is large, look-alikes elsewhere, of which a fifth is annotated all the same."""
    table = slicks(n, seed)
    is_slick = table["a"] > 5000
    table[[f"pixels_{name}" for name in NAMES]] = 0
    table["pixels_oil"] = np.where(is_slick, 8, 2)
    return table.assign(iou=np.where(is_slick, 0.7, 0.1))


@cache
def fit(n=240, **values):
    return fit_classifier(slicks(n), candidates(n), meta(), ClassifierParams(**PARAMS | values), 0.3)


def test_it_learns_what_features_tell():
    table = slicks(seed=1)
    probs = fit().probs(table)
    assert probs.classes.shape == (240, 3)
    np.testing.assert_allclose(probs.classes.sum(1), 1, rtol=1e-5)
    classes = table[[f"pixels_{name}" for name in NAMES]].to_numpy().argmax(axis=1)
    assert (probs.classes.argmax(1) == classes).mean() > 0.9


def test_it_tells_slicks_from_look_alikes():
    table = slicks(seed=1)
    probs, is_slick = fit().probs(table), (table["a"] > 5000).to_numpy()
    assert ((probs.p_slick > 0.5) == is_slick).mean() > 0.9
    assert np.median(probs.pixel_precision[is_slick]) == pytest.approx(0.8, abs=0.07)
    assert np.median(probs.pixel_precision[~is_slick]) == pytest.approx(0.2, abs=0.07)


def test_an_ensemble_is_perceptrons_side_by_side():
    torch.manual_seed(0)
    ensemble = Ensemble(2, 4, 5, 3).eval()
    x = torch.randn(2, 7, 4)
    for member in range(2):
        y = x[member]
        for layer in range(3):
            y = y @ ensemble.weights[layer][member] + ensemble.biases[layer][member]
            y = y.relu() if layer < 2 else y
        torch.testing.assert_close(ensemble(x)[member], y)


def test_weights_by_class_and_area():
    classes, areas = np.repeat([0, 1], [80, 20]), np.repeat([1, 100], [80, 20])
    table = pd.DataFrame({"a": np.zeros(100, np.float32)})  # nothing to tell them apart by
    table["pixels_x"], table["pixels_y"] = areas * (classes == 0), areas * (classes == 1)

    def share(**values):
        params = ClassifierParams(**PARAMS | {"members": 2, "dropout": 0.0, "epochs": 100} | values)
        described = meta(class_names=["x", "y"], features=["a"], members=2)
        return fit_classifier(table, table[:0], described, params, 0.3).probs(table).classes[0, 1]

    assert share(inverse_frequency_exponent=0.0) == pytest.approx(0.2, abs=0.04)
    assert share(inverse_frequency_exponent=1.0) == pytest.approx(0.5, abs=0.04)
    assert share(inverse_frequency_exponent=0.0, area_exponent=0.5) == pytest.approx(200 / 280, abs=0.04)


def test_far_out_values_count_as_four_deviations():
    classifier = fit(epochs=1)
    far, farther = slicks(), slicks()
    far["a"], farther["a"] = 5000 + 4.5e3, 1e9
    np.testing.assert_array_equal(classifier.probs(far).classes, classifier.probs(farther).classes)


def test_features_are_taken_by_name():
    classifier, table = fit(epochs=1), slicks()
    shuffled = table[["noise", "b", "a"]]
    np.testing.assert_array_equal(classifier.probs(shuffled).classes, classifier.probs(table).classes)


def test_no_slick_gives_no_row():
    probs = fit(epochs=1).probs(slicks().iloc[:0])
    assert probs.classes.shape == (0, 3) and probs.p_slick.shape == probs.pixel_precision.shape == (0,)


def test_each_row_is_classified_by_the_classifier_of_its_network_and_the_mean_counts():
    classifiers, table = [fit(seed=1, epochs=2), fit(seed=2, epochs=2)], slicks(4)
    both = pd.concat([table, table.assign(network=1)]).sort_values(["slick", "network"])
    first, second = (classifier.probs(table) for classifier in classifiers)
    probs = average_probs(classifiers, both)
    np.testing.assert_allclose(probs.classes, (first.classes + second.classes) / 2)
    np.testing.assert_allclose(probs.p_slick, (first.p_slick + second.p_slick) / 2)
    mixed = average_probs(classifiers, table.assign(network=[1, 0, 1, 0]))
    expected = np.where([1, 0, 1, 0], second.pixel_precision, first.pixel_precision)
    np.testing.assert_allclose(mixed.pixel_precision, expected, rtol=1e-6)  # float32, of other batches


def test_slicks_of_one_number_in_two_scenes_are_two():
    classifier, table = fit(epochs=1), slicks(2).assign(slick=1, scene=["a", "b"])
    np.testing.assert_allclose(average_probs([classifier], table).classes, classifier.probs(table).classes)


def test_same_seed_same_bits():
    weights = [fit.__wrapped__(epochs=2, seed=seed).state_dict() for seed in (1, 1, 2)]
    assert all(tensor.equal(weights[1][name]) for name, tensor in weights[0].items())
    assert not all(tensor.equal(weights[2][name]) for name, tensor in weights[0].items())


def test_nothing_annotated_to_learn_from():
    with pytest.raises(InputError, match="expected annotated slicks in training tiles, found none"):
        fit_classifier(slicks().iloc[:0], candidates(), meta(), ClassifierParams(**PARAMS), 0.3)


def test_without_candidates_classes_are_learnt_all_the_same():
    probs = fit_classifier(slicks(), candidates().iloc[:0], meta(), ClassifierParams(**PARAMS), 0.3).probs(slicks())
    classes = slicks()[[f"pixels_{name}" for name in NAMES]].to_numpy().argmax(axis=1)
    assert (probs.classes.argmax(1) == classes).mean() > 0.9


def test_features_that_are_not_measured_here():
    table = slicks(4).drop(columns="b")
    with pytest.raises(InputError, match=r"needs features that are not measured here: b; use the version"):
        fit(epochs=1).probs(table)


def in_passes(n=240, seed=0, share=0.7):
    """Slicks of which other passes saw a share, and tell whether they are ships, which no other feature does."""
    table = slicks(n, seed)
    is_ship = np.random.default_rng(seed + 100).random(n) < 0.4
    table.loc[is_ship, [f"pixels_{name}" for name in NAMES]] = [0, 0, 10]
    seen = np.random.default_rng(seed + 200).random(n) < share
    return table.assign(recur=np.where(seen, 1.0 * is_ship, 0.0), passes=np.where(seen, 3, 0))


KNOWING = meta(recurrence=["recur"], recurrence_radius=32.0)


@cache
def fit_both():
    params = ClassifierParams(**PARAMS)
    classifier = fit_classifier(in_passes(), candidates(), meta(), params, 0.3)
    fit_in_passes(classifier, in_passes(), KNOWING, params)
    return classifier


def test_slicks_that_other_passes_saw_are_classified_by_what_these_tell():
    table = in_passes(seed=1)
    classes = table[[f"pixels_{name}" for name in NAMES]].to_numpy().argmax(axis=1)
    right = fit_both().probs(table).classes.argmax(axis=1) == classes
    seen = (table["passes"] > 0).to_numpy()
    assert right[seen].mean() > 0.85 and right[~seen].mean() < 0.8


def test_without_other_passes_all_is_as_if_nothing_was_known_of_them():
    """To the bit: a row that no other pass saw, a table without such columns, and whether it is a slick at all."""
    plain = fit_classifier(in_passes(), candidates(), meta(), ClassifierParams(**PARAMS), 0.3)
    table = in_passes(seed=1)
    expected, found = plain.probs(table), fit_both().probs(table)
    alone = (table["passes"] == 0).to_numpy()
    np.testing.assert_array_equal(found.classes[alone], expected.classes[alone])
    assert not (found.classes[~alone] == expected.classes[~alone]).all(axis=1).any()
    np.testing.assert_array_equal(found.p_slick, expected.p_slick)
    np.testing.assert_array_equal(found.pixel_precision, expected.pixel_precision)
    unknown = fit_both().probs(table.drop(columns=["passes", "recur"]))
    np.testing.assert_array_equal(unknown.classes, expected.classes)


def test_only_slicks_that_other_passes_saw_are_learnt_from():
    params = ClassifierParams(**PARAMS | {"epochs": 2})
    table = in_passes()
    other = table.copy()
    other.loc[other["passes"] == 0, ["a", "recur"]] = 99.0
    fitted = []
    for each in (table, other):
        classifier = fit_classifier(table, candidates(), meta(), params, 0.3)
        fit_in_passes(classifier, each, KNOWING, params)
        fitted.append(classifier.state_dict())
    assert all(tensor.equal(fitted[1][name]) for name, tensor in fitted[0].items())


def test_a_classifier_that_knows_of_passes_can_be_built_and_filled():
    (built,) = build_classifiers(KNOWING)
    built.load_state_dict(fit_both().state_dict())
    table = in_passes(seed=1)
    np.testing.assert_array_equal(built.probs(table).classes, fit_both().probs(table).classes)
