"""What networks that were trained on a slick's scene tell of it through other passes, by hand."""

from types import SimpleNamespace

import pandas as pd
import pytest

from benchmarks.passes_leakage import evidence
from seepseg.base.errors import InputError

NAMES = ["oil", "gas", "tar"]


def run(folds, told):
    """A workspace with the inner fold of each scene, where one pass tells so much of the true class, oil, of a slick.

    Args:
        folds: by scene.
        told: by whether both scenes are in one fold.
    """

    def slicks(scene, others):
        root = told[folds[scene] == folds[others[0]]] ** 0.5
        return pd.DataFrame({"recur_oil": [root], "recur_gas": 0.0, "recur_tar": 0.2**0.5, "pixels_oil": 9}).assign(
            pixels_gas=1, pixels_tar=0
        )

    return SimpleNamespace(fold_of=folds, told=slicks, packed=SimpleNamespace(class_names=NAMES))


def test_evidence_is_compared_on_the_same_pairs_of_scenes():
    """Scene c is never in one fold with another, so that none of its pairs counts."""
    told = {False: 0.9, True: 0.6}
    found = evidence([run({"a": 0, "b": 0, "c": 1}, told), run({"a": 0, "b": 1, "c": 2}, told)])
    assert found.pop("pairs") == 2
    expected = {"trained_on_the_scene": 0.8, "blind_to_both": 0.5, "difference": 0.3}
    assert found == pytest.approx(expected | {"difference_low": 0.3, "difference_high": 0.3})


def test_workspaces_that_can_not_be_compared_are_refused():
    with pytest.raises(InputError, match="expected workspaces in some of which two scenes are in one inner fold"):
        evidence([run({"a": 0, "b": 1}, {False: 1.0, True: 1.0})])
