"""Model files: all parts come through, belong together, and nothing of a wrong file is used."""

import pickle
from dataclasses import asdict, replace

import pytest
import torch
from tests.test_network_file import META
from torch import nn

from seepseg.base.errors import InputError
from seepseg.base.tensor_file import write_tensors
from seepseg.detection.classifier import NamersMeta, build_namers
from seepseg.detection.model_file import MODEL, Model, load_model, save_model
from seepseg.detection.postprocessing import DecisionRule
from seepseg.models.network_file import build_networks

NAMERS = NamersMeta(class_names=META.class_names, features=["a", "b"], namers=2, members=3, hidden=4)
RULE = DecisionRule(
    looks=4,
    adapt_tiles=32,
    threshold=0.3,
    outline_area=2,
    min_area=2,
    keep="judged",
    object_cut=0.5,
    pixel_cut=0.6,
    mean_area=100.0,
    peak=0.0,
    naming="properties",
    class_weights=[1.0, 1.5],
)


def model():
    torch.manual_seed(0)
    return Model(build_networks(META).eval(), META, list(build_namers(NAMERS)), RULE)


@pytest.fixture
def saved(tmp_path):
    save_model(tmp_path / "model.safetensors", model(), NAMERS)
    return tmp_path / "model.safetensors"


def test_all_parts_come_through(saved):
    loaded, original = load_model(saved), model()
    assert (loaded.meta, loaded.rule) == (META, RULE)
    parts = [(loaded.networks, original.networks), (loaded.namers, original.namers)]
    for one, other in (pair for pairs in parts for pair in zip(*pairs, strict=True)):
        assert not one.training
        assert one.state_dict().keys() == other.state_dict().keys()
        assert all(tensor.equal(other.state_dict()[name]) for name, tensor in one.state_dict().items())
    assert [namer.features for namer in loaded.namers] == [["a", "b"]] * 2


def test_the_same_model_gives_the_same_bytes(saved, tmp_path):
    save_model(tmp_path / "again.safetensors", load_model(saved), NAMERS)
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize(
    ("networks", "namers", "rule", "message"),
    [
        (META, NAMERS, replace(RULE, class_weights=[1.0]), "a rule with weights of 2 classes, found 1"),
        (META, replace(NAMERS, namers=1), RULE, "a namer for each of 2 networks, found 1"),
        (META, replace(NAMERS, class_names=["slick", "seep"]), RULE, r"namers of the networks' classes .* found"),
        (META, NAMERS, asdict(RULE) | {"peak": 1.5}, r"rule\.peak is not as expected: .* less than or equal to 1"),
        (META, NAMERS, asdict(RULE) | {"peaks": 1}, r"rule\.peaks is not as expected"),
    ],
)
def test_parts_that_do_not_belong_together(tmp_path, networks, namers, rule, message):
    path = tmp_path / "model.safetensors"
    modules = nn.ModuleDict({"networks": build_networks(networks), "namers": build_namers(namers)})
    rule = rule if isinstance(rule, dict) else asdict(rule)
    write_tensors(
        path, MODEL, modules.state_dict(), {"networks": asdict(networks), "namers": asdict(namers), "rule": rule}
    )
    with pytest.raises(InputError, match=message) as error:
        load_model(path)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("write it anew with `dvc repro decide`, or have it sent again")


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("write", [torch.save, lambda trap, path: path.write_bytes(pickle.dumps(trap))])
def test_a_pickle_is_refused_and_not_executed(tmp_path, write):
    trap, path = Trap(tmp_path / "sprung"), tmp_path / "model.safetensors"
    write(trap, path)
    with pytest.raises(InputError, match="expected a safetensors file, found another or a damaged one"):
        load_model(path)
    assert not trap.path.exists()


@pytest.mark.parametrize("kept", [0, 7, 1000, -1])
def test_a_truncated_file_is_refused(saved, kept):
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(InputError, match="found another or a damaged one"):
        load_model(saved)
