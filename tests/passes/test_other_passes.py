"""What is known of slicks from other passes: of training scenes by training scenes alone."""

import numpy as np
import pandas as pd
import shapely

from seepseg.passes.ground import Grounds, SceneView
from seepseg.passes.other_passes import OtherPasses

SCENES = {"a": "oof", "b": "oof", "c": "oof", "t": "test", "u": "test"}


def grounds(scenes):
    views = [SceneView(name, shapely.box(0, 0, 100, 100), None, None) for name in scenes]
    return Grounds.of_scenes(views, {"": [0, 0]}, 64)


def others():
    """A candidate of each scene, all at one place."""
    table = pd.DataFrame({"split": SCENES.values(), "scene": SCENES.keys(), "slick": 1})
    table[["x_1", "y_1", "x_2", "y_2"]] = 50.0
    table = table.assign(p_slick=[0.1, 0.2, 0.4, 0.8, 0.6], p_of_oil=1.0)
    return OtherPasses(table, grounds("abc"), grounds("abctu"), ["oil"])


def test_of_training_scenes_only_training_scenes_tell():
    """All others at one place count: the mean of the other p_slick."""
    known = others()
    found = known.add(known.candidates, 5)
    evidence = [(0.2 + 0.4) / 2, (0.1 + 0.4) / 2, (0.1 + 0.2) / 2, 1.3 / 4, 1.5 / 4]
    np.testing.assert_allclose(found["recur_oil"] ** 2, evidence)
    assert found["passes"].tolist() == [2, 2, 2, 4, 4]
    assert known.summary(found) == {"grounds": 1, "scenes": 5, "median_others": 2.0}
    # What the networks say of test scenes moves nothing there.
    moved = others()
    moved.candidates.loc[3:, ["p_slick", "x_1"]] = 0.0
    pd.testing.assert_frame_equal(moved.add(known.candidates, 5)[:3], found[:3])


def test_rows_keep_their_order():
    known = others()
    table = known.candidates.iloc[[3, 0, 4]].reset_index(drop=True)
    found = known.add(table, 5)
    assert found["scene"].tolist() == ["t", "a", "u"] and found["passes"].tolist() == [4, 2, 4]
