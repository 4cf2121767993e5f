"""What the other passes tell of a slick: whether slicks end where it ends, and of which classes.

For an end and another pass that saw its place, the evidence is that of the surest candidate of the pass with an end
within some distance: its p_slick times its probabilities of the classes; 0 without one. Evidence is averaged over the
other passes that saw the place, so that missing data says neither yes nor no. It comes from what networks and
classifiers say of candidates, and from no annotation.

Evidence of p_slick itself, of both ends, at several radii, of what lies around a slick, and a second round with the
classes that the first one gave were measured, too; on scenes held out, classes were no better with them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from seepseg.detection.classifier import PASSES
from seepseg.detection.detection import P_CLASS
from seepseg.detection.slick_table import SLICK
from seepseg.passes.ground import Ground, Grounds

# Prefix of columns: the root of the evidence of each class, as sums of few have a deviation that grows with them; that
# of the end where it is larger.
RECUR = "recur_"
P_SLICK = "p_slick"  # column of candidates
AT_ONCE = 4096  # ends

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Ends(NamedTuple):
    """Ends of slicks on a ground.

    Attributes:
        slick: int64 (m,), row of the slick that each is of.
        end: int64 (m,), 0 or 1, which of its ends.
        places: float64 (m, 2), x and y.
        passes: int64 (m,), number of the pass in which each was seen.
    """

    slick: Ints
    end: Ints
    places: Floats
    passes: Ints

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Ends":
        """Those of (m,) that are chosen."""
        return Ends(self.slick[chosen], self.end[chosen], self.places[chosen], self.passes[chosen])


def recurrence_names(class_names: Sequence[str]) -> list[str]:
    """Names of the features, in the order of their columns."""
    return [RECUR + name for name in class_names]


def recurrence_features(
    of: pd.DataFrame, candidates: pd.DataFrame, grounds: Grounds, radius: float, class_names: Sequence[str]
) -> pd.DataFrame:
    """The evidence of other passes for slicks.

    Args:
        of: rows of slicks with `scene`, `slick` and their ends, `x_1`, `y_1`, `x_2`, `y_2`; one slick may have several.
        candidates: of all passes that count, a row for each, likewise, with `p_slick` and `p_of_<class>`.
        grounds: of those passes.
        radius: within which ends count, in pixels of the ground.
        class_names: the K classes.

    Returns:
        The columns of `recurrence_names` and `passes`, a row for each of `of`, with its index; zeros where no other
        pass saw either end.
    """
    slicks = of.drop_duplicates(SLICK)
    evidence, saw = np.zeros((len(slicks), 2, len(class_names))), np.zeros((len(slicks), 2), np.int64)
    p_slick = candidates[P_SLICK].to_numpy(np.float64)
    by_class = p_slick[:, None] * candidates[[P_CLASS + name for name in class_names]].to_numpy(np.float64)
    on, ends = _ends(slicks, grounds)
    on_others, ends_of_others = _ends(candidates, grounds)
    for number, ground in enumerate(grounds.grounds):
        here, there = ends.take(on == number), ends_of_others.take(on_others == number)
        found = _evidence(here, there, p_slick[there.slick], by_class[there.slick], ground, radius * ground.spacing)
        evidence[here.slick, here.end], saw[here.slick, here.end] = found
    table = pd.DataFrame(np.sqrt(evidence.max(axis=1)), columns=recurrence_names(class_names))
    table[PASSES] = saw.max(axis=1)
    rows = of.groupby(SLICK, sort=False).ngroup().to_numpy()
    return table.iloc[rows].set_index(of.index)


def _ends(table: pd.DataFrame, grounds: Grounds) -> tuple[Ints, Ends]:
    """Both ends of all slicks, and the number of the ground on which each lies, int64 (2n,); -1 for none."""
    placed = [grounds.place(table["scene"], table[f"x_{end}"], table[f"y_{end}"]) for end in (1, 2)]
    on, x, y = (np.concatenate(each) for each in zip(*placed, strict=True))
    n = len(table)
    end, slick = np.divmod(np.arange(2 * n), max(n, 1))
    return on, Ends(slick, end, np.stack([x, y], axis=1), np.tile(grounds.pass_numbers(table["scene"]), 2))


def _evidence(
    here: Ends, there: Ends, p_slick: Floats, by_class: Floats, ground: Ground, radius: float
) -> tuple[Floats, Ints]:
    """The mean evidence of other passes at ends.

    Args:
        here: m ends.
        there: those of candidates.
        p_slick: float64 (k,), of the latter, which says which is the surest of a pass.
        by_class: float64 (k, K), evidence of the latter.
        ground: of both.
        radius: in its unit.

    Returns:
        float64 (m, K), and int64 (m,), the number of other passes that saw the place.
    """
    evidence, saw = np.zeros((len(here.slick), by_class.shape[1])), np.zeros(len(here.slick), np.int64)
    tree = cKDTree(there.places)
    for start in range(0, len(here.slick), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        places, own = here.places[part], here.passes[part]
        seen = ground.sees(places[:, 0], places[:, 1])
        seen[np.arange(len(own)), own] = False
        saw[part] = seen.sum(axis=1)
        pairs = cKDTree(places).sparse_distance_matrix(tree, radius, output_type="ndarray")
        end, other = pairs["i"], pairs["j"]
        counts = seen[end, there.passes[other]]
        end, other = end[counts], other[counts]
        order = np.lexsort((other, p_slick[other], there.passes[other], end))  # the surest of each pass comes last
        end, other = end[order], other[order]
        last = np.ones(len(end), np.bool_)
        last[:-1] = (np.diff(end) != 0) | (np.diff(there.passes[other]) != 0)
        np.add.at(evidence[part], end[last], by_class[other[last]])
    return evidence / np.maximum(saw, 1)[:, None], saw
