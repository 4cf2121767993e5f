"""Quick runs of the benchmarks that Makefile names, so that none of them breaks unseen."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from conftest import ROOT

from benchmarks import classification, data_path, report, scene_speed
from seepseg.base.files import read_json
from seepseg.detection.model_file import load_model, save_model

pytestmark = pytest.mark.e2e

COMMANDS = {
    "kills": "kills --quick --out {out}",
    "bench": "bench --quick --threads 1 --out {out}",
    "stage_kills": "stage_kills --quick --out {out}",
    "verify": "verify --quick",
    "fuzz": "fuzz --files 50",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The commands, side by side, as much of their time is spent in starting processes; and their folder."""
    out = tmp_path_factory.mktemp("out")
    env = os.environ | {"OMP_NUM_THREADS": "1"}

    def run(command):
        words = [sys.executable, "-m", *f"benchmarks.{command}".format(out=out).split()]
        return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(2) as pool:
        finished = dict(zip(COMMANDS, pool.map(run, COMMANDS.values()), strict=True))
    return finished | {"out": out}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_quick_run_ends_well(runs, name):
    assert runs[name].returncode == 0, runs[name].stdout + runs[name].stderr


def test_bench_measures_everything_that_its_page_shows(runs):
    results = read_json(runs["out"] / "results.json")
    committed = read_json(ROOT / "benchmarks/results.json")
    assert results.keys() >= committed.keys()
    assert {"reference", "same_architecture", "default"} <= results["subjects"].keys()
    page = (runs["out"] / "RESULTS.md").read_text()
    assert "**Quick run" in page and "By `make bench-scale`" not in page


def test_growth_is_printed_and_gets_into_the_page(runs, monkeypatch, capsys):
    """What it measures is the growth in a run of bench."""
    out, measured = runs["out"], read_json(runs["out"] / "results.json")["growth"]
    monkeypatch.setattr(data_path, "growth", lambda sizes, folder: measured if sizes == [8] else None)
    monkeypatch.setattr(
        sys, "argv", ["data_path", "--sizes", "8", "--folder", str(out), "--out", str(out / "growth.json")]
    )
    data_path.main()
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[2:]] == [
        ["8", stage] for stage in data_path.STAGES
    ]
    monkeypatch.setattr(sys, "argv", ["report", str(out)])
    report.main()
    assert "By `make bench-scale`" in (out / "RESULTS.md").read_text()


def test_a_kill_changes_nothing(runs):
    (run,) = read_json(runs["out"] / "kills.json")["runs"]
    assert run["kills"] == 1 and run["identical"]
    stages = read_json(runs["out"] / "stage_kills.json")["stages"]
    assert [stage["stage"] for stage in stages] == ["sample"]
    assert all(stage["finished"] and not stage["other"] for stage in stages)


def test_two_clones_are_compared(runs):
    assert re.search(r"two clones: \d\d+ outputs, 0 differ", runs["verify"].stdout)


def test_features_are_compared(finished, tmp_path, monkeypatch):
    arguments = ["classification", "--root", str(finished.folder), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    classification.main()
    assert (
        read_json(tmp_path / "classification.json").keys()
        == read_json(ROOT / "docs/results/classification.json").keys()
    )
    page = (tmp_path / "classification.md").read_text()
    assert "| class probabilities alone | " in page
    assert page == classification.page(read_json(tmp_path / "classification.json"))


def test_scenes_are_measured(finished, tmp_path, monkeypatch):
    """With a model that accepts large slicks only, as thousands of specks take long to describe."""
    model = load_model(finished.folder / "models/model.safetensors")
    large = replace(model.meta.postprocessing, min_area=500)
    save_model(tmp_path / "model.safetensors", replace(model, meta=replace(model.meta, postprocessing=large)))
    monkeypatch.setattr(scene_speed, "MODEL", tmp_path / "model.safetensors")
    monkeypatch.setattr(scene_speed, "SAMPLE", finished.folder / "data/sample/scenes")
    monkeypatch.setattr(scene_speed, "alone", lambda function, *arguments: function(*arguments))
    found = scene_speed.measure(tmp_path, True)
    assert found["growth"][0]["pixels"] == 512 * 512 and found["growth"][-1]["seen"] == "a tenth of it"
    assert 0 < found["default"]["share_of_networks"]["median"] < 1
    committed = read_json(ROOT / "benchmarks/scene.json")
    assert found.keys() == committed.keys() and found["plain"].keys() == committed["plain"].keys()
    assert "Growth with the size of the scene" in report._scene(found)


def test_every_benchmark_of_makefile_has_a_test():
    named = set(re.findall(r"python -m benchmarks\.(\w+)", (ROOT / "Makefile").read_text()))
    assert named == {
        *COMMANDS,
        "data_path",
        "report",
        "cross_validation",
        "recipe",
        "scene_speed",
    }  # test_cross_validation.py has two
