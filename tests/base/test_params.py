"""The loader of params.yaml: what it takes, and one clear line for everything it refuses."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Le

from seepseg.base.errors import InputError
from seepseg.base.params import load_params, param_block


@param_block
class Inner:
    share: Annotated[float, Ge(0), Le(1)]


@param_block
class Outer:
    name: Literal["dice", "dicebce"]
    count: Annotated[int, Ge(1)]
    flag: bool
    maybe: str | None
    steps: list[tuple[str, Annotated[int, Ge(1)]]]
    inner: Inner
    later: Literal[1, 2] = 2
    """a key that files of earlier versions lack"""


GOOD = """
loss:
  name: dice
  count: 3
  flag: true
  maybe: null
  steps: [[dice, 2]]
  inner: {share: 1}
"""


@pytest.fixture
def load(tmp_path):
    def load_text(text):
        path = tmp_path / "params.yaml"
        path.write_text(text)
        return load_params(Outer, "loss", path)

    return load_text


def test_a_section_becomes_a_frozen_block(load):
    block = load(GOOD)
    assert block == Outer(name="dice", count=3, flag=True, maybe=None, steps=[("dice", 2)], inner=Inner(share=1.0))
    with pytest.raises(AttributeError):
        block.count = 4


def test_a_key_with_a_default_may_be_missing(load):
    assert load(GOOD).later == 2
    assert load(GOOD + "  later: 1").later == 1


def test_other_sections_are_not_looked_at(load):
    assert load(GOOD + 'other: ["what", ever]\n').count == 3


@pytest.mark.parametrize("text", ["3e-05", "3E-5", "3.e-5", "0.3e-4", "3.0e-05", "0.00003"])
def test_numbers_are_read_as_dvc_writes_them(load, text):
    assert load(GOOD.replace("share: 1", f"share: {text}")).inner.share == 3e-5


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        (
            "name: dice",
            "name: dicebc",
            "loss.name: expected 'dice' or 'dicebce', found \"dicebc\"; did you mean 'dicebce'?",
        ),
        ("count: 3", "count: true", "loss.count: expected a valid integer, found true"),
        ("count: 3", "count: 3.5", "loss.count: expected a valid integer, found 3.5"),
        ("count: 3", "count: '3'", 'loss.count: expected a valid integer, found "3"'),
        ("count: 3", "count: 0", "loss.count: expected greater than or equal to 1, found 0"),
        ("count: 3", "coutn: 3", "unknown key 'loss.coutn'; did you mean 'loss.count'?"),
        ("flag: true", "flag: 1", "loss.flag: expected a valid boolean, found 1"),
        ("share: 1", "share: 1.5", "loss.inner.share: expected less than or equal to 1, found 1.5"),
        ("share: 1", "share: .nan", "loss.inner.share: expected a finite number"),
        ("share: 1", "share: '1e-3'", 'loss.inner.share: expected a valid number, found "1e-3"'),
        ("share: 1", "shar: 1", "unknown key 'loss.inner.shar'; did you mean 'loss.inner.share'?"),
        ("[[dice, 2]]", "[[dice, 0]]", "loss.steps.0.1: expected greater than or equal to 1, found 0"),
        ("count: 3", "count: 3\n  later: true", "loss.later: expected a number, found true"),
        ("inner: {share: 1}", "inner: 1", "loss.inner: expected a block of keys, found 1"),
        ("loss:", "los:", "section 'loss' is missing; found are los"),
        ("name: dice", "name: [", "is not valid YAML"),
    ],
)
def test_a_fault_is_named_with_key_value_and_what_is_allowed(load, good, bad, message):
    assert good in GOOD
    with pytest.raises(InputError) as error:
        load(GOOD.replace(good, bad))
    assert message in str(error.value)
    assert "params.yaml" in str(error.value)


def test_every_fault_is_listed_at_once(load):
    with pytest.raises(InputError) as error:
        load(GOOD.replace("count: 3", "count: 0").replace("  flag: true\n", ""))
    faults = sorted(line.split(": ", 1)[1] for line in str(error.value).splitlines())
    assert faults == ["loss.count: expected greater than or equal to 1, found 0", "loss.flag is missing"]


def test_a_missing_file_says_where_to_run():
    with pytest.raises(InputError, match="run this from the folder that holds it"):
        load_params(Outer, "loss", Path("nowhere/params.yaml"))
