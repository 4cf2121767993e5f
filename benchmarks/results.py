"""Pool the results of recorded experiments into docs/results: numbers, a page of tables, and pictures."""

import math
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
from seepseg import figures
from seepseg.base.conventions import BACKGROUND
from seepseg.base.files import read_json, write_bytes, write_json
from seepseg.evaluation.annotated_slicks import annotated_slick_scores
from seepseg.evaluation.confusion import (
    binary_table,
    class_counts,
    divide,
    macro_mean,
    or_none,
    ratios,
)
from seepseg.evaluation.curves import THRESHOLDS, PrHistogram
from seepseg.evaluation.intervals import bootstrap_intervals
from seepseg.evaluation.scene_counts import (
    SceneCounts,
    calibration_error,
    confusion_rows,
    operating_point,
    pooled_scores,
    read_edges,
    reliability_curve,
)
from seepseg.evaluation.surface import surface_dice

SAMPLES, SEED = 2000, 1  # of the bootstrap
DPI = 80
AT_RANDOM = "_tiles_at_random"
HEADINGS = {
    "binary_dice": "binary Dice",
    "surface_dice_1": "surface Dice",
    "macro_dice": "macro Dice",
    "object_f1": "object F1",
    "macro_object_f1": "named object F1",
}
ANNOTATED = "annotated_macro_dice"
COMPARED = {**HEADINGS, ANNOTATED: "classes of annotated slicks"}
TOLD_BY_PASSES = ("macro_dice", "macro_object_f1", ANNOTATED)  # what other passes move: the rest is told without them
DETAILS = {
    "binary_iou": "binary IoU",
    "binary_precision": "precision",
    "binary_recall": "recall",
    "surface_dice_2": "surface Dice, 2 pixels",
    "surface_dice_3": "surface Dice, 3 pixels",
    "macro_surface_dice_1": "surface Dice, mean over classes",
    "object_precision": "object precision",
    "object_recall": "object recall",
}
SEEP_SCORES = {"precision": "precision", "recall": "recall"}
SEEP_SCORES_OF_ALL = {  # whether they are reported or not
    "recall_at_precision_0_95": "recall at a precision of 0.95",
    "average_precision": "average precision",
}
CONFIRMED = {  # of seeps from the first half of the passes
    "confirmed_by_1": "confirmed by an annotated slick of the second half",
    "by_chance_1": "by chance",
    "confirmed_by_2": "by two passes",
    "by_chance_2": "by chance",
}
RENAMED = {"surface_dice_1": "surface_dice"}  # to names that older records have

Result = dict[str, Any]


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
        if _knows_passes(found) and not _is_short(recipe):
            document[f"{recipe}{AT_RANDOM if random else ''}"]["passes"] = what_passes_add(first_seeds(found))
    if ("default", False) in groups:
        document["default"]["seeps"] = seeps_of(first_seeds(groups["default", False]))
    write_json(folder / "cross_validation.json", document)
    write_bytes(folder / "README.md", page(document).encode())
    if any(map(_is_short, document)):
        write_bytes(folder / "ablation.md", ablation_page(document).encode())
    if "default" in document:
        for name, figure in pictures(first_seeds(groups["default", False])).items():
            write_bytes(folder / f"{name}.png", figures.png_bytes(figure, DPI))
    return document


def pool(results: list[Result]) -> Result:
    """Scores of one recipe, of the scenes that `counts_of` counts, and their spread over seeds."""
    short = _is_short(results[0]["recipe"])
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
    alone = headlines(without, [each.scene for each in without.scenes], np.ones((1, len(without.scenes)), int))[0]
    found = dict(zip(COMPARED, map(or_none, alone), strict=True))
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
    scenes = sorted({each.scene for each in recipe.scenes} & {each.scene for each in base.scenes})
    if not scenes:
        return {"scenes": 0}
    draws = np.random.default_rng(SEED).multinomial(len(scenes), np.full(len(scenes), 1 / len(scenes)), size=SAMPLES)
    times = np.concatenate([np.ones((1, len(scenes)), int), draws])
    found = headlines(recipe, scenes, times) - headlines(base, scenes, times)
    compared: Result = {"scenes": len(scenes)}
    for name, (whole, *drawn) in zip(COMPARED, found.T, strict=True):
        values = [None] * 3 if np.isnan(whole) else map(float, (whole, *np.nanpercentile(drawn, (2.5, 97.5))))
        compared |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
    return compared


