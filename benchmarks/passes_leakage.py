"""Is what other passes tell of a slick better because networks were trained on the scene that the slick is of?

    python -m benchmarks.passes_leakage FOLDER ...   # workspaces where the pipeline ran, each with other test scenes

What is said of a candidate of another pass is out of fold there: networks and classifiers were not trained on that
pass. Where both scenes are in one inner fold they were not trained on the slick's own scene either; else they were. Two
questions, of annotated slicks of training scenes:

- evidence: for one and the same pair of scenes, in one inner fold in some workspaces and in two in others, how much
  more a pass tells of a slick's true class than of the other classes;
- classes: macro Dice of annotated slicks, out of fold, by passes of the own inner fold alone, by as many passes of
  other inner folds, and by none.

Writes docs/results/passes_leakage.json.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable
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
from seepseg.base.errors import InputError
from seepseg.base.files import write_json
from seepseg.base.params import load_params
from seepseg.data.packed import PIXELS, Packed, open_packed
from seepseg.detection.classifier import SlickClassifier, fit_in_passes
from seepseg.detection.fitting import annotated_classes, of_other_folds
from seepseg.detection.model_file import load_model
from seepseg.detection.slick_table import OOF, out_of_fold, read_slick_table
from seepseg.evaluation.annotated_slicks import ALONE, PREDICTED, scores_by_split
from seepseg.passes.other_passes import OtherPasses
from seepseg.passes.params import PassesParams
from seepseg.passes.reading import read_grounds
from seepseg.passes.recurrence import recurrence_features, recurrence_names
from stages.classify import (
    ANNOTATED,
    CANDIDATES,
    FOOTPRINTS,
    MODEL,
    PACKED,
    PARAMS,
    SPLIT,
    ClassifyParams,
)

DRAWS, SAMPLES, SEED = 3, 2000, 1


@dataclass(frozen=True)
class Run:
    """What one workspace holds of its training scenes.

    Attributes:
        root: of the workspace.
        packed: its tiles.
        passes: section `passes`.
        annotated: the annotated slicks, with `network`, the number of their inner fold.
        candidates: what is said of all candidates, out of fold and without other passes.
        classifiers: which said so.
        fold_of: the inner fold of each scene.
    """

    root: Path
    packed: Packed
    passes: PassesParams
    annotated: pd.DataFrame
    candidates: pd.DataFrame
    classifiers: list[SlickClassifier]
    fold_of: dict[str, int]

    @classmethod
    def read(cls, root: Path) -> "Run":
        """Read a workspace where the pipeline ran."""
        packed, passes = open_packed(root / PACKED), load_params(PassesParams, "passes", root / PARAMS)
        names, classifiers = packed.class_names, list(load_model(root / MODEL).classifiers)
        annotated, candidates = (read_slick_table(root / name, names) for name in (ANNOTATED, CANDIDATES))
        others = OtherPasses.of(packed, root / SPLIT, root / FOOTPRINTS, candidates, classifiers, passes)
        said = others.candidates[others.candidates["split"] == OOF]
        slicks = annotated[annotated["split"] == OOF]
        fold_of = dict(zip(slicks["scene"], slicks["network"], strict=True))
        return cls(root, packed, passes, slicks, said, classifiers, fold_of)

    def told(self, scene: str, others: Iterable[str]) -> pd.DataFrame:
        """What some passes tell of the annotated slicks of a scene, see `recurrence_features`."""
        chosen, shape = set(others), self.packed.images.shape[1:]
        footprints = self.root / FOOTPRINTS
        grounds = read_grounds(self.packed.scenes, footprints, self.passes.origins, shape, {scene, *chosen})
        slicks = self.annotated[self.annotated["scene"] == scene]
        said = self.candidates[self.candidates["scene"].isin(chosen)]
        return slicks.join(recurrence_features(slicks, said, grounds, self.passes.radius, self.packed.class_names))

    def own_fold(self, scene: str) -> list[str]:
        """The other scenes of its inner fold."""
        return [name for name, fold in self.fold_of.items() if fold == self.fold_of[scene] and name != scene]


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
    """What passes tell more of the true class than of the mean other one: by the inner fold of the pass.

    Raises:
        InputError: there is no pair of scenes of which both is known.
    """
    found: dict[tuple[str, str], dict[bool, list[float]]] = defaultdict(lambda: {True: [], False: []})
    for run in runs:
        for scene in run.fold_of:
            for other in run.fold_of:
                if other != scene:
                    together = run.fold_of[other] == run.fold_of[scene]
                    found[scene, other][together].append(_advantage(run.told(scene, [other]), run.packed.class_names))
    both = {pair: (mean(each[False]), mean(each[True])) for pair, each in found.items() if each[False] and each[True]}
    if not both:
        raise InputError(
            "expected workspaces in some of which two scenes are in one inner fold, and in others in two; found none "
            "such; name more folders, of other folds"
        )
    other_fold, same_fold = np.array([*both.values()]).T
    differences = other_fold - same_fold
    # Scenes are drawn, not pairs: those of one scene are alike. A pair counts as often as both of its scenes do.
    scenes, of_pairs = np.unique([*both], return_inverse=True)
    n = len(scenes)
    times = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=SAMPLES)
    weights = times[:, of_pairs.reshape(-1, 2)].prod(axis=2)
    drawn = weights[weights.any(axis=1)]
    low, high = np.percentile(drawn @ differences / drawn.sum(axis=1), (2.5, 97.5))
    return {
        "pairs": len(both),
        "other_inner_fold": float(other_fold.mean()),
        "same_inner_fold": float(same_fold.mean()),
        "difference": float(differences.mean()),
        "difference_low": float(low),
        "difference_high": float(high),
    }


def _advantage(slicks: pd.DataFrame, names: list[str]) -> float:
    """Mean evidence of the true class of slicks minus that of the others."""
    told = slicks[recurrence_names(names)].to_numpy() ** 2
    true = slicks[[PIXELS + name for name in names]].to_numpy().argmax(axis=1)
    of_true: npt.NDArray[np.float64] = told[np.arange(len(told)), true]
    return float((of_true - (told.sum(axis=1) - of_true) / (len(names) - 1)).mean())


def classes(runs: list[Run]) -> dict[str, Any]:
    """Macro Dice of annotated slicks by passes of the own inner fold, by as many of others, and by none, over runs."""
    rng = np.random.default_rng(SEED)
    found: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        scores = _score(run, run.own_fold)
        found["alone"].append(scores[ALONE])
        found["same_inner_fold"].append(scores[PREDICTED])

        def as_many_others(scene: str, run: Run = run) -> list[str]:
            others = sorted(run.fold_of.keys() - {scene, *run.own_fold(scene)})
            return list(rng.choice(others, len(run.own_fold(scene)), replace=False))

        found["other_inner_fold"].append(mean(_score(run, as_many_others)[PREDICTED] for _ in range(DRAWS)))
    return {name: spread(values) for name, values in found.items()}


def _score(run: Run, others_of: Callable[[str], list[str]]) -> dict[str, float]:
    """Macro Dice with what some passes tell, and without, of classifiers that learn from that."""
    params, names = load_params(ClassifyParams, "classify", run.root / PARAMS), run.packed.class_names
    table = pd.concat([run.told(scene, others_of(scene)) for scene in run.fold_of]).sort_index()
    classifiers = deepcopy(run.classifiers)
    meta = load_model(run.root / MODEL).meta.classifiers
    meta = replace(meta, recurrence=recurrence_names(names), recurrence_radius=run.passes.radius)
    for classifier, rows in zip(classifiers, of_other_folds(out_of_fold(table), len(classifiers)), strict=True):
        fit_in_passes(classifier, rows, meta, params)
    given = annotated_classes(table, classifiers, names)
    return {column: scores_by_split(given, column, names)[OOF]["macro_dice"] for column in (PREDICTED, ALONE)}


if __name__ == "__main__":
    run_stage(main)
