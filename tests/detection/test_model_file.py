"""Model files: all parts come through, belong together, and nothing of a wrong file is used."""

import pickle
from dataclasses import asdict, replace

import pytest
import torch
from conftest import POSTPROCESSING, small_model
from torch import nn

from seepseg.base.errors import InputError
from seepseg.base.radiometry import Radiometry
from seepseg.base.tensor_file import write_tensors
from seepseg.data.channels import InputParams
from seepseg.detection.classifier import ClassifierMeta, build_classifiers
from seepseg.detection.model_file import MODEL, Model, ModelMeta, load_model, save_model
from seepseg.detection.proposal import ProposalParams
from seepseg.models.network_file import NetworksMeta
from seepseg.models.trained_networks import build_networks

NETWORKS = NetworksMeta(
    model=small_model(width=2, depth=2, stem=1),
    networks=2,
    class_names=["seep", "slick"],
    input=InputParams(),
    data_fingerprint="abc",
    radiometry=Radiometry(quantity="sigma0", polarisation="VV", spacing=10.0, mean=29_000.5),
    tile_size=256,
)
CLASSIFIERS = ClassifierMeta(class_names=NETWORKS.class_names, features=["a", "b"], classifiers=2, members=3, hidden=4)
META = ModelMeta(
    networks=NETWORKS,
    proposal=ProposalParams(tta=8, norm_prior_tiles=16, threshold=0.4, min_area=3),
    classifiers=CLASSIFIERS,
    postprocessing=POSTPROCESSING,
)


def model(meta=META):
    torch.manual_seed(0)
    return Model(meta, list(build_networks(NETWORKS).eval()), list(build_classifiers(meta.classifiers)))


@pytest.fixture
def saved(tmp_path):
    save_model(tmp_path / "model.safetensors", model())
    return tmp_path / "model.safetensors"


def test_all_parts_come_through(saved):
    loaded, original = load_model(saved), model()
    assert loaded.meta == META and loaded.class_names == ["seep", "slick"]
    parts = [(loaded.networks, original.networks), (loaded.classifiers, original.classifiers)]
    for one, other in (pair for pairs in parts for pair in zip(*pairs, strict=True)):
        assert not one.training
        assert one.state_dict().keys() == other.state_dict().keys()
        assert all(tensor.equal(other.state_dict()[name]) for name, tensor in one.state_dict().items())
    assert [classifier.features for classifier in loaded.classifiers] == [["a", "b"]] * 2


def test_what_is_known_of_other_passes_comes_through(tmp_path):
    knowing = replace(CLASSIFIERS, recurrence=["recur_seep"], recurrence_radius=32.0)
    saved, path = model(replace(META, classifiers=knowing)), tmp_path / "model.safetensors"
    save_model(path, saved)
    loaded = load_model(path)
    assert loaded.meta.classifiers == knowing
    for one, other in zip(loaded.classifiers, saved.classifiers, strict=True):
        assert one.in_passes == ["a", "b", "recur_seep"]
        torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_the_same_model_gives_the_same_bytes(saved, tmp_path):
    save_model(tmp_path / "again.safetensors", load_model(saved))
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("postprocessing", {"class_weights": [1.0]}, "post-processing with weights of 2 classes, found 1"),
        ("postprocessing", {"peak": 1.5}, r"postprocessing\.peak is not as expected: .* less than or equal to 1"),
        ("postprocessing", {"peaks": 1}, r"postprocessing\.peaks is not as expected"),
        ("classifiers", {"classifiers": 1}, "a classifier for each of 2 networks, found 1"),
        ("classifiers", {"class_names": ["slick", "seep"]}, r"classifiers of the networks' classes .* found"),
        ("classifiers", {"members": 5}, r"expected float32 \(5, .* found float32 \(3,"),
        ("proposal", {"tta": 2}, r"proposal\.tta is not as expected"),
        ("networks", {"networks": 3}, "a classifier for each of 3 networks, found 2"),
    ],
)
def test_parts_that_do_not_belong_together(tmp_path, part, values, message):
    path, parts = tmp_path / "model.safetensors", model()
    modules = nn.ModuleDict(
        {"networks": nn.ModuleList(parts.networks), "classifiers": nn.ModuleList(parts.classifiers)}
    )
    description = asdict(META)
    description[part] |= values
    write_tensors(path, MODEL, modules.state_dict(), description)
    with pytest.raises(InputError, match=message) as error:
        load_model(path)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("write it anew with `dvc repro classify`, or have it sent again")


def test_sizes_beyond_all_bounds_take_no_memory(tmp_path):
    path = tmp_path / "model.safetensors"
    for key in ("hidden", "members"):
        huge = replace(META, classifiers=replace(CLASSIFIERS, **{key: 10**9}))
        write_tensors(path, MODEL, {"weight": torch.zeros(3)}, asdict(huge))
        with pytest.raises(
            InputError, match=r"expected 2 networks, found 1 tensors|the weights don't fit|can't be built"
        ):
            load_model(path)


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