def headlines(known: Counted, scenes: list[str], times: Any) -> Any:
    """The scores of `COMPARED`, float64 (D, 6), of S scenes that count so often, int (D, S); NaN for none."""
    by_scene = {each.scene: each for each in known.scenes}
    counts = [by_scene[scene] for scene in scenes]
    confusion = np.tensordot(times, np.stack([each.confusion for each in counts]), 1)
    tp, n_pred, n_target = np.moveaxis(np.tensordot(times, np.stack([each.objects for each in counts]), 1), -1, 0)
    f1, present = divide(2 * tp, n_pred + n_target), n_target[:, 1:] > 0
    found = {
        "binary_dice": ratios(*class_counts(binary_table(confusion)))["dice"][:, 0],
        "surface_dice_1": surface_dice(np.tensordot(times, np.stack([each.edges for each in counts]), 1))[:, 0, 0],
        "macro_dice": _macro_dice(confusion),
        "object_f1": f1[:, 0],
        "macro_object_f1": divide(np.where(present, f1[:, 1:], 0).sum(axis=1), present.sum(axis=1)),
        ANNOTATED: np.full(len(times), np.nan),
    }
    if all(scene in known.annotated for scene in scenes):
        tables = np.tensordot(times, np.stack([known.annotated[scene] for scene in scenes]), 1)
        found[ANNOTATED] = _macro_dice(np.pad(tables, ((0, 0), (1, 0), (1, 0))))
    return np.stack([found[name] for name in COMPARED], axis=1)


def _macro_dice(confusion: Any) -> Any:
    """float64 (D,), of tables (D, K+1, K+1)."""
    return macro_mean(confusion, ratios(*class_counts(confusion))["dice"])


def counted(results: list[Result]) -> Counted:
    """What was counted in the scenes of `counts_of`; of short recipes, without annotated slicks."""
    if _is_short(results[0]["recipe"]):
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
    return (counts_of_all_scenes if _is_short(results[0]["recipe"]) else counts_of_test_scenes)(results)


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


def page(document: dict[str, Result]) -> str:
    """The tables for people, of all recipes but the short ones."""
    shown = {key: pooled for key, pooled in document.items() if not _is_short(key)}
    lines = [
        "# Results on test scenes",
        "",
        "Written by `python -m benchmarks.cross_validation`; every number comes from the experiments in `runs/`.",
        "Each scene is a test scene in one fold: [folds.csv](folds.csv). Scores are of pixels and slicks counted over",
        "all folds together; in brackets 95 % intervals from a bootstrap over scenes. A slick is a connected object of",
        "a whole scene (8 neighbours). It is detected where a predicted one overlaps it with an IoU of at least 0.3,",
        "one to one; named object F1 also needs the right class, and is the mean over classes. *Classes of annotated",
        "slicks* is the macro Dice of slicks that are outlined as annotated and then classified. Surface Dice is the",
        "share of edge pixels, of annotated and of predicted slicks, within 1 pixel of an edge pixel of the other, or",
        "2 or 3 pixels where that is said. `-` is for runs from before it was counted.",
        "",
        "Parameters, keys and recipes were renamed after these runs. The files have the new names; the code of the",
        "commit that a run states has the older ones. Options that did not help were removed: their recipes are marked",
        "with the last commit that has them. That commit also has the backend OpenVINO, which was no faster than",
        "`compile`. `no_passes` and all that is compared with it were recorded before other passes over the same",
        "ground told of classes.",
    ]
    if len(shown) < len(document):
        lines += ["", "What changes to the training do, in short runs, is in [ablation.md](ablation.md)."]
    lines += [
        "",
        *_scores(shown),
        *_passes(shown),
        *_differences(shown),
        *_details(shown),
        *_classes(shown),
        *_seeds(shown),
        *_seeps(shown),
    ]
    if "default" in shown:
        error = shown["default"]["calibration_error"]
        lines += [
            "",
            f"Expected calibration error of the probability of any class, default recipe: {error:.4f}.",
            "",
            "![Confusion](confusion.png)",
            "",
            "![Classes of annotated slicks](annotated_confusion.png)",
            "",
            "![Precision and recall of any class, with the point after post-processing](precision_recall.png)",
            "",
            "![Reliability](reliability.png)",
        ]
    return "\n".join(lines) + "\n"


