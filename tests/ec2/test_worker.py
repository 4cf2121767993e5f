"""The worker on several machines, over a real S3 server and a stand-in for the metadata service: `make test-s3`.

Machines are clones here, each with an instance id of its own, and the training one that counts; on those that boot in
tests/ec2/test_machine.py it is the real one.
"""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from metadata_service import MetadataService
from s3_server import BUCKET, KEY, SECRET, WEED

from benchmarks.repository import commit, dvc
from ec2.run_folder import RunFolder
from ec2.worker import DONE, FAILED, INTERRUPTED

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(WEED is None, reason="needs a server: make test-s3")]

REMOTE = f"s3://{BUCKET}/store"


TRAIN = """
import os, pathlib, signal, sys, time
epochs = int(pathlib.Path("params.yaml").read_text().split()[1])
folder = pathlib.Path(os.environ["DVC_ROOT"], ".checkpoints/0123")
current = folder / "current.pt"
folder.mkdir(parents=True, exist_ok=True)
epoch = int(current.read_bytes()) if current.exists() else 0
print("going on after epoch", epoch, flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"stopped after epoch {epoch}"))
for epoch in range(epoch + 1, epochs + 1):
    time.sleep(0.1)
    current.write_text(str(epoch))
    if epoch > 1000:
        sys.exit("error: too many epochs")
pathlib.Path("weights").write_text(f"{{epochs: {epochs}}}")
current.unlink()
folder.rmdir()
"""
PIPELINE = """
stages:
  prepare: {cmd: cp prepare.txt data, deps: [prepare.txt], outs: [data]}
  train: {cmd: python train.py, deps: [train.py, data], params: [epochs], outs: [weights]}
  evaluate: {cmd: sed s/epochs/score/ weights > score.yaml, deps: [weights], metrics: [score.yaml: {cache: false}]}
"""


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """A repository with a pipeline of three short stages; nothing of it has run."""
    folder = tmp_path_factory.mktemp("laptop") / "repository"
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    dvc(folder, "init", "--quiet")
    dvc(folder, "config", "core.analytics", "false")
    files = {"dvc.yaml": PIPELINE, "train.py": TRAIN, "prepare.txt": "tiles", "params.yaml": "epochs: 60\n"}
    for name, text in (files | {".gitignore": "/.checkpoints/\n/data\n/weights\n"}).items():
        (folder / name).write_text(text)
    commit(folder)
    return folder


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

    def start(self, run, command, program="-m ec2.worker"):
        settings = {"SEEPSEG_RUN": run, "SEEPSEG_COMMAND": command, "SEEPSEG_REMOTE": REMOTE}
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env |= {
            **settings,
            "SEEPSEG_LOG": str(self.log),
            "AWS_ENDPOINT_URL_S3": self.server.url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.service.url,
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.log.parent),  # without settings of the AWS tools
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program.split(maxsplit=1)], cwd=self.folder, env=env, stdout=log, stderr=log
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


def checkpoints(folder):
    return [path.rsplit("/")[-1] for path in folder.files.find(folder.checkpoints) if path.endswith(".pt")]


def experiments(repository):
    """Refs of a repository's experiments by name."""
    refs = subprocess.check_output(
        ["git", "for-each-ref", "--format=%(refname)", "refs/exps"], cwd=repository, text=True
    )
    return {ref.rsplit("/", 1)[1]: ref for ref in refs.split()}


