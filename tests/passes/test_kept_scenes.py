"""What `seepseg predict` keeps of scenes, and what other passes tell from it, by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import shapely
from conftest import POSTPROCESSING

from seepseg.base.errors import InputError
from seepseg.detection.classifier import ClassifierMeta
from seepseg.detection.slick_table import ENDS, SLICK
from seepseg.passes.classes_in_passes import KeptScene, evidence_of_others, knows_passes
from seepseg.passes.ground import Grounds, SceneView
from seepseg.passes.recurrence import recurrence_features, recurrence_names

NAMES = ["oil", "gas"]
OF_CLASSES = [f"p_of_{name}" for name in NAMES]
META = ClassifierMeta(
    class_names=NAMES,
    features=["one", "two"],
    classifiers=2,
    members=1,
    hidden=1,
    recurrence=recurrence_names(NAMES),
    recurrence_radius=5.0,
)


def keep(path, places, slicks):
    """A scene of candidates that have both ends at a place on the diagonal; those with a number are slicks."""
    n, rng = len(places), np.random.default_rng(ord(path.stem))
    candidates = pd.DataFrame({"candidate": np.arange(1, n + 1), "slick": slicks})
    candidates[ENDS[:4]] = np.repeat(np.array(places, float)[:, None], 4, axis=1)
    candidates["p_slick"], candidates["p_of_oil"], candidates["p_of_gas"] = rng.random((3, n))
    features = pd.DataFrame({"slick": np.repeat(np.arange(1, n + 1), 2), "network": np.tile([0, 1], n)})
    features[["two", "other", "one"]] = rng.random((2 * n, 3)).astype(np.float32)
    scene = KeptScene(path.stem, path, META)
    scene.write(candidates, features if n else None)
    return scene, candidates, features


def test_what_is_kept_lost_no_bit(tmp_path):
    scene, candidates, features = keep(tmp_path / "a.npz", [1 / 3, 2 / 3, 7], [1, 0, 2])
    read = scene.candidates()
    assert [*read["scene"]] == ["a"] * 3 and [*read["slick"]] == [1, 2, 3] and [*read["number"]] == [1, 0, 2]
    columns = [*ENDS[:4], "p_slick", *OF_CLASSES]
    np.testing.assert_array_equal(read[columns], candidates[columns])
    of_slicks = features[features["slick"] != 2]
    np.testing.assert_array_equal(scene.features()[["slick", "network"]], of_slicks[["slick", "network"]])
    np.testing.assert_array_equal(scene.features()[["one", "two"]], of_slicks[["one", "two"]])
    assert (scene.features()[["one", "two"]].dtypes == np.float32).all()
    empty, _, _ = keep(tmp_path / "b.npz", [], [])
    assert empty.candidates().empty and empty.features().empty


@pytest.mark.parametrize("wrong", ["numbers", "version"])
def test_kept_numbers_with_wrong_bits_are_told(tmp_path, wrong):
    """What is compressed, or the version of the format in the directory at the end."""
    scene, _, _ = keep(tmp_path / "a.npz", [*range(40)], [0] * 40)
    content = bytearray(scene.path.read_bytes())
    place = {"numbers": 61, "version": content.index(b"PK\x01\x02") + 6}[wrong]
    content[place : place + 2] = b"\xff\xff"
    scene.path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: expected what predict keeps of candidates, found .*; remove the"):
        scene.candidates()


def test_evidence_ground_by_ground_is_that_of_all_at_once(tmp_path):
    """Scenes a and b see the same, c and d another, e what nobody else does; b and e hold no candidate."""
    given = {"a": [50, 150, 90], "b": [], "c": [50, 53, 20], "d": [52, 20], "e": []}
    kept = [keep(tmp_path / f"{name}.npz", places, [1, 0, 2][: len(places)])[0] for name, places in given.items()]
    sides = {"a": 100, "b": 200, "c": 300, "d": 45, "e": 10}
    views = [SceneView(name, shapely.box(0, 0, side, side), None, None) for name, side in sides.items()]
    grounds = Grounds.of_scenes(views, {"a": [0, 0], "b": [0, 0], "c": [99, 0], "d": [99, 0], "e": [999, 0]}, 64)
    found = evidence_of_others(kept, grounds)
    every = pd.concat([scene.candidates() for scene in kept], ignore_index=True)
    expected = every[[*SLICK, "number"]].join(recurrence_features(every, every, grounds, 5.0, NAMES))
    expected = expected[(expected["number"] > 0) & (expected["passes"] > 0)]
    assert {name: [*rows["slick"]] for name, rows in found.items()} == {"a": [1, 3], "c": [3], "d": [1]}
    pd.testing.assert_frame_equal(pd.concat(found.values(), ignore_index=True), expected.reset_index(drop=True))
    assert not found["a"]["recur_oil"].any() and found["c"]["recur_oil"].all() and found["d"]["recur_oil"].all()


@pytest.mark.parametrize("accept", ["classifier", "peak"])
def test_passes_count_where_the_classifier_tells_classes(accept):
    """Of classes by the networks they would change the probabilities alone."""

    def knows(class_from, meta=META):
        postprocessing = replace(POSTPROCESSING, accept=accept, class_from=class_from)
        return knows_passes(SimpleNamespace(meta=SimpleNamespace(classifiers=meta, postprocessing=postprocessing)))

    assert [*map(knows, ("classifier", "mean_probability", "pixel"))] == [True, False, False]
    assert not knows("classifier", replace(META, recurrence=[], recurrence_radius=0.0))
