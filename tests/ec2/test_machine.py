"""user-data.sh on machines that boot, from a plain Debian to results on the laptop: `make test-ec2`, 25 minutes.

Each is what EC2 starts: cloud-init runs the user data, systemd the worker, the metadata service tells tags, role and
interruptions, and the disk of a machine is gone with it. The S3 server is a real one.
"""

import socket
import subprocess

import pytest
from boot import IMAGE, BootedMachine
from conftest import ROOT, SMALL, merge
from metadata_service import MetadataService
from s3_server import BUCKET, KEY, SECRET, WEED

from benchmarks.repository import dvc, make_clone
from ec2.run_folder import RunFolder

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not (IMAGE and WEED), reason="needs machines: make test-ec2")]

REMOTE = f"s3://{BUCKET}/store"
COMMAND = "dvc exp run -S train.epochs=200"


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """A repository with small parameters, committed; nothing of it has run."""
    params = {section: dict(values) for section, values in SMALL.items()}
    merge(params, {"train": {"networks": 2}})
    return make_clone(tmp_path_factory.mktemp("laptop") / "repository", params)


@pytest.fixture(scope="module")
def run_folder(server, laptop):
    """Run folders as the laptop sees them, with the revision to run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_ENDPOINT_URL_S3", server.url)

        def folder(name):
            run = RunFolder(REMOTE, name)
            subprocess.run(["git", "bundle", "create", "--quiet", "revision.bundle", "HEAD"], cwd=laptop, check=True)
            run.files.put_file(laptop / "revision.bundle", run.revision_bundle)
            return run

        yield folder


@pytest.fixture
def machine(tmp_path, server, laptop):
    """Starts machines, each with a name, tags and a metadata service of its own."""
    started = []

    def start(run, storage=server.url, **tags):
        instance = f"i-{len(started):016x}{run.name[0]}"
        revision = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=laptop, text=True).strip()
        known = {"run": run.name, "command": COMMAND, "repository": run.revision_bundle, "revision": revision}
        service = MetadataService(KEY, SECRET, **known | {"remote": REMOTE} | tags)
        service.values["instance-id"] = instance
        elsewhere = {"AWS_ENDPOINT_URL_S3": storage, "AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url}
        exports = "".join(f"export {name}={value}\n" for name, value in elsewhere.items())
        script = (ROOT / "ec2/user-data.sh").read_text()
        machine = BootedMachine(tmp_path / instance, instance, script.replace("\n", f"\n{exports}", 1))
        machine.service, machine.instance = service, instance
        started.append(machine)
        return machine.boot()

    yield start
    for each in started:
        each.remove()
        each.service.close()


def checkpoints(run):
    return [path for path in run.files.find(run.checkpoints) if path.endswith(".pt")]


def test_a_night(machine, run_folder, laptop, tmp_path):
    """Interrupted in training, taken over by another machine, which is rebooted, and fetched by a third."""
    run = run_folder("night")
    first = machine(run)
    first.until_it_trains()
    first.service.interrupt()
    first.wait_for(lambda: (state := run.read_state()) and state.state == "interrupted")
    first.shut_down()
    assert "EC2 takes this spot instance away at" in run.files.cat_file(run.log(first.instance)).decode()
    assert checkpoints(run)

    second = machine(run)
    second.until_it_trains()
    second.wait_for(lambda: second.log.count("epoch ") > 3)
    second.reboot()
    assert second.is_off()
    assert second.log.count("this machine has started") == 2
    assert second.log.count("going on after ") == 2
    assert run.read_state().state == "done"
    assert checkpoints(run) == []
    assert run.files.cat_file(run.log(second.instance)).decode().rstrip().endswith("7 run")

    again = run_folder("again")
    third = machine(again)
    assert third.is_off()
    assert "stages: 0 unchanged, 12 fetched, 0 run" in again.read_state().message

    undisturbed = tmp_path / "undisturbed"
    subprocess.run(["git", "clone", "--quiet", laptop, undisturbed], check=True)
    dvc(undisturbed, *COMMAND.split()[1:])
    bundle = tmp_path / "results.bundle"
    for name in ("night", "again"):
        bundle.write_bytes(run_folder(name).files.cat_file(run_folder(name).results_bundle))
        subprocess.run(["git", "fetch", "--quiet", bundle, "refs/exps/*:refs/exps/*"], cwd=laptop, check=True)
    refs = subprocess.check_output(["git", "for-each-ref", "--format=%(refname)", "refs/exps"], cwd=laptop, text=True)
    assert [ref.rsplit("/", 1)[1] for ref in refs.split()] == ["again", "night"]
    for ref in refs.split():
        lock = subprocess.check_output(["git", "show", f"{ref}:dvc.lock"], cwd=laptop)
        assert lock == (undisturbed / "dvc.lock").read_bytes()
    for each in (first, second, third):
        assert each.service.refused == 0  # each question had a token
        assert (
            SECRET not in each.read("opt/seepseg/settings") + each.read("etc/systemd/system/seepseg.service") + each.log
        )


def test_a_command_that_fails_leaves_its_log_and_the_machine_goes(machine, run_folder):
    run = run_folder("broken")
    broken = machine(run, command="dvc exp run -S loss.name=nonsense")
    broken.wait_for(lambda: run.files.exists(run.log(broken.instance)))
    assert "running: " not in broken.log  # it is still being set up
    assert broken.is_off()
    assert run.read_state().state == "failed"
    assert "loss.name" in run.files.cat_file(run.log(broken.instance)).decode()


def test_a_machine_that_cannot_be_set_up_leaves_its_log_and_goes(machine, run_folder):
    run = run_folder("unknown")
    command = """dvc exp run -S 'loss.schedule=["bce"]'"""
    lost = machine(run, revision="0" * 40, command=command)
    assert lost.is_off()
    state = run.read_state()
    assert state.state == "failed" and "could not be set up" in state.message
    assert state.command == command  # with which the run can go on
    assert "0" * 40 in run.files.cat_file(run.log(lost.instance)).decode()


def test_a_machine_that_runs_for_too_long_stops_with_a_checkpoint(machine, run_folder):
    run = run_folder("slow")
    slow = machine(run, command="dvc exp run -S train.epochs=100000", time_limit="5m")
    slow.until_it_trains()
    assert slow.is_off()
    state = run.read_state()
    assert (state.state, state.message) == ("interrupted", "its time is over")
    assert checkpoints(run)


def test_a_machine_that_reaches_no_storage_shuts_down_all_the_same(machine, run_folder):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        lost = machine(run_folder("lost"), storage=f"http://127.0.0.1:{silent.getsockname()[1]}", repository="/nowhere")
        lost.wait_for(lambda: "could not be set up" in lost.log)
        assert lost.is_off(seconds=180)
