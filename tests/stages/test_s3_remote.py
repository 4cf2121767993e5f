"""Sharing data and models over S3, with a real server on this machine: `make test-s3`."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, SMALL
from s3_server import BUCKET, KEY, SECRET, WEED, Server

from benchmarks.repository import set_params

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(WEED is None, reason="needs a server: make test-s3")]

GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]


def start(folder, *arguments, secret=SECRET):
    """Start Python in a repository, as a user who has the key."""
    env = os.environ | {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def dvc(folder, *arguments, secret=SECRET):
    process = start(folder, "-m", "dvc", *arguments, secret=secret)
    said, _ = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, said)


def succeed(folder, *arguments):
    result = dvc(folder, *arguments)
    assert result.returncode == 0, result.stdout
    return result.stdout


def clone(source, folder, server):
    """A fresh clone, which knows where the server is by its own settings."""
    subprocess.run(["git", "clone", "--quiet", source, folder], check=True)
    succeed(folder, "remote", "modify", "--local", "storage", "endpointurl", server.url)
    return folder


@pytest.fixture(scope="module")
def shared(server, tmp_path_factory):
    """A repository with small parameters, run and pushed as README says."""
    folder = tmp_path_factory.mktemp("shared") / "repository"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    set_params(folder / "params.yaml", SMALL)
    succeed(folder, "repro")
    succeed(folder, "remote", "add", "--default", "storage", f"s3://{BUCKET}/store")
    succeed(folder, "remote", "modify", "storage", "verify", "true")
    subprocess.run([*GIT, "commit", "--quiet", "--all", "--message", "small"], cwd=folder, check=True)
    succeed(folder, "remote", "modify", "--local", "storage", "endpointurl", server.url)
    succeed(folder, "push")
    return folder


def test_a_fresh_clone_pulls_everything_and_has_nothing_to_do(shared, server, tmp_path):
    other = clone(shared, tmp_path / "another folder", server)
    succeed(other, "pull")
    assert "Data and pipelines are up to date." in succeed(other, "repro")
    for name in ("models/model.safetensors", "data/packed/images.npy"):
        assert (other / name).read_bytes() == (shared / name).read_bytes()


def test_what_one_machine_ran_is_there_on_another(shared, server, tmp_path):
    first, second = (clone(shared, tmp_path / name, server) for name in ("first", "second"))
    succeed(first, "pull")
    set_params(first / "params.yaml", {"train": {"seed": 2}})
    assert "Running stage 'train'" in succeed(first, "repro")
    subprocess.run([*GIT, "commit", "--quiet", "--all", "--message", "another seed"], cwd=first, check=True)
    succeed(first, "push")
    subprocess.run(["git", "pull", "--quiet", first], cwd=second, check=True)
    succeed(second, "pull")
    assert "Data and pipelines are up to date." in succeed(second, "repro")


def test_only_the_address_is_committed(shared):
    config = (shared / ".dvc/config").read_text()
    assert f"s3://{BUCKET}/store" in config
    kept = subprocess.run(["git", "ls-files", "-z"], cwd=shared, capture_output=True, text=True, check=True)
    for name in filter(None, kept.stdout.split("\0")):
        content = (shared / name).read_bytes()
        if name != "tests/s3_server.py":  # where both stand in plain text
            assert SECRET.encode() not in content and KEY.encode() not in content, name
    assert b"127.0.0.1" not in (shared / "dvc.lock").read_bytes()


def test_the_secret_is_in_no_file_of_a_repository_that_was_pushed(shared):
    """Nor in logs, caches and temporary files; tests/s3_server.py has it, as it is no secret there."""
    found = [path for path in shared.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert {path.name for path in found} <= {"s3_server.py"}


def test_a_wrong_secret_is_refused(shared, server, tmp_path):
    other = clone(shared, tmp_path / "other", server)
    for command in ("pull", "push"):
        result = dvc(other, command, secret="wrong")
        assert result.returncode != 0
        assert "Forbidden" in result.stdout
        assert "Traceback" not in result.stdout and SECRET not in result.stdout
    assert not (other / "models/model.safetensors").exists()


@pytest.fixture
def mortal(tmp_path):
    """A server that no other test depends on."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server(folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def large(mortal, tmp_path):
    """A repository with 64 files of 2 MiB, not pushed yet."""
    folder = tmp_path / "large"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    succeed(folder, "init", "--quiet")
    (folder / "tiles").mkdir()
    for number in range(64):
        (folder / f"tiles/{number}.bin").write_bytes(pixels(number))
    succeed(folder, "add", "tiles")
    succeed(folder, "remote", "add", "--default", "storage", f"s3://{BUCKET}/store")
    succeed(folder, "remote", "modify", "storage", "verify", "true")
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "--quiet", "--message", "large"], cwd=folder, check=True)
    succeed(folder, "remote", "modify", "--local", "storage", "endpointurl", mortal.url)
    return folder


