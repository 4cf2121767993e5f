"""Divide tiles into a test split and inner folds: grouped by scene and stratified by class, or tile by tile.

Each network is validated on one of the inner folds and trains on the others. With one network that is inner fold 0,
which is therefore called val and the others train.
"""

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.base.errors import InputError

Counts = npt.NDArray[np.int64]

SPLITS = ("train", "val", "test")
TEST = -1  # in the place of an inner fold's number
MIN_FOLDS = 3  # one to test, one to validate, one to train

# Shares are counted in whole millionths: integer sums are exact, so every machine breaks the same ties.
_UNIT = 1_000_000


def scene_folds(scenes: Sequence[str], class_pixels: Counts, n_folds: int, seed: int) -> dict[str, int]:
    """Divide scenes into folds that each hold nearly the same share of every class's pixels and tiles.

    What is made small is the sum over folds of |share|^2, where share holds the fold's share of each class's
    pixels, of each class's tiles and of all tiles; every class weighs the same, however rare. Scenes are
    dealt out in turn, the largest first by their own |share|^2; then single scenes are moved and pairs
    exchanged, always the step that helps most, until none does.

    Args:
        scenes: the scene of each of N tiles, in any order.
        class_pixels: (N, K+1), valid pixels of each class in each tile, background first.
        n_folds: how many folds; none stays empty.
        seed: decides between scenes of equal share; nothing else is random.

    Returns:
        The fold, 0 .. n_folds-1, of each scene.

    Raises:
        InputError: there are fewer scenes than folds.
    """
    names = _shuffled(set(scenes), seed)
    if len(names) < n_folds:
        raise InputError(
            f"split.n_folds: expected no more folds than scenes to divide, found {n_folds} folds for "
            f"{len(names)} scenes; lower split.n_folds (at least {MIN_FOLDS}), name the scenes in "
            "split.test_scenes and split.val_scenes, or set split.by to tile"
        )
    shares = _scene_shares(names, scenes, class_pixels)
    order = np.argsort(-(shares**2).sum(axis=1), kind="stable")
    folds = _even_out(shares[order], np.arange(len(names)) % n_folds, n_folds)
    return {names[scene]: int(fold) for scene, fold in zip(order, folds, strict=True)}


def split_by_scene(
    scenes: Sequence[str],
    class_pixels: Counts,
    *,
    n_folds: int,
    fold: int,
    test_scenes: Collection[str] = (),
    val_scenes: Collection[str] = (),
    seed: int,
) -> list[int]:
    """Give every scene, with all its tiles, to test or to one inner fold.

    Test is `test_scenes`, or else fold number `fold`; inner fold 0, which validates, is `val_scenes`, or else the fold
    after it; the folds that follow are the other inner folds. The folds divide only the scenes that neither list names,
    so with fixed test scenes `fold` still runs through n_folds ways to validate. Where both lists are given, the rest
    is divided into n_folds - 2 inner folds. Scenes that show the same ground in other passes may end up in different
    folds: a file name tells nothing about the ground.

    Args:
        scenes: the scene of each of N tiles, in any order.
        class_pixels: (N, K+1), valid pixels of each class in each tile, background first.
        n_folds: how many folds, at least 3.
        fold: which fold tests, 0 .. n_folds-1.
        test_scenes: scenes to test on, instead of a fold.
        val_scenes: scenes to validate on, instead of a fold.
        seed: decides between scenes of equal share.

    Returns:
        N numbers of inner folds, from 0, or `TEST`, in the order of `scenes`.

    Raises:
        InputError: a named scene doesn't exist, is named in both lists, there are too few scenes for the
            folds, or a split is left without a tile.
    """
    _check_scene_names(set(scenes), test_scenes, val_scenes)
    by_scene = dict.fromkeys(test_scenes, TEST) | dict.fromkeys(val_scenes, 0)
    free = np.array([scene not in by_scene for scene in scenes], dtype=bool)
    free_scenes = [scene for scene in scenes if scene not in by_scene]
    divided = n_folds
    if test_scenes and val_scenes:
        divided = min(n_folds - 2, len(set(free_scenes)))
    folds = scene_folds(free_scenes, class_pixels[free], divided, seed) if divided else {}
    for scene, number in folds.items():
        after = (number - fold - 1) % divided
        tested = not test_scenes and number == fold
        by_scene[scene] = TEST if tested else after + bool(val_scenes)
    return _checked([by_scene[scene] for scene in scenes])


def split_by_tile(
    tiles: Sequence[str], *, n_folds: int, val_fraction: float, test_fraction: float, seed: int
) -> list[int]:
    """Draw tiles at random for test and for inner fold 0, which validates; deal the rest to n_folds - 2 more.

    Neighbouring tiles of one slick end up on both sides, so scores on such a split are too good: `leakage`
    says how far. For comparison with others' figures only.

    Args:
        tiles: the names of N tiles, all different; their order has no influence.
        n_folds: as in `split_by_scene`.
        val_fraction: share of the tiles to validate on, rounded to whole tiles.
        test_fraction: share of the tiles to test on, likewise; may be 0.
        seed: of the draw.

    Returns:
        N numbers of inner folds, from 0, or `TEST`, in the order of `tiles`.

    Raises:
        InputError: train or val is left without a tile.
    """
    drawn = _shuffled(tiles, seed)
    n_test, n_val = round(test_fraction * len(drawn)), round(val_fraction * len(drawn))
    folds = [TEST] * n_test + [0] * n_val
    folds += [1 + number % (n_folds - 2) for number in range(len(drawn) - len(folds))]
    by_tile = dict(zip(drawn, folds, strict=True))
    return _checked([by_tile[tile] for tile in tiles])


