"""The exported graph: what torch computes, at any size, as QGIS's plugin feeds it, and the same bytes each time."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import small_model

from seepseg.base.errors import InputError
from seepseg.base.radiometry import Radiometry
from seepseg.data.channels import InputMaker, InputParams
from seepseg.detection.candidates import average, most_probable_classes
from seepseg.detection.tta import BlockProbs
from seepseg.models.export import AveragedNetworks, export_networks
from seepseg.models.heads import class_probs, foreground_probs
from seepseg.models.network_file import NetworksMeta
from seepseg.models.trained_networks import build_networks

pytestmark = pytest.mark.usefixtures("one_thread")

TOLERANCE = 1e-4  # of probabilities, as for other ways to run a network; the two add up in another order


def meta_of(networks=2, channels=("intensity",), spacing=10.0, **model):
    return NetworksMeta(
        model=small_model(**model),
        networks=networks,
        class_names=["seep", "slick"],
        input=InputParams(channels=channels),
        data_fingerprint="abc",
        radiometry=Radiometry(quantity="amplitude", polarisation="VV", spacing=spacing),
        tile_size=64,
    )


def networks_of(meta):
    """Networks with weights and norms that make all classes occur."""
    networks = build_networks(meta)
    for network in networks:
        network.train()
        with torch.no_grad():
            for _ in range(3):
                network(torch.randn(2, 1, 32, 32))
            network.head.weight.mul_(3)
    return list(networks.eval())


def sea(shape, seed=0):
    """Speckled sea with a dark slick, without data at two edges; float32 (N, 1, H, W)."""
    image = np.random.default_rng(seed).gamma(4, 1500, (shape[0], 1, *shape[1:])).round().clip(1, 65535)
    height, width = shape[1:]
    image[..., height // 3 : height // 2, width // 4 : width // 2] *= 0.3
    image[..., :3, :] = 0
    image[..., :, -2:] = 0
    return image.round().astype(np.float32)


def run(path, image):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["probs"], {"image": image})[0]


def by_torch(networks, meta, image):
    with torch.inference_mode():
        return AveragedNetworks(networks, meta)(torch.from_numpy(image)).numpy()


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", ["unet", "attention_unet", "resnet_unet"])
def test_the_graph_computes_what_torch_does_at_any_size(name, head, tmp_path):
    meta = meta_of(name=name, head=head)
    networks = networks_of(meta)
    export_networks(tmp_path / "model.onnx", networks, meta, {})
    for shape in ((1, 64, 64), (3, 50, 71), (1, 9, 130)):
        image = sea(shape)
        found, expected = run(tmp_path / "model.onnx", image), by_torch(networks, meta, image)
        assert found.shape == (shape[0], 3, *shape[1:])
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
        no_data = image[:, 0] == 0
        assert (found[:, 0][no_data] == 1).all() and (found[:, 0][~no_data] < 1).all()


def test_it_averages_as_a_detector_does():
    meta = meta_of(networks=2)
    networks = networks_of(meta)
    image = torch.from_numpy(sea((1, 32, 32)))
    valid = image[:, 0] > 0
    with torch.inference_mode():
        found = AveragedNetworks(networks, meta)(image)
        logits = [network(InputMaker(meta.input)(image, valid)) for network in networks]
    probs = [
        BlockProbs(*(make(each, "softmax")[0].numpy() for make in (foreground_probs, class_probs))) for each in logits
    ]
    valid = valid[0].numpy()
    np.testing.assert_allclose(1 - found[0, 0].numpy()[valid], average(probs)[valid], atol=1e-4)
    classes = found[0, 1:].argmax(0).numpy() + 1
    assert set(classes[valid]) == {1, 2}
    np.testing.assert_array_equal(classes[valid], most_probable_classes(probs)[valid])


def test_one_network_gives_its_softmax():
    meta = meta_of(networks=1)
    [network] = networks_of(meta)
    image = torch.from_numpy(sea((1, 32, 32)))
    valid = image[:, 0] > 0
    with torch.inference_mode():
        found = AveragedNetworks([network], meta)(image)
        expected = network(InputMaker(meta.input)(image, valid)).softmax(1)
    where = valid.unsqueeze(1).expand_as(found)
    torch.testing.assert_close(found[where], expected[where], atol=1e-5, rtol=0)


def as_deepness_feeds(path, tile):
    """The batch that the plugin, up to 0.6.3, gives a model of a tile, uint16 (H, W)."""
    notes = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    mean, std = (np.array(json.loads(notes[f"standardization_{name}"]), np.float32) for name in ("mean", "std"))
    batch = np.float32(tile[np.newaxis, :, :, np.newaxis] * 1.0 / 255.0)  # (N, H, W, C)
    return np.transpose((batch - mean) / std, (0, 3, 1, 2))


def test_deepness_gives_the_graph_the_recorded_numbers(tmp_path):
    meta = meta_of()
    export_networks(tmp_path / "model.onnx", networks_of(meta), meta, {}, side=256)
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    given = as_deepness_feeds(tmp_path / "model.onnx", every)
    assert given.dtype == np.float32 and given[0, 0, 0, 0] == 0
    np.testing.assert_allclose(given[0, 0], every, rtol=3e-7)
    # Faint numbers, as of an uncalibrated product, whose deviation is below 1 once they are divided by 255.
    faint = (sea((1, 256, 256))[0, 0] / 100).astype(np.uint16)
    found = run(tmp_path / "model.onnx", as_deepness_feeds(tmp_path / "model.onnx", faint))
    expected = run(tmp_path / "model.onnx", faint.astype(np.float32)[np.newaxis, np.newaxis])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_the_file_says(tmp_path):
    meta = meta_of()
    networks = networks_of(meta)
    export_networks(tmp_path / "free.onnx", networks, meta, {"radiometry": "VV"})
    export_networks(tmp_path / "fixed.onnx", networks, meta, {}, side=128)
    free, fixed = (onnxruntime.InferenceSession(tmp_path / f"{name}.onnx") for name in ("free", "fixed"))
    assert [each.shape for each in (*free.get_inputs(), *free.get_outputs())] == [
        ["batch", 1, "height", "width"],
        ["batch", 3, "height", "width"],
    ]
    assert [each.shape for each in (*fixed.get_inputs(), *fixed.get_outputs())] == [
        ["batch", 1, 128, 128],
        ["batch", 3, 128, 128],
    ]
    notes = free.get_modelmeta().custom_metadata_map
    assert notes.pop("radiometry") == "VV"
    assert {name: json.loads(value) for name, value in notes.items()} == {
        "model_type": "Segmentor",
        "class_names": {"0": "background", "1": "seep", "2": "slick"},
        "resolution": 1000.0,
        "tile_size": 64,
        "tiles_size": 64,
        "tiles_overlap": 50,
        "seg_thresh": 0.0,
        "seg_small_segment": 0,
        "standardization_mean": [0.0],
        "standardization_std": [1 / 255],
    }
    assert json.loads(fixed.get_modelmeta().custom_metadata_map["tile_size"]) == 128


def test_an_unknown_spacing_is_left_out(tmp_path):
    meta = meta_of(networks=1, spacing=0.0)
    export_networks(tmp_path / "model.onnx", networks_of(meta), meta, {})
    assert "resolution" not in onnxruntime.InferenceSession(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map


def test_the_same_networks_give_the_same_bytes(tmp_path):
    meta = meta_of()
    networks = networks_of(meta)
    for name in ("one", "other"):
        export_networks(tmp_path / name, networks, meta, {"a": "1", "b": "2"})
    content = (tmp_path / "one").read_bytes()
    assert content == (tmp_path / "other").read_bytes()
    assert b"seepseg/" not in content  # no path of this machine


def test_a_channel_without_operators_is_refused(tmp_path):
    meta = meta_of(channels=("intensity", "lee"))
    with pytest.raises(InputError, match=r"^input\.channels: expected networks that are given intensity alone"):
        export_networks(tmp_path / "model.onnx", list(build_networks(meta)), meta, {})
    assert list(tmp_path.iterdir()) == []
