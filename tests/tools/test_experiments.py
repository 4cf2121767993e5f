"""All experiments at a glance."""

import subprocess
import sys

import pytest
from conftest import ROOT
from recorded_runs import RecordedRuns, scene

from seepseg.evaluation.paired import Difference
from tools.chance import BETTER, COULD_BE, EQUAL, WORSE, Spread, verdict, widened
from tools.experiments import main

SIX = "abcdef"


def six(*right):
    """Of each scene so many right."""
    return [scene(name, each) for name, each in zip(SIX, right, strict=True)]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return RecordedRuns(tmp_path)


def lines(capsys):
    main()
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_each_experiment_gets_a_word(runs, capsys):
    runs.commit(oof=six(10, 10, 10, 10, 10, 10))
    runs.experiment("all_gain", oof=six(12, 12, 12, 12, 12, 12), params={"loss": {"name": "dicebce"}})
    runs.experiment("some_gain", oof=six(12, 12, 12, 9, 9, 9), params={"loss": {"name": "focal"}})
    runs.experiment("other_dpi", oof=six(10, 10, 10, 10, 10, 10), params={"plot": {"dpi": 50}})
    runs.experiment("retrained", oof=six(8, 8, 8, 8, 8, 8), networks="n2", params={"loss": {"name": "ce"}})
    said = lines(capsys)
    assert "all_gain: loss.name: dicebce (was dice)" in said
    # 12 of 22 right are a Dice of 24/34, against 20/30.
    assert "all_gain" + " +0.039 better" * 5 in said
    assert "other_dpi" + " +0.000 =" * 5 in said
    assert "retrained" + " -0.051 worse?" * 5 in said
    assert any(line.startswith("some_gain +0.011 ~") for line in said)
    assert any(line.startswith("15 differences are told. If no change changed anything, about 0.8") for line in said)
    page = (runs.folder / "report/experiments.html").read_text()
    assert "better, beyond chance; +0.039 (+0.039 to +0.039); 0.706" in page


def test_seeds_stand_in_one_row_and_widen_intervals(runs, capsys):
    runs.commit(oof=six(10, 10, 10, 10, 10, 10))
    seed = {"train": {"seed": 2}}
    runs.experiment("base2", oof=six(12, 12, 12, 12, 12, 12), networks="n2", params=seed)
    runs.experiment("new1", oof=six(12, 12, 12, 12, 12, 12), networks="n3", params={"loss": {"name": "ce"}})
    runs.experiment("new2", oof=six(15, 15, 15, 15, 15, 15), networks="n4", params=seed | {"loss": {"name": "ce"}})
    said = lines(capsys)
    # (24/34 + 30/40) / 2 - (20/30 + 24/34) / 2: every scene gains it, but seeds lie as far apart.
    assert "new1, new2" + " +0.042 ~" * 5 in said
    page = (runs.folder / "report/experiments.html").read_text()
    assert "by seed +0.020 to +0.064" in page and "0.686; by seed 0.667 to 0.706" in page


def test_the_workspace_counts_where_its_results_are_its_own(runs, capsys):
    runs.commit(oof=six(10, 10, 10, 10, 10, 10))
    assert any(line.startswith("There is nothing to compare yet") for line in lines(capsys))
    runs.write(oof=six(12, 12, 12, 12, 12, 12), params={"loss": {"name": "ce"}})
    assert "workspace" + " +0.039 better" * 5 in lines(capsys)
    runs.git("reset", "--quiet", "--hard")
    runs.experiment("ce", oof=six(12, 12, 12, 12, 12, 12), params={"loss": {"name": "ce"}})
    runs.write(oof=six(12, 12, 12, 12, 12, 12), params={"loss": {"name": "ce"}})
    assert "ce" + " +0.039 better" * 5 in lines(capsys)


def test_without_the_baseline_the_experiment_that_changes_least_takes_its_place(runs, capsys):
    base = runs.commit(oof=six(10, 10, 10, 10, 10, 10))
    of_own = {"data": {"root": "own"}}
    runs.experiment("own", oof=six(10, 10, 10, 10, 10, 10), images="i2", params=of_own)
    runs.experiment("a_loss", oof=six(12, 12, 12, 12, 12, 12), images="i2", params=of_own | {"loss": {"name": "ce"}})
    said = lines(capsys)
    assert any(
        line.startswith(
            f"Commit {base[:7]} has no scores of the images of some experiments; they are compared with own"
        )
        for line in said
    )
    assert "a_loss" + " +0.039 better" * 5 in said


