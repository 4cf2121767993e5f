from types import SimpleNamespace

import fsspec
import pytest

from ec2.handover import CHECKPOINTS, CURRENT, Handover
from seepseg.training import trainer
from stages import train


class Files:
    """A file system in memory that takes S3 addresses, and notes what comes in which order."""

    def __init__(self):
        self.memory = fsspec.filesystem("memory")
        self.memory.store.clear()
        self.put = []

    def _path(self, url):
        return "/" + url.removeprefix("s3://").lstrip("/")

    def find(self, url):
        return [path[1:] for path in self.memory.find(self._path(url))]

    def cat_file(self, url):
        return self.memory.cat_file(self._path(url))

    def pipe_file(self, url, content):
        self.put.append(url.rsplit("/", 1)[1])
        self.memory.pipe_file(self._path(url), content)

    def rm_file(self, url):
        self.memory.rm_file(self._path(url))


@pytest.fixture
def run():
    return SimpleNamespace(files=Files(), checkpoints="s3://seeps/store/ec2/night/checkpoints")


def training(repository, **files):
    folder = repository / CHECKPOINTS / "0123"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lock").write_text("7")
    for name, content in files.items():
        (folder / f"{name}.pt").write_bytes(content)
    return folder


def test_the_names_are_those_of_the_training():
    assert train.CHECKPOINTS == CHECKPOINTS
    assert f"{trainer.CURRENT}.pt" == CURRENT


def test_what_is_sent_arrives_on_another_machine(run, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    training(first, current=b"epoch 3", network0=b"done")
    assert Handover(first, run).send() == len(b"epoch 3" + b"done")
    assert run.files.put == ["network0.pt", "current.pt"]
    assert Handover(second, run).fetch() == 2
    got = second / CHECKPOINTS / "0123"
    assert {path.name: path.read_bytes() for path in got.iterdir()} == {
        "current.pt": b"epoch 3",
        "network0.pt": b"done",
    }
    Handover(second, run).remove()
    assert run.files.find(run.checkpoints) == []


def test_only_what_is_new_is_sent(run, tmp_path):
    training(tmp_path, current=b"epoch 3", network0=b"done")
    handover = Handover(tmp_path, run)
    handover.send()
    assert handover.send() == 0
    training(tmp_path, current=b"epoch 4")
    assert handover.send() == len(b"epoch 4")


def test_a_machine_keeps_its_own_checkpoints(run, tmp_path):
    training(tmp_path / "first", current=b"epoch 3")
    Handover(tmp_path / "first", run).send()
    folder = training(tmp_path / "second", current=b"epoch 5")
    assert Handover(tmp_path / "second", run).fetch() == 0
    assert (folder / CURRENT).read_bytes() == b"epoch 5"


def test_a_network_that_ends_while_checkpoints_are_sent_is_not_promised(run, tmp_path):
    """Once network 1 is done `current.pt` expects its file: what was listed before must go with the older one."""
    folder = training(tmp_path, current=b"in network 1", network0=b"done")
    pipe = run.files.pipe_file

    def ends_meanwhile(url, content):
        pipe(url, content)
        training(tmp_path, current=b"in network 2", network1=b"done, too")

    run.files.pipe_file = ends_meanwhile
    Handover(tmp_path, run).send()
    assert run.files.cat_file(f"{run.checkpoints}/0123/current.pt") == b"in network 1"
    assert (folder / CURRENT).read_bytes() == b"in network 2"


def test_a_training_that_ends_meanwhile_or_has_none_yet_sends_nothing(run, tmp_path):
    assert Handover(tmp_path, run).send() == 0
    training(tmp_path, network0=b"done")
    assert Handover(tmp_path, run).send() == 0
