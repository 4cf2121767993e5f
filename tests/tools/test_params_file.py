"""params.yaml is what the parameter blocks say: every key with its default, and a comment."""

import copy
import functools
import operator
import shutil
from dataclasses import field, fields, is_dataclass
from typing import Annotated

import pytest
import yaml
from annotated_types import Ge
from conftest import ROOT

from seepseg.base.errors import InputError
from seepseg.base.params import load_params, param_block
from tools import params_file
from tools.params_file import SECTIONS, field_docs, params_text

TEXT = (ROOT / "params.yaml").read_text()


def test_the_file_is_that_of_make_params():
    assert params_text() == TEXT


def test_the_page_of_a_run_compares_with_the_same_defaults():
    assert params_file.DEFAULTS.read_text() == params_file.defaults_text()
    assert yaml.safe_load(params_file.defaults_text()) == yaml.safe_load(TEXT)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_file_holds_the_defaults(section):
    assert load_params(SECTIONS[section], section, ROOT / "params.yaml") == SECTIONS[section]()


def blocks(block):
    yield block
    for each in fields(block):
        if is_dataclass(value := getattr(block, each.name)):
            yield from blocks(value)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_has_a_comment(section):
    for block in blocks(SECTIONS[section]()):
        single = {each.name for each in fields(block) if not is_dataclass(getattr(block, each.name))}
        assert single <= field_docs(type(block)).keys()


def keys(block, prefix=""):
    for name, value in block.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{name}.")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_file_that_lacks_a_key_still_runs(section, tmp_path):
    """Such as one that was written before there was that key."""
    path, block = tmp_path / "params.yaml", yaml.safe_load(TEXT)[section]
    for key in keys(block):
        if key.startswith(("grid_columns.", "origins.")):  # whose keys are the user's
            continue
        lacking = copy.deepcopy({section: block})
        *above, last = (section, *key.split("."))
        del functools.reduce(operator.getitem, above, lacking)[last]
        path.write_text(yaml.safe_dump(lacking))
        assert load_params(SECTIONS[section], section, path) == SECTIONS[section]()


@pytest.mark.parametrize("section", SECTIONS)
def test_a_file_that_lacks_a_section_is_refused_by_its_name(section, tmp_path):
    document = yaml.safe_load(TEXT)
    del document[section]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match=f"section '{section}' is missing; found are "):
        load_params(SECTIONS[section], section, tmp_path / "params.yaml")


@param_block
class Inner:
    """Of the inner part.

    More is not for params.yaml.
    """

    rates: tuple[float, ...] = (0.5, 1.0e-5)
    """how fast"""


@param_block
class Outer:
    """What the section is for."""

    count: Annotated[int, Ge(1)] = 3
    """how many"""
    pattern: str = "it's"
    """a text that needs quotes, and whose comment is so long that it goes on in
    another line, below where it has begun"""
    columns: dict[str, int] = field(default_factory=lambda: {"0418": 19, "0455": 20, "0461": 21})
    """by name"""
    maybe: str | None = None
    flag: bool = True
    inner: Inner = Inner()


def test_how_it_is_written(monkeypatch):
    monkeypatch.setattr(params_file, "SECTIONS", {"outer": Outer})
    assert (
        params_text().partition("\n\n")[2]
        == """\
# What the section is for.
outer:
  count: 3                        # how many
  pattern: 'it''s'                # a text that needs quotes, and whose comment is so long that it goes on in another
                                  # line, below where it has begun
  # by name
  columns: {'0418': 19, '0455': 20, '0461': 21}
  maybe: null
  flag: true
  # Of the inner part.
  inner:
    rates: [0.5, 1.0e-5]          # how fast
"""
    )


def test_make_params_writes_it(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.setattr(params_file, "PARAMS", tmp_path / "params.yaml")
    monkeypatch.setattr(params_file, "DEFAULTS", tmp_path / "defaults.yaml")
    (tmp_path / "params.yaml").write_text("old")
    params_file.main()
    assert (tmp_path / "params.yaml").read_text() == params_text()
