"""All experiments at a glance, ``make experiments``: what each changed, what it did, and whether that may be chance.

Experiments are those of ``dvc exp run``, each against the commit that it started from; the workspace counts as one
where its results are its own. Runs that differ in seeds alone stand in one row. Scores are computed from
`data/predictions/scenes.json` of each run, in DVC's cache. Writes report/experiments.html.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from seepseg.base.command import run_stage
from seepseg.base.errors import InputError
from seepseg.report.contents import Table
from tools.chance import BETTER, BY_CHANCE, COULD_BE, EQUAL, MIN_SCENES, UNTRIED, WORSE
from tools.comparing import Group, ScoreChange, against
from tools.revisions import IMAGES, History, Revision, differences, git
from tools.showing import SPLITS, TITLES, as_text, difference, score, signed, value, write_page

PAGE = Path("report/experiments.html")
SEEDS = ("train.seed", "classify.seed", "evaluate.seed", "seeps.seed")  # of luck alone
EXPLANATION = (
    "Each experiment against the commit that it started from, on the scenes that both have. In brackets: 95 % "
    f"intervals from a bootstrap over scenes, the same draws for both. With fewer than {MIN_SCENES} scenes nothing can "
    "be told: of 5, all go the same way by chance once in 16."
)
OF_SEEDS = (
    "Seeds: where there are runs that differ in seeds alone, intervals are wider by how far these lie apart (Student's "
    "t, with the standard deviation over all such runs; both half-widths add up as squares). An experiment with the "
    "networks of its baseline is free of the luck of training."
)
COLUMNS = ("experiment", "changed", "scenes", "seeds")
CELLS = "Of each score: a word; the difference with its interval, and by seed where there are several; the value."
SHORT = {
    BETTER: "better",
    WORSE: "worse",
    UNTRIED.format(BETTER): "better?",
    UNTRIED.format(WORSE): "worse?",
    COULD_BE: "~",
    EQUAL: "=",
}
LEGEND = (
    "better, worse: beyond chance. better?, worse?: beyond chance of scenes, other seeds not tried. ~: could be "
    "chance. ?: too few scenes. =: no difference."
)


@dataclass(frozen=True)
class Row:
    """An experiment and what it did, on one split.

    Attributes:
        group: its runs.
        told: of each score; of the baseline, without differences.
    """

    group: Group
    scenes: int
    remarks: str
    told: dict[str, ScoreChange]


def main() -> None:
    """Compare, print and write the page."""
    history = History(Path())
    paragraphs, pages, lines, told = list[str](), list[Table](), [LEGEND], list[ScoreChange]()
    for groups in sections(history, paragraphs):
        for split, title in SPLITS.items():
            rows = rows_of(groups, split)
            heading = f"{title[0].upper()}{title[1:]}, against {groups[0].name}"
            if not any(row.scenes for row in rows[1:]):
                paragraphs.append(f"{heading}: no scenes in common.")
                continue
            pages.append(Table(heading, CELLS, [*COLUMNS, *TITLES.values()], [whole(row) for row in rows]))
            lines.append(as_text(Table(heading, "", [COLUMNS[0], *TITLES.values()], [short(row) for row in rows])))
            told += [each for row in rows[1:] for each in row.told.values()]
        lines[1:1] = [f"{group.name}: {group.changed}" for group in groups[1:]]
    if pages:
        paragraphs[:0] = [EXPLANATION, OF_SEEDS]
    else:
        same = ", ".join(name for name, *_ in history.experiments)
        paragraphs.append(
            f"{same}: nothing differs but seeds, or can be read; `make compare REV=...` shows one of them."
            if same
            else "There is nothing to compare yet: run an experiment, as `dvc exp run -S loss.name=dicebce`."
        )
    paragraphs += by_chance(told)
    print("\n\n".join(["Experiments", *paragraphs, *(lines if pages else [])]))
    write_page(PAGE, "Experiments", paragraphs, pages)


def sections(history: History, paragraphs: list[str]) -> Iterator[list[Group]]:
    """Groups to compare, the baseline first; what can't be compared is added to the paragraphs."""
    for commit in baselines(history):
        said, runs = readable(history, commit)
        paragraphs += said
        for groups in groups_of(runs, history.known(commit)):
            names = groups[0].name
            if all(run.commit != commit for run in groups[0].runs) and len(runs) > 1:
                others = (
                    f"they are compared with {names}, which changes least" if len(groups) > 1 else f"only {names} is"
                )
                paragraphs.append(f"Commit {commit[:7]} has no scores of the images of some experiments; {others}.")
            if len(groups) > 1:
                yield groups


def baselines(history: History) -> list[str]:
    """The commits that experiments started from, and HEAD, the newest first."""
    commits = {git(history.folder, "rev-parse", "HEAD").strip(), *(baseline for *_, baseline in history.experiments)}
    return git(history.folder, "rev-list", "--no-walk=sorted", *sorted(commits)).split()


