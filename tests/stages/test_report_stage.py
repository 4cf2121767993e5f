"""The stage report on a made-up run, with a model whose answers are known."""

import json

import pandas as pd
import pytest
import yaml
from made_up_run import CORRECTIONS, MadeUpModel, write_run

from seepseg.base.errors import InputError
from seepseg.report.params import ReportParams
from stages import report

pytestmark = pytest.mark.e2e


@pytest.fixture
def root(tmp_path, monkeypatch):
    write_run(tmp_path)
    monkeypatch.setattr(report, "load_model", lambda path: MadeUpModel())
    monkeypatch.setattr(report, "Detector", MadeUpModel)
    return tmp_path


def test_the_page_is_made_of_the_files_of_a_run(root, capsys):
    contents = report.contents_of_run(root, ReportParams())
    assert [(page.name, page.split) for page in contents.scenes] == [("t", "test"), ("a", "oof"), ("b", "oof")]
    assert [(review.key, review.total) for review in contents.reviews] == [
        ("unannotated", 1),
        ("missed", 4),
        ("other_class", 1),
    ]
    assert [item.scene for review in contents.reviews for item in review.items] == ["a", "a", "t", "b", "a", "a"]
    assert contents.figures == {"Training": b"a picture"}
    assert contents.class_colours.keys() == {"oil", "gas"}
    pd.testing.assert_frame_equal(contents.corrections.reset_index(drop=True), CORRECTIONS, check_dtype=False)
    changed = next(table for table in contents.tables if "differ" in table.title)
    assert ["evaluate.bootstrap_samples", "7", "1000"] in changed.rows
    report.main(root)
    page = (root / "report/index.html").read_bytes()
    assert capsys.readouterr().out.startswith("report/index.html: 3 scenes, ")
    report.main(root)
    assert (root / "report/index.html").read_bytes() == page


def test_without_corrections_nothing_was_judged(root):
    (root / "params.yaml").write_text(
        yaml.safe_dump({**yaml.safe_load((root / "params.yaml").read_text()), "data": {"corrections": ""}})
    )
    contents = report.contents_of_run(root, ReportParams())
    assert contents.corrections.empty
    assert contents.reviews[0].total == 2


def test_without_test_scenes(root):
    split = pd.read_csv(root / "data/split.csv", dtype=str)
    table = split.assign(split=["val", "val", "train", "train"], inner_fold=["0", "0", "1", ""])
    table.to_csv(root / "data/split.csv", index=False)
    for name in ("data/predictions/scenes", "metrics/evaluate"):
        document = json.loads((root / f"{name}.json").read_text())
        (root / f"{name}.json").write_text(json.dumps({"oof": document["oof"]}))
    contents = report.contents_of_run(root, ReportParams())
    assert [page.name for page in contents.scenes] == ["a", "b"]
    assert list(contents.scores) == ["oof"]


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("data/predictions/scenes.json", "evaluate"),
        ("data/predictions/pred.npy", "evaluate"),
        ("data/candidates/labels.npy", "detect"),
        ("data/seeps/seeps.csv", "seeps"),
        ("metrics/evaluate.json", "evaluate"),
    ],
)
def test_a_missing_file_names_the_stage_to_run(root, file, stage):
    (root / file).unlink()
    with pytest.raises(InputError, match=f"{file} is missing: run `dvc repro {stage}`"):
        report.main(root)
    assert not (root / "report").exists()


def test_counts_of_other_scenes_are_refused(root):
    path = root / "data/predictions/scenes.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "oof": document["oof"][::-1]}))
    with pytest.raises(InputError, match="expected the scenes of data/split\\.csv, found others"):
        report.main(root)
