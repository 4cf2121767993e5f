"""docs/metrics.md names what is in the files of metrics."""

import json
import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs/metrics.md").read_text()


def names(document, before=""):
    for key, value in document.items():
        yield from names(value, f"{before}{key}.") if isinstance(value, dict) else [before + key]


@pytest.mark.parametrize(
    ("stage", "told_together"),
    [
        ("tile", ()),
        ("ingest", ("warnings",)),
        ("train", ()),
        ("split", ("tiles", "scenes", "foreground_share", "leakage")),
    ],
)
def test_every_key_is_named(stage, told_together):
    sections = re.split("^## ", PAGE, flags=re.MULTILINE)
    section = next(each for each in sections if f"metrics/{stage}.json" in each.splitlines()[0])
    document = json.loads((ROOT / f"metrics/{stage}.json").read_text())[stage]
    found = {name if name.split(".")[0] not in told_together else name.split(".")[0] for name in names(document)}
    assert [name for name in sorted(found) if not re.search(rf"`{name}(\.\*)?`", section)] == []


def test_every_file_is_named():
    assert [path.name for path in (ROOT / "metrics").glob("*.json") if f"metrics/{path.name}" not in PAGE] == []
