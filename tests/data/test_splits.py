"""Splits by scene and by tile, the leakage between them, and the stage that writes them."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from seepseg.base.errors import InputError
from seepseg.base.files import read_json
from seepseg.base.params import load_params
from seepseg.data.splits import SPLITS, TEST, leakage, scene_folds, split_by_scene, split_by_tile, split_of
from stages import split as stage

PARAMS = {
    "by": "scene",
    "seed": 1,
    "n_folds": 3,
    "fold": 0,
    "test_scenes": [],
    "val_scenes": [],
    "val_fraction": 0.25,
    "test_fraction": 0.0,
}


def random_scenes(seed, n_scenes=12, tiles_each=6, num_classes=4):
    """Scenes of unequal size; every class but background is rare."""
    generator = np.random.default_rng(seed)
    scenes = [f"{scene:06d}" for scene in range(n_scenes) for _ in range(tiles_each)]
    pixels = generator.integers(1, 1000, (len(scenes), num_classes)) * (
        generator.random((len(scenes), num_classes)) < 0.4
    )
    pixels[:, 0] = 60_000
    return scenes, pixels


def imbalance(scenes, class_pixels, folds):
    """Sum of squares of what scene_folds evens out, by the definition in its docstring."""
    fold = np.array([folds[scene] for scene in scenes])
    counts = np.hstack([class_pixels[:, 1:], class_pixels[:, 1:] > 0, np.ones((len(fold), 1))])
    return sum(((counts[fold == number].sum(0) / counts.sum(0)) ** 2).sum() for number in set(fold))


def test_folds_share_a_class_evenly_by_eye():
    # Two scenes rich in the class, two poor, two without: one of each kind of sum in every fold.
    pixels = np.array([[0, 60], [0, 60], [0, 60], [0, 30], [0, 30], [0, 30]])
    folds = scene_folds(list("abcdef"), pixels, 3, seed=1)
    for pair in ("abc", "def"):
        assert sorted(folds[scene] for scene in pair) == [0, 1, 2]


def test_no_fold_is_empty_even_if_one_scene_has_it_all():
    pixels = np.array([[0, 1000], [5, 0], [5, 0], [5, 0]])
    assert set(scene_folds(list("abcd"), pixels, 4, seed=1).values()) == {0, 1, 2, 3}


@pytest.mark.parametrize("seed", range(5))
def test_no_single_move_or_exchange_improves_the_folds(seed):
    scenes, pixels = random_scenes(seed)
    folds = scene_folds(scenes, pixels, 4, seed=1)
    best = imbalance(scenes, pixels, folds)
    for one in folds:
        for fold in range(4):
            assert len(set((folds | {one: fold}).values())) < 4 or (
                imbalance(scenes, pixels, folds | {one: fold}) > best - 1e-4
            )
        for other in folds:
            swapped = folds | {one: folds[other], other: folds[one]}
            assert imbalance(scenes, pixels, swapped) > best - 1e-4


def test_folds_are_more_even_than_chance():
    scenes, pixels = random_scenes(6)
    names = sorted(set(scenes))
    generator = np.random.default_rng(1)
    chance = [
        imbalance(scenes, pixels, dict(zip(names, generator.permutation(12) % 4, strict=True))) for _ in range(200)
    ]
    assert imbalance(scenes, pixels, scene_folds(scenes, pixels, 4, seed=1)) < min(chance) + 0.02


def test_folds_do_not_depend_on_the_order_of_rows():
    scenes, pixels = random_scenes(7)
    order = np.random.default_rng(2).permutation(len(scenes))
    shuffled = scene_folds([scenes[row] for row in order], pixels[order], 4, seed=1)
    assert shuffled == scene_folds(scenes, pixels, 4, seed=1)


def test_the_seed_decides_between_equal_scenes():
    scenes, pixels = list("abcdefgh"), np.full((8, 2), 10)
    folds = [tuple(sorted(scene_folds(scenes, pixels, 4, seed).items())) for seed in range(6)]
    assert len(set(folds)) > 1
    assert folds[0] == tuple(sorted(scene_folds(scenes[::-1], pixels, 4, 0).items()))


def test_every_fold_tests_once_and_those_after_it_are_the_inner_folds():
    scenes, pixels = random_scenes(8)
    folds = scene_folds(scenes, pixels, 4, seed=1)
    for fold in range(4):
        inner = split_by_scene(scenes, pixels, n_folds=4, fold=fold, seed=1)
        number = {fold: TEST, (fold + 1) % 4: 0, (fold + 2) % 4: 1, (fold + 3) % 4: 2}
        assert inner == [number[folds[scene]] for scene in scenes]


def test_what_an_inner_fold_is_to_the_first_network():
    assert [split_of(fold) for fold in (TEST, 0, 1, 2)] == ["test", "val", "train", "train"]


def by_hand(**named):
    scenes, pixels = random_scenes(9, n_scenes=6)
    inner = split_by_scene(scenes, pixels, n_folds=4, fold=0, seed=1, **named)
    assert set(inner) == {TEST, *range(max(inner) + 1)}  # no number is left out
    splits = [split_of(fold) for fold in inner]
    assert set(splits) == set(SPLITS)
    return {split: sorted({s for s, x in zip(scenes, splits, strict=True) if x == split}) for split in SPLITS}


def test_scenes_named_by_hand_replace_the_folds():
    splits = by_hand(test_scenes=["000001"], val_scenes=["000002", "000005"])
    assert splits == {
        "test": ["000001"],
        "val": ["000002", "000005"],
        "train": ["000000", "000003", "000004"],
    }


def test_one_list_by_hand_leaves_the_other_to_the_folds_of_the_rest():
    splits = by_hand(test_scenes=["000001", "000003"])
    assert splits["test"] == ["000001", "000003"]
    assert len(splits["val"]) == 1  # four scenes are left for four folds
    splits = by_hand(val_scenes=["000001", "000003"])
    assert splits["val"] == ["000001", "000003"]
    assert len(splits["test"]) == 1


def test_scenes_named_by_hand_do_not_count_in_the_folds():
    scenes, pixels = random_scenes(10)
    inner = split_by_scene(scenes, pixels, n_folds=3, fold=1, seed=1, test_scenes=["000000", "000001"])
    folds = scene_folds(scenes[12:], pixels[12:], 3, seed=1)
    assert inner == [TEST] * 12 + [(folds[scene] - 2) % 3 for scene in scenes[12:]]


def test_with_both_lists_by_hand_the_rest_is_divided():
    scenes, pixels = random_scenes(10)
    named = {"test_scenes": ["000000"], "val_scenes": ["000001", "000002"]}
    inner = split_by_scene(scenes, pixels, n_folds=5, fold=3, seed=1, **named)
    assert inner[:18] == [TEST] * 6 + [0] * 12
    assert set(inner[18:]) == {1, 2, 3}
    few = split_by_scene(list("abcd"), np.ones((4, 2), int), n_folds=9, fold=0, seed=1, test_scenes="a", val_scenes="b")
    assert sorted(few) == [TEST, 0, 1, 2]  # no more inner folds than scenes


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"test_scenes": ["a", "x"]}, "split.test_scenes: unknown scenes x; known are a, b, c, d"),
        ({"val_scenes": ["y", "x"]}, "split.val_scenes: unknown scenes x, y; known are a, b, c, d"),
        (
            {"test_scenes": ["a", "b"], "val_scenes": ["b"]},
            "split.test_scenes and split.val_scenes both name b; name each only once",
        ),
        (
            {"test_scenes": ["a", "b"], "val_scenes": ["c", "d"]},
            "expected tiles in train and in val, found none in train; name fewer scenes",
        ),
        (
            {"test_scenes": ["a", "b"]},
            "expected no more folds than scenes to divide, found 3 folds for 2 scenes; lower split.n_folds",
        ),
    ],
)
def test_scenes_that_cannot_be_split(named, message):
    with pytest.raises(InputError, match=re.escape(message)):
        split_by_scene(list("abcd"), np.ones((4, 2), int), n_folds=3, fold=0, seed=1, **named)


def test_every_fault_in_the_scene_names_is_named_at_once():
    with pytest.raises(InputError) as caught:
        split_by_scene(["a"], np.ones((1, 2), int), n_folds=3, fold=0, seed=1, test_scenes=["x"], val_scenes=["x"])
    assert len(str(caught.value).splitlines()) == 3


def test_by_tile_gives_the_fractions_and_ignores_the_order():
    tiles = [f"t{number:03d}" for number in range(50)]
    shares = {"n_folds": 4, "val_fraction": 0.2, "test_fraction": 0.1}
    inner = split_by_tile(tiles, **shares, seed=1)
    assert {fold: inner.count(fold) for fold in set(inner)} == {TEST: 5, 0: 10, 1: 18, 2: 17}
    assert split_by_tile(tiles[::-1], **shares, seed=1) == inner[::-1]
    assert split_by_tile(tiles, **shares, seed=2) != inner


def test_by_tile_draws_the_same_tiles_forever():
    """Golden: the draw rests on SHA-256 of seed and name, not on a library's random numbers."""
    inner = split_by_tile(list("abcdefgh"), n_folds=3, val_fraction=0.25, test_fraction=0.25, seed=1)
    # In the order of the hashes of "1 a", "1 b", ...: c and g, then a and b, then the others.
    assert inner == [0, 0, TEST, 1, 1, 1, TEST, 1]


