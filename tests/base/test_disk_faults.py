"""A full disk, a read-only one and lost permission, in each folder of each stage: a clear message, old files whole.

The disks are small ones in memory (tmpfs), mounted where only the test sees them. Where the system does not allow that,
these tests are skipped, and test_files.py has what remains: writes whose errors are made up.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, STAGES

pytestmark = pytest.mark.e2e

IS_ROOT = os.geteuid() == 0
# Who is root already stays it; others become it within a namespace of their own.
NAMESPACE = ["unshare", "--mount", *([] if IS_ROOT else ["--map-root-user"])]
# Without this capability root, too, is denied what the folder's mode denies.
AS_ANYBODY = ["setpriv", "--bounding-set", "-dac_override"] if IS_ROOT else []
FAULTS = {
    "full": (NAMESPACE, "error: No space left on device: {file}; make room there and run this again"),
    "read-only": (
        NAMESPACE,
        "error: Read-only file system: {file}; have it mounted for writing, or work elsewhere and",
    ),
    "denied": (AS_ANYBODY, "error: Permission denied: {file}; let this user read and write there and run this again"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stage_that_cannot_write_says_so_and_leaves_what_was_there(finished, tmp_path, fault):
    namespace, message = FAULTS[fault]
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    if namespace and shutil.which(namespace[0]) is None:
        pytest.skip(f"needs {namespace[0]}")
    mount = [*namespace, "mount", "-t", "tmpfs", "none", tmp_path]
    if namespace is NAMESPACE and subprocess.run(mount, check=False).returncode:
        pytest.skip("no disk may be mounted here")
    result = subprocess.run(
        [*namespace, sys.executable, ROOT / "tests/base/disk_faults_worker.py", fault],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    outcomes = json.loads(result.stdout.splitlines()[-1])
    assert {outcome["stage"] for outcome in outcomes} == set(STAGES)
    for outcome in outcomes:
        assert outcome["changed"] == [], outcome
        file = outcome["folder"] + "/"
        assert (outcome["ended"] or "").startswith(message.partition("{file}")[0] + file), outcome
        assert message.partition("{file}")[2] in outcome["ended"], outcome