def readable(history: History, commit: str) -> tuple[list[str], list[Revision]]:
    """What can't be compared and why; and the runs of a baseline, the one of the commit itself first."""
    head = git(history.folder, "rev-parse", "HEAD").strip() == commit
    names = [(f"HEAD ({commit[:7]})" if head else commit[:7], commit)]
    names += [(name, rev) for name, rev, baseline in history.experiments if baseline == commit]
    said, runs = [], list[Revision]()
    for name, rev in names:
        try:
            run = history.read(name, rev)
            if run.scenes:
                runs.append(run)
        except InputError as error:
            said.append(f"Left out: {error}")
    if head and (own := history.workspace()):
        runs.append(own)
    return said if len(names) > 1 else [], runs


def groups_of(runs: list[Revision], base: Revision | None) -> list[list[Group]]:
    """Runs on the same images, those that did the same in one group; first the one that others are compared with.

    Args:
        runs: of one baseline.
        base: that of the baseline itself, or what is known of it; where it is not among the runs on some images, others
            are compared with the one that changes least.
    """
    on_images: dict[str | None, list[Revision]] = defaultdict(list)
    for run in runs:
        on_images[run.hashes.get(IMAGES)].append(run)
    found = []
    for together in on_images.values():
        first = min(together, key=lambda run: len(list(differences(base.params, run.params))) if base else 0)
        alike: dict[str, list[Revision]] = {what_ran(first): []}
        for run in together:
            alike.setdefault(what_ran(run), []).append(run)
        groups = [Group.of(each, changed(first, each[0])) for each in alike.values()]
        found.append([replace(groups[0], changed="what others are compared with"), *groups[1:]])
    return found


def what_ran(run: Revision) -> str:
    """All that a run did, but for its seeds."""
    params = {key: each for key, each in run.params.items() if key not in SEEDS}
    return json.dumps([params, run.code, run.data], sort_keys=True, default=str)


def changed(base: Revision, run: Revision) -> str:
    """What differs from the baseline, but seeds."""
    parts = [
        f"{key}: {value(now)} (was {value(before)})"
        for key, before, now in differences(base.params, run.params)
        if key not in SEEDS
    ]
    if modules := len(list(differences(base.code, run.code))):
        parts.append(f"code of {modules} modules")
    if base.data != run.data:
        parts.append("data")
    return "; ".join(parts) or "seeds alone"


def rows_of(groups: list[Group], split: str) -> list[Row]:
    """The baseline, then all others, on one split."""
    rows = []
    for group, (found, told) in zip(groups, against(groups, split), strict=True):
        remarks = [f"{found.left_out} left out"] * bool(found.left_out)
        remarks += [f"{found.relabelled} annotated otherwise"] * bool(found.relabelled)
        rows.append(Row(group, found.scenes, ", ".join(remarks), {name: told[name] for name in TITLES if name in told}))
    return rows


def whole(row: Row) -> list[str]:
    """A row of the page."""
    scenes = f"{row.scenes} ({row.remarks})" if row.remarks else str(row.scenes)
    return [
        row.group.name,
        row.group.changed,
        scenes,
        str(len(row.group.runs)),
        *(long_cell(row, name) for name in TITLES),
    ]


def long_cell(row: Row, name: str) -> str:
    """As `CELLS` says."""
    if name not in row.told:
        return "-"
    told = row.told[name]
    low, high = min(told.of_runs), max(told.of_runs)
    several = len(told.of_runs) > 1
    if not told.word:
        by_seed = f"; by seed {score(told.value + low)} to {score(told.value + high)}" * several if told.value else ""
        return score(told.value) + by_seed
    by_seed = f"; by seed {signed(low)} to {signed(high)}" if several else ""
    return f"{told.word}; {difference(told.found)}{by_seed}; {score(told.value)}"


def short(row: Row) -> list[str]:
    """A row of the terminal."""
    cells = []
    for name in TITLES:
        told = row.told.get(name)
        if told is None or told.found.value is None or not told.word:
            cells.append(score(told.value if told else None))
        else:
            cells.append(f"{signed(told.found.value)} {SHORT.get(told.word, '?')}")
    return [row.group.name, *cells]


def by_chance(told: list[ScoreChange]) -> list[str]:
    """How many differences chance alone would call more than that."""
    words = [each for each in told if each.found.low is not None and each.word != EQUAL]
    if not words:
        return []
    return [
        f"{len(words)} differences are told. If no change changed anything, about {BY_CHANCE * len(words):.1f} of them "
        "would be called beyond chance all the same: run again with other seeds what you mean to keep."
    ]


if __name__ == "__main__":
    run_stage(main)