def ablation_page(document: dict[str, Result]) -> str:
    """The tables of the short recipes."""
    shown = {key: pooled for key, pooled in document.items() if _is_short(key)}
    lines = [
        "# One change at a time",
        "",
        "Written as [the results of the whole recipe](README.md) are, which say what the columns mean. `short` is the",
        "default with 7 epochs instead of 20; every other row changes one thing of it. Scores are of all scenes: test",
        "scenes of fold 0 through all four networks of a run, training scenes out of fold, through the one network",
        "that was not trained on them. (Post-processing was fitted on the latter.) A row is of all runs of a recipe",
        "together, most often a single one: see at the end how far luck alone moves a run. Surface Dice is of the runs",
        "that counted edges, which older ones didn't. In the runs on a GPU, networks with an odd number of training",
        "tiles, two of four, hardly averaged their weights, by a bug that was mended later: `short` and",
        "`short+surface_loss` have one such run each.",
        "",
        *_scores(shown),
    ]
    if seeds := shown.get("short", {}).get("seeds"):
        known = {name: [value for value in seeds[name] if value is not None] for name in HEADINGS}
        luck = {name: max(values) - min(values) for name, values in known.items() if len(values) > 1}
        lines += _differences(shown, luck)
    return "\n".join(lines + _classes(shown) + _seeds(shown)) + "\n"


def _base_of(recipe: str, results: list[Result]) -> str:
    """What a recipe changes one thing of: the default, or that without other passes if the code knew of none."""
    if _is_short(recipe):
        return "short"
    return "default" if _knows_passes(results) else "no_passes"


def _knows_passes(results: list[Result]) -> bool:
    return all("alone" in scene for result in results for scene in result["scenes"])


def _is_short(key: str) -> bool:
    return f"{key}+".startswith("short+")


def _scores(document: dict[str, Result]) -> list[str]:
    """Lines of Markdown, as those of the tables below."""
    recipes = read_recipes()
    lines = [
        "| recipe | folds | " + " | ".join(HEADINGS.values()) + " | classes of annotated slicks | minutes a fold |",
        "| --- | --- |" + " --- |" * (len(HEADINGS) + 2),
    ]
    for key, pooled in document.items():
        recipe = recipes[key.removesuffix(AT_RANDOM).split("+")[-1]]
        what = recipe["what"] + (f" (removed; last in {recipe['removed']})" if "removed" in recipe else "")
        if key.endswith(AT_RANDOM):
            what += f", tiles at random: {pooled['leakage']:.0%} of the test tiles touch a training tile"
        for gpu, runs in pooled["gpus"].items():
            what += f" ({gpu})" if runs == pooled["runs"] else f" ({runs} of {pooled['runs']} runs on {gpu})"
        cells = [_with_interval(pooled, name) for name in HEADINGS]
        minutes = pooled["minutes_per_fold"]
        cells += [_with_interval(pooled["annotated"], "macro_dice"), "-" if minutes is None else f"{minutes:.0f}"]
        folds = ", ".join("random" if fold is None else str(fold) for fold in pooled["folds"])
        lines.append(f"| `{key}`: {what} | {folds} | " + " | ".join(cells) + " |")
    return lines


def _differences(document: dict[str, Result], luck: dict[str, float] | None = None) -> list[str]:
    """What each row adds to its base; `luck` is how far seeds move each score."""
    against = {key: pooled["against"] for key, pooled in document.items() if pooled.get("against", {}).get("scenes")}
    if not against:
        return []
    lines = ["", "What each change adds, on the same scenes and with the same draws of them:", ""]
    if luck:
        lines[2:] = ["(Bold: the interval leaves out 0, and seeds alone move `short` less than this.)", ""]
    lines += ["| recipe | against | scenes | " + " | ".join(COMPARED.values()) + " |"]
    lines += ["| --- | --- | --- |" + " --- |" * len(COMPARED)]
    for key, found in against.items():
        cells = []
        for name in COMPARED:
            cell, (value, low, high) = (
                _difference(found, name),
                (found[f"{name}{end}"] for end in ("", "_low", "_high")),
            )
            sure = luck and value is not None and low * high > 0 and abs(value) > luck.get(name, math.inf)
            cells.append(f"**{cell}**" if sure else cell)
        lines.append(f"| `{key}` | `{found['base']}` | {found['scenes']} | " + " | ".join(cells) + " |")
    return lines


def _passes(document: dict[str, Result]) -> list[str]:
    """What classes gain by other passes over the same ground."""
    known = {key: pooled["passes"] for key, pooled in document.items() if "passes" in pooled}
    if not known:
        return []
    lines = [
        "",
        "What other passes over the same ground add to classes: the score without them, and the difference, of",
        "the same networks, candidates and outlines:",
        "",
    ]
    lines += ["| recipe | scenes | " + " | ".join(COMPARED[name] for name in TOLD_BY_PASSES) + " |"]
    lines += ["| --- | --- |" + " --- |" * len(TOLD_BY_PASSES)]
    for key, found in known.items():
        cells = [f"{_shown(found['alone'][name])} {_difference(found['added'], name)}" for name in TOLD_BY_PASSES]
        lines.append(f"| `{key}` | {found['added']['scenes']} | " + " | ".join(cells) + " |")
    return lines


