"""Candidates: dark spots of a scene that may be slicks, where the networks give some class a probability.

They are found block by block, as pieces, and joined where they go on in the next block: what is a candidate, and its
number, do not depend on the blocks.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from seepseg.data.block_array import BlockArray
from seepseg.data.pixels import Window
from seepseg.detection.tta import BlockProbs
from seepseg.evaluation.objects import Labels, label_objects

CONNECTIVITY: Literal[8] = 8  # of the pixels of a slick
BAND = 256  # rows that are worked on at once, so that float64 takes little memory


def average(probs: Sequence[BlockProbs]) -> npt.NDArray[np.float32]:
    """Probability of any class by several networks, float32 (H, W): the mean of their log odds, as a probability."""
    first = probs[0].foreground
    if len(probs) == 1:
        return first
    foreground = np.zeros_like(first)
    for top in range(0, len(first), BAND):
        rows = slice(top, top + BAND)
        mean = np.mean([log_odds(each.foreground[rows]) for each in probs], axis=0)
        # What no network has seen stays 0.
        foreground[rows] = np.where(first[rows] > 0, 1 / (1 + np.exp(-mean)), 0)
    return foreground


def most_probable_classes(probs: Sequence[BlockProbs]) -> npt.NDArray[np.uint8]:
    """The class of each pixel, uint8 (H, W), 1..K, to which the networks together give most.

    Whether it is a slick at all is another question.
    """
    classes = np.empty(probs[0].foreground.shape, np.uint8)
    for top in range(0, len(classes), BAND):
        rows = slice(top, top + BAND)
        total = probs[0].class_probs[:, rows].astype(np.float32)  # (K, h, W)
        for each in probs[1:]:
            total += each.class_probs[:, rows]
        classes[rows] = total.argmax(axis=0) + 1
    return classes


def log_odds(probs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """log(p / (1 - p)), with probabilities kept 1e-6 away from 0 and 1."""
    p = probs.astype(np.float64).clip(1e-6, 1 - 1e-6)
    odds: npt.NDArray[np.float64] = np.log(p / (1 - p))
    return odds


class Joined(NamedTuple):
    """Which pieces make which candidate.

    Attributes:
        numbers: int32 (pieces + 1,), the candidate 1..n of each piece, counted from 1; 0 for no candidate.
        n: number of candidates.
    """

    numbers: npt.NDArray[np.int32]
    n: int


class PieceCollector:
    """Finds the pieces of candidates, block by block, and joins them.

    Args:
        shape: height and width of the scene.
        block: height and width of its blocks.
        threshold: probability of any class that all pixels of a candidate reach.
        min_area: pixels of the smallest candidate.

    Attributes:
        labels: int32 (H, W), the number of each pixel's piece, 1..; of its candidate, 1..n, once they are joined.
    """

    def __init__(self, shape: tuple[int, int], block: tuple[int, int], threshold: float, min_area: int) -> None:
        self.labels = BlockArray(shape, np.int32, block)
        self._threshold = threshold
        self._min_area = min_area
        self._pieces = 0
        self._areas: list[npt.NDArray[np.int64]] = []
        self._firsts: list[npt.NDArray[np.int64]] = []  # of each piece, the first of its pixels, row by row

    def add(self, window: Window, foreground: npt.NDArray[np.float32]) -> Labels:
        """Find the pieces of a block.

        Args:
            window: the block.
            foreground: float32 (h, w), probability of any class.

        Returns:
            int32 (h, w), the number of each pixel's piece in the whole scene, 0 for none.
        """
        labels, n = label_objects((foreground >= self._threshold) & (foreground > 0), CONNECTIVITY)
        if n:
            at = np.flatnonzero(labels)
            piece = labels.ravel()[at]
            rows, columns = np.divmod(at, window.width)
            places = (window.top + rows) * self.labels.shape[1] + window.left + columns
            firsts = np.full(n + 1, np.iinfo(np.int64).max)
            np.minimum.at(firsts, piece, places)
            self._areas.append(np.bincount(piece, minlength=n + 1)[1:])
            self._firsts.append(firsts[1:])
            labels[labels > 0] += self._pieces
            self.labels.write(window, labels)
            self._pieces += n
        return labels

    def join(self) -> Joined:
        """Join the pieces that touch; candidates are numbered in the order of their first pixels, row by row."""
        count = self._pieces
        areas, firsts = (np.concatenate([[0], *lists]).astype(np.int64) for lists in (self._areas, self._firsts))
        pairs = [_touching(*lines) for lines in self._borders()]
        one, other = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)
        graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(count + 1, count + 1))
        components, component = connected_components(graph, directed=False)
        area = np.bincount(component, weights=areas, minlength=components)
        first = np.full(components, np.iinfo(np.int64).max)
        np.minimum.at(first, component[1:], firsts[1:])
        kept = np.flatnonzero(area >= self._min_area)
        kept = kept[(kept != component[0]) & (area[kept] > 0)]
        numbers = np.zeros(components, np.int32)
        numbers[kept[np.argsort(first[kept])]] = np.arange(1, len(kept) + 1)
        of_pieces = numbers[component]
        for window in self.labels.windows():
            pieces = self.labels.read(window)
            if pieces.any():
                self.labels.write(window, of_pieces[pieces])
        return Joined(of_pieces, len(kept))

    def _borders(self) -> list[tuple[Labels, Labels]]:
        """Of each border between blocks, the lines of pixels on its two sides."""
        (height, width), (down, across) = self.labels.shape, self.labels.block
        rows = [self.labels.read(Window(y - 1, 0, 2, width)) for y in range(down, height, down)]
        columns = [self.labels.read(Window(0, x - 1, height, 2)).T for x in range(across, width, across)]
        return [(one, other) for one, other in rows + columns]


def _touching(one: Labels, other: Labels) -> npt.NDArray[np.int64]:
    """Pairs of pieces, (2, n), with pixels side by side or corner to corner in two neighbouring lines of pixels."""
    pairs = []
    for shift in (-1, 0, 1):
        a, b = one[max(shift, 0) : len(one) + min(shift, 0)], other[max(-shift, 0) : len(one) + min(-shift, 0)]
        both = (a > 0) & (b > 0)
        pairs.append(np.stack([a[both], b[both]]))
    touching: npt.NDArray[np.int64] = np.unique(np.concatenate(pairs, axis=1), axis=1).astype(np.int64)
    return touching