def test_by_tile_needs_tiles_in_train_and_val():
    with pytest.raises(InputError, match=r"found none in val; .* change split.val_fraction"):
        split_by_tile(["a", "b"], n_folds=3, val_fraction=0.1, test_fraction=0.0, seed=1)
    with pytest.raises(InputError, match="found none in train and val"):
        split_by_tile([], n_folds=3, val_fraction=0.5, test_fraction=0.0, seed=1)


def grid(*rows, scene="s"):
    """One tile per letter: T trains, v validates, x tests; the place in the text is the place in the grid."""
    names = {"T": "train", "v": "val", "x": "test"}
    tiles = [
        {"scene": scene, "row": r, "col": c, "split": names[letter]}
        for r, row in enumerate(rows)
        for c, letter in enumerate(row)
        if letter != "."
    ]
    return pd.DataFrame(tiles).astype({"row": "Int64", "col": "Int64"})


@pytest.mark.parametrize(
    ("tiles", "expected"),
    [
        (grid("Tv.x"), {"val": 1.0, "test": 0.0}),
        (grid("T..", ".v.", "..x"), {"val": 0.0, "test": 0.0}),
        (grid("vvv", "vTv", "vvv"), {"val": 4 / 8, "test": None}),
        (grid("Tx", "v."), {"val": 1.0, "test": 1.0}),
        (grid("vx", ".."), {"val": 0.0, "test": 0.0}),
        (grid("TT"), {"val": None, "test": None}),
    ],
)
def test_leakage_by_eye(tiles, expected):
    assert leakage(tiles) == expected


