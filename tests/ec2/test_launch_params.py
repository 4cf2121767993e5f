"""Which parameters a run may set; params.yaml is the one of this repository."""

import shlex

import pytest
from conftest import ROOT

from ec2 import launch_checks
from ec2.launch_checks import check_params
from seepseg.base.errors import InputError


@pytest.fixture(autouse=True)
def committed(monkeypatch):
    text = (ROOT / "params.yaml").read_text()
    monkeypatch.setattr(launch_checks, "git", lambda *words: text if words == ("show", "abc:params.yaml") else "")


@pytest.mark.parametrize(
    "options",
    [
        "-S train.epochs=60 -S loss.name=dicebce",
        "-Strain.epochs=60 --set-param=data.root=data/my_tiles train",
        "-S data.root=./data/../data/x",
        "-S params.yaml:train.epochs=60 -S other.yaml:root=../x",
        "-S +data.grid_columns.0466=20 -S +scenes.classes.oil=slick -S 'scenes.classes={oil: slick}'",
        "-S ~data.grid_columns -S 'train.networks[0]=../x'",
        "-S 'data.name_pattern=(?P<scene>...)/(?P<tile>.*)=x'",
        "-S data.mask_values=...",
    ],
)
def test_what_can_be_meant(options):
    check_params(f"dvc exp run {options}", "abc")


@pytest.mark.parametrize("value", ["../my_tiles", "..", "/data/x", "data/../../x", "~/x", "'../my tiles'"])
@pytest.mark.parametrize("option", ["-S data.root=", "-Sdata.root=", "--set-param=params.yaml:data.root="])
def test_what_the_machine_does_not_see(option, value):
    with pytest.raises(InputError, match=r"^data.root=.* leads out of the repository, .*docs/own-data.md"):
        check_params(f"dvc exp run {option}{shlex.quote(value)}", "abc")


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("train.epoch=60", "params.yaml has no train.epoch; did you mean train.epochs?"),
        ("+train.epoch=60", "params.yaml has no train.epoch; did you mean train.epochs?"),
        ("params.yaml:train.epoch=60", "params.yaml has no train.epoch; did you mean train.epochs?"),
        ("epochs=60", "params.yaml has no epochs"),
        ("data.grid_columns.0466=20", "params.yaml has no data.grid_columns.0466; did you mean data.grid_columns.04"),
    ],
)
def test_what_params_yaml_does_not_have(option, complaint):
    with pytest.raises(InputError) as refused:
        check_params(f"dvc exp run -S {option}", "abc")
    assert str(refused.value).startswith(complaint)


def test_keys_of_a_commit_that_is_not_here_are_not_checked():
    check_params("dvc exp run -S train.epoch=60", "of-elsewhere")


def test_a_file_that_is_no_yaml_is_left_to_the_stages_to_refuse(monkeypatch):
    monkeypatch.setattr(launch_checks, "git", lambda *words: "train: [")
    check_params("dvc exp run -S train.epochs=60", "abc")
