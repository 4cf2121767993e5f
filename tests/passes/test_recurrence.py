"""What other passes tell of a slick: evidence by hand, and by another way."""

import numpy as np
import pandas as pd
import shapely

from seepseg.passes.ground import Grounds, SceneView
from seepseg.passes.recurrence import recurrence_features, recurrence_names

NAMES = ["oil", "gas"]


def grounds(**sides):
    """Scenes in a grid with data in squares of given sides from (0, 0)."""
    views = [SceneView(name, shapely.box(0, 0, side, side), None, None) for name, side in sides.items()]
    return Grounds.of_scenes(views, {"": [0, 0]}, 64)


def slicks(rows):
    """Of scene, number, both ends, p_slick and p_of_oil."""
    table = pd.DataFrame(rows, columns=["scene", "slick", "x_1", "y_1", "x_2", "y_2", "p_slick", "p_of_oil"])
    return table.assign(p_of_gas=1 - table["p_of_oil"])


def test_evidence_by_hand():
    """The first end is close to two candidates of b, of which the surer counts, and to one of c; d saw one end only."""
    ground = grounds(a=200, b=200, c=200, d=100)
    candidates = slicks(
        [
            ("a", 1, 50, 50, 150, 150, 0.9, 1.0),  # the slick itself, of its own pass
            ("b", 1, 53, 54, 80, 80, 0.8, 0.25),
            ("b", 2, 10, 10, 50, 52, 0.5, 1.0),
            ("b", 3, 100, 100, 150, 156, 1.0, 1.0),  # 6 from the other end
            ("c", 1, 51, 50, 49, 50, 0.4, 0.5),  # with both ends close, and counted once
        ]
    )
    found = recurrence_features(candidates[:1], candidates, ground, 5, NAMES)
    assert list(found) == [*recurrence_names(NAMES), "passes"]
    assert recurrence_names(NAMES) == ["recur_oil", "recur_gas"]
    expected = [((0.8 * 0.25 + 0.4 * 0.5) / 3) ** 0.5, ((0.8 * 0.75 + 0.4 * 0.5) / 3) ** 0.5, 3]
    np.testing.assert_allclose(found.to_numpy()[0], expected)
    # Within 6 pixels the other end recurs in one of the two other passes that saw it.
    wider = recurrence_features(candidates[:1], candidates, ground, 6, NAMES)
    np.testing.assert_allclose(wider.to_numpy()[0], [0.5**0.5, expected[1], 3])


def test_nothing_is_known_where_no_other_pass_saw_the_place():
    ground = grounds(a=200, b=100)
    table = slicks(
        [
            ("a", 1, 150, 150, 180, 180, 0.5, 0.5),  # seen by a alone
            ("a", 2, 50, 50, 180, 180, 0.5, 0.5),
            ("b", 1, np.nan, np.nan, np.nan, np.nan, 0.5, 0.5),  # of a tile without a place
            ("elsewhere", 1, 50, 50, 50, 50, 0.5, 0.5),
        ]
    )
    found = recurrence_features(table, table, ground, 5, NAMES)
    assert found["passes"].tolist() == [0, 1, 0, 0]
    assert not found.to_numpy()[:, :-1].any()


def strewn(n, seed):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"scene": rng.choice(list("abcd"), n), "slick": np.arange(n)})
    table[["x_1", "y_1", "x_2", "y_2"]] = rng.uniform(0, 200, (n, 4))
    table["p_slick"], table["p_of_oil"] = rng.random((2, n))
    return table.assign(p_of_gas=1 - table["p_of_oil"])


def by_loops(table, sides, radius):
    rows = []
    for slick in table.itertuples():
        ends = []
        for x, y in ((slick.x_1, slick.y_1), (slick.x_2, slick.y_2)):
            total, seen = np.zeros(3), 0
            for scene, side in sides.items():
                if scene == slick.scene or not (x < side and y < side):
                    continue
                seen += 1
                near = [
                    (one.p_slick, one.p_slick * one.p_of_oil, one.p_slick * one.p_of_gas)
                    for one in table[table["scene"] == scene].itertuples()
                    if min(np.hypot(one.x_1 - x, one.y_1 - y), np.hypot(one.x_2 - x, one.y_2 - y)) <= radius
                ]
                total += max(near, default=(0, 0, 0))
            ends.append((total / max(seen, 1), seen))
        (one, saw), (other, also) = ends
        rows.append([*np.sqrt(np.maximum(one, other)[1:]), max(saw, also)])
    return np.array(rows)


def test_agrees_with_loops_over_slicks(monkeypatch):
    sides = {"a": 200, "b": 150, "c": 120, "d": 190}
    table = strewn(60, 0)
    expected = by_loops(table, sides, 25)
    assert (expected[:, 0] > 0).mean() > 0.5 and set(expected[:, -1]) == {1, 2, 3}
    np.testing.assert_allclose(recurrence_features(table, table, grounds(**sides), 25, NAMES).to_numpy(), expected)
    monkeypatch.setattr("seepseg.passes.recurrence.AT_ONCE", 7)
    np.testing.assert_allclose(recurrence_features(table, table, grounds(**sides), 25, NAMES).to_numpy(), expected)


def test_rows_are_those_of_the_table():
    """A slick that several networks see has several rows, in any order."""
    ground, table = grounds(a=200, b=200, c=200, d=200), strewn(40, 1)
    once = recurrence_features(table, table, ground, 25, NAMES)
    rows = table.iloc[[3, 1, 3, 0]].assign(network=[0, 0, 1, 1]).set_axis([7, 2, 5, 9])
    found = recurrence_features(rows, table, ground, 25, NAMES)
    assert found.index.tolist() == [7, 2, 5, 9]
    np.testing.assert_array_equal(found.to_numpy(), once.to_numpy()[[3, 1, 3, 0]])
    assert not len(recurrence_features(table[:0], table, ground, 25, NAMES))
    assert not recurrence_features(table, table[:0], ground, 25, NAMES)["recur_oil"].any()
