"""Which candidates are accepted, of what class they are, and the fit of both."""

import numpy as np
import pandas as pd
import pytest

from seepseg.detection.classifier import SlickProbs
from seepseg.detection.postprocessing import (
    Postprocessing,
    PostprocessingParams,
    ScoredCandidates,
    accepted,
    draw_slicks,
    fit_postprocessing,
    slick_classes,
    unfitted,
)

SETTINGS = {
    "accept": "classifier",
    "min_area": 2,
    "object_threshold": 0.5,
    "pixel_threshold": 0.6,
    "mean_area": 100.0,
    "peak": 0.8,
    "class_from": "classifier",
    "class_weights": [1.0, 1.0],
}


def settings(**values):
    return Postprocessing(**SETTINGS | values)


def scored(areas, p_slick, precision, classes=None, **columns):
    """Candidates of one scene, all of class 1 where annotated."""
    n = len(areas)
    table = pd.DataFrame({"scene": 0, "slick": np.arange(1, n + 1), "area": areas, "match": np.arange(1, n + 1)})
    table["iou"] = p_slick
    table["pixels_oil"], table["pixels_gas"] = np.array(areas) * np.array(precision), 0.0
    table["prob_peak"], table["log_share_oil"], table["log_share_gas"] = 0.9, np.log(0.7), np.log(0.3)
    probs = np.tile([0.6, 0.4], (n, 1)) if classes is None else np.array(classes)
    return ScoredCandidates(
        table.assign(**columns), SlickProbs(probs, np.array(p_slick, float), np.array(precision, float))
    )


def test_a_candidate_is_accepted_where_that_is_expected_to_help():
    # (2 p - 0.5) + (2 q - 0.6) A / 100, of which each row weighs one against the other.
    candidates = scored([10, 10, 100, 400, 1], [0.3, 0.2, 0.0, 0.9, 1.0], [0.3, 0.3, 0.6, 0.1, 1.0])
    assert accepted(candidates, settings()).tolist() == [True, False, True, False, False]  # the last one is too small


def test_by_peak_and_area_alone():
    candidates = scored([10, 10, 1], [0, 0, 1], [0, 0, 1], prob_peak=[0.8, 0.7, 0.99])
    assert accepted(candidates, settings(accept="peak")).tolist() == [True, False, False]


def test_the_class_by_classifier_or_mean_probability_and_weights():
    candidates = scored([10, 10], [1, 1], [1, 1], classes=[[0.6, 0.4], [0.3, 0.7]])
    assert slick_classes(candidates, settings()).tolist() == [1, 2]
    assert slick_classes(candidates, settings(class_weights=[1.0, 2.0])).tolist() == [2, 2]
    for class_from in ("mean_probability", "pixel"):
        assert slick_classes(candidates, settings(class_from=class_from)).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("accept", "class_from", "needed"),
    [
        ("classifier", "pixel", True),
        ("peak", "classifier", True),
        ("peak", "mean_probability", False),
        ("peak", "pixel", False),
    ],
)
def test_the_classifier_is_asked_where_anything_rests_on_it(accept, class_from, needed):
    chosen = settings(accept=accept, class_from=class_from)
    assert chosen.needs_classifier == needed
    if not needed:
        candidates = ScoredCandidates(scored([10], [1], [1]).table, None)
        assert accepted(candidates, chosen).tolist() == [True] and slick_classes(candidates, chosen).tolist() == [1]


def test_a_scene_is_drawn_by_slick_or_by_pixel():
    labels = np.array([[1, 1, 0, 2], [0, 3, 3, 0]], np.int32)
    is_slick, classes = np.array([True, False, True]), np.array([2, 1, 1], np.uint8)
    assert draw_slicks(labels, is_slick, classes, None).tolist() == [[2, 2, 0, 0], [0, 1, 1, 0]]
    by_pixel = np.array([[1, 2, 2, 2], [2, 1, 2, 2]], np.uint8)
    assert draw_slicks(labels, is_slick, classes, by_pixel).tolist() == [[1, 2, 0, 0], [0, 1, 2, 0]]
    empty = np.zeros(0, bool), np.zeros(0, np.uint8)
    assert not draw_slicks(np.zeros((2, 2), np.int32), *empty, None).any()


def annotations(*areas):
    return pd.DataFrame({"pixels_oil": areas, "pixels_gas": 0})


def test_the_fit_accepts_slicks_and_no_look_alikes():
    # Probabilities with errors: slicks have 0.3 to 0.9, look-alikes 0.0 to 0.25.
    p_slick = np.concatenate([np.linspace(0.3, 0.9, 20), np.linspace(0, 0.25, 30)])
    candidates = scored([50] * 50, p_slick, p_slick)
    truth = candidates.table["slick"] <= 20
    candidates.table["iou"] = np.where(truth, 0.7, 0.0)
    candidates.table["pixels_oil"] = np.where(truth, 45, 0)
    fitted = fit_postprocessing(candidates, annotations(*[50] * 22), settings(), 0.3, 0.5)
    assert accepted(candidates, fitted).tolist() == truth.tolist()
    assert fitted.mean_area == 50
    assert (fitted.accept, fitted.class_from, fitted.min_area) == ("classifier", "classifier", 2)


def test_the_fit_of_peak_and_area():
    peaks, areas = [0.99, 0.96, 0.6, 0.99], [40, 40, 40, 4]
    candidates = scored(areas, [0.8, 0.8, 0, 0], [0.9, 0.9, 0, 0], prob_peak=peaks)
    fitted = fit_postprocessing(candidates, annotations(40, 40), settings(accept="peak"), 0.3, 0.5)
    assert accepted(candidates, fitted).tolist() == [True, True, False, False]


def test_two_candidates_of_one_slick_count_once():
    """Else splitting slicks would pay: the fit prefers the one that is worth more."""
    candidates = scored([60, 40], [0.9, 0.2], [1.0, 1.0], match=[1, 1], iou=[0.55, 0.35])
    candidates.table["pixels_oil"] = [60.0, 0.0]
    fitted = fit_postprocessing(candidates, annotations(100), settings(), 0.3, 0.5)
    assert accepted(candidates, fitted)[0]


def test_a_class_weighs_its_pixels_to_minus_the_exponent():
    candidates = scored([400, 100], [1, 1], [1, 1], classes=[[0.6, 0.4], [0.7, 0.3]])
    target = pd.DataFrame({"pixels_oil": [400, 0], "pixels_gas": [0, 100]})
    fitted = fit_postprocessing(candidates, target, settings(), 0.3, 0.5)
    assert fitted.class_weights == [1.0, 2.0]
    assert slick_classes(candidates, fitted).tolist() == [2, 1]
    assert fit_postprocessing(candidates, target, settings(), 0.3, 0.0).class_weights == [1.0, 1.0]


@pytest.mark.parametrize("annotated", [100, 0])
def test_a_class_without_pixels_weighs_as_the_rarest(annotated):
    fitted = fit_postprocessing(scored([100], [1], [1]), annotations(annotated), settings(), 0.3, 0.5)
    assert fitted.class_weights == [1.0, 1.0]


def test_the_start_of_the_fit_holds_what_is_not_fitted():
    start = unfitted(PostprocessingParams(accept="peak", class_from="pixel"), ["oil", "gas"], 5)
    assert (start.accept, start.class_from, start.min_area, start.class_weights) == ("peak", "pixel", 5, [1.0, 1.0])
