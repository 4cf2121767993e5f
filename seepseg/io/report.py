"""The report of what is wrong with raw tiles.

Faults are collected, not raised: one `Report` names every offender of every kind, so that a raw data set is mended in
one round instead of one file at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from seepseg.base.files import write_bytes
from seepseg.io.faults import WARNINGS, FaultKind

# What a report shows of many offenders, items found at one of them, and characters of a text.
SHOWN_OFFENDERS = 10
SHOWN_ITEMS = 5
SHOWN_CHARACTERS = 200


class Offender(NamedTuple):
    """A file, folder or scene that has a fault.

    Attributes:
        where: its path or name.
        found: what is there instead of what was expected, one item or several; empty where its being there says all.
    """

    where: str
    found: tuple[str, ...]

    def line(self, items: int | None = None, width: int | None = None) -> str:
        """One line of a report.

        Args:
            items: how many of several items to tell; None for all.
            width: how many characters to tell of each text; None for all.
        """
        where = self.where if width is None or len(self.where) <= width else f"...{self.where[-width:]}"
        if not self.found:
            return where
        told = self.found[:items]
        texts = [text if width is None or len(text) <= width else f"{text[:width]}..." for text in told]
        others = len(self.found) - len(told)
        return f"{where}: found {', '.join(texts)}" + (f" and {others:,} other{'s' * (others > 1)}" if others else "")


@dataclass
class Report:
    """Everything wrong with a raw data set or a folder of images, by kind, in the order of discovery."""

    offenders: dict[FaultKind, list[Offender]] = field(default_factory=dict)

    def add(self, kind: FaultKind, where: Path | str, found: str | Sequence[str] = ()) -> None:
        """Note one offender; `found` says what is there instead of what was expected, in one item or several."""
        text = str(where)
        text = text if text.isprintable() else ascii(text)  # a line break in a name must not forge a line
        items = ((found,) if found else ()) if isinstance(found, str) else tuple(found)
        self.offenders.setdefault(kind, []).append(Offender(text, items))

    @property
    def has_errors(self) -> bool:
        """Whether anything is noted that forbids to use the files."""
        return any(not kind.metric for kind in self.offenders)

    def warning_counts(self, kinds: Sequence[FaultKind] = WARNINGS) -> dict[str, int]:
        """Number of offenders of every kind of warning, also of those that did not occur."""
        counts = dict.fromkeys((kind.metric for kind in kinds), 0)
        for kind, offenders in self.offenders.items():
            if kind.metric:
                counts[kind.metric] += len(offenders)
        return counts

    def __str__(self) -> str:
        """Every kind with its count, what was expected, what to do and the first of its offenders: errors first."""
        return self._text(SHOWN_OFFENDERS, SHOWN_ITEMS, SHOWN_CHARACTERS)

    def in_full(self) -> str:
        """As the text of the report, with every offender and all that was found there."""
        return self._text(None, None, None)

    def _text(self, offenders: int | None, items: int | None, width: int | None) -> str:
        blocks = []
        for kind, found in sorted(self.offenders.items(), key=lambda item: bool(item[0].metric)):
            lines = [f"{'warning' if kind.metric else 'error'}: {kind.title}: {len(found)}"]
            lines += [f"  expected: {kind.expected}", f"  what to do: {kind.remedy}"]
            told = found[:offenders]
            lines += [f"    {offender.line(items, width)}" for offender in told]
            lines += [f"    and {len(found) - len(told):,} more"] if len(told) < len(found) else []
            blocks.append("\n".join(lines))
        return "\n".join(blocks)


def present_report(report: Report, file: Path) -> str:
    """Give the text of a report to show; where it leaves something out, write the whole into a file and name that.

    Args:
        report: what to tell.
        file: gets the whole report if that is longer; an old file goes, so that it tells of no other run.
    """
    text, whole = str(report), report.in_full()
    try:
        if text == whole:
            file.unlink(missing_ok=True)
            return text
        write_bytes(file, f"{whole}\n".encode())
    except OSError as error:  # the faults matter more than the place for their list
        return f"{text}\nthe whole report could not be written to {file}: {error.strerror}"
    return f"{text}\nthe whole report is in {file}"
