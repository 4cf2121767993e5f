from slicks_by_hand import WHOLE, ground_of, slick_ends

from seepseg.passes.published_rule import published_seeps


def test_wider_ends_of_likely_slicks_are_clustered():
    rows = [(n, 0, 0, 500, 10 * n) for n in range(4)]
    found = slick_ends(rows, [0.9, 0.8, 0.5, 0.4], half_width=[[1, 3]] * 4)
    table = published_seeps(found, ground_of(*[WHOLE] * 5), 25.0)
    assert table.to_numpy().tolist() == [[500, 10, 5, 3, 60]]  # of p_slick 0.5 and more: y of 0, 10, 20


def test_a_pass_counts_once_and_only_where_it_saw():
    found = slick_ends([(0, 0, 0, 500, 0), (0, 1, 0, 900, 0)], half_width=[[3, 1]] * 2)
    table = published_seeps(found, ground_of(WHOLE, WHOLE, (50, 50, 60, 60)), 20.0)
    assert table[["passes", "passes_with_slick", "detection_percentage"]].to_numpy().tolist() == [[2, 1, 50]]


def test_distance_is_fixed_and_highest_percentage_comes_first():
    found = slick_ends([(n, x, 0, 900, 900) for n, x in ((0, 0), (1, 15), (2, 40))], half_width=[[3, 1]] * 3)
    table = published_seeps(found, ground_of(*[WHOLE] * 3), 20.0)
    assert table["x"].tolist() == [7.5, 40.0]
    assert table["passes_with_slick"].tolist() == [2, 1]
    rows = [(n, x, 0, 900, 100 * n) for n, x in enumerate((0, 0, 0, 0, 18, 36, 54, 72, 72, 90))]
    table = published_seeps(slick_ends(rows, half_width=[[3, 1]] * 10), ground_of(*[WHOLE] * 10), 20.0)
    assert table["x"].tolist() == [9, 72]  # around 18, then around 72: 54 has lost 36
    assert not len(published_seeps(slick_ends([]), ground_of(WHOLE, WHOLE), 20.0))
