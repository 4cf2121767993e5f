"""Weight counts, shapes for any size, the attention gate by hand, and torchvision's state dicts."""

import itertools
import pickle
import re
from collections import OrderedDict

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import yaml
from conftest import small_model
from torch import nn

from seepseg.base.errors import InputError
from seepseg.base.params import load_params
from seepseg.models import ModelParams, build_model
from seepseg.models.attention_unet import AttentionGate
from seepseg.models.blocks import ConvBlock, double, double_by_products, init_weights, pad_to_multiple
from seepseg.models.registry import NETWORKS

NAMES = ("unet", "attention_unet", "resnet_unet")


def build(name="unet", head="softmax", num_classes=8, **values):
    return build_model(small_model(name, head, **values), 1, num_classes)


def num_weights(model):
    return sum(weight.numel() for weight in model.parameters())


pytestmark = pytest.mark.usefixtures("one_thread")


def test_these_are_all_networks():
    assert tuple(NETWORKS) == NAMES


def test_original_unet_has_its_number_of_weights():
    model = build(width=64, depth=4, stem=1, norm="none", head="sigmoid")
    assert num_weights(model.encoder) == 4_684_224
    assert num_weights(model.decoder) == 3_097_472
    assert num_weights(model.head) == 64 * 7 + 7 == 455
    assert num_weights(model) == 7_782_151


def test_widths_double():
    assert build(width=4, depth=4).encoder.widths == (4, 8, 16, 32)


def test_transposed_convolution_is_counted_by_hand():
    # Level 0 of 4 and level 1 of 8 channels: bilinear joins 8 + 4 channels, transposed 4 + 4 after 8*4*2*2 + 4.
    bilinear, transposed = (
        num_weights(build(depth=2, upsampling=upsampling)) for upsampling in ("bilinear", "transposed")
    )
    assert transposed - bilinear == (8 * 4 * 2 * 2 + 4) - 4 * 4 * 9


@pytest.mark.parametrize(("norm", "biases"), [("none", True), ("batch", False), ("group", False)])
def test_convolutions_have_a_bias_only_without_norm(norm, biases):
    convs = [module for module in ConvBlock(2, 4, norm) if isinstance(module, nn.Conv2d)]
    assert [conv.bias is not None for conv in convs] == [biases, biases]


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (64, 64)])
@pytest.mark.parametrize("name", NAMES)
def test_any_size_keeps_its_shape(name, size):
    model = build(name=name).eval()
    assert model(torch.randn(2, 1, *size)).shape == (2, 8, *size)


@pytest.mark.parametrize(
    ("name", "norm", "upsampling", "head"),
    list(itertools.product(NAMES, ("none", "batch", "group"), ("bilinear", "transposed"), ("softmax", "sigmoid"))),
)
def test_every_combination_trains(name, norm, upsampling, head):
    model = build(name=name, norm=norm, upsampling=upsampling, head=head)
    logits = model(torch.randn(2, 1, 32, 24))
    assert logits.shape == (2, 8 if head == "softmax" else 7, 32, 24)
    logits.square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("name", ["unet", "attention_unet"])
def test_every_stem_gives_full_resolution(name, stem):
    model = build(name=name, stem=stem)
    assert model.encoder.multiple == stem * 4
    assert model(torch.randn(2, 1, 37, 53)).shape == (2, 8, 37, 53)
    features = model.encoder(torch.randn(2, 1, 32, 32))
    finest = 32 // stem
    sides = (finest, finest // 2, finest // 4)
    expected = [(width, side, side) for width, side in zip((4, 8, 16), sides, strict=True)]
    assert [tuple(feature.shape[1:]) for feature in features] == expected


def test_default_size_of_a_tile():
    assert build(depth=5).eval()(torch.randn(1, 1, 256, 256)).shape == (1, 8, 256, 256)


def test_padding_repeats_the_edge():
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).view(1, 1, 3, 2)
    padded = pad_to_multiple(image, 4)
    assert padded[0, 0].tolist() == [[1, 2, 2, 2], [3, 4, 4, 4], [5, 6, 6, 6], [5, 6, 6, 6]]
    assert pad_to_multiple(padded, 4).equal(padded)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 8)])
