"""The run in words and tables."""

import numpy as np
import pytest
from made_up_run import CORRECTIONS, NAMES, SEEPS, made_up_run

from seepseg.evaluation.scene_counts import pooled_scores
from seepseg.report.changed_params import ChangedParam, changed_params, read_defaults
from seepseg.report.glance import TrainedModel, data_by_split, scores_at_a_glance, summary
from seepseg.report.params import ReportParams
from seepseg.report.run import pages_of
from seepseg.report.tables import class_table, data_table, params_table, seep_tables

LEARNT = TrainedModel(networks=2, model="unet", leakage=0.0, min_iou=0.3)
FOUND = {"passes": 4, "reported": 3, "platforms": 1, "expected_false": 0.12, "known": None}
FOUND |= {"annotated": {"found": 3, "known": 4, "precision": 2 / 3, "recall": 0.5, "place_error_px": None}}


@pytest.fixture(scope="module")
def data():
    return data_by_split(list(pages_of(made_up_run(), CORRECTIONS, SEEPS, ReportParams())), NAMES)


@pytest.fixture(scope="module")
def evaluated():
    counts = made_up_run().counts
    return {"oof": pooled_scores(counts[:2], NAMES, 5, 1), "test": pooled_scores(counts[2:], NAMES, 5, 1)}


def test_what_was_trained_on_what(data, evaluated):
    """64 x 64 pixels of 40 m are 6.6 square kilometres; of a and b, nobody knows where they lie."""
    lines = summary(LEARNT, data, evaluated, FOUND)
    assert lines[0] == (
        "2 networks (unet) learnt from 2 scenes (3 tiles, 7 annotated slicks), each from all but its own part of them."
    )
    assert lines[1] == (
        "Nothing was learnt from 1 scene (1 tile, 7 km², 2021-02-03, 2 annotated slicks), kept for the test. None of "
        "their tiles touches a training tile."
    )
    assert lines[-1] == "4 passes show 2 seeps and 1 platform, of which 0.1 are expected to be chance."


def test_what_came_of_it(data, evaluated):
    """In t one of two annotated slicks is found, by one of two; of 80 and 110 pixels 50 agree, all of them oil."""
    _, _, found, best, *_ = summary(LEARNT, data, evaluated, FOUND)
    assert found == (
        "On test scenes, 50 % of the annotated slicks are found, with an overlap of at least 30 %, and 50 % of those "
        "reported are annotated. By area, 62 % of what is annotated is reported, and 45 % of what is reported is "
        "annotated."
    )
    assert best == "Area and class are right most often of oil (Dice 0.62), least of gas (0.00)."


@pytest.mark.parametrize(
    ("leakage", "words"),
    [
        (0.25, "But 25 % of their tiles touch a training tile, so their scores are too good."),
        (None, "Whether their tiles touch training tiles is unknown, as these have no place in their scenes."),
    ],
)
def test_leakage_in_words(data, evaluated, leakage, words):
    assert summary(TrainedModel(2, "unet", leakage, 0.3), data, evaluated, FOUND)[1].endswith(words)


def test_without_test_scenes(data, evaluated):
    lines = summary(LEARNT, data.loc[["oof"]], {"oof": evaluated["oof"]}, {"passes": 0})
    assert lines[1].startswith("No scene is kept for a test")
    assert not any("test scenes" in line for line in lines)
    assert lines[-1] == "No two scenes show the same ground, so there are no seeps to find."


def test_scores_beside_what_trivial_predictions_score(evaluated):
    test, oof = (scores_at_a_glance(evaluated)[split] for split in ("test", "oof"))
    assert [score.name for score in oof] == [score.name for score in test]
    area = next(score for score in test if score.name == "binary_dice")
    assert area.value == pytest.approx(100 / 190)
    assert area.meaning == "62 % of the annotated area is reported, 45 % of the area reported is annotated."
    assert area.baselines == {"nothing found": 0}
    (of_classes,) = (score.baselines for score in test if score.name == "macro_dice")
    assert list(of_classes) == ["nothing found", "perfect outlines, all of oil"]
    assert (area.low, area.high) == (None, None)  # of one scene
    area = next(score for score in oof if score.name == "binary_dice")
    assert area.low <= area.value <= area.high


def test_a_score_that_there_is_not(evaluated):
    nothing = dict.fromkeys(evaluated["test"]) | {"baseline": {}}
    assert {score.meaning for score in scores_at_a_glance({"test": nothing})["test"]} == {"There is none."}


def test_tables_of_data_and_classes(data, evaluated):
    table = data_table(data, NAMES)
    assert table.columns == ["", "scenes", "tiles", "km²", "annotated slicks", "oil", "gas"]
    assert table.rows == [
        ["test scenes", "1", "1", "7", "2", "1", "1"],
        ["training scenes", "2", "3", "–", "7", "4", "3"],
    ]
    rows = class_table("test", evaluated["test"], data, NAMES).rows
    assert [row[:4] for row in rows] == [["oil", "1", "0.62", "0.67"], ["gas", "1", "0.00", "0.00"]]


def test_tables_of_seeps():
    measured, surest = seep_tables(FOUND, SEEPS)
    assert measured.rows[0] == ["seeps from annotated slicks", "3", "4", "0.67", "0.50", "–"]
    assert measured.rows[1] == ["seeps that are known", *"–––––"]
    assert [row[:4] for row in surest.rows] == [["1", "seep", "oil", "0.900"], ["2", "seep", "oil", "0.800"]]
    assert seep_tables(FOUND, SEEPS[:0]) == seep_tables(None, SEEPS) == []


def test_parameters_that_differ(tmp_path):
    """Those that the file lacks have their defaults; 3e-05 is how DVC writes it."""
    path = tmp_path / "params.yaml"
    path.write_text("loss: {name: dice, beta: 3e-05}\ndata: {columns: {'04': 19}, names: [a, b]}\nmore: true\n")
    defaults = {
        "loss": {"name": "bce", "beta": 0.00003, "gamma": 2},
        "data": {"columns": {"05": 20}, "names": ["a", "b"]},
    }
    found = changed_params(path, defaults)
    assert found == [
        ChangedParam("loss.name", "dice", "bce"),
        ChangedParam("data.columns.04", 19, None),
        ChangedParam("more", True, None),
    ]
    assert params_table(found).rows == [
        ["loss.name", "dice", "bce"],
        ["data.columns.04", "19", "–"],
        ["more", "true", "–"],
    ]
    path.write_text("data: {columns: {}}\n")
    assert params_table(changed_params(path, defaults)).rows == [["data.columns", "{}", "–"]]
    path.write_text("loss: {gamma: 2}\n")
    assert params_table(changed_params(path, defaults)).note == "All parameters have their defaults."
    assert read_defaults()["report"]["n_review"] == ReportParams().n_review


def test_one_class_is_enough(data, evaluated):
    document = evaluated["test"] | {"dice": {"oil": 0.5}}
    assert len(summary(LEARNT, data.loc[["test"]], {"test": document}, None)) == 3


def test_ground_is_known_where_it_is_of_all_scenes(data):
    assert np.isnan(data.loc["oof", "km2"])
    assert data.loc["test", "km2"] == pytest.approx(6.5536)
