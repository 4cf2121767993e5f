"""The detector's one way from a scene to slicks, with networks and classifiers whose answers are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import small_model
from torch import nn

from seepseg.data.channels import InputParams
from seepseg.data.scenes import Scene
from seepseg.detection.classifier import ClassifierMeta, build_classifiers
from seepseg.detection.detector import COLUMNS, Detector
from seepseg.detection.model_file import Model, ModelMeta
from seepseg.detection.postprocessing import Postprocessing
from seepseg.detection.proposal import DetectParams
from seepseg.detection.slick_table import feature_columns
from seepseg.models.network_file import NetworksMeta

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
NAMES = ["oil", "gas"]
SIDE = 16
# Four tiles, the last of which is a row below.
SCENE = Scene(
    "0418", np.array([7, 3, 4, 9]), np.array([0, 0, 0, 1]) * SIDE, np.array([0, 1, 2, 2]) * SIDE, (SIDE, SIDE)
)
PARAMS = DetectParams(tta=1, norm_prior_tiles=0, threshold=0.3, min_area=3, amp=False, threads=1)
CLASS_FROM = ("classifier", "mean_probability", "pixel")


class Dark(nn.Module):
    """What is darker than the mean of its tile is oil, and gas in the lower half of it: a network without weights.

    Args:
        slope: how sure it is.
    """

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, images):
        logits = -self.slope * (images + 1)
        lower = torch.linspace(-1, 1, images.shape[-2])[:, None].expand_as(images)
        return torch.cat([torch.zeros_like(images), logits - lower, logits + lower], dim=1)


def painted():
    """A bright sea with four dark rectangles, one of which crosses two tiles; and its tiles."""
    whole = np.random.default_rng(0).normal(30000, 500, SCENE.shape)
    for rows, columns in ((slice(2, 5), slice(3, 9)), (slice(7, 12), slice(12, 22)), (slice(1, 4), slice(36, 40))):
        whole[rows, columns] = 9000
    whole[24:30, 34:44] = 9000
    whole[0, 47] = 9000  # one pixel is less than a candidate
    return SCENE.cut(whole.astype(np.uint16))


NETWORKS = NetworksMeta(model=small_model(), networks=2, class_names=NAMES, input=InputParams(), data_fingerprint="")


def proposer():
    return Detector.of_networks([Dark(4.0), Dark(2.0)], NETWORKS, PARAMS, CPU)


def model(**values):
    """Two networks of different opinion, and classifiers of any weights, which differ from slick to slick."""
    found = proposer().propose(SCENE, painted())
    table = found.measure(found.labels, found.n)
    features = feature_columns(table)
    classifiers = ClassifierMeta(class_names=NAMES, features=features, classifiers=2, members=2, hidden=4)
    postprocessing = Postprocessing(
        accept="classifier",
        min_area=1,
        object_threshold=1.0,
        pixel_threshold=1.0,
        mean_area=20.0,
        peak=0.5,
        class_from="classifier",
        class_weights=[1.0, 1.0],
    )
    meta = ModelMeta(
        networks=NETWORKS,
        proposal=PARAMS.proposal,
        classifiers=classifiers,
        postprocessing=replace(postprocessing, **values),
    )
    torch.manual_seed(0)
    built = build_classifiers(classifiers)
    known = torch.from_numpy(table[features].to_numpy(copy=True))
    for each in built:
        for ensemble in (each.classes, each.p_slick, each.pixel_precision):
            ensemble.mean.copy_(known.mean(0))
            ensemble.std.copy_(known.std(0).clamp(min=1e-6))
    return Model(meta, [Dark(4.0), Dark(2.0)], list(built.eval()))


def in_steps(detector, scene, images, proposing):
    """The way of the stages: candidates as tiles and a table on disk, classified and drawn later."""
    found = proposing.propose(scene, images)
    labels, classes = scene.cut(found.labels), scene.cut(found.classes)
    table = found.measure(found.labels, found.n).assign(scene=scene.name)
    slicks = detector.classify(table)
    return scene.stitch(detector.draw(labels, slicks.accepted, slicks.classes, classes)), slicks


def test_candidates_are_the_dark_rectangles():
    found = proposer().propose(SCENE, painted())
    image = SCENE.stitch(painted())
    expected = image == 9000
    expected[0, 47] = False
    np.testing.assert_array_equal(found.labels > 0, expected)
    assert found.n == 4 and found.labels.dtype == np.int32 and found.classes.dtype == np.uint8
    np.testing.assert_array_equal(found.image, image)
    assert set(found.classes[expected & (np.arange(32) % 16 < 8)[:, None]]) == {1}
    assert set(found.classes[expected & (np.arange(32) % 16 >= 8)[:, None]]) == {2}


def test_only_the_networks_that_are_asked_propose():
    both, second = proposer().propose(SCENE, painted()), proposer().propose(SCENE, painted(), (1,))
    assert list(both.probs) == [0, 1] and list(second.probs) == [1]
    np.testing.assert_array_equal(second.foreground, second.probs[1].foreground)
    assert set(second.measure(second.labels, second.n)["network"]) == {1}
    # Network 0 is surer.
    assert (both.foreground >= second.foreground)[both.labels > 0].all()
    assert (both.foreground != second.foreground).any()


@pytest.mark.parametrize("accept", ["classifier", "peak"])
@pytest.mark.parametrize("class_from", CLASS_FROM)
def test_detect_gives_what_the_stages_give_step_by_step(accept, class_from):
    parts = model(accept=accept, class_from=class_from, min_area=15)
    pred, slicks = Detector.of_model(parts, PARAMS, CPU).detect(SCENE, painted())
    expected, stepwise = in_steps(Detector.of_model(parts), SCENE, painted(), proposer())
    np.testing.assert_array_equal(pred, expected)
    assert 0 < stepwise.accepted.sum() < 4
    accepted = stepwise.candidates.table[stepwise.accepted]
    assert slicks["slick"].tolist() == accepted["slick"].tolist()
    assert slicks["area"].tolist() == accepted["area"].tolist()
    assert [NAMES.index(name) + 1 for name in slicks["class"]] == stepwise.classes[stepwise.accepted].tolist()


def test_the_table_says_where_each_slick_is():
    parts = model(accept="peak", class_from="mean_probability")
    pred, slicks = Detector.of_model(parts, PARAMS, CPU).detect(SCENE, painted())
    assert list(slicks.columns) == list(COLUMNS)
    boxes = slicks[["top", "left", "bottom", "right"]].to_numpy().tolist()
    assert boxes == [[1, 36, 4, 40], [2, 3, 5, 9], [7, 12, 12, 22], [24, 34, 30, 44]]
    assert slicks["area"].tolist() == [12, 18, 50, 60]
    assert (slicks["scene"] == "0418").all() and slicks["slick"].tolist() == [1, 2, 3, 4]
    assert slicks["class"].tolist() == ["oil", "oil", "gas", "gas"]
    assert slicks[["p_slick", "p_class"]].stack().between(0.5, 1).all()
    for row in slicks.itertuples():
        box = pred[row.top : row.bottom, row.left : row.right]
        assert np.count_nonzero(box) == row.area and box.max() == NAMES.index(row[3]) + 1


def test_a_slick_that_is_not_accepted_is_neither_drawn_nor_listed():
    parts = model(accept="peak", class_from="mean_probability", min_area=20)
    pred, slicks = Detector.of_model(parts, PARAMS, CPU).detect(SCENE, painted())
    assert slicks["slick"].tolist() == [3, 4] and slicks.index.tolist() == [0, 1]
    assert np.count_nonzero(pred) == 110


def test_sea_alone_has_no_slick():
    images = np.full((4, SIDE, SIDE), 30000, np.uint16)
    images[0] = 0
    pred, slicks = Detector.of_model(model(), PARAMS, CPU).detect(SCENE, images)
    assert pred.shape == SCENE.shape and not pred.any() and pred.dtype == np.uint8
    assert slicks.empty and list(slicks.columns) == list(COLUMNS)


def test_candidates_are_proposed_as_the_model_was_fitted_for():
    """Whatever section detect says by now."""
    parts = model()
    others = replace(PARAMS, tta=8, norm_prior_tiles=5, threshold=0.9, min_area=50, batch_size=3)
    detector = Detector.of_model(parts, others, CPU)
    assert detector.proposal == PARAMS.proposal
    assert [(each.tta, each.norm_prior_tiles, each.batch_size) for each in detector.predictors] == [(1, 0, 3)] * 2
    np.testing.assert_array_equal(
        detector.propose(SCENE, painted()).labels, proposer().propose(SCENE, painted()).labels
    )


def test_where_it_computes_changes_no_slick():
    """Batches of one tile, and of all of them."""
    whole = [
        Detector.of_model(model(), replace(PARAMS, batch_size=size), CPU).detect(SCENE, painted()) for size in (1, 8)
    ]
    np.testing.assert_array_equal(whole[0][0], whole[1][0])
    pd.testing.assert_frame_equal(whole[0][1], whole[1][1])
