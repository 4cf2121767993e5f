"""Classes that know other passes: what `seepseg predict` keeps of each scene for them, and how it tells them.

A scene is detected on its own, maybe on another machine, and its classes are told again when all scenes are there. So
there is kept what its candidates tell of slicks of other passes, and by which features its slicks are classified.
Whether a candidate is a slick, and its p_slick, never depend on other passes.
"""

import sys
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.base.errors import InputError
from seepseg.detection.classifier import PASSES, ClassifierMeta
from seepseg.detection.detection import P_CLASS
from seepseg.detection.model_file import Model
from seepseg.detection.postprocessing import score_candidates, slick_classes
from seepseg.detection.slick_table import ENDS, SLICK
from seepseg.passes.ground import Grounds
from seepseg.passes.recurrence import P_SLICK, recurrence_features

PLACES = ENDS[:4]  # x and y of both ends
NUMBER = "number"  # column of candidates: the number among the slicks, 0 for those that are none
CLASS = "class"


def knows_passes(model: Model) -> bool:
    """Whether the classes that a model tells depend on other passes: its classifier tells them, and knows passes."""
    known = model.meta.classifiers
    return bool(known.recurrence and known.recurrence_radius and model.meta.postprocessing.class_from == "classifier")


@dataclass(frozen=True)
class KeptScene:
    """The file of what is kept of a scene, compressed NPZ of numbers that lost no bit.

    Attributes:
        name: of the scene.
        path: of the file.
        meta: of the classifiers.
    """

    name: str
    path: Path
    meta: ClassifierMeta

    def write(self, candidates: pd.DataFrame, features: pd.DataFrame | None) -> None:
        """Write the file.

        Args:
            candidates: see `seepseg.detection.detection.Detection`; those that may tell of other passes, with their
                ends on the map, or in the grid of the whole scene.
            features: of all candidates, see `Detection`; those of slicks are kept.
        """
        columns = ["slick", "network", *self.meta.features]
        table = pd.DataFrame(columns=columns, dtype=np.float32) if features is None else features
        rows = table.loc[table["slick"].isin(candidates.loc[candidates["slick"] > 0, "candidate"]), columns]
        np.savez_compressed(
            self.path,
            numbers=candidates[["candidate", "slick"]].to_numpy(np.int32),
            places=candidates[PLACES].to_numpy(np.float64),
            probs=candidates[[P_SLICK, *self._probs]].to_numpy(np.float64),
            rows=rows[["slick", "network"]].to_numpy(np.int32),
            # Feature by feature: of the image, they are the same for all networks, which leaves less of them.
            features=np.ascontiguousarray(rows[self.meta.features].to_numpy(np.float32).T),
        )

    def candidates(self) -> pd.DataFrame:
        """The candidates.

        Returns:
            A row for each: `scene`, `slick` (its number among the candidates), `NUMBER`, `PLACES`, `P_SLICK`, and the
            probability of each class.
        """
        numbers, places, probs = self._read("numbers", "places", "probs")
        table = pd.DataFrame({"scene": self.name, "slick": numbers[:, 0], NUMBER: numbers[:, 1]})
        table[PLACES] = places
        table[[P_SLICK, *self._probs]] = probs
        return table

    def features(self) -> pd.DataFrame:
        """By what the slicks are classified.

        Returns:
            A row for each slick and network: `scene`, `slick` as in `candidates`, `network`, and the features.
        """
        rows, features = self._read("rows", "features")
        keys = pd.DataFrame({"scene": self.name, "slick": rows[:, 0], "network": rows[:, 1]})
        return pd.concat([keys, pd.DataFrame(features.T, columns=self.meta.features)], axis=1)

    @property
    def _probs(self) -> list[str]:
        return [P_CLASS + name for name in self.meta.class_names]

    def _read(self, *names: str) -> list[npt.NDArray[Any]]:
        try:
            with np.load(self.path, allow_pickle=False) as file:
                return [file[name] for name in names]
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise InputError(
                f"{self.path}: expected what predict keeps of candidates, found {error}; remove the folder "
                f"{self.path.parent}, and run the command again"
            ) from None


def evidence_of_others(scenes: Iterable[KeptScene], grounds: Grounds) -> dict[str, pd.DataFrame]:
    """What other passes tell of slicks, ground by ground, so that memory holds the candidates of one.

    Args:
        scenes: that count, of one model.
        grounds: that they see.

    Returns:
        By the name of each scene, a row for each slick that other passes saw: `scene`, `slick`, `NUMBER`, and what
        `seepseg.passes.recurrence.recurrence_features` gives. Scenes without such a slick are not in it.
    """
    found, by_ground = dict[str, pd.DataFrame](), dict[int, list[KeptScene]]()
    for scene in scenes:
        if scene.name in grounds.scenes:
            by_ground.setdefault(grounds.scenes[scene.name].ground, []).append(scene)
    for number, passes in by_ground.items():
        here = {scene.name: grounds.scenes[scene.name]._replace(ground=0) for scene in passes}
        ground, meta = Grounds([grounds.grounds[number]], here, []), passes[0].meta
        candidates = pd.concat([scene.candidates() for scene in passes], ignore_index=True)
        slicks = candidates[candidates[NUMBER] > 0]
        features = recurrence_features(slicks, candidates, ground, meta.recurrence_radius, meta.class_names)
        told = slicks[[*SLICK, NUMBER]].join(features)
        found |= {str(name): rows for name, rows in told[told[PASSES] > 0].groupby("scene")}
    return found


def classify_again(scene: KeptScene, evidence: pd.DataFrame, model: Model) -> pd.DataFrame:
    """The classes of slicks that other passes saw.

    Args:
        scene: in which they are.
        evidence: for them, see `evidence_of_others`.
        model: by which the scene was detected.

    Returns:
        A row for each slick, by its number among the slicks of the scene: `CLASS`, 1..K, `PASSES`, `p_class`, the
        probability of that class, and that of each class.
    """
    table = scene.features().merge(evidence.drop(columns=NUMBER), on=SLICK)
    scored = score_candidates(table, model.classifiers, model.meta.postprocessing)
    classes = slick_classes(scored, model.meta.postprocessing).astype(np.int64)
    probs = scored.classifier_probs.classes
    rows = pd.DataFrame(probs, columns=[P_CLASS + name for name in model.class_names])
    rows[CLASS], rows["p_class"] = classes, probs[np.arange(len(classes)), classes - 1]
    for name in (PASSES, NUMBER):
        rows[name] = evidence.set_index("slick")[name].loc[scored.table["slick"]].to_numpy()
    return rows.set_index(NUMBER)


def say_passes(grounds: Grounds, scenes: int) -> None:
    """Say how classes are told, and which scenes tell theirs alone.

    Args:
        grounds: of the scenes.
        scenes: how many there are.
    """
    if count := len(grounds.scenes):
        print(f"{count} of {scenes} scenes see ground that other passes see, and their classes are told by these, too")
    else:
        notice = "no two scenes see the same ground at different times, so each tells its classes alone"
        print(f"notice: {notice}", file=sys.stderr)
    for notice in grounds.notices:
        print(f"notice: {notice}", file=sys.stderr)
