"""The plans of recorded experiments, against the parameters that they change."""

import pandas as pd
import pytest
import yaml
from conftest import ROOT

from benchmarks.cross_validation import planned, split_of

DOCUMENT = yaml.safe_load((ROOT / "benchmarks/recipes.yaml").read_text())
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("recipe", DOCUMENT["recipes"])
def test_a_recipe_changes_parameters_that_exist(recipe):
    for key, value in DOCUMENT["recipes"][recipe]["overrides"].items():
        default = PARAMS
        for part in key.split("."):
            default = default[part]
        assert type(value) is type(default), key
        assert value != default or recipe == "original", key


def test_a_plan_crosses_folds_and_seeds():
    assert [run.name for run in planned("folds")] == [f"default-fold{fold}-seed1" for fold in range(5)]
    assert [run.name for run in planned("leakage")] == ["default-random-seed1"]


def test_a_base_lends_its_changes():
    run = next(run for run in planned("ablation") if run.recipe == "short+dicebce")
    assert run.overrides == {"train.epochs": 7, "train.networks": 2, "loss.name": "dicebce"}
    assert run.name == "short+dicebce-fold0-seed1"


def test_an_unknown_plan_is_refused():
    with pytest.raises(SystemExit, match=r"expected one of folds, .* found fold"):
        planned("fold")


def test_every_scene_is_held_out_in_one_fold():
    scenes = pd.read_csv(ROOT / "docs/results/folds.csv", dtype=str)["scene"]
    held_out = [scene for run in planned("folds") for scene in split_of(run)["split.test_scenes"]]
    assert sorted(held_out) == sorted(scenes) and len(set(scenes)) == 14
