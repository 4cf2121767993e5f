"""The stage seeps on passes over three seeps, with a model whose answers are known."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from made_up_passes import PASSES, places_of_tiles, tiles

from benchmarks import held_out_seeps
from seepseg.data.packed import MANIFEST_TYPES
from stages import seeps

pytestmark = pytest.mark.e2e

OUTPUTS = ("data/seeps/seeps.gpkg", "data/seeps/seeps.csv", "data/seeps/slicks.csv", "plots/seeps.png")
PARAMS = {"seeps": {"known": "", "conditions": "wind.csv"}, "passes": {"origins": {"a": [0, 0], "b": [0, 1]}}}


class Answers:
    """A detector that knows the probabilities of its candidates by heart."""

    @classmethod
    def of_model(cls, model):
        return cls()

    def classify(self, table):
        merged = table.drop_duplicates(["scene", "slick"])
        answers = merged["p_slick"].to_numpy(), merged[["p_of_oil", "p_of_gas"]].to_numpy()
        return SimpleNamespace(candidates=SimpleNamespace(table=merged), probabilities=lambda: answers)


class Folder:
    """What the stage reads: four candidates and more of each pass; what comes from a seep is annotated."""

    def __init__(self, root):
        self.root = root
        table, footprints = tiles()
        table = table.assign(split="oof", network=0, pixels_oil=500, pixels_gas=0, match=0, iou=0.0)
        self.candidates, self.annotated = table, table[table["p_slick"] > 0.5]
        self.footprints = footprints
        (root / "data/packed").mkdir(parents=True)
        (root / "data/candidates").mkdir()
        (root / "data/packed/scenes.json").write_text("{}")
        for name, kind in (("images", np.uint16), ("targets", np.uint8)):
            np.save(root / f"data/packed/{name}.npy", np.zeros((1, 250, 250), kind))
        names = [*MANIFEST_TYPES, "pixels_background", "pixels_oil", "pixels_gas"]
        manifest = pd.DataFrame({**{name: [0] for name in names}, "tile": ["t"], "scene": ["a_0"]})
        manifest.to_csv(root / "data/packed/manifest.csv", index=False)
        (root / "wind.csv").write_text("scene,wind_speed,wind_to,current_speed,current_to\n900001,1,2,3,4\n")
        (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))

    def run(self):
        for name in ("candidates", "annotated", "footprints"):
            getattr(self, name).to_csv(self.root / f"data/candidates/{name}.csv", index=False)
        seeps.main(self.root)
        return json.loads((self.root / "metrics/seeps.json").read_text())

    def read(self, name):
        return pd.read_csv(self.root / name)

    def content(self):
        return [(self.root / name).read_bytes() for name in OUTPUTS]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(seeps, "load_model", lambda path: SimpleNamespace(class_names=["oil", "gas"]))
    monkeypatch.setattr(seeps, "Detector", Answers)
    return Folder(tmp_path)


def test_seeps_are_found_and_measured(folder, capsys):
    document = folder.run()
    assert (document["grounds"], document["passes"], document["reported"], document["platforms"]) == (1, PASSES, 3, 0)
    of_annotated = document["annotated"]
    assert (of_annotated["precision"], of_annotated["recall"], of_annotated["known"]) == (1, 1, 3)
    places = len(folder.read("data/seeps/seeps.csv"))
    assert (of_annotated["found"], of_annotated["all"]["right"], of_annotated["all"]["places"]) == (3, 3, places)
    assert "right" not in of_annotated and "expected" in of_annotated["all"]
    assert "expected" not in document["published_rule"]["all"]  # it tells no probability
    assert of_annotated["by_other_rules"]["passes_4_within_20"] == 3 and len(of_annotated["by_other_rules"]) == 9
    assert of_annotated["place_error_px"] < 3 and of_annotated["place_error_m"] is None
    assert document["known"] is None
    confirmed = document["confirmed"]
    assert (confirmed["first_passes"], confirmed["second_passes"]) == (4, 4)
    assert confirmed["confirmed_by_2"] == 1 and confirmed["by_chance_2"] < 0.5
    table = folder.read("data/seeps/seeps.csv")
    places = table.loc[table["reported"], ["x_px", "y_px"]].to_numpy()
    assert (np.linalg.norm(places[:, None] - places_of_tiles(), axis=2).min(axis=0) < 4).all()
    curve = folder.read("plots/seeps_curve.csv")
    assert set(curve["estimator"]) == {"seepseg", "published_rule"}
    assert [*curve[curve["estimator"] == "seepseg"]["recall"][:3].round(3)] == [0.333, 0.667, 1]
    told = capsys.readouterr().out
    assert "3 seeps and 0 platforms in 8 passes" in told
    assert "wind.csv (seeps.conditions): expected wind and current by the names that scenes have here, a_0, a_1" in told


def test_slicks_that_runs_keep_of_their_test_scenes_show_the_same_seeps(folder, monkeypatch):
    monkeypatch.setattr(held_out_seeps, "load_model", seeps.load_model)
    monkeypatch.setattr(held_out_seeps, "Detector", Answers)
    expected, runs = folder.run(), []
    names = {name: getattr(folder, name) for name in ("candidates", "annotated")}
    for scenes in np.array_split(folder.footprints["scene"], 3):
        for name, table in names.items():
            split = np.where(table["scene"].isin(scenes), "test", "oof")
            table.assign(split=split).to_csv(folder.root / f"data/candidates/{name}.csv", index=False)
        runs.append({"held_out": held_out_seeps.held_out_slicks(folder.root)})
        assert sorted(runs[-1]["held_out"]["footprints"]) == sorted(scenes)
    found = held_out_seeps.held_out_seeps([*reversed(runs[1:]), runs[0]])
    for of_annotated in (found["annotated"], expected["annotated"]):
        of_annotated.pop("place_error_px"), of_annotated["all"].pop("expected")  # differ by a rounding
    assert found["annotated"] == expected["annotated"]
    assert found["reported"] == expected["reported"]
    assert found["confirmed"] == pytest.approx(expected["confirmed"], abs=1e-6)


def test_no_annotation_moves_a_seep_and_a_run_repeats_itself(folder):
    before = folder.run()
    content = folder.content()
    folder.annotated = folder.annotated.assign(x_1=lambda table: table["x_1"] + 100, pixels_gas=900)
    folder.candidates = folder.candidates.assign(pixels_oil=0, pixels_gas=7, match=3, iou=0.9)
    after = folder.run()
    assert folder.content() == content
    assert after["annotated"] != before["annotated"] and after["reported"] == before["reported"]


def test_a_ground_of_two_passes_is_told(folder, capsys):
    folder.footprints = folder.footprints[:2]
    folder.run()
    assert "1 of 1 grounds have only two passes, a_0 and a_1: p_seep is too sure there" in capsys.readouterr().out


def test_without_two_passes_outputs_are_empty_and_say_why(folder, capsys):
    folder.footprints = folder.footprints[:1]
    document = folder.run()
    assert (document["grounds"], document["reported"], document["annotated"], document["confirmed"]) == (
        0,
        0,
        None,
        None,
    )
    assert "no seeps: no two scenes see the same ground" in capsys.readouterr().out
    for name in (*OUTPUTS[1:3], "plots/seeps_curve.csv", "plots/seeps_confirmed.csv"):
        table = folder.read(name)
        assert len(table) == 0 and len(table.columns) > 4
