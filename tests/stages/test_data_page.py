"""Every example of docs/data.md runs: its files are made, and ingest takes them with its parameters."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from seepseg.data.packed import open_packed
from stages import ingest

PAGE = Path(__file__).parents[2] / "docs/data.md"
BLOCK = re.compile(r"```(text|yaml)\n(.*?)```", re.DOTALL)


def examples():
    """Files and parameters by heading."""
    found = {}
    for section in re.split(r"^###? ", PAGE.read_text(), flags=re.MULTILINE):
        blocks = dict(BLOCK.findall(section))
        if "text" in blocks:
            found[section.splitlines()[0]] = blocks["text"].split(), yaml.safe_load(blocks["yaml"])
    return found


EXAMPLES = examples()
SIDE = 64  # pixels, as the page says

SLICKS = np.zeros((SIDE, SIDE), np.uint8)
SLICKS[10:14, 8:30] = 1
SLICKS[40:50, 20:25] = 2
# What masks hold where it isn't classes, and what must come of them where it isn't these.
MASKS = {
    "0 and 255": np.where(SLICKS, 255, 0).astype(np.uint8),
    "Other values": np.where(SLICKS, 10 * SLICKS, np.eye(SIDE, dtype=np.uint8) * 255).astype(np.uint8),
    "Colours": np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)[SLICKS],
}
DECIBELS = "Decibels and other units"
MERGED = {"0 and 255", "Several classes merged into one"}


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".tif":
        tifffile.imwrite(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


def image(number, title):
    speckle = np.random.default_rng(number).integers(1000, 2**16, (SIDE, SIDE)).astype(np.uint16)
    return (speckle / 2**11 - 30).astype(np.float32) if title == DECIBELS else speckle


def is_mask(path):
    return "mask" in path


def ingest_example(folder, title):
    """Make the files of an example beside a folder, run ingest there, and open what it packed."""
    files, data = EXAMPLES[title]
    for number, name in enumerate(files):
        write(folder.parent / name, MASKS.get(title, SLICKS) if is_mask(name) else image(number, title))
    (folder / "params.yaml").write_text(yaml.safe_dump({"data": data | {"corrections": ""}}))
    ingest.main(folder)
    return open_packed(folder / ingest.PACKED)


@pytest.fixture
def folder(tmp_path):
    """Stands for the repository, so that ../my_tiles lies beside it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("title", EXAMPLES)
def test_example(folder, capsys, title):
    packed = ingest_example(folder, title)
    assert capsys.readouterr().err == ""  # no warning
    assert len(packed.manifest) == len(EXAMPLES[title][0]) / 2
    assert packed.manifest["row"].notna().all()
    expected = np.minimum(SLICKS, 1) if title in MERGED else SLICKS
    for target in packed.targets:
        np.testing.assert_array_equal(target, expected)


def test_every_example_is_found():
    assert len(EXAMPLES) == PAGE.read_text().count("```text")
    assert MASKS.keys() | MERGED | {DECIBELS} <= EXAMPLES.keys()


@pytest.mark.parametrize(
    ("title", "tile"),
    [
        ("Row and column instead of a number", "S1A_20210304_0_1"),
        ("Row and column in pixels", "S1A_20210304-x64-y0"),
    ],
)
def test_rows_and_columns_of_names_are_cells(folder, title, tile):
    manifest = ingest_example(folder, title).manifest.set_index("tile")
    assert len(manifest) == 3
    assert (manifest["row"][tile], manifest["col"][tile]) == (0, 1)