def _seeps(document: dict[str, Result]) -> list[str]:
    """How right seeps are, of scenes that see the same ground."""
    found = document.get("default", {}).get("seeps")
    if found is None:
        return []
    lines = [
        "",
        "Seeps that the default finds in all passes, against those from annotated slicks: [seeps.md](../seeps.md) says",
        "how. In the run of a fold most passes are training scenes, whose slicks are found out of fold, by one network",
        "each. *Held out* takes from each run the slicks of its test scenes alone, which all its networks find.",
        "",
    ]
    columns = [*SEEP_SCORES.values(), *SEEP_SCORES_OF_ALL.values(), "average precision of the published rule"]
    columns += CONFIRMED.values()
    lines += ["| fold | reported | " + " | ".join(columns) + " |", "| --- | --- |" + " --- |" * len(columns)]
    for fold, seeps in [*found["of_each_fold"].items(), ("held out", found["held_out"])]:
        annotated, rule, confirmed = (seeps[part] or {} for part in ("annotated", "published_rule", "confirmed"))
        cells = [_shown(annotated.get(name)) for name in SEEP_SCORES]
        cells += [_shown(annotated.get("all", {}).get(name)) for name in SEEP_SCORES_OF_ALL]
        cells.append(_shown(rule.get("all", {}).get("average_precision")))
        cells += [_shown(confirmed.get(name)) for name in CONFIRMED]
        lines.append(f"| {fold} | {seeps['reported']} | " + " | ".join(cells) + " |")
    return lines


def _difference(found: Result, name: str) -> str:
    """Of a score of `compare`, with its interval."""
    value, low, high = (found[f"{name}{end}"] for end in ("", "_low", "_high"))
    return "-" if value is None else f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def _details(document: dict[str, Result]) -> list[str]:
    lines = [
        "",
        "More scores of pixels and objects; and, as `oof` and a mean over folds, the scores of training scenes out of",
        "fold, each through networks and classifiers that were not trained on it:",
        "",
    ]
    headings = [*DETAILS.values(), *(f"oof {heading}" for heading in HEADINGS.values())]
    lines += ["| recipe | " + " | ".join(headings) + " |", "| --- |" + " --- |" * len(headings)]
    for key, pooled in document.items():
        cells = [_shown(pooled[name]) for name in DETAILS] + [_shown(pooled["oof_scores"][name]) for name in HEADINGS]
        lines.append(f"| `{key}` | " + " | ".join(cells) + " |")
    return lines


def _classes(document: dict[str, Result]) -> list[str]:
    names = next(iter(document.values()))["class_names"]
    lines = ["", "Dice of each class, of pixels as predicted and of annotated slicks that are classified:", ""]
    lines += ["| recipe | | " + " | ".join(names) + " |", "| --- | --- |" + " --- |" * len(names)]
    for key, pooled in document.items():
        for what, source in (("predicted", pooled), ("annotated slicks", pooled["annotated"])):
            lines.append(f"| `{key}` | {what} | " + " | ".join(_shown(source["dice"][name]) for name in names) + " |")
    return lines


def _seeds(document: dict[str, Result]) -> list[str]:
    lines = []
    for key, pooled in document.items():
        seeds = pooled["seeds"]
        if len(seeds["seeds"]) > 1:
            lines += ["", f"Spread over seeds {', '.join(map(str, seeds['seeds']))} of `{key}`, fold {seeds['fold']}: "]
            lines[-1] += "; ".join(
                f"{heading} {', '.join(_shown(value) for value in seeds[name])}"
                for name, heading in HEADINGS.items()
                if None not in seeds[name]
            )
    return lines


def summary(pooled: Result) -> str:
    """The headline scores of a recipe in a line."""
    return ", ".join(f"{heading} {_shown(pooled[name])}" for name, heading in HEADINGS.items())


def _mean(values: list[Any]) -> float | None:
    """None where one is unknown."""
    return None if None in values else mean(values)


def _with_interval(pooled: Result, name: str) -> str:
    low, high = (pooled.get(f"{name}_{end}") for end in ("low", "high"))
    return _shown(pooled[name]) + ("" if low is None else f" ({_shown(low)} – {_shown(high)})")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
