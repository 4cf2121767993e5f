"""Pool the results of recorded experiments into docs/results: numbers, pages of tables, and pictures."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.held_out_seeps import held_out_seeps
from benchmarks.recipe import read_recipes
from benchmarks.repository import RESULTS
from benchmarks.result_pages import (
    ANNOTATED,
    AT_RANDOM,
    COMPARED,
    HEADINGS,
    TOLD_BY_PASSES,
    Result,
    ablation_page,
    is_short,
    page,
)
from seepseg import figures
from seepseg.base.conventions import BACKGROUND
from seepseg.base.files import read_json, write_bytes, write_json
from seepseg.evaluation.annotated_slicks import annotated_slick_scores
from seepseg.evaluation.confusion import or_none
from seepseg.evaluation.curves import THRESHOLDS, PrHistogram
from seepseg.evaluation.intervals import bootstrap_intervals, dice_scores, mean_of_classes
from seepseg.evaluation.paired import Difference, class_scores, headlines, times_drawn
from seepseg.evaluation.scene_counts import (
    SceneCounts,
    calibration_error,
    confusion_rows,
    operating_point,
    pooled_scores,
    read_edges,
    reliability_curve,
)

SAMPLES, SEED = 2000, 1  # of the bootstrap
DPI = 80
RENAMED = {"surface_dice_1": "surface_dice"}  # to names that older records have


@dataclass(frozen=True)
class Counted:
    """What was counted in each scene of a recipe.

    Attributes:
        scenes: each once.
        annotated: int64 (K, K) by scene, pixels of annotated slicks by actual and given class; without the scenes of
            records from before that was kept.
    """

    scenes: list[SceneCounts]
    annotated: dict[str, Any] = field(default_factory=dict)

    def of_scenes(self, names: list[str]) -> "Counted":
        """Some of the scenes, in this order."""
        by_scene = {each.scene: each for each in self.scenes}
        return Counted([by_scene[name] for name in names], self.annotated)


def write_all(runs: Path, folder: Path = RESULTS) -> dict[str, Result]:
    """Pool every recorded run and write numbers, pages and pictures.

    Args:
        runs: holds a JSON file for each experiment, as `benchmarks.cross_validation` writes them.
        folder: where to write.

    Returns:
        What is known of each recipe, by its name, see `pool`; nothing, and nothing is written, without a run.
    """
    results = [read_json(path) for path in sorted(runs.glob("*.json"))]
    if not results:
        return {}
    order = list(read_recipes())
    results.sort(key=lambda result: [order.index(name) for name in result["recipe"].split("+")])
    groups: dict[tuple[str, bool], list[Result]] = defaultdict(list)
    for result in results:
        groups[result["recipe"], result["fold"] is None].append(result)
    document = {f"{recipe}{AT_RANDOM if random else ''}": pool(found) for (recipe, random), found in groups.items()}
    for (recipe, random), found in groups.items():
        base = _base_of(recipe, found)
        if not random and recipe != base and (base, False) in groups:
            document[recipe]["against"] = {"base": base, **compare(counted(found), counted(groups[base, False]))}
        if _knows_passes(found) and not is_short(recipe):
            document[f"{recipe}{AT_RANDOM if random else ''}"]["passes"] = what_passes_add(first_seeds(found))
    if ("default", False) in groups:
        document["default"]["seeps"] = seeps_of(first_seeds(groups["default", False]))
    write_json(folder / "cross_validation.json", document)
    write_bytes(folder / "README.md", page(document).encode())
    if any(map(is_short, document)):
        write_bytes(folder / "ablation.md", ablation_page(document).encode())
    if "default" in document:
        for name, figure in pictures(first_seeds(groups["default", False])).items():
            write_bytes(folder / f"{name}.png", figures.png_bytes(figure, DPI))
    return document


def pool(results: list[Result]) -> Result:
    """Scores of one recipe, of the scenes that `counts_of` counts, and their spread over seeds."""
    short = is_short(results[0]["recipe"])
    chosen = results if short else first_seeds(results)
    names = class_names(chosen[0])
    counts = counts_of(results)
    by_pixel, by_slick = (sum_annotated(chosen, column, names, with_oof=short) for column in ("count", "slicks"))
    by_seed: dict[Any, list[Result]] = defaultdict(list)
    for result in results:
        by_seed[result["fold"]].append(result)
    fold, repeated = max(by_seed.items(), key=lambda item: len(item[1]))
    of_seeds = [pooled_scores(counts_of([result]), names, 1, SEED) for result in repeated]
    times = [result["seconds"] for result in chosen if result["seconds"] is not None]
    return {
        **pooled_scores(counts, names, SAMPLES, SEED),
        "annotated": annotated_slick_scores(by_pixel, by_slick, names) | annotated_intervals(counted(results)),
        "oof_scores": {key: _mean([_oof_score(result, key) for result in chosen]) for key in HEADINGS},
        "class_names": names,
        "folds": list(dict.fromkeys(result["fold"] for result in chosen)),
        "scenes": len(counts),
        "leakage": mean(result["leakage"] for result in chosen),
        "minutes_per_fold": median(times) / 60 if times else None,
        "commits": sorted({result["commit"] for result in results}),
        "gpus": dict(sorted(Counter(gpu for result in results if (gpu := result.get("gpu")) is not None).items())),
        "runs": len(results),
        "seeds": {
            "fold": fold,
            "seeds": [result["seed"] for result in repeated],
            **{key: [each[key] for each in of_seeds] for key in HEADINGS},
        },
    }


def seeps_of(results: list[Result]) -> Result:
    """Seeps against those from annotated slicks: of each run, by its fold, and from the test scenes of all together."""
    together = {"of_each_fold": {str(result["fold"]): result["seeps"] for result in results}}
    return together | {"held_out": held_out_seeps(results)}


def annotated_intervals(known: Counted) -> Result:
    """`macro_dice_low` and `macro_dice_high` of annotated slicks; nothing where scenes were not kept apart."""
    if not all(each.scene in known.annotated for each in known.scenes):
        return {}
    tables = np.stack([known.annotated[each.scene] for each in known.scenes])
    intervals = bootstrap_intervals(np.pad(tables, ((0, 0), (1, 0), (1, 0))), SAMPLES, SEED)
    return {key: value for key, value in intervals.items() if key.startswith("macro_dice")}


def what_passes_add(results: list[Result]) -> Result:
    """Scores of classes that are told without other passes, and what these add, see `compare`.

    Args:
        results: of each fold one, by code that knows other passes.
    """
    known, without = counted(results), counted([_without_passes(result) for result in results])
    once = np.ones((1, len(without.scenes)), int)
    found = {name: or_none(score[0]) for name, score in scores_of(without, once).items()}
    return {"alone": {name: found[name] for name in TOLD_BY_PASSES}, "added": compare(known, without)}


def _without_passes(result: Result) -> Result:
    """A result as if no scene had other passes; edges of classes are not known of it."""
    scenes = []
    for scene in result["scenes"]:
        edges = read_edges(scene)
        edges[1:] = np.nan
        alone = SceneCounts.from_json(scene | {"confusion": scene["alone"]["confusion"]})
        objects = np.vstack([alone.objects[:1], scene["alone"]["objects"]])
        scenes.append(replace(alone, objects=objects, edges=edges).to_json())
    annotated = {scene: {"count": each["alone"]} for scene, each in result["annotated_by_scene"].items()}
    return result | {"scenes": scenes, "annotated_by_scene": annotated}


def compare(recipe: Counted, base: Counted) -> Result:
    """What a recipe scores more than another on the scenes that both have, with 95 % intervals.

    Each resample of the bootstrap draws scenes once for both, so that what makes a scene hard for both cancels.

    Args:
        recipe: its counts.
        base: those of the other.

    Returns:
        `scenes`, their number, and of each score `<name>`, the difference, `<name>_low` and `<name>_high`, None where
        one of both doesn't have the score; without a scene that both have, no score.
    """
    names = sorted({each.scene for each in recipe.scenes} & {each.scene for each in base.scenes})
    if not names:
        return {"scenes": 0}
    times = times_drawn(len(names), SAMPLES, SEED)
    ours, theirs = (scores_of(known.of_scenes(names), times) for known in (recipe, base))
    compared: Result = {"scenes": len(names)}
    for name in COMPARED:
        found = Difference.of(ours[name], theirs[name])
        compared |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return compared


def scores_of(known: Counted, times: Any) -> dict[str, Any]:
    """The scores of `COMPARED`, float64 (D,) each, of S scenes that count so often, int (D, S); NaN for none."""
    found = headlines(class_scores(known.scenes, times))
    found[ANNOTATED] = np.full(len(times), np.nan)
    if all(each.scene in known.annotated for each in known.scenes):
        tables = np.tensordot(times, np.stack([known.annotated[each.scene] for each in known.scenes]), 1)
        found[ANNOTATED] = mean_of_classes(dice_scores(np.pad(tables, ((0, 0), (1, 0), (1, 0)))))
    return found


def counted(results: list[Result]) -> Counted:
    """What was counted in the scenes of `counts_of`; of short recipes, without annotated slicks."""
    if is_short(results[0]["recipe"]):
        return Counted(counts_of(results))
    tables = {
        scene: np.array(each["count"])
        for result in first_seeds(results)
        for scene, each in result.get("annotated_by_scene", {}).items()
    }
    return Counted(counts_of(results), tables)


def first_seeds(results: list[Result]) -> list[Result]:
    """The result with the lowest seed of each fold, in the order of the folds."""
    first: dict[Any, Result] = {}
    for result in sorted(results, key=lambda result: (result["seed"], result.get("gpu") is not None)):
        first.setdefault(result["fold"], result)
    return sorted(first.values(), key=lambda result: -1 if result["fold"] is None else result["fold"])


def counts_of(results: list[Result]) -> list[SceneCounts]:
    """The counts of a recipe, each scene once: `counts_of_all_scenes` for a short one, else `counts_of_test_scenes`."""
    return (counts_of_all_scenes if is_short(results[0]["recipe"]) else counts_of_test_scenes)(results)


def counts_of_test_scenes(results: list[Result]) -> list[SceneCounts]:
    """The counts of the test scenes of each fold, with its lowest seed."""
    return [SceneCounts.from_json(scene) for result in first_seeds(results) for scene in result["scenes"]]


def counts_of_all_scenes(results: list[Result]) -> list[SceneCounts]:
    """The counts of all scenes, those of several seeds added up, without the probabilities.

    Of test scenes they are those of the whole model, of training scenes those out of fold.
    """
    by_scene: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        for scene in result["scenes"] + result["oof"]["scenes"]:
            by_scene[scene["scene"]].append(scene)
    return [
        SceneCounts(
            name,
            np.sum([scene["confusion"] for scene in scenes], axis=0),
            np.sum([scene["objects"] for scene in scenes], axis=0),
            np.zeros((THRESHOLDS, 3)),
            _sum_edges(np.stack([read_edges(scene) for scene in scenes])),
        )
        for name, scenes in by_scene.items()
    ]


def _sum_edges(edges: Any) -> Any:
    """Edge pixels of a scene over the seeds whose edges were counted, (seeds, ...); NaN where none were."""
    return np.where(np.isnan(edges).all(axis=0), np.nan, np.nansum(edges, axis=0))


def _oof_score(result: Result, key: str) -> float | None:
    """A score of training scenes out of fold; None where it wasn't computed."""
    scores = result["oof_scores"]
    value: float | None = scores.get(key, scores.get(RENAMED.get(key)))
    return value


