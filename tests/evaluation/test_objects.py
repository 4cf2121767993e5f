"""Connected objects: labels, and one-to-one matches of predicted and annotated objects."""

import numpy as np
import pytest

from seepseg.evaluation.objects import count_objects, label_objects, match_objects, object_scores


def mask(*rows):
    return np.array([[pixel == "#" for pixel in row] for row in rows])


DIAGONAL = mask("#..", ".#.", "..#")


@pytest.mark.parametrize(("connectivity", "n"), [(4, 3), (8, 1)])
def test_only_8_joins_corners(connectivity, n):
    labels, found = label_objects(DIAGONAL, connectivity)
    assert found == n
    assert labels.dtype == np.int32
    assert labels.diagonal().tolist() == ([1, 2, 3] if n == 3 else [1, 1, 1])
    assert (labels > 0).tolist() == DIAGONAL.tolist()


def test_an_empty_mask_has_no_object():
    labels, n = label_objects(np.zeros((2, 3), dtype=bool), 8)
    assert n == 0
    assert not labels.any()


def test_equal_masks_match_wholly():
    both = mask("##..#", ".....", "#...#")
    assert match_objects(both, both, 1.0) == (4, 4, 4)


def test_a_pair_counts_from_the_least_overlap_on():
    pred, target = mask("###."), mask(".###")  # shared 2, together 4
    assert match_objects(pred, target, 0.5) == (1, 1, 1)
    assert match_objects(pred, target, 0.51) == (0, 1, 1)


def test_each_object_matches_at_most_once():
    one, two = mask("#####"), mask("##.##")  # each half covers 2 of 5
    assert match_objects(one, two, 0.3) == (1, 1, 2)
    assert match_objects(two, one, 0.3) == (1, 2, 1)


def test_the_best_overlap_goes_first():
    pred = mask(
        "....####",
        "###.....",
    )
    target = mask(
        "....#.##",
        "####....",
    )
    # The upper prediction shares 1 of 8 pixels with the first annotated object, and 2 of 4 with the second.
    # Only if it takes the second is the first left for the lower prediction, which shares 3 of 5.
    assert match_objects(pred, target, 0.1) == (2, 2, 2)


@pytest.mark.parametrize(
    ("pred", "target", "expected"),
    [
        (mask("..."), mask("#.#"), (0, 0, 2)),
        (mask("#.#"), mask("..."), (0, 2, 0)),
        (mask("..."), mask("..."), (0, 0, 0)),
        (mask("#.."), mask("..#"), (0, 1, 1)),
    ],
)
def test_nothing_to_match(pred, target, expected):
    assert match_objects(pred, target, 0.3) == expected


def test_connectivity_decides_what_is_one_object():
    assert match_objects(DIAGONAL, DIAGONAL, 0.3) == (1, 1, 1)
    assert match_objects(DIAGONAL, DIAGONAL, 0.3, connectivity=4) == (3, 3, 3)


def slow_matches(pred, target, min_iou):
    """The same by comparing whole masks, pair by pair."""
    labels = [label_objects(array, 8) for array in (pred, target)]
    masks = [[array == number for number in range(1, n + 1)] for array, n in labels]
    ious = {(i, j): (a & b).sum() / (a | b).sum() for i, a in enumerate(masks[0]) for j, b in enumerate(masks[1])}
    taken = []
    for i, j in sorted(ious, key=lambda pair: (-ious[pair], pair)):
        if ious[i, j] >= min_iou and i not in [t[0] for t in taken] and j not in [t[1] for t in taken]:
            taken.append((i, j))
    return len(taken), len(masks[0]), len(masks[1])


def test_agrees_with_comparing_every_pair():
    generator = np.random.default_rng(1)
    for _ in range(30):
        target = generator.random((12, 12)) < 0.3
        pred = target ^ (generator.random((12, 12)) < 0.15)
        for min_iou in (0.05, 0.3, 0.6):
            assert match_objects(pred, target, min_iou) == slow_matches(pred, target, min_iou)


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("density", [0.0, 0.01, 0.5])
def test_objects_by_class_are_those_of_the_whole_tile(connectivity, density):
    generator = np.random.default_rng(1)
    target = generator.integers(1, 5, (40, 30), dtype=np.uint8) * (generator.random((40, 30)) < density)
    pixels, objects = count_objects(target.astype(np.uint8), 6, connectivity)
    assert pixels.tolist() == [0, *(int((target == number).sum()) for number in range(1, 6))]
    assert objects.tolist() == [0, *(label_objects(target == number, connectivity)[1] for number in range(1, 6))]


def test_object_scores_by_hand():
    assert object_scores(3, 4, 6) == {"object_precision": 0.75, "object_recall": 0.5, "object_f1": 0.6}
    assert object_scores(0, 0, 6) == {"object_precision": None, "object_recall": 0.0, "object_f1": 0.0}
    assert object_scores(0, 0, 0) == {"object_precision": None, "object_recall": None, "object_f1": None}
