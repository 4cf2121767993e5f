"""The imports that `make deps` writes into dvc.yaml, of a small project."""

import pytest
import yaml

from tools import dependencies

PIPELINE = """\
# Drawn by `dvc dag`.
stages:
  count:
    cmd: python -m stages count
    deps:
    - stages/gone.py
    - data/in.csv
    outs: [data/out.csv]  # kept
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(dependencies, "ROOT", tmp_path)
    for name, code in {
        "stages/__init__.py": "",
        "stages/count.py": "import numpy\nfrom seepseg.io import table\nfrom seepseg.base.files import write",
        "seepseg/__init__.py": "",
        "seepseg/io/__init__.py": "",
        "seepseg/io/table.py": "def read():\n    import seepseg.base.late",
        "seepseg/base/__init__.py": "from seepseg.base.files import write",
        "seepseg/base/files.py": "import seepseg.io.table",
        "seepseg/base/late.py": "",
        "seepseg/base/unused.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    return tmp_path


CLOSURE = [
    "stages/count.py",
    "seepseg/__init__.py",
    "seepseg/base/__init__.py",
    "seepseg/base/files.py",
    "seepseg/base/late.py",
    "seepseg/io/__init__.py",
    "seepseg/io/table.py",
    "stages/__init__.py",
]


def test_all_that_a_stage_imports_directly_or_through_others(project):
    assert dependencies.import_closure("count") == CLOSURE


def test_code_is_written_into_the_pipeline_and_all_else_is_kept(project):
    dependencies.main()
    text = (project / "dvc.yaml").read_text()
    assert yaml.safe_load(text)["stages"]["count"]["deps"] == [*CLOSURE, "data/in.csv"]
    assert text.startswith("# Drawn by `dvc dag`.\n") and "# kept" in text
    dependencies.main()
    assert (project / "dvc.yaml").read_text() == text


def test_a_relative_import_is_refused(project):
    (project / "seepseg/io/table.py").write_text("from . import other")
    with pytest.raises(ValueError, match=r"table\.py: expected absolute imports, found a relative one in line 1"):
        dependencies.import_closure("count")