def class_names(result: Result) -> list[str]:
    """The classes, in the order of their target values."""
    return list(dict.fromkeys(result["annotated"]["actual"]))


def sum_annotated(results: list[Result], column: str, names: list[str], with_oof: bool = False) -> Any:
    """The classes given to annotated slicks, int64 (K, K), over all results; of test scenes or of all."""
    tables = [result["annotated"] for result in results]
    tables += [result["oof"]["annotated"] for result in results if with_oof]
    return np.sum([np.reshape(table[column], (len(names), len(names))) for table in tables], axis=0)


def pictures(results: list[Result]) -> dict[str, Any]:
    """Confusions, precision and recall, and reliability of all folds together."""
    counts, names = counts_of_test_scenes(results), class_names(results[0])
    split = "test scenes of all folds"
    table, annotated = np.sum([each.confusion for each in counts], axis=0), sum_annotated(results, "count", names)
    curve = pd.concat([any_class_curve(counts), pd.DataFrame([operating_point(counts)])]).assign(split=split)
    return {
        "confusion": figures.confusion_figure(confusion_rows(table, [BACKGROUND, *names]).assign(split=split)),
        "annotated_confusion": figures.confusion_figure(
            confusion_rows(annotated, names).assign(split=f"annotated slicks, {split}")
        ),
        "precision_recall": figures.precision_recall_figure(curve, []),
        "reliability": figures.reliability_figure(
            reliability_curve(counts).assign(split=split),
            {split: calibration_error(counts)},
        ),
    }


def any_class_curve(counts: list[SceneCounts]) -> pd.DataFrame:
    """Precision and recall of any class against background, by threshold."""
    pixels, slick, _ = np.sum([each.reliability for each in counts], axis=0).T
    histogram = PrHistogram([])
    histogram.counts[0], histogram.annotated[0] = (pixels - slick, slick), slick.sum()
    return histogram.curve()


def _base_of(recipe: str, results: list[Result]) -> str:
    """What a recipe changes one thing of: the default, or that without other passes if the code knew of none."""
    if is_short(recipe):
        return "short"
    return "default" if _knows_passes(results) else "no_passes"


def _knows_passes(results: list[Result]) -> bool:
    return all("alone" in scene for result in results for scene in result["scenes"])


def _mean(values: list[Any]) -> float | None:
    """None where one is unknown."""
    return None if None in values else mean(values)
