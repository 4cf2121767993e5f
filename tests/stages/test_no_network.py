"""No stage opens a connection: the default pipeline runs where there is no network, and doesn't even try."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, STAGES

pytestmark = pytest.mark.e2e

NAMESPACE = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
SCRIPT = """
import importlib, socket, sys

tried = []
sys.addaudithook(lambda event, arguments: tried.append(event) if event in {
    "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"} else None)
for stage in sys.argv[1:]:
    importlib.import_module(f"stages.{stage}").main()
    print(f"{stage}: {tried}")
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except OSError as error:
    print(error.strerror, tried)
"""


def test_the_pipeline_runs_without_a_network_and_does_not_try_one(workspace):
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], check=False).returncode:
        pytest.skip("no network namespace may be made here")
    result = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", SCRIPT, *STAGES],
        cwd=workspace.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    said = result.stdout.splitlines()
    assert [line for line in said if line.endswith(": []")] == [f"{stage}: []" for stage in STAGES]
    # Not even its own machine can be reached, and an attempt is noticed.
    assert said[-1] == "Network is unreachable ['socket.getaddrinfo', 'socket.connect']"
