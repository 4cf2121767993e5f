"""What other passes tell of classes, through the stages: what stands in the metrics, and that no annotation leaks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from test_stages import read

from seepseg.base.params import load_params
from seepseg.data.packed import open_packed
from seepseg.data.scenes import TiledScene, find_scenes
from seepseg.detection.detector import Detector
from seepseg.detection.fitting import fit_classifiers, fit_with_passes
from seepseg.detection.model_file import load_model
from seepseg.detection.proposal import DetectParams
from seepseg.detection.slick_table import ENDS, out_of_fold, read_slick_table
from seepseg.passes.other_passes import OtherPasses
from seepseg.passes.params import PassesParams
from seepseg.passes.recurrence import recurrence_names
from stages import classify

pytestmark = pytest.mark.e2e

CANDIDATES, ANNOTATED = "data/candidates/candidates.csv", "data/candidates/annotated.csv"
CLASSES = [f"class_{number}" for number in range(1, 8)]
FAR = 1000.0  # pixels: all candidates of a small sample are near each other


@pytest.fixture
def detected(finished, prepared):
    """A workspace of its own with everything that stage classify needs; all candidates tell of all slicks."""
    prepared.take(finished, "data/candidates", "models/networks")
    prepared.set("passes", radius=FAR)
    return prepared


def others_of(workspace):
    """What is known of other passes, and the model that is asked."""
    root, model = workspace.folder, load_model(workspace.folder / "models/model.safetensors")
    packed, candidates = open_packed(root / "data/packed"), read_slick_table(root / CANDIDATES, CLASSES)
    footprints = root / "data/candidates/footprints.csv"
    return OtherPasses.of(packed, root / "data/split.csv", footprints, candidates, model.classifiers, PassesParams())


def annotate_otherwise(workspace, scenes):
    """As if slicks of these scenes were of other classes, and look-alikes slicks."""
    for name in (CANDIDATES, ANNOTATED):
        table = pd.read_csv(workspace.folder / name, dtype={"scene": str})
        rows, pixels = table["scene"].isin(scenes), [f"pixels_{each}" for each in CLASSES]
        table.loc[rows, pixels] = np.roll(table.loc[rows, pixels].to_numpy(), 1, axis=1)
        if name == CANDIDATES:
            table.loc[rows, "pixels_class_5"] = table.loc[rows, "area"]
            table.loc[rows, ["match", "iou"]] = [1, 1.0]
        table.to_csv(workspace.folder / name, index=False)


def recurrence_of(workspace):
    """Of all annotated slicks."""
    table = read_slick_table(workspace.folder / ANNOTATED, CLASSES)
    return others_of(workspace).add(table, FAR).set_index("scene")[[*recurrence_names(CLASSES), "passes"]]


def test_scores_without_other_passes_stand_beside_those_with(finished):
    document = read(finished, "metrics/evaluate.json")
    for split in ("oof", "test"):
        assert list(document[split]["alone"]) == ["macro_dice", "macro_object_f1"]
        assert 0 <= document[split]["alone"]["macro_dice"] <= 1
    classified = read(finished, "metrics/classify.json")
    assert classified["annotated_slicks_alone"].keys() == {"oof", "test"}
    for split, alone in classified["annotated_slicks_alone"].items():
        assert alone.keys() == classified["annotated_slicks"][split].keys()
        assert alone["macro_dice"] != classified["annotated_slicks"][split]["macro_dice"]
    # Three of four scenes are looked at, by two networks and as a test; they see the same ground.
    assert classified["passes"]["grounds"] == 1 and classified["passes"]["scenes"] == 3
    assert load_model(finished.folder / "models/model.safetensors").meta.classifiers.recurrence_radius == 32


def test_a_single_scene_gets_what_a_model_without_passes_gives(detected):
    """To the bit, and so do all scores without other passes."""
    params = load_params(DetectParams, "detect", detected.folder / "params.yaml")
    packed, found = open_packed(detected.folder / "data/packed"), {}
    scene = find_scenes(packed.manifest, np.arange(len(packed.manifest)), packed.images.shape[1:])[0]
    for radius in (FAR, 0.0):
        detected.set("passes", radius=radius)
        detected.run("classify", "evaluate")
        model = load_model(detected.folder / "models/model.safetensors")
        assert bool(model.meta.classifiers.recurrence) == bool(radius)
        detector = Detector.of_model(model, params, torch.device("cpu"))
        whole = detector.detect(TiledScene(scene, packed.images[scene.indices]), scene.tile_shape)
        assert len(whole.candidates)
        scores, classified = (read(detected, f"metrics/{stage}.json") for stage in ("evaluate", "classify"))
        found[radius] = whole, {split: scores[split]["alone"] for split in scores}, classified
    (knowing, alone, classified), (plain, alone_of_plain, classified_by_plain) = found.values()
    pd.testing.assert_frame_equal(knowing.candidates, plain.candidates, check_exact=True)
    pd.testing.assert_frame_equal(knowing.slicks, plain.slicks, check_exact=True)
    np.testing.assert_array_equal(knowing.classes.whole(), plain.classes.whole())
    assert alone == alone_of_plain
    expected = classified_by_plain["annotated_slicks_alone"]
    assert classified["annotated_slicks_alone"] == expected
    assert classified["annotated_slicks"] != classified_by_plain["annotated_slicks"]
    for split, scores in expected.items():
        assert scores["macro_dice"] == classified_by_plain["annotated_slicks"][split]["macro_dice"]


@pytest.mark.parametrize("true", [True, False])
def test_other_passes_are_not_listened_to_where_classes_are_worse_with_them(finished, true):
    """They tell the class of each slick; or of those of one scene, from which is learnt what to think of the other."""
    params = load_params(classify.ClassifyParams, "classify", finished.folder / "params.yaml")
    params = replace(params, epochs=100, lr=0.03)  # an epoch is a single step
    known = load_model(finished.folder / "models/model.safetensors").meta.classifiers
    meta = replace(known, recurrence=[], recurrence_radius=0.0, hidden=16)
    table, candidates = (read_slick_table(finished.folder / name, CLASSES) for name in (ANNOTATED, CANDIDATES))
    classifiers = fit_classifiers(*map(out_of_fold, (table, candidates)), meta, params, 0.3)
    told = np.eye(7)[table[[f"pixels_{name}" for name in CLASSES]].to_numpy().argmax(axis=1)]
    if not true:
        told[table["network"] == 1] = np.roll(told[table["network"] == 1], 1, axis=1)
    seen = table.assign(passes=1, **dict(zip(recurrence_names(CLASSES), told.T, strict=True)))
    knowing = replace(meta, recurrence=recurrence_names(CLASSES), recurrence_radius=FAR)
    found = fit_with_passes(classifiers, seen, meta, knowing, params)
    assert bool(found.recurrence) == true and found.recurrence_radius == (FAR if true else 0)
    assert all((each.classes_in_passes is not None) == true for each in classifiers)


def test_no_annotation_of_a_pass_moves_what_it_tells(detected):
    """The whole way: with a pass annotated otherwise, classifiers are fitted anew, and that pass says the same."""
    detected.run("classify")
    before, told = others_of(detected).candidates.set_index("scene"), recurrence_of(detected)
    one, other = sorted(before.index[before["split"] == "oof"].unique())
    seen = told.loc[[one]].query("passes == 1")
    assert len(seen) > 20 and (seen > 0).all(axis=None)
    annotate_otherwise(detected, [other])
    detected.run("classify")
    after, told_after = others_of(detected).candidates.set_index("scene"), recurrence_of(detected)
    pd.testing.assert_frame_equal(after.loc[[other]], before.loc[[other]], check_exact=True)
    pd.testing.assert_frame_equal(told_after.loc[[one]], told.loc[[one]], check_exact=True)
    # It was learnt from, for what is said of the other one.
    assert (after.loc[[one], "p_slick"] != before.loc[[one], "p_slick"]).all()


def test_nothing_that_is_learnt_depends_on_test_scenes(detected):
    """Neither on what is annotated there, nor on what candidates they show."""
    detected.run("classify")
    written = (detected.folder / "models/model.safetensors").read_bytes()
    told = recurrence_of(detected)
    candidates = pd.read_csv(detected.folder / CANDIDATES, dtype={"scene": str})
    (test,) = candidates.loc[candidates["split"] == "test", "scene"].unique()
    annotate_otherwise(detected, [test])
    detected.run("classify")
    assert (detected.folder / "models/model.safetensors").read_bytes() == written
    pd.testing.assert_frame_equal(recurrence_of(detected), told, check_exact=True)
    table = pd.read_csv(detected.folder / CANDIDATES, dtype={"scene": str})
    table.loc[table["scene"] == test, [*ENDS[:4], "prob_peak"]] += 1.0
    table.to_csv(detected.folder / CANDIDATES, index=False)
    detected.run("classify")
    assert (detected.folder / "models/model.safetensors").read_bytes() == written