def test_a_run_goes_from_machine_to_machine_and_is_never_repeated(machine, run_folder, laptop, undisturbed, tmp_path):
    first, folder = machine().start("night", "dvc repro").until_it_trains(), run_folder("night")
    first.service.interrupt()
    said = first.ends(INTERRUPTED)
    assert "interrupted: EC2 takes this spot instance away at " in said and "Running stage 'train'" in said
    state = folder.read_state()
    assert (state.state, state.instance, state.command) == ("interrupted", first.name, "dvc repro")
    assert folder.files.cat_file(folder.log(first.name)).decode() in said
    assert checkpoints(folder) == ["current.pt"]

    second = machine().start("night", "dvc repro")
    said = second.ends(DONE)
    assert re.search("going on after epoch [1-9]", said)
    assert "stages: 0 unchanged, 1 fetched, 2 run" in said
    assert second.lock == undisturbed
    assert folder.read_state().state == "done"
    assert checkpoints(folder) == []

    third = machine().start("once_more", "dvc repro")
    assert "stages: 0 unchanged, 3 fetched, 0 run" in third.ends(DONE)
    assert third.lock == undisturbed

    # This git remote takes experiments; for one that does not there is a bundle.
    assert sorted(experiments(laptop)) == ["night", "once_more"]
    bundle, elsewhere = laptop / "results.bundle", tmp_path / "elsewhere"
    bundle.write_bytes(folder.files.cat_file(folder.results_bundle))
    subprocess.run(["git", "clone", "--quiet", laptop, elsewhere], check=True)
    subprocess.run(["git", "fetch", "--quiet", bundle, "refs/exps/*:refs/exps/*"], cwd=elsewhere, check=True)
    (ref,) = experiments(elsewhere).values()
    assert subprocess.check_output(["git", "show", f"{ref}:dvc.lock"], cwd=elsewhere) == undisturbed


def test_a_machine_that_is_gone_without_a_word_has_sent_what_it_had(machine, run_folder):
    often = "-c import sys, ec2.worker as w; w.WATCHED, w.LOGGED, w.SENT = 0.2, 0.5, 0.5; sys.exit(w.main())"
    gone, folder = machine().start("gone", "dvc exp run -S epochs=150", often), run_folder("gone")
    sent = time.monotonic() + 120
    while not (checkpoints(folder) and "runs of stages in the remote: " in gone.said):
        assert time.monotonic() < sent and gone.process.poll() is None, gone.said
        time.sleep(0.2)
    gone.process.kill()
    gone.process.wait()
    assert folder.read_state().state == "running"
    assert "epochs=150" in folder.files.cat_file(folder.log(gone.name)).decode()
    said = machine().start("gone", "dvc exp run -S epochs=150").ends(DONE)
    assert re.search("going on after epoch [1-9]", said)


def test_a_command_that_fails_leaves_its_log_and_what_it_finished_and_no_credential_in_a_file(machine, run_folder):
    broken = machine().start("broken", "dvc exp run -S epochs=1001")
    (broken.folder / "prepare.txt").write_text("other tiles")
    checkpoint = broken.folder / ".checkpoints/0123/current.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("1000")
    said, folder = broken.ends(FAILED), run_folder("broken")
    assert "error: too many epochs" in said and "Traceback" not in said
    state = folder.read_state()
    assert state.state == "failed" and "the command ended with status" in state.message
    assert "error: too many epochs" in folder.files.cat_file(folder.log(broken.name)).decode()
    other = machine().start("other", "dvc repro prepare")
    (other.folder / "prepare.txt").write_text("other tiles")
    assert "stages: 0 unchanged, 1 fetched, 0 run" in other.ends(DONE)
    files = [path for path in (*broken.folder.rglob("*"), broken.log) if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_a_reboot_stops_the_worker_with_a_checkpoint(machine, run_folder):
    stopped = machine().start("reboot", "dvc exp run -S epochs=900").until_it_trains()
    stopped.process.send_signal(signal.SIGTERM)
    assert "this machine shuts down" in stopped.ends(INTERRUPTED)
    folder = run_folder("reboot")
    assert checkpoints(folder) == ["current.pt"]


def test_settings_that_are_missing_or_wrong_are_told(machine):
    assert "not set: SEEPSEG_RUN; docs/ec2.md" in machine().start("", "dvc repro").ends(FAILED)
    assert "found: rm -rf /" in machine().start("a", "rm -rf /").ends(FAILED)
