"""Records of runs in a remote, with the outputs that git keeps."""

import hashlib
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.e2e

PIPELINE = """
stages:
  measure:
    cmd: cp in.txt measured.json
    deps: [in.txt]
    metrics:
    - measured.json: {cache: false}
"""


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "in.txt").write_text('{"dice": 0.5}')
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for arguments in (["init", "--quiet"], ["repro", "--quiet"]):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True, capture_output=True)
    return folder


def push(folder):
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import runpy; "
    script += "runpy.run_module('tools.push_runs', run_name='__main__')"
    return subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def test_outputs_that_git_keeps_are_pushed_with_the_record_of_their_run(repository, tmp_path):
    settings = f"""[core]
    remote = storage
['remote "storage"']
    url = {tmp_path / "remote"}
"""
    (repository / ".dvc/config").write_text(settings)
    result = push(repository)
    assert (result.returncode, result.stdout) == (0, "runs of stages in the remote: 1\n"), result.stderr
    digest = hashlib.md5(b'{"dice": 0.5}').hexdigest()
    assert (tmp_path / "remote/files/md5" / digest[:2] / digest[2:]).read_bytes() == b'{"dice": 0.5}'
    assert len(list((tmp_path / "remote/runs").glob("*/*/*"))) == 1


def test_without_a_remote_it_says_so(repository):
    result = push(repository)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and "remote" in result.stderr and "Traceback" not in result.stderr
