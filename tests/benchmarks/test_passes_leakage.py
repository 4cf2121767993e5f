"""What networks that were trained on a slick's scene tell of it through other passes, by hand."""

from types import SimpleNamespace

import pandas as pd
import pytest

from benchmarks.passes_leakage import evidence
from seepseg.base.errors import InputError

NAMES = ["oil", "gas", "tar"]


def slick(of_oil):
    """A slick of oil, of which a pass tells so much of oil, nothing of gas and 0.2 of tar."""
    evidence_of = {"recur_oil": of_oil**0.5, "recur_gas": 0.0, "recur_tar": 0.2**0.5}
    return pd.DataFrame([evidence_of | {"pixels_oil": 9, "pixels_gas": 1, "pixels_tar": 0}])


def run(folds, told):
    """A workspace with the inner fold of each scene, where one pass tells so much of the true class, oil, of a slick.

    Args:
        folds: by scene.
        told: by whether both scenes are in one fold.
    """

    return SimpleNamespace(
        fold_of=folds,
        told=lambda scene, others: slick(told[folds[scene] == folds[others[0]]]),
        packed=SimpleNamespace(class_names=NAMES),
    )


def test_evidence_is_compared_on_the_same_pairs_of_scenes():
    """Scene c is never in one fold with another, so that none of its pairs counts."""
    told = {False: 0.9, True: 0.6}
    found = evidence([run({"a": 0, "b": 0, "c": 1}, told), run({"a": 0, "b": 1, "c": 2}, told)])
    assert found.pop("pairs") == 2
    expected = {"other_inner_fold": 0.8, "same_inner_fold": 0.5, "difference": 0.3}
    assert found == pytest.approx(expected | {"difference_low": 0.3, "difference_high": 0.3})


def test_intervals_are_of_scenes_not_of_pairs():
    """All that moves the evidence is the scene that the slick is of, so that many others make nothing surer."""
    folds = {f"{scene}{number}": int(scene == "b") for scene in "ab" for number in range(4)}
    values = dict(zip(folds, [0.0, 1.0] * 4, strict=True))

    def told(root):
        return lambda scene, others: slick(values[scene] * root)

    runs = [run(folds, {}), run({name: number for number, name in enumerate(folds)}, {})]
    for each, root in zip(runs, (0.0, 1.0), strict=True):
        each.told = told(root)
    found = evidence(runs)
    assert found["pairs"] == 24 and found["difference"] == pytest.approx(0.5)
    assert found["difference_high"] - found["difference_low"] > 0.5


def test_workspaces_that_can_not_be_compared_are_refused():
    with pytest.raises(InputError, match="expected workspaces in some of which two scenes are in one inner fold"):
        evidence([run({"a": 0, "b": 1}, {False: 1.0, True: 1.0})])
