"""The folder of a run; S3 is a file system in memory here."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import fsspec
import pytest

from ec2.run_folder import Launch, RunFolder, State, runs_url, unless_broken
from seepseg.base.errors import InputError


@pytest.fixture
def folder(request):
    folder = RunFolder("s3://seeps/store/", "night")
    folder.files = fsspec.filesystem("memory", skip_instance_cache=True)
    folder.state_file = f"memory://{request.node.name}/state.json"
    folder.launch_file = f"memory://{request.node.name}/launch.json"
    return folder


def test_paths():
    folder = RunFolder("s3://seeps/store/", "night-1.b")
    assert folder.url == "s3://seeps/store/ec2/night-1.b"
    assert folder.revision_bundle == "s3://seeps/store/ec2/night-1.b/revision.bundle"
    assert folder.results_bundle == "s3://seeps/store/ec2/night-1.b/results.bundle"
    assert folder.state_file == "s3://seeps/store/ec2/night-1.b/state.json"
    assert folder.launch_file == "s3://seeps/store/ec2/night-1.b/launch.json"
    assert folder.checkpoints == "s3://seeps/store/ec2/night-1.b/checkpoints"
    assert folder.log("i-01") == "s3://seeps/store/ec2/night-1.b/logs/i-01.txt"
    assert runs_url("s3://seeps") == "s3://seeps/ec2"


@pytest.mark.parametrize("name", ["", "my run", "a/b", ".a", "-a", "a..b", "a.", "a.lock", "é", "a" * 101, "a\n"])
def test_what_is_no_name(name):
    with pytest.raises(InputError, match="the name of a run is made of"):
        RunFolder("s3://seeps/store", name)


@pytest.mark.parametrize("remote", ["/mnt/store", "gs://seeps/store", "s3://", "s3:///store"])
def test_what_is_not_on_s3(remote):
    with pytest.raises(InputError, match="need a DVC remote on S3"):
        RunFolder(remote, "night")


def test_a_state_is_read_as_it_was_written(folder):
    assert folder.read_state() is None
    state = State("running", "i-01", "dvc repro", "abc", "it's on its way")
    folder.write_state(state)
    assert folder.read_state() == state
    assert abs((datetime.fromisoformat(state.time) - datetime.now(UTC)).total_seconds()) < 60
    assert json.loads(folder.files.cat_file(folder.state_file)) == asdict(state)


def test_a_launch_is_read_as_it_was_written(folder):
    assert folder.read_launch() is None
    launch = Launch("g6.xlarge", False, "ami-1", 200, "90m", "eu-west-1", skypilot=False)
    folder.write_launch(launch)
    assert folder.read_launch() == launch
    assert json.loads(folder.files.cat_file(folder.launch_file)) == {
        "instance_type": "g6.xlarge", "spot": False, "image": "ami-1", "disk_gb": 200, "time_limit": "90m",
        "region": "eu-west-1", "skypilot": False,
    }  # fmt: skip
    folder.files.pipe_file(folder.launch_file, b'{"spot": true}')
    with pytest.raises(InputError, match="holds no settings of a launch"):
        folder.read_launch()


@pytest.mark.parametrize("content", ["", "{}", "[]", '"done"', '{"state": "done"}'])
def test_what_is_no_state(folder, content):
    folder.files.pipe_file(folder.state_file, content.encode())
    with pytest.raises(InputError, match=r"holds no state of a run .*: launch the run again .*, which overwrites it"):
        folder.read_state()
    assert unless_broken(folder.read_state) is None


def test_an_unknown_word(folder):
    folder.write_state(State("asleep", "i-01", "dvc repro", "abc"))
    with pytest.raises(InputError, match="expected one of running, interrupted, failed, done, found 'asleep'"):
        folder.read_state()
