"""The synthetic scenes: sea, speckle, slicks, ships, no-data."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import kstest

from seepseg.synthetic.ground import make_ground, make_pass
from seepseg.synthetic.scenes import make_scene, nodata_wedge, platforms, quantise, sea, ships, speckle
from seepseg.synthetic.slicks import KINDS

SHAPE = (512, 1024)


@pytest.fixture(scope="module")
def scene():
    return make_scene(1, 0, make_ground(1, SHAPE))


def test_scenes_have_the_types_and_shape_of_real_ones(scene):
    assert scene.image.dtype == np.uint16
    assert scene.target.dtype == np.uint8
    assert scene.image.shape == scene.target.shape == scene.labels.shape == SHAPE


def test_labels_number_the_slicks_and_give_the_target(scene):
    assert np.array_equal(np.unique(scene.labels), np.arange(len(scene.slicks) + 1))
    for number, slick in enumerate(scene.slicks, start=1):
        assert set(scene.target[scene.labels == number]) == {slick.kind}
        assert slick.pixels == np.count_nonzero(scene.labels == number)
    assert not scene.target[scene.labels == 0].any()


def test_one_seed_gives_one_scene_and_another_seed_or_pass_another():
    ground = make_ground(1, (64, 96))
    first, again = make_scene(1, 0, ground), make_scene(1, 0, ground)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    for other in (make_scene(2, 0, ground), make_scene(1, 1, ground)):
        assert not np.array_equal(first.image, other.image)
        assert not np.array_equal(first.labels, other.labels)


@pytest.mark.parametrize("shape", [(32, 32), (128, 192), (300, 32)])
def test_small_scenes_work_and_hold_slicks(shape):
    scene = make_scene(1, 0, make_ground(1, shape))
    assert scene.image.shape == scene.target.shape == shape
    assert scene.target.any()
    assert (scene.target == 0).mean() > 0.5


def test_every_kind_covers_its_share():
    ground = make_ground(1, SHAPE)
    targets = np.stack([make_scene(1, index, ground).target for index in range(4)])
    shares = np.bincount(targets.ravel(), minlength=len(KINDS) + 1) / targets.size
    assert len(shares) == 8
    assert 0.955 < shares[0] < 0.985
    assert shares[1:].argmax() == 0
    assert shares[1:].argmin() == 6
    # A scene this small holds one or two slicks of some kinds, so that shares are met only coarsely.
    for kind, share in zip(KINDS, shares[1:], strict=True):
        assert 0.3 * kind.share < share < 2.5 * kind.share, kind.name


def test_intensity_is_that_of_the_real_product(scene):
    values = np.unique(scene.image)
    assert values[0] == 0
    assert np.isin(np.diff(values[1:20]), (343, 344)).all()
    sea_only = scene.image[(scene.image > 0) & (scene.target == 0)]
    assert 20_000 < sea_only.mean() < 45_000
    assert 0.15 < sea_only.std() / sea_only.mean() < 0.45


def test_the_nodata_wedge_is_one_piece_at_an_edge_and_holds_no_slick(scene):
    nodata = scene.image == 0
    assert 0.02 < nodata.mean() < 0.1
    assert ndimage.label(nodata)[1] == 1
    assert any(np.all(edge[5:-5]) for edge in (nodata[0], nodata[-1], nodata[:, 0], nodata[:, -1]))
    assert not scene.target[nodata].any()


@pytest.mark.parametrize("shape", [(64, 64), (64, 320), (320, 64)])
def test_the_wedge_fits_any_shape_and_lies_at_any_side(shape):
    wedges = [nodata_wedge(np.random.default_rng(seed), shape) for seed in range(20)]
    assert all(wedge.shape == shape for wedge in wedges)
    assert all(0 < wedge.mean() < 0.1 for wedge in wedges)
    for side in (0, 1):
        assert {wedge.mean(1 - side)[0] > wedge.mean(1 - side)[-1] for wedge in wedges} == {True, False}


@pytest.mark.parametrize("index", range(1, 8), ids=[kind.name for kind in KINDS])
def test_slicks_are_darker_than_the_sea_nearby(scene, index):
    slick = scene.target == index
    near = ndimage.binary_dilation(slick, iterations=20) & ~ndimage.binary_dilation(scene.target > 0, iterations=4)
    near &= scene.image > 0
    assert scene.image[slick].mean() < 0.85 * scene.image[near].mean()


def test_no_two_slicks_touch(scene):
    """So that each is an object, or some, of its own."""
    largest = ndimage.maximum_filter(scene.labels, 3)
    smallest = ndimage.minimum_filter(np.where(scene.labels > 0, scene.labels, 10**6), 3)
    assert np.array_equal(largest[largest > 0], smallest[largest > 0])


def test_speckle_is_gamma_noise_with_mean_one():
    noise = speckle(np.random.default_rng(0), (400, 400))
    assert noise.mean() == pytest.approx(1.0, abs=0.01)
    # Far pixels are independent; averaging with neighbours acts like more looks, 10 / (0.846 * 0.718) = 16.
    looks = 10 / ((0.92**2 + 2 * 0.04**2) * (0.84**2 + 2 * 0.08**2))
    assert noise.var() == pytest.approx(1 / looks, rel=0.05)
    assert kstest(noise[::8, ::8].ravel(), "gamma", (looks, 0, 1 / looks)).pvalue > 0.01


def test_the_sea_is_about_one_on_average_and_brighter_in_stronger_wind():
    ground = make_ground(1, (128, 128))
    levels, winds = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        conditions = make_pass(rng, ground, 0)
        levels.append(sea(rng, ground, conditions).mean())
        winds.append(conditions.wind_speed)
    assert 0.8 < np.mean(levels) < 1.4
    assert np.corrcoef(levels, winds)[0, 1] > 0.8


def test_ships_are_bright_and_stay_on_clean_sea():
    clean = np.zeros((200, 200), bool)
    clean[50:150, 50:150] = True
    echo = ships(np.random.default_rng(0), clean)
    assert echo.max() > 5
    assert not echo[~clean].any()


def test_no_ship_where_there_is_no_sea():
    assert not ships(np.random.default_rng(0), np.zeros((64, 64), bool)).any()


def test_a_platform_is_the_brightest_pixel_at_its_place_in_each_pass():
    ground = make_ground(1, SHAPE)
    (first, *_) = [seep for seep in ground.seeps if seep.platform]
    for index in range(3):
        scene = make_scene(1, index, ground)
        y, x = int(first.y - scene.conditions.top), int(first.x - scene.conditions.left)
        near = platforms(ground, scene.conditions)[y - 5 : y + 6, x - 5 : x + 6]
        assert np.unravel_index(near.argmax(), near.shape) == (5, 5)
        assert scene.image[y, x] == 65535


def test_quantising_keeps_zero_for_nodata():
    assert quantise(np.array([0.0, 1.0, 100.0])).tolist() == [343, 29164, 65535]  # steps 1, 85 and 191 of 191


# Kinds of slicks


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_slick_fades_out_within_its_canvas(kind):
    """A canvas too small would cut a slick off along straight lines."""
    cut_off = 0
    for seed in range(20):
        slick = kind.draw(np.random.default_rng(seed), 1.0, seed / 3)
        assert slick.inside.shape == slick.strength.shape
        assert (slick.inside > 0).any()
        frame = np.concatenate([slick.strength[edge] for edge in (0, -1)])
        cut_off += bool(np.any(frame)) + bool(np.any(slick.strength[:, [0, -1]]))
    assert cut_off == 0


@pytest.mark.parametrize("kind", KINDS[:4], ids=[kind.name for kind in KINDS[:4]])
def test_a_slick_starts_at_its_origin_and_lies_downwind(kind):
    downwind = []
    for seed in range(20):
        drift = seed / 3
        slick = kind.draw(np.random.default_rng(seed), 1.0, drift)
        y, x = (values - at for values, at in zip(np.nonzero(slick.inside > 0), slick.origin, strict=True))
        assert np.hypot(y, x).min() < 6
        downwind.append((np.sin(drift) * y + np.cos(drift) * x).mean())
    assert np.min(downwind) > (5 if kind.name != "curl" else -30)  # a curl may turn back
    assert np.mean(downwind) > 5
