import numpy as np
import pandas as pd
import shapely
from slicks_by_hand import ground_of, slick_ends

from seepseg.passes.side_by_side import SideBySide


def test_grounds_lie_apart_and_in_pixels():
    box = (0, 0, 300, 100)
    together = SideBySide([ground_of(box, box), ground_of(*[tuple(30 * side for side in box)] * 3, spacing=30.0)], 2.0)
    edges = [shapely.bounds(each.footprint).tolist() for each in together.ground.passes]
    assert edges == [[0, 0, 300, 100]] * 2 + [[400, 0, 700, 100]] * 3  # 50 radii apart
    assert together.first_pass == [0, 2]
    one = slick_ends([(1, 10, 20, 30, 20)])
    other = slick_ends([(2, 300, 600, 900, 600)], area=[9000.0], centreline=[600.0], half_width=[[30.0, 60.0]])
    slicks = together.slicks([one, other])
    assert slicks.pass_number.tolist() == [1, 4]
    assert slicks.ends.tolist() == [[[10, 20], [30, 20]], [[410, 20], [430, 20]]]
    assert (slicks.area[1], slicks.centreline[1], slicks.half_width[1].tolist()) == (10, 20, [1, 2])
    table = pd.DataFrame({"x": [300.0], "y": [600.0], "error_radius": [60.0]})
    assert together.seeps([table[:0], table]).to_numpy().tolist() == [[410, 20, 2]]
    assert not len(together.seeps([table[:0], table[:0]]))
    assert np.array_equal(other.ends, [[[300, 600], [900, 600]]])  # as they were
