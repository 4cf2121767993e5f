"""Recorded experiments: recipes against the parameters that they change, and pooled results against recorded ones."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, SMALL
from dvc.utils.hydra import apply_overrides

from benchmarks import recipe, results, runs_without_dvc
from benchmarks.cross_validation import Run, collect, planned, settings_of, split_of, write_run
from benchmarks.recipe import assignments, overrides_of, read_document, read_recipes
from benchmarks.result_pages import COMPARED, _differences, page
from benchmarks.results import Counted, compare, counted, counts_of_all_scenes, what_passes_add
from seepseg.base.errors import InputError
from seepseg.base.files import read_json
from seepseg.base.params import load_params
from seepseg.evaluation.scene_counts import SceneCounts
from tools.params_file import SECTIONS

DOCUMENT = read_document()
RECIPES = [name for name, each in read_recipes().items() if "removed" not in each]
REMOVED = [name for name, each in read_recipes().items() if "removed" in each]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


OLDER_RUN = ROOT / "docs/results/runs/short+resnet_unet-fold0-seed1.json"
NEWER = {"seeps", "held_out", "annotated_by_scene"}  # what it has not kept


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_changes_parameters_that_exist(name):
    bases = {entry["recipe"]: entry["base"] for plan in DOCUMENT["plans"].values() for entry in plan if "base" in entry}
    below = overrides_of(bases[name]) if name in bases else {}
    for key, value in overrides_of(name).items():
        default = PARAMS
        for part in key.split("."):
            default = default[part]
        assert type(value) is type(default), key
        assert value != below.get(key, default) or name == "original", key


@pytest.mark.parametrize("name", RECIPES)
def test_the_stages_take_what_dvc_writes_for_a_recipe(tmp_path, name):
    taken = as_taken(tmp_path, overrides_of(name))
    assert taken == overrides_of(name)


def as_taken(folder, settings):
    """What stages read of parameters that DVC has written."""
    path = folder / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    apply_overrides(path, assignments(settings))
    taken = {}
    for key in settings:
        section, *steps = key.split(".")
        value = load_params(SECTIONS[section], section, path)
        for step in steps:
            value = getattr(value, step)
        taken[key] = list(value) if isinstance(value, tuple) else value
    return taken


@pytest.mark.parametrize("fold", [3, None])
def test_the_stages_take_what_a_recorded_run_sets(tmp_path, fold):
    settings = settings_of(Run("short", fold, 2, overrides_of("short")), tmp_path)
    assert as_taken(tmp_path, settings) == settings
    assert settings["data.root"] == str(tmp_path) and settings["train.seed"] == settings["classify.seed"] == 2


@pytest.mark.parametrize("name", REMOVED)
def test_a_removed_recipe_names_the_commit_that_has_it(name):
    commit = read_recipes()[name]["removed"]
    with pytest.raises(InputError, match=f"recipe {name} needs an option that was removed: `git checkout {commit}`"):
        overrides_of(f"short+{name}")
    recorded = list((ROOT / "docs/results/runs").glob(f"*{name}-*.json"))
    assert recorded and f"{name}`: {read_recipes()[name]['what']} (removed; last in {commit})" in pages()


def pages():
    return "".join((ROOT / "docs/results" / name).read_text() for name in ("README.md", "ablation.md"))


def test_a_recipe_is_an_experiment_in_the_workspace(monkeypatch, capsys):
    started = []

    def run(command, **_):
        started.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(recipe.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["recipe", "short+lee", "-S", "train.seed=2", "--queue"])
    with pytest.raises(SystemExit) as end:
        recipe.main()
    options = ["-S", "train.epochs=7", "-S", 'input.channels=["intensity", "lee"]', "-S", "train.seed=2", "--queue"]
    assert started == [[sys.executable, "-m", "dvc", "exp", "run", *options]] and end.value.code == 3
    assert capsys.readouterr().out == (
        'dvc exp run -S train.epochs=7 -S \'input.channels=["intensity", "lee"]\' -S train.seed=2 --queue\n'
    )


def test_an_unknown_recipe_is_refused():
    with pytest.raises(InputError, match=r"recipes.yaml: expected one of default, .* found orginal"):
        overrides_of("orginal")


def test_a_plan_crosses_folds_and_seeds():
    assert [run.name for run in planned("folds")] == [f"default-fold{fold}-seed1" for fold in range(5)]
    assert [run.name for run in planned("leakage")] == ["default-random-seed1"]


def test_a_base_lends_its_changes():
    run = next(run for run in planned("ablation") if run.recipe == "short+dicebce")
    assert run.overrides == {"train.epochs": 7, "loss.name": "dicebce"}
    assert run.name == "short+dicebce-fold0-seed1"


def test_an_unknown_plan_is_refused():
    with pytest.raises(InputError, match=r"expected one of folds, .* found fold"):
        planned("fold")


@pytest.mark.parametrize("plan", DOCUMENT["plans"])
def test_every_plan_can_be_run(plan):
    assert len({run.name for run in planned(plan)}) == len(planned(plan)) > 0


def test_every_scene_is_held_out_in_one_fold():
    scenes = pd.read_csv(ROOT / "docs/results/folds.csv", dtype=str)["scene"]
    held_out = [scene for run in planned("folds") for scene in split_of(run)["split.test_scenes"]]
    assert sorted(held_out) == sorted(scenes) and len(set(scenes)) == 14


def result(*scenes, fold=0, seed=1, oof=()):
    """Scenes by name with pixels, slicks and edge pixels of one class: right, missed, false."""
    found = {"recipe": "default", "fold": fold, "seed": seed, "scenes": [scene(*each) for each in scenes]}
    annotated = {name: {"count": [[right, missed], [false, 0]]} for name, right, missed, false in scenes}
    return found | {"annotated_by_scene": annotated, "oof": {"scenes": [scene(*each) for each in oof]}}


def scene(name, right, missed, false):
    objects, edges = [[right, right + false, right + missed]] * 2, [[right, right + missed], [right, right + false]]
    everywhere = np.broadcast_to(np.array(edges, float), (2, 3, 2, 2))  # any class and each, at all tolerances
    return SceneCounts(
        name, np.array([[100, false], [missed, right]]), np.array(objects), np.zeros((64, 3)), everywhere
    ).to_json()


def without_edges(recorded):
    """As recorded before edges were counted."""
    for each in recorded["scenes"] + recorded["oof"]["scenes"]:
        del each["edges"]
    return recorded


def test_recipes_are_compared_on_the_scenes_that_both_have():
    base = counted([result(("a", 10, 10, 0), ("b", 10, 30, 0)), result(("c", 9, 1, 9), fold=1)])
    better = counted([result(("b", 10, 10, 0), ("a", 10, 10, 0)), result(("d", 1, 1, 1), fold=2)])
    found = compare(better, base)
    assert found["scenes"] == 2
    # 40 of 60 against 40 of 80; where only scene a is drawn there is no difference, where only b, 2/3 - 2/5.
    assert found["binary_dice"] == pytest.approx(40 / 60 - 40 / 80)
    assert (found["binary_dice_low"], found["binary_dice_high"]) == pytest.approx((0, 2 / 3 - 2 / 5))
    for name in COMPARED:
        for end in ("", "_low", "_high"):
            assert found[f"{name}{end}"] == pytest.approx(found[f"binary_dice{end}"])
    assert compare(Counted(better.scenes[2:]), base) == {"scenes": 0}


def test_what_is_not_known_of_all_scenes_is_not_compared():
    base, better = (counted([result(("a", 10, 10, 0), ("b", 10, right, 0))]) for right in (30, 10))
    assert compare(better, base)["annotated_macro_dice"] > 0
    del base.annotated["a"]
    found = compare(better, base)
    assert [found[f"annotated_macro_dice{end}"] for end in ("", "_low", "_high")] == [None] * 3
    assert found["macro_dice"] > 0


def test_what_other_passes_add_is_of_classes_alone():
    recorded = result(("a", 10, 10, 0), ("b", 10, 10, 0))
    for each in recorded["scenes"]:
        each["alone"] = {"confusion": [[100, 0], [15, 5]], "objects": [[5, 5, 20]]}
        recorded["annotated_by_scene"][each["scene"]]["alone"] = [[5, 15], [0, 0]]
    found = what_passes_add([recorded])
    moved = ("macro_dice", "macro_object_f1", "annotated_macro_dice")
    assert found["alone"] == pytest.approx(dict.fromkeys(moved, 0.4))
    assert [found["added"][name] for name in moved] == pytest.approx([2 / 3 - 0.4] * 3)
    assert (found["added"]["object_f1"], found["added"]["surface_dice_1"]) == (0, 0)


def test_what_other_passes_add_and_seeps_stand_on_the_page():
    """Also where nothing could be compared with."""
    whole = {"average_precision": 0.125, "recall_at_precision_0_95": 0.25}
    scores = {"precision": 0.375, "recall": 0.5, "all": whole}
    confirmed = {"confirmed_by_1": 0.875, "by_chance_1": 0.0625, "confirmed_by_2": 0.75, "by_chance_2": 0.0}
    of_fold = {"passes": 14, "reported": 7, "annotated": scores, "published_rule": scores, "confirmed": confirmed}
    unknown = {"passes": 0, "reported": 0} | dict.fromkeys(("annotated", "published_rule", "confirmed"))
    added = {"scenes": 2} | {f"{name}{end}": 0.25 for name in COMPARED for end in ("", "_low", "_high")}
    found = {
        "seeps": {"of_each_fold": {"3": of_fold}, "held_out": unknown},
        "passes": {"alone": dict.fromkeys(COMPARED, 0.5), "added": added},
    }
    recorded = read_json(ROOT / "docs/results/cross_validation.json")["no_passes"]
    lines = page({"default": recorded | found}).splitlines()
    assert "| 3 | 14 | 7 | 0.375 | 0.500 | 0.250 | 0.125 | 0.125 | 0.875 | 0.062 | 0.750 | 0.000 |" in lines
    assert "| held out | 0 | 0 |" + " - |" * 9 in lines
    assert "| `default` | 2 |" + " 0.500 +0.250 (+0.250 to +0.250) |" * 3 in lines


@pytest.mark.filterwarnings("error")
def test_edges_are_compared_where_both_have_them():
    results = [result(("a", 10, 10, 0), ("b", 10, 30, 0)) for _ in range(2)]
    old, new = (counted([each]) for each in (without_edges(results[0]), results[1]))
    for found in (
        compare(new, old),
        compare(old, new),
        compare(new, replace(new, scenes=[old.scenes[0], new.scenes[1]])),
    ):
        unknown = [found.pop(f"surface_dice_1{end}") for end in ("", "_low", "_high")]
        assert unknown == [None] * 3 and found.pop("scenes") == 2 and set(found.values()) == {0.0}
    assert compare(new, Counted(new.scenes[1:]))["surface_dice_1"] == 0


def test_a_recipe_is_that_of_its_lowest_seed():
    seeds = [result(("a", 1, 1, 1), ("b", 1, 1, 1), seed=2), result(("a", 10, 10, 0), ("b", 10, 30, 5))]
    found = compare(counted(seeds), counted(seeds[1:]))
    assert set(found.values() if found.pop("scenes") else ()) == {0.0}


def test_short_recipes_count_all_scenes_and_seeds():
    seeds = [result(("a", 1, 2, 3), oof=[("b", 4, 5, 6)]), result(("a", 10, 20, 30), oof=[("b", 40, 50, 60)], seed=2)]
    counts = {each.scene: each for each in counts_of_all_scenes(seeds)}
    assert counts.keys() == {"a", "b"}
    assert counts["a"].confusion.tolist() == [[200, 33], [22, 11]]
    assert counts["b"].objects.tolist() == [[44, 110, 99]] * 2
    assert counts["b"].edges.tolist() == [[[[44, 99], [44, 110]]] * 3] * 2
    without = without_edges(seeds[0])
    known_of_one = counts_of_all_scenes([without, seeds[1]])
    assert known_of_one[1].edges.tolist() == [[[[40, 90], [40, 100]]] * 3] * 2
    assert known_of_one[1].objects.tolist() == counts["b"].objects.tolist()
    assert np.isnan([each.edges for each in counts_of_all_scenes([without])]).all()


def test_a_difference_is_bold_beyond_scenes_and_seeds():
    sure = {f"{name}{end}": value for name in COMPARED for end, value in (("", 0.2), ("_low", 0.1), ("_high", 0.3))}
    found = {"base": "short", "scenes": 2, **sure, "macro_dice_low": -0.1, "surface_dice_1": None}
    row = _differences({"short+lee": {"against": found}}, {"binary_dice": 0.1, "macro_dice": 0.1, "object_f1": 0.3})[-1]
    cells = row.split(" | ")[3:]
    assert [cell.startswith("**") for cell in cells] == [True, *[False] * 5]
    assert cells[1] == "-"


def test_the_curve_of_any_class_comes_from_the_counts():
    counts = scene("a", 3, 1, 2)
    counts["reliability"] = [[4.0, 1.0, 0.5], [2.0, 2.0, 1.9], *np.zeros((62, 3)).tolist()]
    curve = results.any_class_curve([SceneCounts.from_json(counts)])
    assert curve[["precision", "recall"]].iloc[:2].to_numpy().tolist() == [[3 / 6, 1.0], [1.0, 2 / 3]]


def test_the_pages_of_results_are_those_of_the_recorded_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "pictures", lambda found: {})
    results.write_all(ROOT / "docs/results/runs", tmp_path)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {"README.md", "ablation.md", "cross_validation.json"} == written.keys()
    for name, text in written.items():
        assert text == (ROOT / "docs/results" / name).read_text(), f"{name}: pool anew"


def test_a_recorded_run_is_named_after_what_it_is():
    for path in (ROOT / "docs/results/runs").iterdir():
        result = read_json(path)
        name = Run(result["recipe"], result["fold"], result["seed"]).name
        assert path.stem in (name, f"{name}-gpu") and (path.stem == name or result["gpu"])


@pytest.mark.e2e
def test_runs_are_done_without_dvc_and_told_where_they_fail(finished, tmp_path, monkeypatch, capsys):
    small = {
        f"{section}.{name}.{key}" if isinstance(value, dict) else f"{section}.{name}": inner
        for section, values in SMALL.items()
        for name, value in values.items()
        for key, inner in (value.items() if isinstance(value, dict) else [("", value)])
    }
    runs = [Run("default", None, 1, small), Run("default", None, 2, small | {"train.lr": 11.0})]
    monkeypatch.setattr(runs_without_dvc, "planned", lambda plan: runs)
    monkeypatch.setattr(runs_without_dvc, "WORKSPACES", tmp_path / "workspaces")
    # An earlier command came as far as to classify.
    earlier = tmp_path / f"workspaces/0000000/{runs[0].name}"
    for folder in ("data/candidates", "models", "metrics", "plots"):
        shutil.copytree(finished.folder / folder, earlier / folder)
    for name in ("split.csv", "annotated_classes.csv"):
        shutil.copy(finished.folder / "data" / name, earlier / "data")
    for stage in runs_without_dvc.STAGES[: runs_without_dvc.STAGES.index("evaluate")]:
        (earlier / f"{stage}.seconds").write_text("1000")
    for name in ("evaluate", "seeps"):
        (earlier / f"metrics/{name}.json").unlink()
    packed = str(finished.folder / "data/packed")
    words = ["--packed", packed, "--plan", "gpu", "--commit", "0000000", "--out", str(tmp_path / "out"), "--runs", "2"]
    monkeypatch.setattr(sys, "argv", ["runs_without_dvc", *words])
    with pytest.raises(InputError, match=r"default-random-seed2: stage train failed:\nerror: .* train\.lr"):
        runs_without_dvc.main()
    (path,) = (tmp_path / "out").iterdir()
    recorded = read_json(path)
    assert recorded.keys() - NEWER == read_json(OLDER_RUN).keys()
    assert recorded["seed"] == 1 and recorded["commit"] == "0000000" and 5000 < recorded["seconds"] < 5500
    assert recorded["seeps"]["known"] is None
    assert "default-random-seed1: oof: binary Dice" in capsys.readouterr().out
    runs.pop()
    runs_without_dvc.main()
    assert capsys.readouterr().out == "default-random-seed1: done before\n"


@pytest.mark.e2e
def test_what_the_stages_write_is_recorded_and_pooled(finished, tmp_path):
    run = Run("default", None, 1)
    write_run(tmp_path / f"runs/{run.name}.json", collect(run, finished.folder, "0000000", 60))
    recorded = read_json(tmp_path / f"runs/{run.name}.json")
    assert recorded.keys() - NEWER == read_json(OLDER_RUN).keys()
    assert recorded["seeps"] == read_json(finished.folder / "metrics/seeps.json")
    assert (
        recorded["oof"].keys() == {"scenes", "annotated", "annotated_by_scene"}
        and len(recorded["annotated"]["slicks"]) == 49
    )
    pooled = results.write_all(tmp_path / "runs", tmp_path)["default_tiles_at_random"]
    scores = read_json(finished.folder / "metrics/evaluate.json")["test"]
    for name in ("binary_dice", "surface_dice_1", "macro_surface_dice_3"):
        assert pooled[name] == pytest.approx(scores[name], abs=1e-6)
    assert all(
        scene.keys() == {"scene", "confusion", "objects", "edges", "alone"} for scene in recorded["oof"]["scenes"]
    )
    classified = read_json(finished.folder / "metrics/classify.json")
    without = classified["annotated_slicks_alone"]["test"]["macro_dice"]
    assert pooled["annotated"]["macro_dice"] == pytest.approx(
        classified["annotated_slicks"]["test"]["macro_dice"], abs=1e-6
    )
    alone = scores["alone"] | {"annotated_macro_dice": without}
    assert pooled["passes"]["alone"] == pytest.approx(alone, abs=1e-6)
    assert "| `default_tiles_at_random`: as params.yaml says" in (tmp_path / "README.md").read_text()


# Rows of the tables in README by the words that their first cell begins with, and the score that they show: of the
# default, and what other passes add to its classes.
SHOWN = {
    "binary Dice": ("binary_dice",),
    "macro Dice:": ("macro_dice",),
    "object F1": ("object_f1",),
    "named object F1:": ("macro_object_f1",),
    "macro Dice when annotated": ("annotated", "macro_dice"),
}
ADDED = {
    "macro Dice |": "macro_dice",
    "named object F1 |": "macro_object_f1",
    "macro Dice, annotated": "annotated_macro_dice",
}


def numbers_in_readme(words):
    (row,) = (line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| {words}"))
    return [float(number) for number in re.findall(r"[+-]?\.\d+", row)]


def pooled_scores_of(recipe):
    return read_json(ROOT / "docs/results/cross_validation.json")[recipe]


@pytest.mark.parametrize("words", SHOWN)
def test_readme_shows_the_recorded_scores(words):
    pooled = pooled_scores_of("default")
    *path, name = SHOWN[words]
    for key in path:
        pooled = pooled[key]
    expected = [pooled[each] for each in (name, f"{name}_low", f"{name}_high") if each in pooled]
    assert numbers_in_readme(words) == [round(value, 3) for value in expected]


@pytest.mark.parametrize("words", ADDED)
def test_readme_shows_what_other_passes_add(words):
    passes, name = pooled_scores_of("default")["passes"], ADDED[words]
    alone, added = passes["alone"][name], [passes["added"][f"{name}{end}"] for end in ("", "_low", "_high")]
    assert numbers_in_readme(words) == [round(value, 3) for value in (alone, alone + added[0], *added)]
