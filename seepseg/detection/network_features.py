"""What networks say of slicks: their probabilities over each, summed up block by block."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.detection.candidates import log_odds
from seepseg.detection.slick_table import LOG_SHARE
from seepseg.detection.tta import BlockProbs
from seepseg.evaluation.objects import Labels

TINY = 1e-4  # a class that a network rules out may still be the right one
ABOVE = (0.5, 0.7, 0.85, 0.95, 0.98)  # of the shares of a slick above these probabilities


class NetworkSums:
    """Sums over slicks, or over pieces of them, of what networks say of their pixels.

    Args:
        networks: their numbers.
        class_names: the K classes.
    """

    def __init__(self, networks: Sequence[int], class_names: Sequence[str]) -> None:
        self._class_names = class_names
        self._ids: list[npt.NDArray[np.int64]] = []
        # Of each network, for each block: area, sums of p, of its log odds, of p above levels, of each class; and peak.
        self._sums: dict[int, list[npt.NDArray[np.float64]]] = {number: [] for number in networks}
        self._peaks: dict[int, list[npt.NDArray[np.float32]]] = {number: [] for number in networks}

    def add(self, labels: Labels, probs: Mapping[int, BlockProbs]) -> None:
        """Add a block.

        Args:
            labels: int32 (h, w), numbers of slicks or pieces, from 1, in the whole scene; 0 elsewhere.
            probs: of each network, by its number.
        """
        at = np.flatnonzero(labels)
        ids, number = np.unique(labels.ravel()[at], return_inverse=True)
        if not len(ids):
            return
        self._ids.append(ids.astype(np.int64))
        for network, each in probs.items():
            p = each.foreground.ravel()[at]
            of_classes = each.class_probs.reshape(len(self._class_names), -1)
            above, shares = [p >= level for level in ABOVE], [of_class[at] for of_class in of_classes]
            columns: list[npt.NDArray[Any]] = [np.ones(len(p)), p, log_odds(p), *above, *shares]
            sums = [np.bincount(number, weights=column, minlength=len(ids)) for column in columns]
            self._sums[network].append(np.stack(sums, axis=1))
            peaks = np.zeros(len(ids), np.float32)
            np.maximum.at(peaks, number, p)
            self._peaks[network].append(peaks)

    def features(self, n: int, numbers: npt.NDArray[np.int32] | None = None) -> dict[int, pd.DataFrame]:
        """The features of slicks 1..n.

        Args:
            n: number of slicks.
            numbers: the slick of each piece, where pieces were added; 0 for none.

        Returns:
            Of each network, by its number: a row for each slick, float32.
        """
        ids = np.concatenate([np.zeros(0, np.int64), *self._ids])
        slick = ids if numbers is None else numbers[ids]
        tables = {}
        for network, of_blocks in self._sums.items():
            sums = np.zeros((n + 1, 3 + len(ABOVE) + len(self._class_names)))
            peak = np.zeros(n + 1, np.float32)
            if of_blocks:
                np.add.at(sums, slick, np.concatenate(of_blocks))
                np.maximum.at(peak, slick, np.concatenate(self._peaks[network]))
            tables[network] = self._table(sums[1:], peak[1:])
        return tables

    def _table(self, sums: npt.NDArray[np.float64], peak: npt.NDArray[np.float32]) -> pd.DataFrame:
        means = sums[:, 1 : 3 + len(ABOVE)] / sums[:, :1]
        measured = {
            "prob_mean": means[:, 0],
            "log_odds_mean": means[:, 1],
            "prob_peak": peak,
            "log_odds_peak": log_odds(peak),
        }
        for level, share in zip(ABOVE, means.T[2:], strict=True):
            measured[f"above_{round(100 * level)}"] = share
        of_classes = sums[:, 3 + len(ABOVE) :].T
        shares = of_classes / np.maximum(of_classes.sum(axis=0), TINY)
        for name, share in zip(self._class_names, shares, strict=True):
            measured[LOG_SHARE + name] = np.log(np.maximum(share, TINY))
        return pd.DataFrame(measured).astype(np.float32)
