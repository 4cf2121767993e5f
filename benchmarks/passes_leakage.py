"""Is what other passes tell of a slick better because networks were trained on the scene that the slick is of?

    python -m benchmarks.passes_leakage FOLDER ...   # workspaces where the pipeline ran, each with other test scenes

What is said of a candidate of another pass is out of fold there, but three of four times networks and classifiers were
trained on the scene that the slick itself is of. To tell what that matters, training scenes are told here by test
scenes alone, of which each network and its classifier say the same candidates' probabilities: once those of the
slick's own inner fold, which were trained on neither scene, and once those of the others. Outlines of candidates are
those of all networks together in both cases. Two measures, of annotated slicks of training scenes:

- evidence: how much more the passes tell of a slick's true class than of the mean other class;
- classes: macro Dice out of fold, of classifiers that learn from this evidence, and of those that know of no pass.

Writes docs/results/passes_leakage.json.
"""

import argparse
from collections import defaultdict
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from benchmarks.repository import RESULTS
from benchmarks.spread import spread
from seepseg.base.command import run_stage
from seepseg.base.files import write_json
from seepseg.base.params import load_params
from seepseg.data.packed import PIXELS, open_packed
from seepseg.detection.classifier import ClassifierMeta, SlickClassifier, fit_in_passes
from seepseg.detection.detection import P_CLASS
from seepseg.detection.fitting import annotated_classes, of_other_folds
from seepseg.detection.model_file import load_model
from seepseg.detection.slick_table import OOF, out_of_fold, read_slick_table
from seepseg.evaluation.annotated_slicks import ALONE, PREDICTED, scores_by_split
from seepseg.passes.ground import Grounds
from seepseg.passes.params import PassesParams
from seepseg.passes.reading import read_grounds
from seepseg.passes.recurrence import P_SLICK, recurrence_features, recurrence_names
from stages.classify import (
    ANNOTATED,
    CANDIDATES,
    FOOTPRINTS,
    MODEL,
    PACKED,
    PARAMS,
    ClassifyParams,
)

SAMPLES, SEED = 2000, 1


@dataclass(frozen=True)
class Run:
    """What one workspace holds.

    Attributes:
        annotated: the annotated slicks of training scenes, with `network`, the number of their inner fold.
        said: by network, what it and its classifier say of the candidates of test scenes.
        grounds: of each training scene and all test scenes.
        classifiers: of the inner folds.
        meta: what they are, as if they knew other passes.
        params: by which they were fitted.
    """

    annotated: pd.DataFrame
    said: list[pd.DataFrame]
    grounds: dict[str, Grounds]
    classifiers: list[SlickClassifier]
    meta: ClassifierMeta
    params: ClassifyParams

    @classmethod
    def read(cls, root: Path) -> "Run":
        """Read a workspace where the pipeline ran."""
        packed, passes = open_packed(root / PACKED), load_params(PassesParams, "passes", root / PARAMS)
        names, model = packed.class_names, load_model(root / MODEL)
        annotated, candidates = (read_slick_table(root / name, names) for name in (ANNOTATED, CANDIDATES))
        slicks, of_test = annotated[annotated["split"] == OOF], candidates[candidates["split"] != OOF]
        said = []
        for number, classifier in enumerate(model.classifiers):
            rows = of_test[of_test["network"] == number].reset_index(drop=True)
            probs = classifier.probs(rows)
            rows[P_SLICK] = probs.p_slick
            rows[[P_CLASS + name for name in names]] = probs.classes
            said.append(rows)
        tests, shape = set(of_test["scene"]), packed.images.shape[1:]
        grounds = {
            scene: read_grounds(packed.scenes, root / FOOTPRINTS, passes.origins, shape, {scene, *tests})
            for scene in slicks["scene"].unique()
        }
        meta = replace(model.meta.classifiers, recurrence=recurrence_names(names), recurrence_radius=passes.radius)
        params = load_params(ClassifyParams, "classify", root / PARAMS)
        return cls(slicks, said, grounds, list(model.classifiers), meta, params)

    def told(self, shift: int) -> pd.DataFrame:
        """The annotated slicks with what networks so many inner folds further say of test scenes."""
        parts = []
        for (scene, fold), slicks in self.annotated.groupby(["scene", "network"], sort=False):
            said = self.said[(fold + shift) % len(self.said)]
            features = recurrence_features(
                slicks, said, self.grounds[scene], self.meta.recurrence_radius, self.meta.class_names
            )
            parts.append(slicks.join(features))
        return pd.concat(parts).sort_index()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="workspaces where the pipeline ran")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder to write to (default: docs/results)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = [Run.read(folder) for folder in arguments.folders]
    document = {"runs": len(runs), "evidence": evidence(runs), "classes": classes(runs)}
    print(document)
    write_json(arguments.out / "passes_leakage.json", document)


def evidence(runs: list[Run]) -> dict[str, Any]:
    """What passes tell more of the true class than of the mean other one, with a 95 % interval over scenes."""
    pairs = []
    for run in runs:
        own, *others = (_advantages(run.told(shift), run.meta.class_names) for shift in range(len(run.said)))
        pairs += [(own[scene], mean(each[scene] for each in others)) for scene in own]
    not_trained, trained = np.array(pairs).T
    differences = trained - not_trained
    draws = np.random.default_rng(SEED).integers(len(pairs), size=(SAMPLES, len(pairs)))
    low, high = np.percentile(differences[draws].mean(axis=1), (2.5, 97.5))
    return {
        "scenes": len(pairs),
        "not_trained_on_the_scene": float(not_trained.mean()),
        "trained_on_the_scene": float(trained.mean()),
        "difference": float(differences.mean()),
        "difference_low": float(low),
        "difference_high": float(high),
    }


def _advantages(slicks: pd.DataFrame, names: list[str]) -> dict[str, float]:
    """Mean evidence of the true class of slicks minus that of the mean other class, by scene."""
    told = slicks[recurrence_names(names)].to_numpy() ** 2
    true = slicks[[PIXELS + name for name in names]].to_numpy().argmax(axis=1)
    of_true: npt.NDArray[np.float64] = told[np.arange(len(told)), true]
    more = of_true - (told.sum(axis=1) - of_true) / (len(names) - 1)
    by_scene: dict[str, float] = pd.Series(more, index=slicks["scene"]).groupby(level=0).mean().to_dict()
    return by_scene


def classes(runs: list[Run]) -> dict[str, Any]:
    """Macro Dice of annotated slicks, over runs."""
    found: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        own, *others = (_scores(run, run.told(shift)) for shift in range(len(run.said)))
        found["alone"].append(own[ALONE])
        found["not_trained_on_the_scene"].append(own[PREDICTED])
        found["trained_on_the_scene"].append(mean(each[PREDICTED] for each in others))
    return {name: spread(values) for name, values in found.items()}


def _scores(run: Run, table: pd.DataFrame) -> dict[str, float]:
    """With what other passes tell, and without, of classifiers that learn from that."""
    classifiers, names = deepcopy(run.classifiers), run.meta.class_names
    for classifier, rows in zip(classifiers, of_other_folds(out_of_fold(table), len(classifiers)), strict=True):
        fit_in_passes(classifier, rows, run.meta, run.params)
    given = annotated_classes(table, classifiers, names)
    return {column: scores_by_split(given, column, names)[OOF]["macro_dice"] for column in (PREDICTED, ALONE)}


if __name__ == "__main__":
    run_stage(main)
