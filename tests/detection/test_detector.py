"""The detector's one way from a scene to slicks, with networks and classifiers whose answers are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Whole
from dark_slicks import Dark, meta_of_two

from seepseg.data import block_array
from seepseg.data.pixels import Window
from seepseg.data.scenes import Scene, TiledScene
from seepseg.detection.classifier import ClassifierMeta, build_classifiers
from seepseg.detection.detection import COLUMNS, candidate_columns
from seepseg.detection.detector import Detector
from seepseg.detection.model_file import Model, ModelMeta
from seepseg.detection.postprocessing import Postprocessing
from seepseg.detection.proposal import DetectParams
from seepseg.detection.slick_table import ENDS, feature_columns

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


def painted():
    """A bright sea with four dark rectangles, one of which crosses two tiles; and its tiles."""
    whole = np.random.default_rng(0).normal(30000, 500, SCENE.shape)
    for rows, columns in ((slice(2, 5), slice(3, 9)), (slice(7, 12), slice(12, 22)), (slice(1, 4), slice(36, 40))):
        whole[rows, columns] = 9000
    whole[24:30, 34:44] = 9000
    whole[0, 47] = 9000  # one pixel is less than a candidate
    return SCENE.cut(whole.astype(np.uint16))


def pixels(images=None):
    return TiledScene(SCENE, painted() if images is None else images)


def propose(detector, images=None, **values):
    """Candidates, and the probability of any class, as the detector shows it."""
    foreground = np.zeros(SCENE.shape, np.float32)

    def see(window, probs, classes):
        foreground[window.slices] = probs

    return detector.propose(pixels(images), SCENE.tile_shape, see=see, **values), foreground


NETWORKS = meta_of_two(SIDE)


def proposer():
    return Detector.of_networks([Dark(4.0), Dark(2.0)], NETWORKS, PARAMS, CPU)


def model(**values):
    """Two networks of different opinion, and classifiers of any weights, which differ from slick to slick."""
    table = propose(proposer())[0].slicks.measure()
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


def in_steps(detector, proposing):
    """The way of the stages: candidates as tiles and a table on disk, classified and drawn later."""
    found = propose(proposing)[0]
    labels, classes = SCENE.cut(found.slicks.labels.whole()), SCENE.cut(found.classes.whole())
    slicks = detector.classify(found.slicks.measure().assign(scene=SCENE.name))
    return SCENE.stitch(detector.draw(labels, slicks.accepted, slicks.classes, classes)), slicks


def detect(model, images=None):
    return Detector.of_model(model, PARAMS, CPU).detect(pixels(images), SCENE.tile_shape)


def test_candidates_are_the_dark_rectangles():
    found, _ = propose(proposer())
    expected = SCENE.stitch(painted()) == 9000
    expected[0, 47] = False
    labels, classes = found.slicks.labels.whole(), found.classes.whole()
    np.testing.assert_array_equal(labels > 0, expected)
    assert len(found.slicks) == 4 and labels.dtype == np.int32 and classes.dtype == np.uint8
    assert set(classes[expected & (np.arange(32) % 16 < 8)[:, None]]) == {1}
    assert set(classes[expected & (np.arange(32) % 16 >= 8)[:, None]]) == {2}
    expected[0, 47] = True
    assert not classes[~expected].any()


def test_only_the_networks_that_are_asked_propose():
    (both, by_both), (second, by_second) = propose(proposer()), propose(proposer(), networks=(1,))
    assert set(both.slicks.measure()["network"]) == {0, 1} and set(second.slicks.measure()["network"]) == {1}
    # Network 0 is surer.
    assert (by_both >= by_second)[both.slicks.labels.whole() > 0].all()
    assert (by_both != by_second).any()


def test_annotated_slicks_are_measured_as_candidates_are():
    """Whether they were found or not; here the candidates themselves, and one pixel more."""
    alone, _ = propose(proposer())
    annotated = alone.slicks.labels.whole()
    annotated[30, 3] = 5
    found, _ = propose(proposer(), annotated=annotated)
    assert len(found.annotated) == 5
    table, expected = found.annotated.measure(), alone.slicks.measure()
    probs = [name for name in table if name.startswith(("prob", "above", "log_odds", "log_share"))]
    pd.testing.assert_frame_equal(
        table[table["slick"] < 5][["slick", "area", *probs]], expected[["slick", "area", *probs]]
    )


@pytest.mark.parametrize("accept", ["classifier", "peak"])
@pytest.mark.parametrize("class_from", CLASS_FROM)
def test_detect_gives_what_the_stages_give_step_by_step(accept, class_from):
    parts = model(accept=accept, class_from=class_from, min_area=15)
    found = detect(parts)
    expected, stepwise = in_steps(Detector.of_model(parts), proposer())
    np.testing.assert_array_equal(found.classes.whole(), expected)
    assert 0 < stepwise.accepted.sum() < 4
    accepted = stepwise.candidates.table[stepwise.accepted]
    assert found.slicks["area"].tolist() == accepted["area"].tolist()
    expected_features = propose(proposer())[0].slicks.measure().assign(scene=SCENE.name)
    pd.testing.assert_frame_equal(found.features, expected_features, check_exact=True)
    assert [NAMES.index(name) + 1 for name in found.slicks["class"]] == stepwise.classes[stepwise.accepted].tolist()


@pytest.mark.parametrize("class_from", CLASS_FROM)
def test_slicks_do_not_depend_on_the_blocks(class_from, monkeypatch):
    whole = detect(model(class_from=class_from, min_area=15))
    monkeypatch.setattr(block_array, "BLOCK_SIDE", SIDE)
    in_blocks = detect(model(class_from=class_from, min_area=15))
    assert len(in_blocks.labels.windows()) == 6
    for name in ("labels", "classes", "foreground"):
        np.testing.assert_array_equal(getattr(in_blocks, name).whole(), getattr(whole, name).whole())
    pd.testing.assert_frame_equal(in_blocks.slicks, whole.slicks, rtol=1e-6)
    pd.testing.assert_frame_equal(in_blocks.candidates, whole.candidates, rtol=1e-6)


def test_a_scene_and_its_tiles_give_the_same_where_they_see_the_same():
    """Tiles are filled up with no-data at the end of a scene; a window of the scene itself is moved back instead."""
    height, width = 2 * SIDE + 5, 3 * SIDE + 2
    image = np.random.default_rng(0).normal(30000, 4000, (height, width)).astype(np.uint16)
    for top, left in ((3, 5), (12, 12), (20, 30), (30, 8), (33, 40), (10, 47)):
        image[top : top + 4, left : left + 6] = 9000
    rows, columns = np.meshgrid(np.arange(3), np.arange(4), indexing="ij")
    grid = Scene("0418", np.arange(12), rows.ravel() * SIDE, columns.ravel() * SIDE, (SIDE, SIDE))
    tiles = grid.cut(np.pad(image, ((0, 3 * SIDE - height), (0, 4 * SIDE - width))))
    as_tiles = TiledScene(grid, tiles)
    as_scene = Whole(image, "0418")
    found = [
        proposer().propose(each, (SIDE, SIDE)).slicks.labels.whole()[:height, :width] > 0
        for each in (as_tiles, as_scene)
    ]
    differ = found[0] != found[1]
    assert not differ[: height - SIDE, : width - SIDE].any() and found[0].any()
    assert 0 < differ.sum() < 60


def test_the_table_says_where_each_slick_is():
    found = detect(model(accept="peak", class_from="mean_probability"))
    slicks, pred, labels = found.slicks, found.classes.whole(), found.labels.whole()
    assert list(slicks.columns) == [*COLUMNS, "p_of_oil", "p_of_gas", "intensity", "sea_near"]
    boxes = slicks[["top", "left", "bottom", "right"]].to_numpy().tolist()
    assert boxes == [[1, 36, 4, 40], [2, 3, 5, 9], [7, 12, 12, 22], [24, 34, 30, 44]]
    assert slicks["area"].tolist() == [12, 18, 50, 60]
    assert (slicks["scene"] == "0418").all() and slicks["slick"].tolist() == [1, 2, 3, 4]
    assert slicks["class"].tolist() == ["oil", "oil", "gas", "gas"]
    assert slicks[["p_slick", "p_class"]].stack().between(0.5, 1).all()
    np.testing.assert_allclose(slicks["p_of_oil"] + slicks["p_of_gas"], 1)
    np.testing.assert_array_equal(slicks["p_class"], slicks[["p_of_oil", "p_of_gas"]].max(axis=1))
    assert (slicks["intensity"] < slicks["sea_near"]).all()
    for row in slicks.itertuples():
        box = pred[row.top : row.bottom, row.left : row.right]
        assert np.count_nonzero(box) == row.area and box.max() == NAMES.index(row[3]) + 1
        assert np.count_nonzero(labels == row.slick) == row.area


def test_all_candidates_are_listed_with_their_ends_and_paths():
    found = detect(model(accept="peak", class_from="mean_probability", min_area=20))
    candidates, slicks = found.candidates, found.slicks
    assert list(candidates.columns) == candidate_columns(NAMES)
    assert candidates["candidate"].tolist() == [1, 2, 3, 4] and candidates["slick"].tolist() == [0, 0, 1, 2]
    assert candidates["area"].tolist() == [12, 18, 50, 60]
    of_slicks = candidates[candidates["slick"] > 0].reset_index(drop=True)
    same = ["scene", "slick", "area", "p_slick", "p_of_oil", "p_of_gas"]
    pd.testing.assert_frame_equal(of_slicks[same], slicks[same], check_dtype=False)
    corners = candidates[["x_1", "y_1", "x_2", "y_2"]].to_numpy()
    assert corners.tolist() == [  # first one of the equals
        [39.5, 3.5, 36.5, 1.5],
        [8.5, 4.5, 3.5, 2.5],
        [21.5, 11.5, 12.5, 7.5],
        [43.5, 29.5, 34.5, 24.5],
    ]
    assert [path[[0, -1]].ravel().tolist() for path in found.paths] == corners.tolist()
    np.testing.assert_allclose(
        candidates["centreline"], [1 + 2 * 2**0.5, 3 + 2 * 2**0.5, 5 + 4 * 2**0.5, 4 + 5 * 2**0.5]
    )
    assert candidates[["bright_1", "bright_2"]].stack().between(1, 1.1).all()
    assert not candidates[list(ENDS)].isna().any(axis=None)


def test_probabilities_in_eight_bits_tell_where_there_is_no_data():
    images = painted()
    images[0, :4] = 0
    foreground = detect(model(accept="peak"), images).foreground.whole()
    image = pixels(images).read(Window(0, 0, *SCENE.shape))
    np.testing.assert_array_equal(foreground == 255, image == 0)
    expected = propose(proposer(), images)[1]
    np.testing.assert_allclose(foreground[image > 0] / 200, expected[image > 0], atol=0.0026)


def test_a_slick_that_is_not_accepted_is_neither_drawn_nor_listed():
    parts = model(accept="peak", class_from="mean_probability", min_area=20)
    found = detect(parts)
    assert found.slicks["slick"].tolist() == [1, 2] and found.slicks["area"].tolist() == [50, 60]
    assert np.count_nonzero(found.classes.whole()) == np.count_nonzero(found.labels.whole()) == 110


def test_sea_alone_has_no_slick():
    images = np.full((4, SIDE, SIDE), 30000, np.uint16)
    images[0] = 0
    found = detect(model(), images)
    assert found.classes.shape == SCENE.shape and not found.classes.whole().any()
    assert found.slicks.empty and list(found.slicks.columns) == list(detect(model()).slicks.columns)
    assert found.candidates.empty and list(found.candidates.columns) == candidate_columns(NAMES) and not found.paths
    assert found.features is None


def test_candidates_are_proposed_as_the_model_was_fitted_for():
    """Whatever section detect says by now."""
    parts = model()
    others = replace(PARAMS, tta=8, norm_prior_tiles=5, threshold=0.9, min_area=50, batch_size=3)
    detector = Detector.of_model(parts, others, CPU)
    assert detector.proposal == PARAMS.proposal
    assert [(each.tta, each.norm_prior_tiles, each.batch_size) for each in detector.predictors] == [(1, 0, 3)] * 2
    found, expected = (propose(each)[0].slicks.labels.whole() for each in (detector, proposer()))
    np.testing.assert_array_equal(found, expected)


def test_where_it_computes_changes_no_slick():
    """Batches of one tile, and of all of them."""
    one, all_ = (
        Detector.of_model(model(), replace(PARAMS, batch_size=size), CPU).detect(pixels(), SCENE.tile_shape)
        for size in (1, 8)
    )
    np.testing.assert_array_equal(one.labels.whole(), all_.labels.whole())
    pd.testing.assert_frame_equal(one.slicks, all_.slicks)
