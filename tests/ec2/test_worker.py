"""The worker on several machines, over a real S3 server and a stand-in for the metadata service: `make test-s3`.

Machines are clones here, each with an instance id of its own; tests/ec2/test_machine.py boots real ones.
"""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, SMALL, merge
from metadata_service import MetadataService
from s3_server import BUCKET, KEY, SECRET, WEED, Server

from benchmarks.repository import dvc, make_clone
from ec2.run_folder import RunFolder
from ec2.worker import DONE, FAILED, INTERRUPTED

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(WEED is None, reason="needs a server: make test-s3")]

REMOTE = f"s3://{BUCKET}/store"
STAGES = 12


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """A repository with small parameters, committed; nothing of it has run."""
    params = {section: dict(values) for section, values in SMALL.items()}
    merge(params, {"train": {"epochs": 40}})  # enough to be stopped in the middle of
    return make_clone(tmp_path_factory.mktemp("laptop") / "repository", params)


@pytest.fixture(scope="module")
def undisturbed(laptop, tmp_path_factory):
    """The dvc.lock of a run without stop."""
    folder = tmp_path_factory.mktemp("undisturbed") / "repository"
    subprocess.run(["git", "clone", "--quiet", laptop, folder], check=True)
    dvc(folder, "repro", "--quiet")
    return (folder / "dvc.lock").read_bytes()


class Machine:
    """A clone of the laptop's repository on an instance of its own."""

    number = 0

    def __init__(self, laptop, folder, server):
        Machine.number += 1
        self.service = MetadataService(KEY, SECRET)
        self.name = self.service.values["instance-id"] = f"i-{Machine.number:017x}"
        self.folder = folder / self.name
        self.log = folder / f"{self.name}.log"
        self.server = server
        subprocess.run(["git", "clone", "--quiet", laptop, self.folder], check=True)

    def start(self, run, command):
        settings = {"SEEPSEG_RUN": run, "SEEPSEG_COMMAND": command, "SEEPSEG_REMOTE": REMOTE}
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env |= {
            **settings,
            "SEEPSEG_LOG": str(self.log),
            "AWS_ENDPOINT_URL_S3": self.server.url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.service.url,
            "HOME": str(self.log.parent),  # without settings of the AWS tools
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ec2.worker"], cwd=self.folder, env=env, stdout=log, stderr=log
            )
        return self

    def until_it_trains(self):
        """Wait for a checkpoint of an epoch."""
        while not list(self.folder.glob(".checkpoints/*/current.pt")):
            assert self.process.poll() is None, self.said
            time.sleep(0.1)
        return self

    def ends(self, status):
        assert self.process.wait(timeout=600) == status, self.said
        self.service.close()
        return self.said

    @property
    def said(self):
        return self.log.read_text()

    @property
    def lock(self):
        return (self.folder / "dvc.lock").read_bytes()


@pytest.fixture
def machine(laptop, tmp_path, server):
    return lambda: Machine(laptop, tmp_path, server)


@pytest.fixture
def run_folder(server, monkeypatch):
    """Run folders as the laptop sees them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    return lambda name: RunFolder(REMOTE, name)


def test_a_run_goes_from_machine_to_machine_and_is_never_repeated(machine, run_folder, laptop, undisturbed):
    first, folder = machine().start("night", "dvc repro").until_it_trains(), run_folder("night")
    first.service.interrupt()
    said = first.ends(INTERRUPTED)
    assert "interrupted: EC2 takes this spot instance away at " in said and "Running stage 'train'" in said
    state = folder.read_state()
    assert (state.state, state.instance, state.command) == ("interrupted", first.name, "dvc repro")
    assert folder.files.cat_file(folder.log(first.name)).decode() in said
    assert any(path.endswith("/current.pt") for path in folder.files.find(folder.checkpoints))

    second = machine().start("night", "dvc repro")
    said = second.ends(DONE)
    assert "going on after " in said
    assert "stages: 0 unchanged, 5 fetched, 7 run" in said
    assert second.lock == undisturbed
    assert folder.read_state().state == "done"
    assert folder.files.find(folder.checkpoints) == []

    third = machine().start("once_more", "dvc repro")
    assert f"stages: 0 unchanged, {STAGES} fetched, 0 run" in third.ends(DONE)
    assert third.lock == undisturbed

    bundle = laptop / "results.bundle"
    bundle.write_bytes(folder.files.cat_file(folder.results_bundle))
    subprocess.run(["git", "fetch", "--quiet", bundle, "refs/exps/*:refs/exps/*"], cwd=laptop, check=True)
    refs = subprocess.check_output(["git", "for-each-ref", "--format=%(refname)", "refs/exps"], cwd=laptop, text=True)
    (experiment,) = refs.split()
    assert experiment.endswith("/night")
    assert subprocess.check_output(["git", "show", f"{experiment}:dvc.lock"], cwd=laptop) == undisturbed


def test_a_command_that_fails_leaves_its_log_and_what_it_finished(machine, run_folder):
    broken = machine().start("broken", "dvc exp run -S loss.name=nonsense")
    said, folder = broken.ends(FAILED), run_folder("broken")
    assert "loss.name" in said and "Traceback" not in said
    state = folder.read_state()
    assert state.state == "failed" and "ended with status" in state.message
    assert "loss.name" in folder.files.cat_file(folder.log(broken.name)).decode()


def test_a_reboot_stops_the_worker_with_a_checkpoint(machine, run_folder):
    stopped = machine().start("reboot", "dvc exp run -S train.seed=5").until_it_trains()
    stopped.process.send_signal(signal.SIGTERM)
    assert "this machine stops the service or shuts down" in stopped.ends(INTERRUPTED)
    folder = run_folder("reboot")
    assert any(path.endswith("/current.pt") for path in folder.files.find(folder.checkpoints))


def test_settings_that_are_missing_or_wrong_are_told(machine):
    assert "not set: SEEPSEG_RUN; docs/ec2.md" in machine().start("", "dvc repro").ends(FAILED)
    assert "found: rm -rf /" in machine().start("a", "rm -rf /").ends(FAILED)


def test_no_credential_is_in_a_file_of_a_machine(machine):
    worker = machine().start("secret", "dvc exp run -S loss.name=nonsense")
    worker.ends(FAILED)
    files = [path for path in (*worker.folder.rglob("*"), worker.log) if path.is_file()]
    assert {path.name for path in files if SECRET.encode() in path.read_bytes()} <= {"s3_server.py"}
    assert (ROOT / "tests/s3_server.py").is_file()