def pixels(number):
    return hashlib.shake_256(bytes([number])).digest(2**21)


def kill_in_the_middle(server, process, has_begun):
    """Kill the server once the command has moved some files, start it again, and let the command end as it will.

    It tries each file several times, so that it may get over it; with a server that stays away it would take its time.
    """
    while not has_begun():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    server.kill()
    server.start()
    said, _ = process.communicate(timeout=300)
    assert "Traceback" not in said, said


def test_a_server_that_dies_in_the_middle_of_push_and_of_pull(large, mortal, tmp_path):
    stored = mortal.folder / "data"

    def size_of(folder):
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    process, before = start(large, "-m", "dvc", "push", "--jobs", "2"), size_of(stored)
    kill_in_the_middle(mortal, process, lambda: size_of(stored) > before + 20 * 2**20)
    succeed(large, "push")
    assert "in sync" in succeed(large, "status", "--cloud")
    assert len(mortal.objects()) == 65  # the files and their list

    other = clone(large, tmp_path / "other", mortal)
    process, cache = start(other, "-m", "dvc", "pull", "--jobs", "2"), other / ".dvc/cache"
    kill_in_the_middle(mortal, process, lambda: size_of(cache) > 20 * 2**20)
    succeed(other, "pull")
    assert [(other / f"tiles/{number}.bin").read_bytes() == pixels(number) for number in range(64)] == [True] * 64


def test_a_corrupted_object_of_the_remote_is_not_used(shared, server, tmp_path):
    digest = hashlib.md5((shared / "models/model.safetensors").read_bytes()).hexdigest()
    path = f"{BUCKET}/store/files/md5/{digest[:2]}/{digest[2:]}"
    files = server.files()
    original = files.cat(path)
    broken = bytearray(original)
    broken[len(broken) // 2] ^= 1
    files.pipe(path, bytes(broken))
    try:
        other = clone(shared, tmp_path / "other", server)
        result = dvc(other, "pull")
        assert result.returncode != 0
        assert not (other / "models/model.safetensors").exists()
    finally:
        files.pipe(path, original)
    succeed(other, "pull")
    assert (other / "models/model.safetensors").read_bytes() == original


def test_a_corrupted_file_of_the_cache_is_not_used(shared, server, tmp_path):
    other = clone(shared, tmp_path / "other", server)
    succeed(other, "pull")
    model = other / "models/model.safetensors"
    original = model.read_bytes()
    digest = hashlib.md5(original).hexdigest()
    cached = other / f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}"
    model.unlink()
    cached.chmod(0o644)
    broken = bytearray(original)
    broken[len(broken) // 2] ^= 1
    cached.write_bytes(bytes(broken))
    succeed(other, "repro")  # which trains anew, or takes it from the run cache
    succeed(other, "pull")
    assert model.read_bytes() == original
    shutil.rmtree(other / ".dvc/cache")
