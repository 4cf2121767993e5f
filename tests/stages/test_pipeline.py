"""dvc.yaml against the code: each stage depends on exactly the modules and parameters that it uses."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def module_file(name):
    base = ROOT / name.replace(".", "/")
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def imported(path):
    """Project modules that a file imports, with the packages that contain them."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide what is imported"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] in ("seepseg", "stages"):
                parts = name.split(".")
                yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def import_closure(stage):
    todo, seen = ["stages", f"stages.{stage}"], set()
    while todo:
        path = module_file(todo.pop())
        if path is not None and path not in seen:
            seen.add(path)
            todo += imported(path)
    return {path.relative_to(ROOT).as_posix() for path in seen}


@pytest.mark.parametrize("stage", STAGES)
def test_code_dependencies_are_the_imports(stage):
    named = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    assert named == import_closure(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_parameter_dependencies_are_the_sections_read(stage):
    tree = ast.parse((ROOT / f"stages/{stage}.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    read = {call.args[1].value for call in calls if getattr(call.func, "id", "") == "load_params"}
    assert set(STAGES[stage].get("params", [])) == read


def test_every_section_belongs_to_a_stage():
    assert {section for stage in STAGES.values() for section in stage.get("params", [])} == set(PARAMS)


def test_every_stage_file_is_in_the_pipeline():
    """But for predict, which is run by hand."""
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} == {*STAGES, "predict", "__init__"}


def test_no_stage_imports_another():
    for stage in STAGES:
        others = [name for name in imported(ROOT / f"stages/{stage}.py") if name.startswith("stages.")]
        assert others == []


def test_the_library_knows_no_stage():
    for path in (ROOT / "seepseg").rglob("*.py"):
        assert [name for name in imported(path) if name.startswith("stages")] == []


def test_the_lock_is_that_of_the_committed_pipeline():
    """Passes on a fresh clone without cache or data; fails where code or parameters changed without `dvc repro`."""
    command = [sys.executable, "-m", "dvc", "repro", "--dry", "--allow-missing"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Data and pipelines are up to date." in result.stdout + result.stderr
