"""Runs of the pipeline against others, scene by scene."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

import numpy as np

from seepseg.evaluation.confusion import Counts, Floats, or_none
from seepseg.evaluation.paired import Difference, class_scores, expanded_percentiles, headlines, times_drawn
from seepseg.evaluation.scene_counts import SceneCounts
from tools.chance import MIN_SCENES, Spread, verdict, widened
from tools.revisions import NETWORKS, SCENES, Revision

SAMPLES, SEED = 10_000, 1  # of the bootstrap


@dataclass(frozen=True)
class Group:
    """Runs that differ in seeds alone.

    Attributes:
        name: of all of them.
        changed: what differs from the baseline, for people.
        runs: those with results of their own: the same twice are no second seed.
    """

    name: str
    changed: str
    runs: list[Revision]

    @classmethod
    def of(cls, runs: Sequence[Revision], changed: str) -> "Group":
        """Of all runs that did the same."""
        own = {run.hashes[SCENES]: run for run in reversed(runs)}
        return cls(", ".join(run.name for run in runs), changed, list(own.values())[::-1])

    def by_networks(self) -> dict[str, list[Revision]]:
        """The runs with the same networks, by the MD5 of these."""
        found: dict[str, list[Revision]] = defaultdict(list)
        for run in self.runs:
            found[run.hashes.get(NETWORKS, "")].append(run)
        return found


@dataclass(frozen=True)
class ScoreChange:
    """What is told of a score of runs that differ in seeds alone.

    Attributes:
        value: mean over seeds.
        found: difference to the baseline, with its interval over scenes and, where known, seeds.
        word: a plain one; empty of the baseline itself.
        of_runs: difference of each run to the baseline's mean.
    """

    value: float | None
    found: Difference
    word: str
    of_runs: list[float]


@dataclass(frozen=True)
class PairedScores:
    """Runs that differ in seeds alone against others, on the scenes of a split that all have.

    Attributes:
        scenes: how many.
        with_class: on how many of these each class is annotated.
        left_out: how many scenes only some of the runs have.
        relabelled: how many of the scenes are annotated otherwise.
        ours: mean over our runs of each score: those of `headlines`, and `<score>.<class>`.
        theirs: likewise.
        differences: of the means, with intervals over scenes; without one where these are fewer than `MIN_SCENES`, or
            those with the class are.
        of_runs: how much more each of our runs scores than theirs in the mean.
    """

    scenes: int
    with_class: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    relabelled: int = 0
    ours: dict[str, float | None] = field(default_factory=dict)
    theirs: dict[str, float | None] = field(default_factory=dict)
    differences: dict[str, Difference] = field(default_factory=dict)
    of_runs: dict[str, list[float]] = field(default_factory=dict)

    def counted(self, name: str) -> int:
        """How many scenes a score tells of."""
        return self.with_class.get(name.partition(".")[2], self.scenes)


def against(groups: Sequence[Group], split: str) -> list[tuple[PairedScores, dict[str, ScoreChange]]]:
    """Compare groups of runs with the first of them, the baseline.

    Seeds of training don't matter to runs with the baseline's networks: these are compared with the runs that have the
    same ones, and only other seeds of the classifiers would move them.

    Args:
        groups: the baseline first.
        split: oof or test.

    Returns:
        Of each group, how it was compared, and what is told of each score.
    """
    base, trained = groups[0], groups[0].by_networks()
    values = {run.name: whole_scores(run, split) for group in groups for run in group.runs}
    rows = []
    for group in groups:
        networks = group.by_networks()
        retrained = not networks.keys() <= trained.keys()
        theirs = base.runs if retrained else [run for key in networks for run in trained[key]]
        found = compare(group.runs, theirs, split)
        counts = (len(networks), len(trained)) if retrained else (len(group.runs), len(theirs))
        told = {}
        for name, each in found.differences.items():
            spread = Spread.of(seeds_of(groups, values, name, retrained))
            wider = widened(each, spread, *counts)
            word = verdict(wider, found.counted(name), retrained and spread is None) if group is not base else ""
            told[name] = ScoreChange(found.ours[name], wider, word, found.of_runs[name])
        rows.append((found, told))
    return rows


def seeds_of(
    groups: Sequence[Group], values: Mapping[str, Mapping[str, float]], name: str, retrained: bool
) -> list[list[float]]:
    """A score of runs that differ in seeds alone, a list for each group of them.

    Args:
        groups: all runs.
        values: of each run by its name, scores by name.
        name: of the score.
        retrained: whether runs differ in their networks; else those with the same ones differ in their classifiers.
    """
    found = []
    for group in groups:
        alike = [
            [values[run.name][name] for run in runs if name in values[run.name]]
            for runs in group.by_networks().values()
        ]
        found += [[mean(each) for each in alike if each]] if retrained else alike
    return found


def whole_scores(run: Revision, split: str) -> dict[str, float]:
    """The scores of a run on all its scenes; those that it has."""
    scenes = run.scenes.get(split, [])
    if not scenes:
        return {}
    found = scores_of(scenes, np.ones((1, len(scenes)), np.int64), run.class_names, run.class_names)
    return {name: float(score[0]) for name, score in found.items() if not np.isnan(score[0])}


def compare(ours: Sequence[Revision], theirs: Sequence[Revision], split: str) -> PairedScores:
    """Compare runs with others, scene by scene.

    Args:
        ours: runs that differ in seeds alone.
        theirs: likewise.
        split: oof or test.
    """
    by_scene = [{scene.scene: scene for scene in run.scenes.get(split, [])} for run in (*ours, *theirs)]
    names = sorted(set.intersection(*map(set, by_scene)))
    left_out = len(set.union(*map(set, by_scene))) - len(names)
    if not names:
        return PairedScores(0, left_out=left_out)
    relabelled = sum(not _same_target([scenes[name] for scenes in by_scene]) for name in names)
    classes = [name for name in ours[0].class_names if all(name in run.class_names for run in (*ours, *theirs))]
    with_class = {label: _number_with(label, names, by_scene, (*ours, *theirs)) for label in classes}
    few = len(names) < MIN_SCENES
    times = times_drawn(len(names), 0 if few else SAMPLES, SEED)
    scores = [
        scores_of([scenes[name] for name in names], times, run.class_names, classes)
        for scenes, run in zip(by_scene, (*ours, *theirs), strict=True)
    ]
    of_ours, of_theirs = (
        {name: np.mean([each[name] for each in part], axis=0) for name in scores[0]}
        for part in (scores[: len(ours)], scores[len(ours) :])
    )

    def difference(name: str) -> Difference:
        """Of few scenes an interval would look like evidence; of a class, those that lack it add little."""
        number = with_class.get(name.partition(".")[2], len(names))
        if few or number < MIN_SCENES:
            return Difference(or_none(of_ours[name][0] - of_theirs[name][0]))
        return Difference.of(of_ours[name], of_theirs[name], expanded_percentiles(number))

    return PairedScores(
        len(names),
        with_class,
        left_out,
        relabelled,
        {name: or_none(values[0]) for name, values in of_ours.items()},
        {name: or_none(values[0]) for name, values in of_theirs.items()},
        {name: difference(name) for name in of_ours},
        {name: [float(each[name][0] - of_theirs[name][0]) for each in scores[: len(ours)]] for name in of_ours},
    )


def scores_of(
    scenes: Sequence[SceneCounts], times: Counts, class_names: Sequence[str], shown: Sequence[str]
) -> dict[str, Floats]:
    """Scores by name, float64 (D,) each, of scenes that count so often: `headlines`, and `<score>.<class>`.

    Args:
        scenes: their counts.
        times: int64 (D, S).
        class_names: of the counts.
        shown: those of which scores are given, and means over classes are.
    """
    columns = [0, *(class_names.index(name) + 1 for name in shown)]
    of_classes = {name: values[:, columns] for name, values in class_scores(scenes, times).items()}
    single = {
        f"{score}.{name}": values[:, number]
        for score, values in of_classes.items()
        for number, name in enumerate(shown, start=1)
    }
    return headlines(of_classes) | single


def _number_with(
    label: str, names: Sequence[str], by_scene: Sequence[Mapping[str, SceneCounts]], runs: Sequence[Revision]
) -> int:
    """On how many scenes a class is annotated in each of the runs."""
    rows = [run.class_names.index(label) + 1 for run in runs]
    return sum(
        all(scenes[name].confusion[row].any() for row, scenes in zip(rows, by_scene, strict=True)) for name in names
    )


def _same_target(scenes: Sequence[SceneCounts]) -> bool:
    """Whether all runs had the same annotations of a scene, as far as counts tell."""
    annotated = [np.append(scene.confusion.sum(axis=1), scene.objects[:, 2]).tolist() for scene in scenes]
    return all(each == annotated[0] for each in annotated)
