"""Augmentation keeps image, target and valid together."""

import numpy as np
import pytest
import torch
import yaml

from seepseg.base.errors import InputError
from seepseg.base.params import load_params
from seepseg.training.augmentation import (
    AugmentParams,
    BatchRandom,
    _flip_all,
    _flip_each,
    augment,
    augment_geometry,
    augment_intensity,
    take_pixels,
)

OFF = {"rot180": False, "hflip": False, "dihedral": False, "resize": 0.0, "gain": 0.0, "speckle": 0.0}


def params(**values):
    return AugmentParams(**OFF | values)


def numbers(tiles=64, seed=0):
    return BatchRandom(torch.Generator().manual_seed(seed), tiles)


def batch(n=64, height=6, width=6):
    """Tiles that number their pixels from 1, in image and target; the first row is not valid."""
    target = torch.arange(1, height * width + 1).view(1, height, width).repeat(n, 1, 1)
    valid = torch.ones_like(target, dtype=torch.bool)
    valid[:, 0] = False
    return (target * valid).float().unsqueeze(1), target * valid, valid


def is_paired(images, target, valid):
    return images[:, 0].equal(target.float()) and valid.equal(target > 0)


def distinct(target):
    return {tuple(tile.flatten().tolist()) for tile in target}


def test_nothing_is_changed_where_all_is_off():
    before = batch()
    assert all(map(torch.equal, augment(*before, params(), numbers()), before))
    assert augment_intensity(before[0], before[2], params(), numbers()).equal(before[0])


@pytest.mark.parametrize(
    ("values", "results"),
    [
        ({"rot180": True}, [[1, 2, 3, 4], [4, 3, 2, 1]]),
        ({"hflip": True}, [[1, 2, 3, 4], [2, 1, 4, 3]]),
        ({"rot180": True, "hflip": True}, [[1, 2, 3, 4], [4, 3, 2, 1], [2, 1, 4, 3], [3, 4, 1, 2]]),
    ],
)
def test_flips_by_hand(values, results):
    target = torch.tensor([[1, 2], [3, 4]]).repeat(200, 1, 1)
    triple = (target.float().unsqueeze(1), target, target > 0)
    images, target, valid = augment_geometry(*triple, params(**values), numbers(200))
    assert distinct(target) == set(map(tuple, results))
    assert is_paired(images, target, valid)
    share = (target == torch.tensor(results[-1]).view(2, 2)).all((1, 2)).float().mean()
    assert abs(share.item() - 1 / len(results)) < 0.1


def test_half_a_turn_twice_is_the_identity():
    before = batch()
    once = augment_geometry(*before, params(rot180=True), numbers(seed=3))
    twice = augment_geometry(*once, params(rot180=True), numbers(seed=3))
    assert not once[1].equal(before[1])
    assert all(map(torch.equal, twice, before))


def test_dihedral_gives_all_eight_alike():
    triple = batch(n=800)
    images, target, valid = augment_geometry(*triple, params(dihedral=True, rot180=True), numbers(800))
    tile = triple[1][0]
    expected = {tuple(tile.flip(flip).rot90(turn).flatten().tolist()) for flip in ([], [0]) for turn in range(4)}
    assert len(expected) == 8
    assert distinct(target) == expected
    counts = torch.unique(target.flatten(1), dim=0, return_counts=True)[1]
    assert counts.min() > 60
    assert is_paired(images, target, valid)


