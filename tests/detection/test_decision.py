"""Which outlines stay, what they are called, and the fit of both."""

import numpy as np
import pandas as pd

from seepseg.detection.classifier import Judgement
from seepseg.detection.postprocessing import DecisionRule, Outlined, fit_rule, judge_outlines, kept, named, paint

RULE = {
    "looks": 1,
    "adapt_tiles": 8,
    "threshold": 0.4,
    "outline_area": 2,
    "min_area": 2,
    "keep": "judged",
    "object_cut": 0.5,
    "pixel_cut": 0.6,
    "mean_area": 100.0,
    "peak": 0.8,
    "naming": "properties",
    "class_weights": [1.0, 1.0],
}


def rule(**values):
    return DecisionRule(**RULE | values)


def outlined(areas, found, share, classes=None, **columns):
    """Slicks of one scene, all of class 1 where annotated."""
    n = len(areas)
    table = pd.DataFrame({"scene": 0, "slick": np.arange(1, n + 1), "area": areas, "match": np.arange(1, n + 1)})
    table["iou"] = found
    table["pixels_oil"], table["pixels_gas"] = np.array(areas) * np.array(share), 0.0
    table["prob_peak"], table["vote_oil"], table["vote_gas"] = 0.9, np.log(0.7), np.log(0.3)
    probs = np.tile([0.6, 0.4], (n, 1)) if classes is None else np.array(classes)
    return Outlined(table.assign(**columns), Judgement(probs, np.array(found, float), np.array(share, float)))


def test_an_outline_stays_where_it_is_expected_to_help():
    # (2 p - 0.5) + (2 q - 0.6) A / 100, of which each row weighs one against the other.
    slicks = outlined([10, 10, 100, 400, 1], [0.3, 0.2, 0.0, 0.9, 1.0], [0.3, 0.3, 0.6, 0.1, 1.0])
    assert kept(slicks, rule()).tolist() == [True, False, True, False, False]  # the last one is too small


def test_by_peak_and_area_alone():
    slicks = outlined([10, 10, 1], [0, 0, 1], [0, 0, 1], prob_peak=[0.8, 0.7, 0.99])
    assert kept(slicks, rule(keep="peak")).tolist() == [True, False, False]


def test_the_class_by_namers_or_votes_and_weights():
    slicks = outlined([10, 10], [1, 1], [1, 1], classes=[[0.6, 0.4], [0.3, 0.7]])
    assert named(slicks, rule()).tolist() == [1, 2]
    assert named(slicks, rule(class_weights=[1.0, 2.0])).tolist() == [2, 2]
    for naming in ("vote", "pixel"):
        assert named(slicks, rule(naming=naming)).tolist() == [1, 1]


def test_a_scene_is_painted_by_slick_or_by_pixel():
    labels = np.array([[1, 1, 0, 2], [0, 3, 3, 0]], np.int32)
    stay, classes = np.array([True, False, True]), np.array([2, 1, 1], np.uint8)
    assert paint(labels, stay, classes, None).tolist() == [[2, 2, 0, 0], [0, 1, 1, 0]]
    by_pixel = np.array([[1, 2, 2, 2], [2, 1, 2, 2]], np.uint8)
    assert paint(labels, stay, classes, by_pixel).tolist() == [[1, 2, 0, 0], [0, 1, 2, 0]]
    empty = np.zeros(0, bool), np.zeros(0, np.uint8)
    assert not paint(np.zeros((2, 2), np.int32), *empty, None).any()


def test_without_namers_the_mean_vote_of_the_networks_counts():
    rows = pd.DataFrame(
        {
            "scene": [0, 0, 1],
            "slick": [1, 1, 1],
            "network": [0, 1, 0],
            "area": [5, 5, 9],
            "vote_oil": np.log([0.5, 0.5, 0.1]),
            "vote_gas": np.log([0.1, 0.5, 0.9]),
        }
    )
    judged = judge_outlines(rows, None)
    assert judged.table[["scene", "slick", "area"]].to_numpy().tolist() == [[0, 1, 5], [1, 1, 9]]
    assert judged.judgement is None
    assert judged.votes.argmax(axis=1).tolist() == [0, 1]


def annotations(*areas):
    return pd.DataFrame({"pixels_oil": areas, "pixels_gas": 0})


def test_the_fit_keeps_slicks_and_drops_look_alikes():
    # Judged with errors: slicks get 0.3 to 0.9, look-alikes 0.0 to 0.25.
    found = np.concatenate([np.linspace(0.3, 0.9, 20), np.linspace(0, 0.25, 30)])
    slicks = outlined([50] * 50, found, found)
    truth = slicks.table["slick"] <= 20
    slicks.table["iou"] = np.where(truth, 0.7, 0.0)
    slicks.table["pixels_oil"] = np.where(truth, 45, 0)
    fitted = fit_rule(slicks, annotations(*[50] * 22), rule(), 0.3, 0.5)
    assert kept(slicks, fitted).tolist() == truth.tolist()
    assert fitted.mean_area == 50
    assert (fitted.looks, fitted.threshold, fitted.naming) == (1, 0.4, "properties")


def test_the_fit_of_peak_and_area():
    peaks, areas = [0.99, 0.96, 0.6, 0.99], [40, 40, 40, 4]
    slicks = outlined(areas, [0.8, 0.8, 0, 0], [0.9, 0.9, 0, 0], prob_peak=peaks)
    fitted = fit_rule(slicks, annotations(40, 40), rule(keep="peak"), 0.3, 0.5)
    assert kept(slicks, fitted).tolist() == [True, True, False, False]


def test_two_outlines_of_one_slick_count_once():
    """Else splitting slicks would pay: the fit prefers the one that is worth more."""
    slicks = outlined([60, 40], [0.9, 0.2], [1.0, 1.0], match=[1, 1], iou=[0.55, 0.35])
    slicks.table["pixels_oil"] = [60.0, 0.0]
    fitted = fit_rule(slicks, annotations(100), rule(), 0.3, 0.5)
    assert kept(slicks, fitted)[0]


def test_a_class_weighs_its_pixels_to_minus_the_power():
    slicks = outlined([400, 100], [1, 1], [1, 1], classes=[[0.6, 0.4], [0.7, 0.3]])
    target = pd.DataFrame({"pixels_oil": [400, 0], "pixels_gas": [0, 100]})
    fitted = fit_rule(slicks, target, rule(), 0.3, 0.5)
    assert fitted.class_weights == [1.0, 2.0]
    assert named(slicks, fitted).tolist() == [2, 1]
    assert fit_rule(slicks, target, rule(), 0.3, 0.0).class_weights == [1.0, 1.0]


def test_a_class_without_pixels_weighs_as_the_rarest():
    assert fit_rule(outlined([100], [1], [1]), annotations(100), rule(), 0.3, 0.5).class_weights == [1.0, 1.0]
    assert fit_rule(outlined([100], [1], [1]), annotations(0), rule(), 0.3, 0.5).class_weights == [1.0, 1.0]
