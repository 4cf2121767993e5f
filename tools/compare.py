"""Compare two runs, ``make compare REV=...``: what differs in scores, parameters and seeps, and is it chance?

    python -m tools.compare              # the workspace with HEAD, or with the run before if both score the same
    python -m tools.compare REV          # with a commit, a branch, a tag or an experiment of DVC
    python -m tools.compare REV OTHER    # OTHER with REV

Both need to have run: scores come from `data/predictions/scenes.json` in DVC's cache. Writes report/comparison.html.
"""

import argparse
import json
from pathlib import Path

from seepseg.base.command import run_stage
from seepseg.base.errors import InputError
from seepseg.evaluation.paired import Difference
from seepseg.report.contents import Table
from tools.chance import MIN_SCENES, verdict
from tools.comparing import PairedScores, compare
from tools.revisions import METRICS, NETWORKS, WORKSPACE, History, Revision, differences
from tools.showing import SPLITS, TITLES, as_text, difference, score, value, with_difference, write_page

PAGE = Path("report/comparison.html")
OF_CLASSES = {"dice": "Dice", "object_f1": "object F1", "surface_dice_1": TITLES["surface_dice_1"]}
INTERVALS = (
    "In brackets: 95 % intervals from a bootstrap over scenes, the same draws for both runs. Where an interval leaves "
    f"out 0, the difference is beyond chance of scenes. With fewer than {MIN_SCENES} scenes, of a class those on which "
    "it is annotated, nothing can be told: of 5, all go the same way by chance once in 16."
)
ONE_SEED = (
    "The networks were trained anew, with one seed. Other seeds alone move scores, too: run both with several values "
    "of train.seed, and see `make experiments`."
)
SAME_NETWORKS = "Both runs have the same networks."


def main() -> None:
    """Compare, print and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rev", nargs="?", help="what to compare with (default: HEAD, or the run before)")
    parser.add_argument("other", nargs="?", default=WORKSPACE, help="what to compare (default: the workspace)")
    arguments = parser.parse_args()
    history = History(Path())
    base = history.revision(arguments.rev or history.run_before())
    other = history.revision(arguments.other)
    title = f"{other.name} against {base.name}"
    paragraphs, tables = content(base, other)
    print("\n\n".join([title, *paragraphs, *map(as_text, tables)]))
    write_page(PAGE, title, paragraphs, tables)


def content(base: Revision, other: Revision) -> tuple[list[str], list[Table]]:
    """What is said of two runs, and the tables; without intervals where DVC's cache hasn't got the counts of both."""
    try:
        compared, missing = {split: compare([other], [base], split) for split in SPLITS}, []
    except InputError as error:
        compared, missing = {split: of_metrics(base, other, split) for split in SPLITS}, [f"No intervals: {error}."]
    retrained = base.hashes.get(NETWORKS) != other.hashes.get(NETWORKS)
    paragraphs = [*(missing or [INTERVALS]), ONE_SEED if retrained else SAME_NETWORKS, *remarks(base, other, compared)]
    tables = [params_table(base, other), scores_table(base, other, compared, retrained)]
    tables += [classes_table(name, heading, compared, retrained) for name, heading in OF_CLASSES.items()]
    return paragraphs, [table for table in (*tables, seeps_table(base, other)) if table.rows]


def of_metrics(base: Revision, other: Revision, split: str) -> PairedScores:
    """The scores that stand in metrics/evaluate.json, which git has; nothing is known of scenes."""
    theirs, ours = (json.loads(run.text(METRICS) or "{}").get(split, {}) for run in (base, other))
    both = {name for name in TITLES if isinstance(ours.get(name), float) and isinstance(theirs.get(name), float)}
    return PairedScores(
        0,
        ours={name: ours.get(name) for name in TITLES},
        theirs={name: theirs.get(name) for name in TITLES},
        differences={name: Difference(ours[name] - theirs[name] if name in both else None) for name in TITLES},
    )


def remarks(base: Revision, other: Revision, compared: dict[str, PairedScores]) -> list[str]:
    """What besides parameters is not the same."""
    said = [] if base.params != other.params else ["No parameter differs."]
    if modules := [path for path, *_ in differences(base.code, other.code)]:
        shown = [*modules[:5], *(["..."] if len(modules) > 5 else [])]
        said.append(f"The code differs, too, in {len(modules)} modules: {', '.join(shown)}")
    if base.class_names != other.class_names:
        both = [name for name in other.class_names if name in base.class_names]
        said.append(f"The classes differ; scores of classes are of those that both have: {', '.join(both) or 'none'}.")
    for split, found in compared.items():
        if not found.ours:
            said.append(f"None of the {SPLITS[split]} are in both runs.")
        elif found.left_out:
            said.append(f"{found.left_out} of the {SPLITS[split]} are in one of both runs only, and left out.")
        if found.relabelled:
            said.append(f"{found.relabelled} of the {SPLITS[split]} are annotated otherwise, which moves scores, too.")
    return said


def params_table(base: Revision, other: Revision) -> Table:
    """The parameters that differ."""
    rows = [[key, value(before), value(now)] for key, before, now in differences(base.params, other.params)]
    return Table("Parameters that differ", "", ["parameter", base.name, other.name], rows)


def scores_table(base: Revision, other: Revision, compared: dict[str, PairedScores], retrained: bool) -> Table:
    """The scores that tell most, of each split."""
    rows = []
    for split, found in compared.items():
        for name, title in TITLES.items() if found.ours else ():
            rows.append(
                [
                    title,
                    f"{SPLITS[split]}: {found.scenes}" if found.scenes else SPLITS[split],
                    score(found.theirs[name]),
                    score(found.ours[name]),
                    difference(found.differences[name]),
                    verdict(found.differences[name], found.scenes, retrained),
                ]
            )
    return Table("Scores", "", ["score", "scenes", base.name, other.name, "difference", ""], rows)


def classes_table(name: str, heading: str, compared: dict[str, PairedScores], retrained: bool) -> Table:
    """A score of each class, on both splits."""
    columns = [each for split, title in SPLITS.items() if compared[split].scenes for each in (title, "")]
    rows: dict[str, list[str]] = {}
    for found in compared.values():
        for key, each in found.differences.items():
            measure, _, label = key.partition(".")
            if measure == name and label:
                cells = with_difference(found.ours[key], each), verdict(each, found.counted(key), retrained)
                rows.setdefault(label, [label]).extend(cells)
    return Table(f"{heading} of each class", "", ["class", *columns], list(rows.values()))


def seeps_table(base: Revision, other: Revision) -> Table:
    """The numbers of metrics/seeps.json that differ; none where one has no seeps."""
    both = base.seeps(), other.seeps()
    rows = [[key, value(before), value(now)] for key, before, now in differences(*both)] if all(both) else []
    note = "Numbers of metrics/seeps.json that differ. No intervals: all passes together tell of a seep."
    return Table("Seeps", note, ["", base.name, other.name], rows)


if __name__ == "__main__":
    run_stage(main)
