"""The pages of docs/results, in Markdown: the tables of what was pooled from recorded experiments."""

import math
from typing import Any

from benchmarks.recipe import read_recipes

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
SEEP_SCORES = ("precision", "recall")
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

Result = dict[str, Any]


def page(document: dict[str, Result]) -> str:
    """The tables for people, of all recipes but the short ones."""
    shown = {key: pooled for key, pooled in document.items() if not is_short(key)}
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
        "ground told of classes. Rows of different folds are of different scenes: what differs on the",
        "same ones is told below.",
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
    shown = {key: pooled for key, pooled in document.items() if is_short(key)}
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


def is_short(key: str) -> bool:
    """Whether a recipe trains for fewer epochs, for comparisons among themselves."""
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
    columns = [*SEEP_SCORES, *SEEP_SCORES_OF_ALL.values(), "average precision of the published rule"]
    columns += CONFIRMED.values()
    lines += [
        "| fold | passes | reported | " + " | ".join(columns) + " |",
        "| --- | --- | --- |" + " --- |" * len(columns),
    ]
    for fold, seeps in [*found["of_each_fold"].items(), ("held out", found["held_out"])]:
        annotated, rule, confirmed = (seeps[part] or {} for part in ("annotated", "published_rule", "confirmed"))
        cells = [_shown(annotated.get(name)) for name in SEEP_SCORES]
        cells += [_shown(annotated.get("all", {}).get(name)) for name in SEEP_SCORES_OF_ALL]
        cells.append(_shown(rule.get("all", {}).get("average_precision")))
        cells += [_shown(confirmed.get(name)) for name in CONFIRMED]
        lines.append(f"| {fold} | {seeps['passes']} | {seeps['reported']} | " + " | ".join(cells) + " |")
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


def _with_interval(pooled: Result, name: str) -> str:
    low, high = (pooled.get(f"{name}_{end}") for end in ("low", "high"))
    return _shown(pooled[name]) + ("" if low is None else f" ({_shown(low)} – {_shown(high)})")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