def split_of(inner_fold: int) -> str:
    """What an inner fold is to the first network, train or val; or test."""
    return {TEST: "test", 0: "val"}.get(inner_fold, "train")


def leakage(table: pd.DataFrame) -> dict[str, float | None]:
    """Share of the val and of the test tiles that touch a training tile of their own scene.

    Tiles touch if they share an edge in the scene's grid: a slick that one of them cuts goes on in the other.

    Args:
        table: one row per tile with the columns scene, split, row and col; row and col are missing where the
            scene's grid isn't known, and such tiles are left out.

    Returns:
        Under `val` and `test`, the share, or None if no tile of that split has a known place.
    """
    placed = table.dropna(subset=["row", "col"])
    places = {
        split: [(scene, int(row), int(col)) for scene, row, col in group[["scene", "row", "col"]].to_numpy()]
        for split, group in placed.groupby("split")
    }
    train = set(places.get("train", ()))
    around = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    shares: dict[str, float | None] = {}
    for split in ("val", "test"):
        touching = [any((s, r + y, c + x) in train for y, x in around) for s, r, c in places.get(split, ())]
        shares[split] = sum(touching) / len(touching) if touching else None
    return shares


def _scene_shares(names: Sequence[str], scenes: Sequence[str], class_pixels: Counts) -> Counts:
    """(S, 2K+1): each scene's share of every class's pixels, of every class's tiles and of all tiles."""
    foreground = class_pixels[:, 1:]
    counts = np.hstack([foreground, foreground > 0, np.ones((len(foreground), 1))]).astype(np.int64)
    number = {name: i for i, name in enumerate(names)}
    sums = np.zeros((len(names), counts.shape[1]), dtype=np.int64)
    np.add.at(sums, [number[scene] for scene in scenes], counts)
    shares: Counts = np.rint(sums / np.maximum(sums.sum(axis=0), 1) * _UNIT).astype(np.int64)
    return shares


def _even_out(shares: Counts, folds: Counts, n_folds: int) -> Counts:
    """Move single scenes and exchange pairs, always the best step, until the sum of squares falls no more.

    No fold is emptied: whatever fold its last scene went to, the sum would not fall, as no share is negative.
    """
    folds = folds.copy()
    while True:
        loads = np.stack([shares[folds == fold].sum(axis=0) for fold in range(n_folds)])
        moved, scene, fold = _best_move(shares, folds, loads)
        exchanged, one, other = _best_exchange(shares, folds, loads)
        if min(moved, exchanged) >= 0:
            return folds
        if moved <= exchanged:
            folds[scene] = fold
        else:
            folds[[one, other]] = folds[[other, one]]


def _best_move(shares: Counts, folds: Counts, loads: Counts) -> tuple[int, int, int]:
    """The move that helps most, the first of several: half of what it changes the sum by, the scene and its new fold.

    A scene with shares x that goes from a fold with the load A to one with B changes half the sum by x . (B - A + x).
    Where it stays that is |x|^2, which never wins.
    """
    best = (0, 0, 0)
    for scene, (x, fold) in enumerate(zip(shares, folds, strict=True)):
        change = (loads - loads[fold] + x) @ x
        if change.min() < best[0]:
            best = (int(change.min()), scene, int(change.argmin()))
    return best


def _best_exchange(shares: Counts, folds: Counts, loads: Counts) -> tuple[int, int, int]:
    """The exchange that helps most, the first of several: half of what it changes the sum by, and the two scenes.

    A scene that takes the place of another, whose shares are larger by d, from A to B, changes half the sum by
    d . (A - B + d). Within one fold that is |d|^2, which never wins.
    """
    best = (0, 0, 0)
    for one, fold in enumerate(folds):
        larger = shares[one + 1 :] - shares[one]
        change = (larger * (loads[fold] - loads[folds[one + 1 :]] + larger)).sum(axis=1)
        if change.min(initial=0) < best[0]:
            best = (int(change.min()), one, one + 1 + int(change.argmin()))
    return best


def _shuffled(names: Collection[str], seed: int) -> list[str]:
    """Names in an order that depends on the seed alone, whatever the order given or the version of numpy."""
    return sorted(names, key=lambda name: (hashlib.sha256(f"{seed} {name}".encode()).digest(), name))


def _check_scene_names(known: set[str], test_scenes: Collection[str], val_scenes: Collection[str]) -> None:
    faults = [
        f"split.{key}: unknown scenes {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        for key, named in (("test_scenes", test_scenes), ("val_scenes", val_scenes))
        if (unknown := sorted(set(named) - known))
    ]
    if both := sorted(set(test_scenes) & set(val_scenes)):
        faults.append(f"split.test_scenes and split.val_scenes both name {', '.join(both)}; name each only once")
    if faults:
        raise InputError("\n".join(faults))


def _checked(inner_folds: list[int]) -> list[int]:
    splits = {split_of(fold) for fold in inner_folds}
    if empty := [split for split in ("train", "val") if split not in splits]:
        raise InputError(
            f"split: expected tiles in train and in val, found none in {' and '.join(empty)}; "
            "name fewer scenes in split.test_scenes and split.val_scenes (by scene), or change "
            "split.val_fraction and split.test_fraction (by tile)"
        )
    return inner_folds