@pytest.mark.parametrize(("height", "width"), [(5, 5), (4, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.bool])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_tiles_are_flipped_one_by_one_as_all_at_once(height, width, dtype, channels):
    tiles = torch.randint(0, 9, (8, *channels, height, width), generator=torch.Generator().manual_seed(0)) - 4
    tiles = tiles.to(dtype)
    swap, rows, columns = torch.cartesian_prod(*[torch.tensor([False, True])] * 3).unbind(1)  # all eight elements
    if height != width:
        swap = torch.zeros_like(swap)
    expected = _flip_each(tiles, swap, rows, columns)
    found = _flip_all(tiles, swap, rows, columns)
    assert found.dtype == dtype and found.equal(expected)
    assert found[0].equal(tiles[0]) and found[3].equal(tiles[3].flip(-2, -1))


def test_pixels_are_taken_by_number():
    tiles = torch.tensor([[[[1, 2, 3], [4, 5, 6]], [[10, 20, 30], [40, 50, 60]]]])  # one of two channels
    tiles = torch.cat([tiles, -tiles])
    source = torch.tensor([[[5], [0]], [[1], [3]]])  # pixels 2 x 1
    assert take_pixels(tiles, source).tolist() == [[[[6], [1]], [[60], [10]]], [[[-2], [-4]], [[-20], [-40]]]]
    assert take_pixels(tiles[:, 0], source).tolist() == [[[6], [1]], [[-2], [-4]]]
    assert take_pixels(tiles[:0], source[:0]).shape == (0, 2, 2, 1)  # a process's share may be empty


class Valueless:
    """Random numbers without values."""

    def uniform(self, *shape):
        return torch.empty(64, *shape, device="meta")

    normal = uniform


def test_no_value_of_a_tensor_is_asked_for_off_the_cpu():
    # A tensor without values, as one on a GPU, takes the ways that don't wait for it; where asked, it fails.
    images, target, valid = (tensor.to("meta") for tensor in batch())
    settings = params(dihedral=True, resize=0.2, gain=0.1, speckle=0.1)
    found = augment(augment_intensity(images, valid, settings, Valueless()), target, valid, settings, Valueless())
    assert [tensor.shape for tensor in found] == [images.shape, target.shape, valid.shape]
    assert all(tensor.is_meta for tensor in found)


def test_quarter_turns_need_square_tiles():
    with pytest.raises(InputError, match=r"augment\.dihedral: quarter turns need square tiles, found 4 x 6 pixels"):
        augment_geometry(*batch(height=4, width=6), params(dihedral=True), numbers())


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_all_together_stays_paired_and_keeps_types(dtype):
    images, target, valid = batch(n=40, height=16, width=16)
    # One class per image value: after bilinear zoom a pixel of a constant region still has its region's value.
    target = (target.clamp(max=2 * 64) > 64).to(dtype) * 3 * valid
    images = target.float().unsqueeze(1)
    settings = params(rot180=True, hflip=True, dihedral=True, resize=0.3)
    images, target, valid = augment_geometry(images, target, valid, settings, numbers(40))
    assert (images.shape, target.shape, valid.shape) == ((40, 1, 16, 16), (40, 16, 16), (40, 16, 16))
    assert (images.dtype, target.dtype, valid.dtype) == (torch.float32, dtype, torch.bool)
    assert (images[:, 0] - target).abs().max() <= 1.5  # halfway between two classes where both are near
    assert target[~valid].eq(0).all()
    assert images[:, 0][~valid].eq(0).all()


def test_same_generator_same_result():
    settings = params(rot180=True, hflip=True, resize=0.2, gain=0.1, speckle=0.1)

    def run(seed):
        random = numbers(seed=seed)
        images, target, valid = batch()
        images = augment_intensity(images, valid, settings, random)
        return augment(images, target, valid, settings, random)

    first, second, other = run(1), run(1), run(2)
    assert all(map(torch.equal, first, second))
    assert not any(map(torch.equal, first, other))


def test_global_generator_is_left_alone():
    before = torch.get_rng_state()
    settings = params(rot180=True, resize=0.2, gain=0.1, speckle=0.1)
    images, target, valid = batch()
    augment(augment_intensity(images, valid, settings, numbers()), target, valid, settings, numbers())
    assert torch.get_rng_state().equal(before)


def test_a_share_of_a_batch_is_augmented_as_in_the_whole():
    settings = params(dihedral=True, resize=0.2, gain=0.1, speckle=0.1)

    def run(rank, processes):
        images, target, valid = (tensor[rank::processes] for tensor in batch())
        random = BatchRandom(torch.Generator().manual_seed(5), 64, rank, processes)
        return augment(augment_intensity(images, valid, settings, random), target, valid, settings, random)

    whole = run(0, 1)
    for rank in range(3):
        part = run(rank, 3)
        for mine, of_all in zip(part, whole, strict=True):
            torch.testing.assert_close(mine, of_all[rank::3])


# Zoom


def ramp(n=200, side=33):
    """Images whose value is the column, so that a zoom shows as the slope along a row."""
    columns = torch.arange(side).float().expand(n, 1, side, side).clone()
    return columns, torch.ones(n, side, side, dtype=torch.int64), torch.ones(n, side, side, dtype=torch.bool)


def test_zoom_is_within_its_range_and_even_in_both_directions():
    images, _, valid = augment_geometry(*ramp(), params(resize=0.5), numbers(200))
    steps = images.diff(dim=-1)[:, 0]
    both = valid[..., 1:] & valid[..., :-1]
    both[..., 0] = both[..., -1] = False  # the mean at the tile's edge has fewer terms
    slopes = []
    for step, seen in zip(steps, both, strict=True):
        inner = step[seen].sort().values
        slopes.append(inner[len(inner) // 2].item())  # 1 / zoom
    zoom = 1 / torch.tensor(slopes)
    assert 1 / 1.5 - 1e-3 <= zoom.min() < 0.7
    assert 1.4 < zoom.max() <= 1.5 + 1e-3
    assert abs((zoom > 1).float().mean().item() - 0.5) < 0.1


def test_zoom_in_fills_the_tile_and_zoom_out_marks_the_outside():
    _, target, valid = augment_geometry(*ramp(), params(resize=0.5), numbers(200))
    share = valid.float().mean((1, 2))
    assert (share == 1).float().mean() == pytest.approx(0.5, abs=0.1)
    assert share.min() == pytest.approx(1 / 1.5**2, abs=0.05)
    assert target.bool().equal(valid)


def test_zoom_lets_no_nodata_bleed_in():
    images, target, valid = batch(n=50, height=16, width=16)
    valid[:, :, :5] = False
    images = torch.where(valid.unsqueeze(1), 7.0, 1e6)
    images, target, valid = augment_geometry(images, target, valid, params(resize=0.5), numbers(50))
    torch.testing.assert_close(images[:, 0][valid], torch.full((int(valid.sum()),), 7.0))
    assert images[:, 0][~valid].eq(0).all()


def test_zoom_in_keeps_its_point_and_spreads_the_rest():
    images, _, valid = augment_geometry(*ramp(n=1), params(resize=0.5), numbers(1, seed=25))
    random = numbers(1, seed=25)
    random.uniform(3)  # what the flips draw
    draw, x, _ = random.uniform(3)[0].tolist()
    zoom, point = 1.5 ** (2 * draw - 1), 33 * x - 0.5  # in pixels
    expected = point + (np.arange(33) - point) / zoom
    assert zoom > 1.2
    assert valid.all()
    np.testing.assert_allclose(images[0, 0, 16], expected.clip(0, 32), atol=1e-3)


# Intensity


def test_speckle_has_its_deviation_and_spares_nodata():
    images = torch.full((4, 1, 100, 100), 500.0)
    images[..., :10] = 0
    noisy = augment_intensity(images, images[:, 0] > 0, params(speckle=0.2), numbers(4))
    assert noisy[..., :10].eq(0).all()
    assert noisy[..., 10:].mean().item() == pytest.approx(500, rel=0.01)
    assert noisy[..., 10:].std().item() == pytest.approx(100, rel=0.02)
    strong = augment_intensity(images, images[:, 0] > 0, params(speckle=2.0), numbers(4))
    assert strong.min() == 0


def test_speckle_scales_with_intensity():
    images = torch.tensor([1.0, 1000.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    once, thousand = augment_intensity(
        torch.cat([images[:1], images[:1] * 1000]), torch.ones(2, 8, 8).bool(), params(speckle=0.1), numbers(2)
    )
    assert (thousand.std() / once.std()).item() == pytest.approx(1000, rel=0.3)


def test_gain_is_one_factor_and_one_offset_per_tile():
    images, target, valid = ramp(n=400, side=8)
    valid[:, 0] = False
    changed, *rest = augment(images * valid.unsqueeze(1), target, valid, params(gain=0.1), numbers(400))
    factor = changed[:, 0, 1:].diff(dim=-1)
    offset = changed[:, 0, 1:, 0]
    assert (factor - factor[:, :1, :1]).abs().max() < 1e-5
    assert factor[:, 0, 0].mean().item() == pytest.approx(1, abs=0.02)
    assert factor[:, 0, 0].std().item() == pytest.approx(0.1, rel=0.15)
    assert offset[:, 0].std().item() == pytest.approx(0.1, rel=0.15)
    assert changed[:, 0, 0].eq(0).all()
    assert all(map(torch.equal, rest, (target, valid)))


def test_params_are_checked(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"augment": OFF | {"resize": -0.5, "speckle": "much"}}))
    with pytest.raises(InputError) as error:
        load_params(AugmentParams, "augment", path)
    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == [
        "augment.resize",
        "augment.speckle",
    ]
