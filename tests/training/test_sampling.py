"""What an epoch trains on."""

import numpy as np
import pytest
import torch

from seepseg.training.sampling import Sampler, SamplingParams, _cut_all, _cut_each, crop

# Five training tiles: rows 2, 3, 5, 7, 8 of the packed arrays; class 1 in the first two, class 2 in the last.
ROWS = np.array([2, 3, 5, 7, 8])
PIXELS = np.array([[100, 16, 0], [100, 16, 0], [100, 0, 0], [100, 0, 0], [100, 0, 2]])


def sampler(batch_size=4, **values):
    params = {"crop": 8, "crops_per_tile": 3, "class_share": 0.6, "frequency_exponent": 0.25} | values
    return Sampler(SamplingParams(**params), ROWS, PIXELS, batch_size)


def draw(drawer, seed=1):
    return drawer.epoch(torch.Generator().manual_seed(seed))


def joined(batches):
    return tuple(np.concatenate(arrays) for arrays in zip(*batches, strict=True))


def test_whole_tiles_come_once_an_epoch():
    rows, classes = joined(draw(sampler(batch_size=2, crop=0)))
    assert sorted(rows) == [2, 3, 5, 7, 8]
    assert not classes.any()


@pytest.mark.parametrize(
    ("tiles", "sizes"), [(8, [4, 4]), (9, [4, 4]), (10, [4, 4, 2]), (11, [4, 4, 3]), (3, [3]), (1, [1])]
)
def test_a_small_rest_waits_for_the_next_epoch(tiles, sizes):
    params = SamplingParams(crop=0, crops_per_tile=1, class_share=0.0, frequency_exponent=0.0)
    drawer = Sampler(params, np.arange(tiles), np.ones((tiles, 3), int), 4)
    batches = draw(drawer)
    assert [len(batch.indices) for batch in batches] == sizes
    assert drawer.num_batches == len(sizes)
    seen = np.concatenate([batch.indices for batch in batches])
    assert len(set(seen)) == len(seen)


def test_crops_on_no_class_show_each_tile_alike():
    rows, classes = joined(draw(sampler(batch_size=1, class_share=0.0)))
    assert sorted(rows) == sorted([*ROWS] * 3)
    assert not classes.any()


def test_a_class_is_drawn_by_its_frequency_and_then_a_tile_that_holds_it():
    drawer = sampler(batch_size=1, crops_per_tile=4000, frequency_exponent=0.5)
    rows, classes = joined(draw(drawer))
    assert (classes > 0).mean() == pytest.approx(0.6, abs=0.02)
    # 32 and 2 pixels to the power of 1/2 are as 4 to 1.
    assert (classes == 1).sum() / (classes == 2).sum() == pytest.approx(4, rel=0.1)
    assert set(rows[classes == 1]) == {2, 3} and set(rows[classes == 2]) == {8}
    assert np.mean(rows[classes == 1] == 2) == pytest.approx(0.5, abs=0.03)


def test_without_any_slick_crops_lie_anywhere():
    drawer = Sampler(
        SamplingParams(crop=8, crops_per_tile=2, class_share=1.0, frequency_exponent=0.0), ROWS, PIXELS * 0, 2
    )
    rows, classes = joined(draw(drawer))
    assert len(rows) == 10 and not classes.any()


def test_the_same_generator_draws_the_same():
    first, second, other = joined(draw(sampler())), joined(draw(sampler())), joined(draw(sampler(), seed=2))
    assert all(map(np.array_equal, first, second))
    assert not all(map(np.array_equal, first, other))


def tiles(n=300, height=16, width=20):
    """Tiles whose pixels are numbered, and hold one pixel of class 2 at row 9, column 3."""
    images = torch.arange(height * width).float().view(1, 1, height, width).repeat(n, 1, 1, 1)
    target = torch.zeros(n, height, width, dtype=torch.uint8)
    target[:, 9, 3] = 2
    return images, target, torch.ones(n, height, width, dtype=torch.bool)


def uniform(n, seed=0):
    return torch.rand(n, 3, generator=torch.Generator().manual_seed(seed))


def test_a_crop_shows_its_class_and_the_pixel_may_lie_anywhere_in_it():
    images, target, valid = crop(*tiles(), torch.full((300,), 2), 6, uniform(300))
    assert images.shape == (300, 1, 6, 6) and target.shape == valid.shape == (300, 6, 6)
    assert (target == 2).sum((1, 2)).eq(1).all()
    where = (target == 2).nonzero()[:, 1:]
    assert {tuple(place) for place in where.tolist()} == {
        (y, x) for y in range(6) for x in range(4)
    }  # column 3 at most


def test_each_pixel_of_a_class_is_shown_as_often_as_another():
    images, target, valid = tiles(3000)
    target[:, 2, 15] = target[:, 13, 0] = 2
    shown = crop(images, target, valid, torch.full((3000,), 2), 1, uniform(3000))[0].flatten().long()
    counts = shown.bincount()
    assert set(shown.tolist()) == {2 * 20 + 15, 9 * 20 + 3, 13 * 20}
    assert all(abs(counts[pixel] - 1000) < 100 for pixel in set(shown.tolist()))


def test_image_target_and_valid_are_cut_alike():
    images, target, valid = tiles()
    target = images[:, 0].to(torch.int64)
    valid = target % 2 == 0
    images, target, valid = crop(images, target, valid, torch.zeros(300).long(), 6, uniform(300))
    assert images[:, 0].equal(target.float())
    assert valid.equal(target % 2 == 0)
    corners = {divmod(corner, 20) for corner in target[:, 0, 0].tolist()}
    assert {y for y, _ in corners} == set(range(11)) and {x for _, x in corners} == set(range(15))


def test_a_crop_larger_than_the_tile_is_padded_with_what_is_not_valid():
    images, target, valid = crop(*tiles(3), torch.tensor([0, 2, 0]), 24, uniform(3))
    assert images.shape == (3, 1, 24, 24)
    assert valid[:, :16, :20].all() and not valid[:, 16:].any() and not valid[:, :, 20:].any()
    assert images[:, :, 16:].eq(0).all() and (target == 2).sum() == 3


def test_a_pixel_without_data_is_never_the_one_shown():
    images, target, valid = tiles(50)
    target[:, 2, 15] = 2
    valid[:, 2, 15] = False
    _, target, valid = crop(images, target, valid, torch.full((50,), 2), 5, uniform(50))
    assert ((target == 2) & valid).sum((1, 2)).eq(1).all()


def test_squares_are_cut_one_by_one_as_all_at_once():
    images = torch.arange(3 * 2 * 4 * 5).float().view(3, 2, 4, 5)
    corners = torch.tensor([[0, 0], [2, 1], [1, 3]])
    for tensor in (images, images[:, 0].byte(), images[:, 1] % 3 == 0):
        assert _cut_all(tensor, corners, 2).equal(_cut_each(tensor, corners, 2))
    assert _cut_all(images, corners, 2)[1, 0].tolist() == [[51, 52], [56, 57]]  # 40 and 5 a row before it


def test_no_value_of_a_tensor_is_asked_for_off_the_cpu():
    # A tensor without values, as one on a GPU, takes the ways that don't wait for it; where asked, it fails.
    images, target, valid, classes, draws = (
        tensor.to("meta") for tensor in (*tiles(3), torch.tensor([0, 2, 0]), uniform(3))
    )
    found = crop(images, target, valid, classes, 6, draws)
    assert [tensor.shape for tensor in found] == [(3, 1, 6, 6), (3, 6, 6), (3, 6, 6)]
    assert all(tensor.is_meta for tensor in found)
