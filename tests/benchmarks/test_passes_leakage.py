"""What networks that were trained on a slick's scene tell of it through other passes, by hand."""

from types import SimpleNamespace

import pandas as pd
import pytest

from benchmarks import passes_leakage
from benchmarks.passes_leakage import Run, evidence

NAMES = ["oil", "gas", "tar"]


def slick(scene, of_oil):
    """A slick of oil, of which passes tell so much of oil, nothing of gas and 0.2 of tar."""
    evidence_of = {"recur_oil": of_oil**0.5, "recur_gas": 0.0, "recur_tar": 0.2**0.5}
    return {"scene": scene, "pixels_oil": 9, "pixels_gas": 1, "pixels_tar": 0} | evidence_of


def run(told):
    """A workspace of four networks, by the evidence for oil of each scene's slicks, by shift."""
    return SimpleNamespace(
        said=[None] * 4,
        told=lambda shift: pd.DataFrame(
            [slick(scene, of_oil) for scene, each in told.items() for of_oil in each[shift]]
        ),
        meta=SimpleNamespace(class_names=NAMES),
    )


def test_evidence_of_the_own_inner_fold_is_compared_with_that_of_the_others():
    """Two scenes with as much weight each, however many slicks they have."""
    found = evidence([run({"a": [[0.4], [0.6], [0.7], [0.8]], "b": [[0.2, 0.4]] + [[0.3, 0.5]] * 3})])
    expected = {"scenes": 2, "not_trained_on_the_scene": 0.25, "trained_on_the_scene": 0.45, "difference": 0.2}
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert (found["difference_low"], found["difference_high"]) == pytest.approx((0.1, 0.3))


def test_a_slick_is_told_by_the_network_of_its_inner_fold_and_those_after_it(monkeypatch):
    def features(slicks, said, grounds, radius, names):
        assert (grounds, radius, names) == (f"seen with {slicks['scene'].iloc[0]}", 5.0, NAMES)
        return pd.DataFrame({"by": said}, index=slicks.index)

    monkeypatch.setattr(passes_leakage, "recurrence_features", features)
    slicks = pd.DataFrame({"scene": ["b", "a", "b"], "network": [2, 0, 2]})
    grounds = {scene: f"seen with {scene}" for scene in "ab"}
    meta = SimpleNamespace(recurrence_radius=5.0, class_names=NAMES)
    workspace = Run(slicks, ["zero", "one", "two"], grounds, [], meta, None)
    assert workspace.told(0)["by"].tolist() == ["two", "zero", "two"]
    assert workspace.told(1)["by"].tolist() == ["zero", "one", "zero"]
