"""The run at a glance: what was trained on what, and how good it is, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from seepseg.report.contents import OF_SPLIT, Score
from seepseg.report.scene_page import Part

Document = dict[str, Any]

# What is shown of the scores, those that count most first, and what people read from each.
SHOWN_SCORES = {
    "object_f1": (
        "Slicks (object F1)",
        "{object_recall} of the annotated slicks are found, {object_precision} of those reported are annotated.",
    ),
    "macro_object_f1": (
        "Slicks and their classes (named object F1)",
        "The same where the class must be right, too: {macro_object_f1} as the mean over classes, rare ones and all.",
    ),
    "binary_dice": (
        "Area (binary Dice)",
        "{binary_recall} of the annotated area is reported, {binary_precision} of the area reported is annotated.",
    ),
    "surface_dice_1": (
        "Edges (surface Dice, 1 pixel)",
        "{surface_dice_1} of the edges, annotated and reported ones, have the other within a pixel.",
    ),
    "macro_dice": (
        "Area and classes (macro Dice)",
        "The area where the class must be right, too, as the mean over the classes: {macro_dice}.",
    ),
}
CLASS = "class"  # with a name, the column that counts the slicks of that class
UNKNOWN = "an unknown share"
OUTLINES = "perfect_outline_"


@dataclass(frozen=True)
class TrainedModel:
    """What learnt.

    Attributes:
        networks: how many there are.
        model: their kind.
        leakage: share of the test tiles that touch a training tile of their own scene; None where that is unknown.
        min_iou: overlap from which on a slick counts as found.
    """

    networks: int
    model: str
    leakage: float | None
    min_iou: float


def data_by_split(parts: Sequence[Part], class_names: Sequence[str]) -> pd.DataFrame:
    """What there is in each split.

    Args:
        parts: all scenes.
        class_names: the K classes.

    Returns:
        By split, test and oof as far as there are scenes of it: `scenes`, `tiles`, `km2`, `first` and `last` (dates,
        empty where one is unknown), `slicks` (annotated), and those of each class, columns (`CLASS`, name).
    """
    rows = {}
    for split in OF_SPLIT:
        of = [part for part in parts if part.page.split == split]
        if of:
            slicks, days = pd.concat([part.page.slicks for part in of]), [part.date for part in of]
            annotated = slicks.loc[slicks["kind"] == "annotated", "class_name"]
            of_class: dict[Any, int] = {(CLASS, name): int((annotated == name).sum()) for name in class_names}
            rows[split] = {
                "scenes": len({part.page.name for part in of}),
                "tiles": sum(part.tiles for part in of),
                "km2": sum(part.km2 for part in of),
                "first": min(days) if all(days) else "",
                "last": max(days) if all(days) else "",
                "slicks": len(annotated),
                **of_class,
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def summary(learnt: TrainedModel, data: pd.DataFrame, evaluated: Document, seeps: Document | None) -> list[str]:
    """What was trained on what, and what came of it.

    Args:
        learnt: what learnt.
        data: see `data_by_split`.
        evaluated: scores by split, as in metrics/evaluate.json.
        seeps: as in metrics/seeps.json; None where there is no such file.
    """
    lines = [_training(learnt, data), _test(learnt, data)]
    for split in data.index:
        lines += _found(split, evaluated[split], learnt.min_iou)
    return [*lines, *_seeps(seeps)]


def scores_at_a_glance(evaluated: Document) -> dict[str, list[Score]]:
    """The scores that count most, by split.

    Args:
        evaluated: as in metrics/evaluate.json.
    """
    return {
        split: [
            Score(
                name,
                title,
                _in_words(meaning, evaluated[split]) if evaluated[split].get(name) is not None else "There is none.",
                evaluated[split].get(name),
                evaluated[split].get(f"{name}_low"),
                evaluated[split].get(f"{name}_high"),
                _baselines(name, evaluated[split]["baseline"]),
            )
            for name, (title, meaning) in SHOWN_SCORES.items()
        ]
        for split in OF_SPLIT
        if split in evaluated
    }


def percent(share: float | None) -> str:
    """A share for people."""
    return UNKNOWN if share is None else f"{100 * share:.0f} %"


def _in_words(text: str, document: Document) -> str:
    shares = {name: percent(value) for name, value in document.items() if value is None or isinstance(value, float)}
    words = text.format(**shares)
    return words[0].upper() + words[1:]


def _baselines(name: str, baselines: Document) -> dict[str, float | None]:
    """Scores of trivial predictions, by what they do; perfect outlines say nothing of scores of outlines."""
    known = {
        key: scores[name]
        for key, scores in baselines.items()
        if name in scores and not (name.startswith("binary") and key.startswith(OUTLINES))
    }
    return {
        f"perfect outlines, all of {key.removeprefix(OUTLINES)}" if key.startswith(OUTLINES) else "nothing found": value
        for key, value in known.items()
    }


def _training(learnt: TrainedModel, data: pd.DataFrame) -> str:
    what = "1 network" if learnt.networks == 1 else f"{learnt.networks} networks"
    if "oof" not in data.index:
        return f"{what} ({learnt.model}); no training scene is out of fold."
    each = "" if learnt.networks == 1 else ", each from all but its own part of them"
    return f"{what} ({learnt.model}) learnt from {_extent(data.loc['oof'])}{each}."


def _test(learnt: TrainedModel, data: pd.DataFrame) -> str:
    if "test" not in data.index:
        return (
            "No scene is kept for a test: all scores are of training scenes, each predicted by what was not trained on "
            "it, and a little too good, as thresholds were fitted to them."
        )
    kept = f"Nothing was learnt from {_extent(data.loc['test'])}, kept for the test."
    if learnt.leakage is None:
        return f"{kept} Whether their tiles touch training tiles is unknown, as these have no place in their scenes."
    if learnt.leakage:
        return (
            f"{kept} But {percent(learnt.leakage)} of their tiles touch a training tile, so their scores are too good."
        )
    return f"{kept} None of their tiles touches a training tile."


def _extent(row: pd.Series) -> str:
    """Scenes, tiles, ground, dates and slicks."""
    parts = [_count(row["tiles"], "tile")]
    if pd.notna(row["km2"]):
        parts.append(f"{row['km2']:,.0f} km²")
    if row["first"]:
        parts.append(row["first"] if row["first"] == row["last"] else f"{row['first']} to {row['last']}")
    parts.append(_count(row["slicks"], "annotated slick"))
    return f"{_count(row['scenes'], 'scene')} ({', '.join(parts)})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _found(split: str, document: Document, min_iou: float) -> list[str]:
    """What came of it in one split."""
    if document["object_recall"] is None:
        return [f"On {OF_SPLIT[split]}, no slick is annotated."]
    seen = "" if split == "test" else ", each seen by what was not trained on it"
    words = (
        f"On {OF_SPLIT[split]}{seen}, {percent(document['object_recall'])} of the annotated slicks are found, with an "
        f"overlap of at least {percent(min_iou)}, and {percent(document['object_precision'])} of those reported are "
        f"annotated. By area, {percent(document['binary_recall'])} of what is annotated is reported, and "
        f"{percent(document['binary_precision'])} of what is reported is annotated."
    )
    dice = sorted(((value, name) for name, value in document["dice"].items() if value is not None), reverse=True)
    if len(dice) < 2:
        return [words]
    best, worst = dice[0], dice[-1]
    return [
        words,
        f"Area and class are right most often of {best[1]} (Dice {best[0]:.2f}), least of {worst[1]} ({worst[0]:.2f}).",
    ]


def _seeps(seeps: Document | None) -> list[str]:
    if seeps is None:
        return []
    if not seeps.get("passes"):
        return ["No two scenes show the same ground, so there are no seeps to find."]
    found = _count(seeps["reported"] - seeps["platforms"], "seep")
    if seeps["platforms"]:
        found += f" and {_count(seeps['platforms'], 'platform')}"
    return [f"{seeps['passes']} passes show {found}, of which {seeps['expected_false']:.1f} are expected to be chance."]
