"""Two runs, compared on the terminal and as a page."""

import json

import numpy as np
import pytest
from recorded_runs import RecordedRuns, scene

from seepseg.base.errors import InputError
from seepseg.evaluation.scene_counts import SceneCounts
from tools.compare import main

SIX = "abcdef"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return RecordedRuns(tmp_path)


def said(capsys, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["compare", *arguments])
    main()
    return capsys.readouterr().out


def cells(text, start):
    """The first line that starts so, its words without the runs of blanks between them."""
    return next(" ".join(line.split()) for line in text.splitlines() if line.startswith(start))


def test_what_every_scene_gains_is_beyond_chance(runs, capsys, monkeypatch):
    runs.commit(oof=[scene(name, 10) for name in SIX], test=[scene("t", 10)], seeps={"annotated": {"f1": 0.5}})
    runs.write(
        oof=[scene(name, 15, 5) for name in SIX],
        test=[scene("t", 15, 5)],
        params={"loss": {"name": "dicebce"}},
        seeps={"annotated": {"f1": 0.75}},
    )
    text = said(capsys, monkeypatch, "HEAD")
    assert text.startswith("workspace against HEAD (")
    # 30/35 against 20/30 of pixels, slicks and edges alike.
    lines = [" ".join(line.split()) for line in text.splitlines()]
    told = "training scenes, out of fold: 6 0.667 0.857 +0.190 (+0.190 to +0.190) better, beyond chance"
    for title in ("binary Dice", "macro Dice", "object F1", "named object F1", "surface Dice at 1 px"):
        assert f"{title} {told}" in lines
    assert "binary Dice test scenes: 1 0.667 0.857 +0.190 can't be told: one scene" in lines
    assert "oil 0.857, +0.190 can't be told: one scene 0.857, +0.190 (+0.190 to +0.190) better, beyond chance" in lines
    assert "loss.name dice dicebce" in lines
    assert "annotated.f1 0.5 0.75" in lines
    assert "Both runs have the same networks." in lines
    page = (runs.folder / "report/comparison.html").read_text()
    assert "better, beyond chance" in page and "<script" not in page


def test_other_networks_may_be_luck(runs, capsys, monkeypatch):
    runs.commit(oof=[scene(name, 10) for name in SIX])
    runs.write(oof=[scene(name, 5, 15) for name in SIX], networks="n2")
    text = said(capsys, monkeypatch, "HEAD")
    assert cells(text, "binary Dice").endswith("worse, beyond chance of scenes; other seeds not tried")
    assert "None of the test scenes are in both runs." in text


def test_without_a_revision_it_is_the_run_before(runs, capsys, monkeypatch):
    first = runs.commit(oof=[scene(name, 10) for name in SIX])
    runs.commit(oof=[scene(name, 11) for name in SIX])
    (runs.folder / "note").touch()
    runs.git("add", "note")
    runs.git("commit", "--quiet", "--message", "scores as before")
    assert said(capsys, monkeypatch).startswith(f"workspace against {first[:7]}")
    runs.write(oof=[scene(name, 12) for name in SIX])
    assert said(capsys, monkeypatch).startswith("workspace against HEAD")


def test_scenes_and_classes_that_one_run_lacks_are_left_out(runs, capsys, monkeypatch):
    runs.commit(oof=[scene(name, 10) for name in SIX])
    other = [scene(name, 10, missed=0, number=2) for name in (*SIX[1:], "x")]
    runs.experiment("two", oof=other, classes=("gas", "oil"))
    text = said(capsys, monkeypatch, "HEAD", "two")
    assert "2 of the training scenes, out of fold are in one of both runs only, and left out." in text
    assert "those that both have: oil." in text
    assert cells(text, "oil ") == "oil 1.000, +0.333 can't be told: 5 scenes"
    assert cells(text, "macro Dice ").endswith("0.667 1.000 +0.333 can't be told: 5 scenes")


def test_of_a_class_scenes_on_which_it_is_annotated_count(runs, capsys, monkeypatch):
    """Of seven scenes, six have oil and one has the class NA: of that one, no draw could tell chance."""
    for right, write in ((10, runs.commit), (15, runs.write)):
        oil = [scene(name, right, number=2) for name in SIX]
        none = scene("x", right, number=1)
        padded = [np.pad(none.confusion, (0, 1)), np.pad(none.objects, ((0, 1), (0, 0)))]
        edges = np.pad(none.edges, ((0, 1), (0, 0), (0, 0), (0, 0)))
        write(oof=[*oil, SceneCounts("x", *padded, none.reliability, edges)], classes=("NA", "oil"))
    text = said(capsys, monkeypatch, "HEAD")
    assert cells(text, "NA ") == "NA 0.750, +0.083 can't be told: one scene"
    assert cells(text, "oil ") == "oil 0.750, +0.083 (+0.083 to +0.083) better, beyond chance"
    assert cells(text, "macro Dice ").endswith("7 0.667 0.750 +0.083 (+0.083 to +0.083) better, beyond chance")


def test_annotations_that_changed_are_told(runs, capsys, monkeypatch):
    runs.commit(oof=[scene("a", 10), scene("b", 10)])
    runs.write(oof=[scene("a", 10), scene("b", 10, missed=11)])
    assert "1 of the training scenes, out of fold are annotated otherwise" in said(capsys, monkeypatch, "HEAD")


def test_what_is_not_there_is_told_with_a_remedy(runs, capsys, monkeypatch):
    (runs.folder / "dvc.lock").write_text("stages: {}\n")
    runs.git("add", "--all")
    runs.git("commit", "--quiet", "--message", "without a run")
    runs.write(oof=[scene("a", 10)])
    with pytest.raises(InputError, match=r"found no data/predictions/scenes.json in dvc.lock; run `dvc repro`"):
        said(capsys, monkeypatch, "HEAD")
    runs.experiment("peak", oof=[scene("a", 11)])
    with pytest.raises(InputError, match=r"peek: expected a commit, .*; experiments: peak"):
        said(capsys, monkeypatch, "peek")


def test_without_counts_metrics_are_compared(runs, capsys, monkeypatch):
    path = runs.write(oof=[scene("a", 10)])
    for score in (0.5, 0.75):
        (runs.folder / "metrics/evaluate.json").write_text(json.dumps({"oof": {"binary_dice": score}}))
        runs.git("add", "--all")
        runs.git("commit", "--quiet", "--message", "run")
    path.unlink()
    text = said(capsys, monkeypatch)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert any(line.startswith("No intervals: workspace: expected its data/predictions/scenes.json") for line in lines)
    assert "binary Dice training scenes, out of fold 0.500 0.750 +0.250 can't be told: no scenes" in lines
    assert "No parameter differs." in lines


def test_outside_of_the_project_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["compare"])
    with pytest.raises(InputError, match=r"expected the root of the project, found no \.dvc"):
        main()
