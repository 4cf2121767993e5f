"""dvc.yaml against the code: each stage depends on exactly the modules and parameters that it uses."""

import ast
import os
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from conftest import STAGES as IN_ORDER

from tools.dependencies import import_closure, imported_modules, is_code

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
LISTED = [(stage, key) for stage in STAGES for key in STAGES[stage].get("params", [])]


def test_the_stages():
    assert tuple(STAGES) == IN_ORDER


@pytest.mark.parametrize("stage", STAGES)
def test_code_dependencies_are_the_imports(stage):
    """As `make deps` writes them."""
    assert [dep for dep in STAGES[stage]["deps"] if is_code(dep)] == import_closure(stage)


def test_the_page_depends_on_all_that_it_is_made_of():
    package = ROOT / "seepseg/report"
    files = {f"seepseg/report/{path.name}" for path in package.iterdir() if path.is_file() and path.suffix != ".py"}
    assert {dep for dep in STAGES["report"]["deps"] if dep.startswith("seepseg/report/") and not is_code(dep)} == files


@pytest.mark.parametrize("stage", STAGES)
def test_parameter_dependencies_are_of_the_sections_read(stage):
    tree = ast.parse((ROOT / f"stages/{stage}.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    read = {call.args[1].value for call in calls if getattr(call.func, "id", "") == "load_params"}
    assert {key.split(".")[0] for key in STAGES[stage].get("params", [])} == read


@pytest.mark.parametrize(("stage", "key"), LISTED)
def test_parameter_dependencies_exist(stage, key):
    value = PARAMS
    for step in key.split("."):
        value = value[step]


def test_of_another_section_a_stage_depends_on_single_keys():
    """A stage that reads a few keys of another one's section must not run again for the others."""
    of_others = {(stage, key) for stage, key in LISTED if key.split(".")[0] in STAGES and key.split(".")[0] != stage}
    assert of_others == {
        ("classify", "evaluate.object_iou"),
        ("classify", "detect.tta"),
        ("classify", "detect.norm_prior_tiles"),
        ("classify", "detect.threshold"),
        ("classify", "detect.min_area"),
        ("report", "evaluate.object_iou"),
    }


def test_every_section_belongs_to_a_stage():
    assert {key for _, key in LISTED if "." not in key} == set(PARAMS)


def test_every_stage_file_is_in_the_pipeline():
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} == {*STAGES, "__init__", "__main__"}


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_imports_another(stage):
    assert not [name for name in imported_modules(ROOT / f"stages/{stage}.py") if name.startswith("stages.")]


def test_the_library_knows_no_stage():
    for path in (ROOT / "seepseg").rglob("*.py"):
        assert not [name for name in imported_modules(path) if name.startswith("stages")], path


@pytest.mark.e2e
def test_the_lock_is_that_of_the_committed_pipeline():
    """Passes on a fresh clone without cache or data; fails where code or parameters changed without `dvc repro`."""
    command = [sys.executable, "-m", "dvc", "repro", "--dry", "--allow-missing"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Data and pipelines are up to date." in result.stdout + result.stderr


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: python -m stages NAME, with one of class_balance, "),
        (["splits"], "usage: python -m stages NAME, with one of class_balance, "),
        (["split", "--help"], "error: stage split takes no arguments, found --help; its parameters are in params.yaml"),
    ],
)
def test_what_the_command_line_refuses(tmp_path, arguments, message):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages", *arguments]
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(message)
