"""What networks are given of tiles: normalisation knows only valid pixels, each channel is what it says."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from seepseg.base.errors import InputError
from seepseg.base.params import load_params
from seepseg.data.channels import CHANNELS, InputMaker, InputParams, lee_filter, register_channel

EVERY = [("intensity",), ("intensity", "lee"), ("lee",)]


def maker(channels=("intensity",)):
    return InputMaker(InputParams(channels=channels))


def recorded(side=16):
    rng = np.random.default_rng(0)
    images = rng.integers(20_000, 40_000, (3, 1, side, side)).astype(np.float32)
    images[1] *= 1.5
    images[0, :, :5] = 0
    tensor = torch.from_numpy(images)
    return tensor, tensor[:, 0] != 0


def test_each_tile_gets_mean_0_and_deviation_1_over_its_valid_pixels():
    images, valid = recorded()
    normalized = maker()(images, valid)
    for tile in range(3):
        seen = images[tile, 0][valid[tile]].double().numpy()
        expected = (seen - seen.mean()) / seen.std()
        np.testing.assert_allclose(normalized[tile, 0][valid[tile]], expected, atol=1e-4)
    assert normalized[:, 0][~valid].eq(0).all()
    assert maker()(images[2:], valid[2:]).equal(normalized[2:])  # whatever batch a tile is in


@pytest.mark.parametrize("channels", EVERY)
def test_nodata_has_no_say(channels):
    images, valid = recorded()
    other = torch.where(valid.unsqueeze(1), images, 9999.0)
    make = maker(channels)
    assert make(images, valid).equal(make(other, valid))
    assert make(images, valid).shape == (3, len(channels), 16, 16)


@pytest.mark.parametrize("value", [1.0, 28_921.0, 65_535.0])
@pytest.mark.parametrize("channels", EVERY)
def test_constant_tile_becomes_zero(value, channels):
    images = torch.full((2, 1, 256, 256), value)
    valid = torch.ones(2, 256, 256, dtype=torch.bool)
    valid[1] = False
    normalized = maker(channels)(images, valid)
    assert normalized.abs().max() < 0.1
    assert normalized[1].eq(0).all()


def test_every_channel_is_measured_by_the_statistics_of_intensity():
    images, valid = recorded(64)
    first, second = maker(("intensity", "lee"))(images, valid).unbind(1)
    assert first.equal(maker()(images, valid)[:, 0])
    filtered = lee_filter(images, valid.unsqueeze(1))[:, 0]
    for tile in range(3):
        seen = images[tile, 0][valid[tile]]
        expected = (filtered[tile][valid[tile]] - seen.mean()) / seen.std(correction=0)
        torch.testing.assert_close(second[tile][valid[tile]], expected, rtol=1e-4, atol=1e-4)
    swapped = maker(("lee", "intensity"))(images, valid)
    assert swapped[:, 0].equal(second) and swapped[:, 1].equal(first)


def test_a_channel_is_one_function(monkeypatch):
    monkeypatch.setattr("seepseg.data.channels.CHANNELS", dict(CHANNELS))
    register_channel("darkest")(lambda images, seen: torch.full_like(images, images[seen].min()))
    images, valid = recorded()
    made = InputMaker(SimpleNamespace(channels=("intensity", "darkest")))(images, valid)
    assert made[:, :1].equal(maker()(images, valid))
    assert made[2, 1].eq(made[2, 1].min()).all() and made[2, 1].min() <= made[2, 0].min()
    with pytest.raises(AssertionError, match="two channels are registered as 'lee'"):
        register_channel("lee")(lee_filter)


def lee_by_hand(image, seen, noise, y, x):
    rows, columns = (slice(max(at - 3, 0), at + 4) for at in (y, x))
    window = image[rows, columns][seen[rows, columns]].astype(float)
    mean, variation = window.mean(), window.var() / window.mean() ** 2
    return mean + max((1 - noise / variation) / (1 + noise), 0) * (image[y, x] - mean)


def test_lee_filter_by_hand():
    rng = np.random.default_rng(0)
    image = 30_000 * (1 + 0.2 * rng.standard_normal((32, 32)))
    image[:, 16:] *= 0.5  # an edge, which must stay
    seen = np.ones((32, 32), bool)
    seen[:6, :6] = False
    as_tensors = torch.from_numpy(image).float()[None, None], torch.from_numpy(seen)[None, None]
    found = lee_filter(*as_tensors)[0, 0].numpy()

    def variation(y, x):
        rows, columns = (slice(max(at - 3, 0), at + 4) for at in (y, x))
        window = image[rows, columns][seen[rows, columns]]
        return window.var() / window.mean() ** 2

    sampled = [variation(y, x) for y in range(0, 32, 4) for x in range(0, 32, 4) if seen[y, x]]
    noise = sorted(sampled)[(len(sampled) - 1) // 2]  # the lower median
    for y, x in [(0, 10), (16, 5), (20, 15), (20, 16), (31, 31), (5, 6)]:
        assert found[y, x] == pytest.approx(lee_by_hand(image, seen, noise, y, x), rel=1e-3)
    flat = (slice(8, 24), slice(2, 12))
    assert found[flat].std() < 0.5 * image[flat].std()


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([], "input.channels: expected at least 1 items, found []"),
        (["intensity", "intensity"], "input: expected channels that differ, found intensity, intensity"),
        (["intensity", "leee"], "input.channels.1: expected 'intensity' or 'lee', found \"leee\"; did you mean 'lee'?"),
        ("lee", 'input.channels: expected a valid array, found "lee"'),
    ],
)
def test_wrong_channels_are_named(tmp_path, channels, message):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"input": {"channels": channels}}))
    with pytest.raises(InputError) as error:
        load_params(InputParams, "input", path)
    assert str(error.value) == f"{path}: {message}"
