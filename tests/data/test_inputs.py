"""What networks are given of tiles: normalisation knows only valid pixels, second channels are what they say."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage

from seepseg.base.errors import InputError
from seepseg.data.channels import InputMaker, InputParams, InputSpec, fit_input, lee_filter, local_mean

NO_MANIFEST = pd.DataFrame()
ALL = np.arange(3)


def maker(normalization="tile", extra="none", manifest=NO_MANIFEST, **statistics):
    return InputMaker(InputSpec(normalization=normalization, extra=extra, **statistics), manifest)


def recorded(side=16):
    rng = np.random.default_rng(0)
    images = rng.integers(20_000, 40_000, (3, 1, side, side)).astype(np.float32)
    images[1] *= 1.5
    images[0, :, :5] = 0
    tensor = torch.from_numpy(images)
    return tensor, tensor[:, 0] != 0


def manifest_of(images, valid, scenes):
    tiles = [image[0][seen].double().numpy() for image, seen in zip(images, valid, strict=True)]
    shares = [1 - len(tile) / valid[0].numel() for tile in tiles]
    means, stds = zip(*((tile.mean(), tile.std()) if len(tile) else (np.nan, np.nan) for tile in tiles), strict=True)
    return tiles, pd.DataFrame({"scene": scenes, "nodata_fraction": shares, "mean": means, "std": stds})


def test_each_tile_gets_mean_0_and_deviation_1_over_its_valid_pixels():
    images, valid = recorded()
    normalized = maker()(images, valid, ALL)
    for tile in range(3):
        seen = images[tile, 0][valid[tile]].double().numpy()
        expected = (seen - seen.mean()) / seen.std()
        np.testing.assert_allclose(normalized[tile, 0][valid[tile]], expected, atol=1e-4)
    assert normalized[:, 0][~valid].eq(0).all()


@pytest.mark.parametrize("normalization", ["tile", "local"])
@pytest.mark.parametrize("extra", ["none", "lee", "sea"])
def test_nodata_has_no_say(normalization, extra):
    images, valid = recorded()
    other = torch.where(valid.unsqueeze(1), images, 9999.0)
    make = maker(normalization, extra)
    assert make(images, valid, ALL).equal(make(other, valid, ALL))
    assert make(images, valid, ALL).shape == (3, make.spec.channels, 16, 16)


@pytest.mark.parametrize("value", [1.0, 28_921.0, 65_535.0])
@pytest.mark.parametrize("normalization", ["tile", "local"])
@pytest.mark.parametrize("extra", ["none", "lee", "sea"])
def test_constant_tile_becomes_zero(value, normalization, extra):
    images = torch.full((2, 1, 256, 256), value)
    valid = torch.ones(2, 256, 256, dtype=torch.bool)
    valid[1] = False
    normalized = maker(normalization, extra)(images, valid, ALL[:2])
    assert normalized.abs().max() < 0.1
    assert normalized[1].eq(0).all()


def test_dataset_normalisation_by_hand():
    images = torch.tensor([[100.0, 300.0], [0.0, 200.0]]).view(1, 1, 2, 2)
    normalized = maker("dataset", mean=200.0, std=50.0)(images, images[:, 0] != 0, ALL[:1])
    assert normalized.tolist() == [[[[-2.0, 2.0], [0.0, 0.0]]]]


def test_dataset_statistics_are_those_of_all_valid_pixels():
    images, valid = recorded()
    valid = torch.cat([valid, torch.zeros(1, 16, 16, dtype=torch.bool)])
    tiles, manifest = manifest_of(torch.cat([images, images[:1]]), valid, scenes=list("aabb"))
    together = np.concatenate(tiles)
    fitted = fit_input(InputParams(normalization="dataset", extra="lee"), manifest)
    assert (fitted.mean, fitted.std) == pytest.approx((together.mean(), together.std()))
    assert fit_input(InputParams(normalization="scene", extra="sea"), manifest) == InputSpec(
        normalization="scene", extra="sea"
    )
    with pytest.raises(InputError, match="dataset needs a training tile with data"):
        fit_input(InputParams(normalization="dataset", extra="none"), manifest.iloc[3:])


def test_a_scene_gets_mean_0_and_deviation_1_over_all_its_tiles():
    images, valid = recorded()
    valid = torch.cat([valid, torch.zeros(1, 16, 16, dtype=torch.bool)])
    images = torch.cat([images, images[:1]])
    tiles, manifest = manifest_of(images, valid, scenes=list("abab"))
    make = maker("scene", manifest=manifest)
    normalized = make(images, valid, np.arange(4))
    first = np.concatenate([tiles[0], tiles[2]])
    for tile in (0, 2):
        expected = (tiles[tile] - first.mean()) / first.std()
        np.testing.assert_allclose(normalized[tile, 0][valid[tile]], expected, atol=1e-4)
    assert make(images[2:3], valid[2:3], np.array([2])).equal(normalized[2:3])  # whatever batch a tile is in
    assert normalized[3].eq(0).all()
    empty = maker("scene", manifest=manifest.assign(scene=list("abac")))(images[3:], valid[3:], np.array([3]))
    assert empty.eq(0).all()


def test_local_normalisation_takes_out_a_slow_change_of_brightness_and_contrast():
    rng = np.random.default_rng(0)
    slope = np.linspace(20_000, 30_000, 256)
    images = (slope + 0.1 * slope * rng.standard_normal((256, 256))).astype(np.float32)
    valid = torch.ones(1, 256, 256, dtype=torch.bool)
    local = maker("local")(torch.from_numpy(images)[None, None], valid, ALL[:1])[0, 0].numpy()
    inner = local[:, 64:-64]
    for columns in np.split(inner, 4, axis=1):
        assert abs(columns.mean()) < 0.05
        assert columns.std() == pytest.approx(0.9, abs=0.1)  # the slope within the Gaussian is part of the deviation


@pytest.mark.parametrize("shape", [(128, 96), (67, 50)])
def test_local_mean_is_that_of_a_gaussian(shape):
    rng = np.random.default_rng(0)
    image, seen = ndimage.gaussian_filter(rng.normal(size=shape), 4), rng.random(shape) < 0.7
    seen[:20, :30] = False
    weight = ndimage.gaussian_filter(seen.astype(float), 16, mode="constant", truncate=3)
    expected = ndimage.gaussian_filter(image * seen, 16, mode="constant", truncate=3) / weight
    found = local_mean(torch.from_numpy(image).float()[None, None], torch.from_numpy(seen)[None, None], 16)[0, 0]
    np.testing.assert_allclose(found, expected, atol=0.2 * expected.std())


def test_sea_is_the_second_channel_by_the_statistics_of_the_first():
    images, valid = recorded(64)
    first, second = maker("dataset", "sea", mean=30_000.0, std=5_000.0)(images, valid, ALL).unbind(1)
    assert first.equal(maker("dataset", mean=30_000.0, std=5_000.0)(images, valid, ALL)[:, 0])
    expected = (local_mean(images, valid.unsqueeze(1), 16)[:, 0] - 30_000) / 5_000
    torch.testing.assert_close(second[valid], expected[valid])


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


@pytest.mark.parametrize("values", [{"normalization": "dataset"}, {"normalization": "tile", "mean": 1.0, "std": 1.0}])
def test_normalisation_has_statistics_exactly_where_it_needs_them(values):
    with pytest.raises(ValueError, match="a mean and a std with normalization dataset"):
        InputSpec(extra="none", **values)
