"""What is known of slicks from other passes, out of fold: for stages that have the candidates of all scenes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from seepseg.data.packed import Packed, read_split
from seepseg.detection.classifier import PASSES, SlickClassifier, average_probs
from seepseg.detection.detection import P_CLASS
from seepseg.detection.model_file import Model
from seepseg.detection.slick_table import ENDS, OOF, SLICK
from seepseg.passes.ground import Grounds
from seepseg.passes.params import PassesParams
from seepseg.passes.reading import read_grounds
from seepseg.passes.recurrence import P_SLICK, recurrence_features


@dataclass(frozen=True)
class OtherPasses:
    """The candidates of all scenes, and which scenes see the same ground.

    Of slicks of training scenes only other training scenes tell, so that nothing that is learnt depends on test scenes.
    Where tiles are split at random, a scene has a footprint with its test tiles, so that training slicks are thought to
    have been seen by more passes than tell of them.

    Attributes:
        candidates: a row for each: `split`, `scene`, `slick`, ENDS, `p_slick` and `p_of_<class>`.
        training: grounds of training scenes alone.
        every: grounds of all scenes.
        class_names: the K classes.
    """

    candidates: pd.DataFrame
    training: Grounds
    every: Grounds
    class_names: Sequence[str]

    @classmethod
    def of(
        cls,
        packed: Packed,
        split: Path,
        footprints: Path,
        candidates: pd.DataFrame,
        classifiers: Sequence[SlickClassifier],
        params: PassesParams,
    ) -> "OtherPasses":
        """Ask the classifiers about all candidates, each row the one that is out of fold there.

        Args:
            packed: the tiles.
            split: the file that the split stage wrote.
            footprints: the file that detect wrote.
            candidates: the table that detect wrote.
            classifiers: of the inner folds.
            params: section `passes`.

        Raises:
            InputError: a file is missing or of other tiles.
        """
        rows = read_split(packed, split)
        training = set(packed.manifest.loc[np.concatenate([rows["train"], rows["val"]]), "scene"])
        shape = (int(packed.images.shape[1]), int(packed.images.shape[2]))
        of_training, every = (
            read_grounds(packed.scenes, footprints, params.origins, shape, scenes) for scenes in (training, None)
        )
        names = packed.class_names
        table = candidates.drop_duplicates(SLICK)[["split", *SLICK, *ENDS]].reset_index(drop=True)
        probs = average_probs(classifiers, candidates)
        table[P_SLICK] = probs.p_slick
        table[[P_CLASS + name for name in names]] = probs.classes
        return cls(table, of_training, every, names)

    def add(self, table: pd.DataFrame, radius: float) -> pd.DataFrame:
        """A table of slicks with what other passes tell of them, see `recurrence_features`.

        Args:
            table: as detect wrote it, with `split`.
            radius: within which ends count, in pixels.
        """
        is_oof, candidates = table["split"] == OOF, self.candidates
        training = candidates[candidates["split"] == OOF]
        parts = [
            recurrence_features(table[is_oof], training, self.training, radius, self.class_names),
            recurrence_features(table[~is_oof], candidates, self.every, radius, self.class_names),
        ]
        return table.join(pd.concat(parts))

    def summary(self, slicks: pd.DataFrame) -> dict[str, float]:
        """How much there is to know: grounds, scenes on them, and the median number of other passes of slicks."""
        passes = slicks.drop_duplicates(SLICK)[PASSES]
        median = float(passes.median()) if len(passes) else 0.0
        return {"grounds": len(self.every.grounds), "scenes": len(self.every.scenes), "median_others": median}


def with_other_passes(
    table: pd.DataFrame, packed: Packed, split: Path, footprints: Path, model: Model, params: PassesParams
) -> pd.DataFrame:
    """The candidates with what other passes tell of them, if the model learnt to make use of that.

    Args:
        table: all candidates, as detect wrote them, with `split`.
        packed: the tiles.
        split: see `OtherPasses.of`.
        footprints: likewise.
        model: whose classifiers are asked.
        params: section `passes`.
    """
    if not model.meta.classifiers.recurrence:
        return table
    others = OtherPasses.of(packed, split, footprints, table, model.classifiers, params)
    return others.add(table, model.meta.classifiers.recurrence_radius)