def test_an_experiment_that_is_not_in_the_cache_is_told(runs, capsys):
    runs.commit(oof=six(10, 10, 10, 10, 10, 10))
    runs.experiment("gone", oof=six(12, 12, 12, 12, 12, 12))
    runs.write(oof=six(12, 12, 12, 12, 12, 12)).unlink()
    runs.git("reset", "--quiet", "--hard")
    assert any(line.startswith("Left out: gone: expected its data/predictions/scenes.json") for line in lines(capsys))


@pytest.mark.parametrize(
    ("found", "scenes", "word"),
    [
        (Difference(0.1, 0.001, 0.2), 6, BETTER),
        (Difference(0.1, 0.0, 0.2), 6, COULD_BE),
        (Difference(-0.1, -0.2, 0.0), 6, COULD_BE),
        (Difference(-0.1, -0.2, -0.001), 6, WORSE),
        (Difference(0.0, 0.0, 0.0), 6, EQUAL),
        (Difference(0.1), 5, "can't be told: 5 scenes"),
        (Difference(0.1), 1, "can't be told: one scene"),
        (Difference(), 6, "-"),
    ],
)
def test_words(found, scenes, word):
    assert verdict(found, scenes, seeds_matter=False) == word


def test_the_spread_over_seeds_is_that_of_all_groups():
    # Deviations 1, -1 and 2, -2 from the means of their groups: 10 / 2 degrees of freedom.
    assert Spread.of([[1.0, 3.0], [6.0, 10.0], [5.0]]) == Spread(pytest.approx(5**0.5), 2)
    assert Spread.of([[5.0], []]) is None


def test_half_widths_of_scenes_and_seeds_add_up_as_squares():
    # Student's t of 1 degree of freedom is 12.706; of 2 and 8 seeds: 12.706 * 0.1 * sqrt(1/2 + 1/8) = 1.0045.
    found = widened(Difference(0.5, 0.2, 0.9), Spread(0.1, 1), 2, 8)
    below, above = ((each**2 + 1.0045**2) ** 0.5 for each in (0.3, 0.4))
    assert (found.low, found.high) == pytest.approx((0.5 - below, 0.5 + above), abs=1e-4)
    assert widened(found, None, 1, 1) == found


PIPELINE = """
stages:
  evaluate:
    cmd: python make.py
    params: [loss.name]
    outs: [data/predictions/scenes.json, models/networks.safetensors]
    metrics:
    - metrics/evaluate.json: {cache: false}
    plots:
    - plots/confusion.csv: {cache: false}
"""
MAKE = """
import json, pathlib, yaml
right = {"dice": 10, "ce": 12}[yaml.safe_load(open("params.yaml"))["loss"]["name"]]
scene = {"confusion": [[100, 0], [10, right]], "objects": [[right, right, right + 10]] * 2}
scene |= {"reliability": [[0, 0, 0]] * 64, "edges": [[[[right, right + 10], [right, right]]] * 3] * 2}
for name, text in {
    "data/predictions/scenes.json": json.dumps({"oof": [scene | {"scene": name} for name in "abcdef"], "test": []}),
    "models/networks.safetensors": "the same",
    "metrics/evaluate.json": json.dumps({"right": right}),
    "plots/confusion.csv": "split,actual,predicted,count\\noof,background,background,1\\noof,oil,oil,1\\n",
}.items():
    pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(name).write_text(text)
"""


@pytest.mark.e2e
def test_what_dvc_records_is_read(tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    (tmp_path / ".gitignore").write_text("/.dvc/cache\n/.dvc/tmp\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "make.py").write_text(MAKE)
    (tmp_path / "params.yaml").write_text("loss:\n  name: dice\n")
    dvc, git = (sys.executable, "-m", "dvc"), ("git", "-c", "user.name=t", "-c", "user.email=t@localhost")
    for command in (
        (*git, "init", "--quiet"),
        (*dvc, "repro"),
        (*git, "add", "--all"),
        (*git, "commit", "--quiet", "--message", "run"),
        (*dvc, "exp", "run", "--name", "other", "--set-param", "loss.name=ce"),
    ):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import runpy; "
    script += "runpy.run_module('tools.experiments', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    said = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "other: loss.name: ce (was dice)" in said, done.stderr
    assert "other" + " +0.039 better" * 5 in said
