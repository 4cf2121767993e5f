"""The plans of recorded experiments, against the parameters that they change."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from dvc.utils.hydra import apply_overrides
from test_wrong_params import KINDS

from benchmarks import results
from benchmarks.cross_validation import assignments, planned, split_of
from benchmarks.results import COMPARED, _differences, blind_counts, compare, first_counts
from seepseg.base.params import load_params
from seepseg.evaluation.scene_counts import SceneCounts

DOCUMENT = yaml.safe_load((ROOT / "benchmarks/recipes.yaml").read_text())
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("recipe", DOCUMENT["recipes"])
def test_a_recipe_changes_parameters_that_exist(recipe):
    bases = {entry["recipe"]: entry["base"] for plan in DOCUMENT["plans"].values() for entry in plan if "base" in entry}
    below = DOCUMENT["recipes"][bases[recipe]]["overrides"] if recipe in bases else {}
    for key, value in DOCUMENT["recipes"][recipe]["overrides"].items():
        default = PARAMS
        for part in key.split("."):
            default = default[part]
        assert type(value) is type(default), key
        assert value != below.get(key, default) or recipe == "original", key


@pytest.mark.parametrize("recipe", DOCUMENT["recipes"])
def test_the_stages_take_what_dvc_writes_for_a_recipe(tmp_path, recipe):
    overrides = DOCUMENT["recipes"][recipe]["overrides"]
    path = shutil.copy(ROOT / "params.yaml", tmp_path)
    apply_overrides(path, assignments(overrides))
    for key, value in overrides.items():
        section, *steps = key.split(".")
        taken = load_params(KINDS[section], section, Path(path))
        for step in steps:
            taken = getattr(taken, step)
        assert taken == value, key


def test_the_original_recipe_is_the_one_of_readme():
    readme = (ROOT / "README.md").read_text()
    command = next(block for block in readme.split("```") if "model.norm=none" in block)
    original = DOCUMENT["recipes"]["original"]["overrides"]
    shown = {key: yaml.safe_load(value) for key, value in re.findall(r"-S (\S+?)=(\S+)", command)}
    assert shown == {key: value for key, value in original.items() if key != "train.epochs"}


def test_a_plan_crosses_folds_and_seeds():
    assert [run.name for run in planned("folds")] == [f"default-fold{fold}-seed1" for fold in range(5)]
    assert [run.name for run in planned("leakage")] == ["default-random-seed1"]


def test_a_base_lends_its_changes():
    run = next(run for run in planned("ablation") if run.recipe == "short+dicebce")
    assert run.overrides == {"train.epochs": 7, "loss.name": "dicebce"}
    assert run.name == "short+dicebce-fold0-seed1"


def test_an_unknown_plan_is_refused():
    with pytest.raises(SystemExit, match=r"expected one of folds, .* found fold"):
        planned("fold")


def test_every_scene_is_held_out_in_one_fold():
    scenes = pd.read_csv(ROOT / "docs/results/folds.csv", dtype=str)["scene"]
    held_out = [scene for run in planned("folds") for scene in split_of(run)["split.test_scenes"]]
    assert sorted(held_out) == sorted(scenes) and len(set(scenes)) == 14


def result(*scenes, fold=0, seed=1, val=()):
    """Scenes by name with pixels and slicks of one class: right, missed, false."""
    found = {"fold": fold, "seed": seed, "scenes": [scene(*each) for each in scenes]}
    return found | {"val": {"scenes": [scene(*each) for each in val]}}


def scene(name, right, missed, false):
    objects = [[right, right + false, right + missed]] * 2
    return SceneCounts(name, np.array([[100, false], [missed, right]]), np.array(objects), np.zeros((64, 3))).to_json()


def test_recipes_are_compared_on_the_scenes_that_both_have():
    base = first_counts([result(("a", 10, 10, 0), ("b", 10, 30, 0)), result(("c", 9, 1, 9), fold=1)])
    better = first_counts([result(("b", 10, 10, 0), ("a", 10, 10, 0)), result(("d", 1, 1, 1), fold=2)])
    found = compare(better, base)
    assert found["scenes"] == 2
    # 40 of 60 against 40 of 80; where only scene a is drawn there is no difference, where only b, 2/3 - 2/5.
    assert found["binary_dice"] == pytest.approx(40 / 60 - 40 / 80)
    assert (found["binary_dice_low"], found["binary_dice_high"]) == pytest.approx((0, 2 / 3 - 2 / 5))
    assert found["object_f1"] == pytest.approx(found["macro_dice"]) == pytest.approx(found["binary_dice"])
    assert compare(better[2:], base) == {"scenes": 0}


def test_a_recipe_is_that_of_its_lowest_seed():
    seeds = [result(("a", 1, 1, 1), ("b", 1, 1, 1), seed=2), result(("a", 10, 10, 0), ("b", 10, 30, 5))]
    found = compare(first_counts(seeds), first_counts(seeds[1:]))
    assert set(found.values() if found.pop("scenes") else ()) == {0.0}


def test_short_recipes_count_all_scenes_and_seeds():
    seeds = [result(("a", 1, 2, 3), val=[("b", 4, 5, 6)]), result(("a", 10, 20, 30), val=[("b", 40, 50, 60)], seed=2)]
    counts = {each.scene: each for each in blind_counts(seeds)}
    assert counts.keys() == {"a", "b"}
    assert counts["a"].confusion.tolist() == [[200, 33], [22, 11]]
    assert counts["b"].objects.tolist() == [[44, 110, 99]] * 2


def test_a_difference_is_bold_beyond_scenes_and_seeds():
    sure = {f"{name}{end}": value for name in COMPARED for end, value in (("", 0.2), ("_low", 0.1), ("_high", 0.3))}
    found = {"base": "short", "scenes": 2, **sure, "macro_dice_low": -0.1}
    row = _differences({"short+lee": {"against": found}}, {"binary_dice": 0.1, "macro_dice": 0.1, "object_f1": 0.3})[-1]
    cells = row.split(" | ")[3:]
    assert [cell.startswith("**") for cell in cells] == [True, False, False]


def test_the_pages_of_results_are_those_of_the_recorded_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(results, "pictures", lambda found: {})
    results.write_all(ROOT / "docs/results/runs")
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {"README.md", "cross_validation.json"} <= written.keys()
    for name, text in written.items():
        assert text == (ROOT / "docs/results" / name).read_text(), f"{name}: pool anew"