def test_leakage_is_within_one_scene():
    tiles = pd.concat([grid("T", scene="a"), grid(".v", scene="b")])
    assert leakage(tiles) == {"val": 0.0, "test": None}


def test_leakage_leaves_out_tiles_without_a_place():
    tiles = grid("Tvvv")
    tiles.loc[1, ["row", "col"]] = pd.NA
    assert leakage(tiles)["val"] == 0.0
    tiles[["row", "col"]] = pd.NA
    assert leakage(tiles) == {"val": None, "test": None}


def write_inputs(tmp_path, manifest, **changes):
    (tmp_path / "data/packed").mkdir(parents=True, exist_ok=True)
    manifest.to_csv(tmp_path / "data/packed/manifest.csv", index=False)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"split": PARAMS | changes}))


def make_manifest(n_scenes=5, tiles_each=4):
    """Scenes of 2 x 2 tiles with two classes; gas only in the first scene."""
    rows = []
    for scene in range(n_scenes):
        for tile in range(tiles_each):
            row = {"tile": f"{scene:06d}.{tile:06d}", "scene": f"{scene:06d}", "position": tile}
            row |= {"row": tile // 2, "col": tile % 2, "nodata_fraction": 0.0, "mean": 1.5, "std": 1.0}
            row |= {"min": 1, "max": 9, "pixels_background": 90, "pixels_oil": 10 + tile}
            rows.append(row | {"pixels_gas": 7 if scene == 0 else 0})
    return pd.DataFrame(rows)


def test_stage_writes_what_later_stages_read(tmp_path):
    manifest = make_manifest()
    write_inputs(tmp_path, manifest, test_scenes=["000001"], val_scenes=["000002"])
    stage.main(tmp_path)
    table = pd.read_csv(tmp_path / "data/split.csv", dtype=str)
    assert table.columns.tolist() == ["tile", "scene", "split", "inner_fold"]
    assert table.groupby("scene")["inner_fold"].first().isna().tolist() == [False, True, False, False, False]
    assert set(table["inner_fold"].dropna()) == {"0", "1"}
    assert table["tile"].tolist() == manifest["tile"].tolist()
    assert table.groupby("scene")["split"].first().tolist() == ["train", "test", "val", "train", "train"]
    share = 46 / (4 * 90 + 46)
    assert read_json(tmp_path / "metrics/split.json") == {
        "split": {
            "tiles": {"train": 12, "val": 4, "test": 4},
            "scenes": {"train": 3, "val": 1, "test": 1},
            "foreground_share": {
                "train": pytest.approx((3 * 46 + 28) / (12 * 90 + 3 * 46 + 28), abs=1e-6),
                "val": pytest.approx(share, abs=1e-6),
                "test": pytest.approx(share, abs=1e-6),
            },
            "leakage": {"val": 0.0, "test": 0.0},
        }
    }
    assert (tmp_path / "plots/split_pixels.csv").read_text() == (
        "split,class,pixels,tiles\n"
        "train,oil,138,12\ntrain,gas,28,4\nval,oil,46,4\nval,gas,0,0\ntest,oil,46,4\ntest,gas,0,0\n"
    )


def test_stage_warns_of_a_class_that_train_or_val_lacks(tmp_path, capsys):
    write_inputs(tmp_path, make_manifest(), test_scenes=["000000"], val_scenes=["000002"])
    stage.main(tmp_path)
    assert capsys.readouterr().err.splitlines() == [
        "warning: gas has no pixel in train: it can't be learnt",
        "warning: gas has no pixel in val: it has no say in which epoch is kept",
    ]


def test_stage_by_tile_leaks_and_tests_nothing(tmp_path):
    write_inputs(tmp_path, make_manifest(), by="tile")
    stage.main(tmp_path)
    written = read_json(tmp_path / "metrics/split.json")["split"]
    assert written["tiles"] == {"train": 15, "val": 5, "test": 0}
    assert written["leakage"] == {"val": 1.0, "test": None}
    assert written["foreground_share"]["test"] is None


def test_stage_takes_scenes_without_a_grid(tmp_path):
    manifest = make_manifest()
    manifest[["row", "col"]] = ""
    write_inputs(tmp_path, manifest)
    stage.main(tmp_path)
    assert read_json(tmp_path / "metrics/split.json")["split"]["leakage"] == {"val": None, "test": None}


def test_stage_writes_nothing_if_it_cannot_split(tmp_path):
    write_inputs(tmp_path, make_manifest(n_scenes=2))
    with pytest.raises(InputError, match="found 3 folds for 2 scenes"):
        stage.main(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "params.yaml"]
    assert not (tmp_path / "data/split.csv").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_folds": 2}, "split.n_folds: expected greater than or equal to 3, found 2"),
        (
            {"fold": 3},
            "split.fold: expected at most 2, as split.n_folds is 3 and folds count from 0, found 3",
        ),
        (
            {"val_fraction": 0.5, "test_fraction": 0.5},
            "split.test_fraction: expected less than 1 together with split.val_fraction, 0.5, found 0.5",
        ),
        ({"val_fraction": 0.0}, "split.val_fraction: expected greater than 0, found 0.0"),
        ({"by": "time"}, "split.by: expected 'scene' or 'tile', found \"time\""),
        (
            {"test_scenes": [0o45551]},
            "split.test_scenes.0: expected a scene's name in quotes, as YAML reads bare digits as a number, "
            "and 045551 as octal, found 19305",
        ),
    ],
)
def test_params_out_of_range(tmp_path, changes, message):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"split": PARAMS | changes}))
    with pytest.raises(InputError) as caught:
        load_params(stage.SplitParams, "split", path)
    assert message in str(caught.value)


def test_folds_of_equal_scenes_are_the_same_forever():
    """Golden, with many steps of equal worth: the first of them is taken."""
    scenes = [f"s{number}" for number in range(12)]
    pixels = np.array([[0, 1 + number % 3, number % 2] for number in range(12)])
    folds = scene_folds(scenes, pixels, 3, seed=1)
    assert [folds[scene] for scene in scenes] == [2, 2, 0, 1, 2, 2, 1, 0, 1, 0, 0, 1]


def test_of_a_move_and_an_exchange_of_equal_worth_the_move_is_taken():
    """Golden: the two small scenes end up together."""
    folds = scene_folds(["s0", "s1", "s2", "s3"], np.array([[0, 3], [0, 1], [0, 1], [0, 3]]), 3, seed=1)
    assert folds == {"s0": 1, "s1": 2, "s2": 2, "s3": 0}