def test_products_with_matrices_double_as_torch_does(size):
    image = torch.randn(2, 3, *size).to(memory_format=torch.channels_last).requires_grad_()
    products, expected = double_by_products(image), double(image)
    assert products.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(products, expected)
    weights = torch.randn_like(expected)
    gradients = [torch.autograd.grad((weights * each).sum(), image)[0] for each in (products, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", NAMES)
def test_odd_size_is_the_crop_of_the_padded_image(name):
    model = build(name=name).eval()
    image = torch.randn(1, 1, 37, 53)
    expected = model(pad_to_multiple(image, model.encoder.multiple))[..., :37, :53]
    assert model(image).equal(expected)


def test_a_pixel_of_the_logits_belongs_to_its_pixel_of_the_image():
    # With the identity in place of encoder and decoder, unshuffle, head and shuffle must give the image back.
    model = build(stem=2, num_classes=1)
    model.encoder.forward = lambda images: [F.pixel_unshuffle(images, 2)]
    model.decoder.forward = lambda features: features[0]
    nn.init.dirac_(model.head.weight)
    image = torch.randn(2, 1, 16, 24)
    assert model(image).equal(image)


@pytest.mark.parametrize("name", NAMES)
def test_seed_decides_all_weights(name):
    states = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        states.append(build(name=name).state_dict())
    assert all(states[0][key].equal(states[1][key]) for key in states[0])
    assert not states[0]["head.weight"].equal(states[2]["head.weight"])


def test_initial_weights_are_he_normal():
    block = nn.Sequential(nn.Conv2d(64, 64, 3), nn.Conv2d(128, 256, 1), nn.ConvTranspose2d(256, 128, 2, stride=2))
    init_weights(block)
    deviations = [conv.weight.std().item() for conv in block]
    assert deviations == pytest.approx([(2 / (64 * 9)) ** 0.5, 128**-0.5, 256**-0.5], rel=0.02)
    assert all(conv.bias.eq(0).all() for conv in block)


def test_activations_keep_their_size_in_the_original_network():
    torch.manual_seed(1)
    model = build(width=16, depth=4, stem=1, norm="none")
    logits = model(torch.randn(1, 1, 64, 64))
    assert 0.1 < logits.std().item() < 10


# Attention


def tiny_gate():
    gate = AttentionGate(skip_channels=2, gating_channels=1)
    state = {"w_x.weight": [[[[1.0]], [[-1.0]]]], "w_g.weight": [[[[2.0]]]], "w_g.bias": [0.5]}
    state |= {"psi.weight": [[[[3.0]]]], "psi.bias": [-1.0]}
    gate.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    return gate


@pytest.mark.parametrize(
    ("x", "g", "q"),
    [
        ((1.0, 0.5), 0.25, 3 * (0.5 + 0.5 + 0.5) - 1),  # psi relu(x0 - x1 + 2 g + 0.5) - 1
        ((0.0, 2.0), 0.25, -1),  # the ReLU is 0
    ],
)
def test_attention_gate_by_hand(x, g, q):
    skip = torch.tensor(x).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    gated = tiny_gate()(skip, torch.full((1, 1, 1, 1), g))
    alpha = 1 / (1 + 2.718281828 ** (-q))
    torch.testing.assert_close(gated, alpha * skip)


def test_attention_gate_resamples_its_coefficients():
    skip = torch.ones(1, 2, 2, 4)  # the two channels cancel: q depends on g alone
    gating = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
    q = 3 * (2 * gating + 0.5) - 1
    left, right = q.sigmoid().flatten().tolist()
    row = [left, 0.75 * left + 0.25 * right, 0.25 * left + 0.75 * right, right]
    torch.testing.assert_close(tiny_gate()(skip, gating), torch.tensor(row).expand(1, 2, 2, 4))


def test_attention_unet_is_the_unet_where_its_gates_are_open():
    attention, plain = build(name="attention_unet").eval(), build(name="unet").eval()
    plain.load_state_dict({key: value for key, value in attention.state_dict().items() if "gates" not in key})
    image = torch.randn(1, 1, 32, 32)
    assert not attention(image).allclose(plain(image))
    for gate in attention.decoder.gates:
        nn.init.constant_(gate.psi.bias, 100)
    torch.testing.assert_close(attention(image), plain(image))


def test_attention_unet_gates_all_but_the_finest_skip():
    gates = build(name="attention_unet", depth=4).decoder.gates
    assert [(gate.w_x.in_channels, gate.w_g.in_channels) for gate in gates] == [(8, 16), (16, 32)]


# ResNet

WIDTHS = (64, 128, 256, 512)
LAYERS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


def torchvision_state(name="resnet18", depth=5):
    """A state dict of random numbers with the names and shapes that torchvision gives its ResNets."""
    state = OrderedDict()

    def norm(prefix, channels):
        for key in ("weight", "bias", "running_mean", "running_var"):
            state[f"{prefix}.{key}"] = torch.rand(channels) + 0.5
        state[f"{prefix}.num_batches_tracked"] = torch.tensor(3)

    state["conv1.weight"] = torch.randn(64, 3, 7, 7)
    norm("bn1", 64)
    before = 64
    for layer, (blocks, width) in enumerate(zip(LAYERS[name], WIDTHS, strict=True), start=1):
        for block in range(blocks):
            prefix = f"layer{layer}.{block}"
            state[f"{prefix}.conv1.weight"] = torch.randn(width, before, 3, 3)
            norm(f"{prefix}.bn1", width)
            state[f"{prefix}.conv2.weight"] = torch.randn(width, width, 3, 3)
            norm(f"{prefix}.bn2", width)
            if before != width:
                state[f"{prefix}.downsample.0.weight"] = torch.randn(width, before, 1, 1)
                norm(f"{prefix}.downsample.1", width)
            before = width
        if layer == depth - 1:
            break
    state["fc.weight"] = torch.randn(1000, 512)
    state["fc.bias"] = torch.randn(1000)
    return state


@pytest.mark.parametrize(("name", "published"), [("resnet18", 11_689_512), ("resnet34", 21_797_672)])
def test_resnet_has_the_published_number_of_weights(name, published):
    encoder = build(name="resnet_unet", encoder=name, depth=5).encoder
    classifier, two_channels = 512 * 1000 + 1000, 2 * 64 * 49
    assert num_weights(encoder) == published - classifier - two_channels


def test_resnet_levels_halve_from_half_the_resolution():
    features = build(name="resnet_unet", depth=5).encoder(torch.randn(1, 1, 64, 96))
    shapes = [(64, 32, 48), (64, 16, 24), (128, 8, 12), (256, 4, 6), (512, 2, 3)]
    assert [tuple(feature.shape[1:]) for feature in features] == shapes


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_weights_load(tmp_path, name, suffix):
    state = torchvision_state(name)
    path = tmp_path / f"weights{suffix}"
    (safetensors.torch.save_file if suffix == ".safetensors" else torch.save)(state, path)
    encoder = build(name="resnet_unet", encoder=name, depth=5, encoder_weights=str(path)).encoder
    loaded = encoder.state_dict()
    assert list(loaded) == [key for key in state if not key.startswith("fc.")]
    assert all(loaded[key].equal(state[key]) for key in loaded if key != "conv1.weight")
    grey = torch.randn(2, 1, 32, 32)
    rgb = F.conv2d(grey.repeat(1, 3, 1, 1), state["conv1.weight"], stride=2, padding=3)
    torch.testing.assert_close(encoder.conv1(grey), rgb, rtol=1e-4, atol=1e-4)


def save_and_build(tmp_path, state, depth=5, name="weights.pth"):
    path = tmp_path / name
    torch.save(state, path)
    return build(name="resnet_unet", depth=depth, encoder_weights=str(path))


def test_shallow_encoder_takes_the_first_layers(tmp_path):
    state = torchvision_state()
    encoder = save_and_build(tmp_path, state, depth=2).encoder
    assert not any(key.startswith("layer2") for key in encoder.state_dict())
    assert encoder.layer1[1].conv2.weight.equal(state["layer1.1.conv2.weight"])


def test_old_state_dict_without_batch_counts_loads(tmp_path):
    state = {key: value for key, value in torchvision_state().items() if "num_batches" not in key}
    assert save_and_build(tmp_path, state).encoder.bn1.num_batches_tracked == 0


def without(state, key):
    return {name: value for name, value in state.items() if not name.startswith(key)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: without(state, "layer1.0.bn2.weight"), r"the file lacks layer1\.0\.bn2\.weight$"),
        (
            lambda state: without(state, "bn1."),
            r"lacks bn1\.weight, bn1\.bias, bn1\.running_mean and 1 more$",
        ),
        (
            lambda _: torchvision_state("resnet34", depth=2),
            r"resnet18 state dict, but the file also holds layer1\.2",
        ),
        (
            lambda state: state | {"layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)},
            r"with layer1\.0\.conv1\.weight of shape \(64, 64, 3, 3\), found \(64, 64, 1, 1\)$",
        ),
        (
            lambda state: state | {"conv1.weight": torch.zeros(64, 4, 7, 7)},
            r"with conv1\.weight of shape \(64, 1, 7, 7\), found \(64, 4, 7, 7\)$",
        ),
        (lambda state: {"state_dict": state, "epoch": 3}, "all tensors, but state_dict, epoch is none$"),
        (lambda _: [1, 2], "found a list$"),
    ],
)
def test_wrong_encoder_weights_are_named(tmp_path, change, message):
    with pytest.raises(InputError, match=message) as error:
        save_and_build(tmp_path, change(torchvision_state(depth=2)), depth=2)
    assert str(error.value).startswith(f"{tmp_path / 'weights.pth'}: ")
    assert "\n" not in str(error.value)


class Trap:
    """Creates a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_pickle_is_refused_and_not_executed(tmp_path):
    path, trap = tmp_path / "weights.pth", tmp_path / "executed"
    path.write_bytes(pickle.dumps({"conv1.weight": Trap(trap)}, protocol=2))
    with pytest.raises(InputError, match="found a damaged file or more than tensors") as error:
        build(name="resnet_unet", depth=5, encoder_weights=str(path))
    assert "\n" not in str(error.value)
    assert not trap.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", bytes(range(256))])
def test_foreign_bytes_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        InputError,
        match=f"{name}: expected a torchvision resnet18 state dict, found a damaged file or more than tensors",
    ):
        build(name="resnet_unet", depth=5, encoder_weights=str(tmp_path / name))


def test_missing_encoder_weights_are_named():
    with pytest.raises(
        InputError, match=r"^nowhere\.pth is missing: model\.resnet_unet\.encoder_weights must be a torchvision"
    ):
        build(name="resnet_unet", encoder_weights="nowhere.pth")


# Params


def test_what_rebuilds_a_network_names_no_file():
    block = NETWORKS["resnet_unet"](width=4, encoder_weights="weights.pth")
    params = ModelParams(name="resnet_unet", resnet_unet=block, unet=NETWORKS["unet"](width=8))
    assert [str(path) for path in params.network.files] == ["weights.pth"]
    assert params.without_files() == ModelParams(name="resnet_unet", resnet_unet=NETWORKS["resnet_unet"](width=4))
    assert ModelParams().network.files == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resnet_unet": {"depth": 6}}, "model.resnet_unet.depth: expected less than or equal to 5, found 6"),
        ({"resnet_unet": {"stem": 1}}, "unknown key 'model.resnet_unet.stem'"),
        ({"attention_unet": {"depth": 2}}, "model.attention_unet.depth: expected greater than or equal to 3, found 2"),
        ({"unet": {"depth": 1}}, "model.unet.depth: expected greater than or equal to 2, found 1"),
        ({"unet": {"stem": 3}}, "model.unet.stem: expected 1, 2 or 4, found 3"),
        ({"unet": 3}, "model.unet: expected a block of keys, found 3"),
        ({"unets": {}}, "unknown key 'model.unets'; did you mean 'model.unet'?"),
        ({"name": "unets"}, "expected 'unet', 'attention_unet' or 'resnet_unet', found \"unets\"; did you mean 'unet'"),
    ],
)
def test_impossible_params_are_refused(tmp_path, values, message):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"model": values}))
    with pytest.raises(InputError, match=re.escape(message)):
        load_params(ModelParams, "model", path)
