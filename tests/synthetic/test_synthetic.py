"""The synthetic scenes, and the stage that writes them as a data set."""

import hashlib

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from scipy.stats import kstest

from seepseg.base.errors import InputError
from seepseg.synthetic.scenes import make_scene, nodata_wedge, place_slicks, quantise, sea, ships, speckle
from seepseg.synthetic.slicks import KINDS
from stages import sample

SIDE = 256
COLUMNS = 4


@pytest.fixture(scope="module")
def tiles():
    """One scene of 4 by 3 tiles."""
    return make_scene(seed=1, scene_index=0, n_tiles=12, tile_size=SIDE, columns=COLUMNS)


def mosaic(cut):
    """Tiles laid out as in the scene."""
    return np.block([[*cut[start : start + COLUMNS]] for start in range(0, len(cut), COLUMNS)])


def test_tiles_have_the_types_and_shapes_of_the_real_ones(tiles):
    images, targets = tiles
    assert images.dtype == np.uint16
    assert targets.dtype == np.uint8
    assert images.shape == targets.shape == (12, SIDE, SIDE)


def test_one_seed_gives_one_scene_and_another_seed_or_scene_another():
    size = {"n_tiles": 2, "tile_size": 64}
    first, again = make_scene(1, 0, **size), make_scene(1, 0, **size)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for other in (make_scene(2, 0, **size), make_scene(1, 1, **size)):
        assert not np.array_equal(first[0], other[0])
        assert not np.array_equal(first[1], other[1])


def test_a_short_last_row_leaves_the_other_tiles_as_they_are():
    whole, short = make_scene(1, 0, 10, 32), make_scene(1, 0, 7, 32)
    assert len(short[0]) == 7
    assert np.array_equal(whole[0][:7], short[0])


@pytest.mark.parametrize(("n_tiles", "tile_size"), [(1, 32), (4, 64), (6, 50)])
def test_small_scenes_work_and_hold_slicks(n_tiles, tile_size):
    images, targets = make_scene(1, 0, n_tiles, tile_size)
    assert images.shape == targets.shape == (n_tiles, tile_size, tile_size)
    assert targets.any()
    assert (targets == 0).mean() > 0.5


def test_every_kind_covers_its_share(tiles):
    targets = tiles[1]
    shares = np.bincount(targets.ravel(), minlength=len(KINDS) + 1) / targets.size
    assert len(shares) == 8
    assert 0.965 < shares[0] < 0.987
    assert shares[1:].argmax() == 0
    # A scene this small holds one or two slicks of some kinds, so that shares are met only coarsely.
    for kind, share in zip(KINDS, shares[1:], strict=True):
        assert 0.3 * kind.share < share < 2.5 * kind.share, kind.name


def test_intensity_is_that_of_the_real_product(tiles):
    images = tiles[0]
    values = np.unique(images)
    assert values[0] == 0
    assert np.isin(np.diff(values[1:20]), (343, 344)).all()
    sea_only = images[(images > 0) & (tiles[1] == 0)]
    assert 20_000 < sea_only.mean() < 45_000
    assert 0.15 < sea_only.std() / sea_only.mean() < 0.45


def test_the_nodata_wedge_is_one_piece_at_an_edge_and_holds_no_slick(tiles):
    image, target = (mosaic(cut) for cut in tiles)
    nodata = image == 0
    assert 0.02 < nodata.mean() < 0.1
    assert ndimage.label(nodata)[1] == 1
    assert any(np.all(edge[5:-5]) for edge in (nodata[0], nodata[-1], nodata[:, 0], nodata[:, -1]))
    assert not target[nodata].any()


@pytest.mark.parametrize("shape", [(64, 64), (64, 320), (320, 64)])
def test_the_wedge_fits_any_shape_and_lies_at_any_side(shape):
    wedges = [nodata_wedge(np.random.default_rng(seed), shape) for seed in range(20)]
    assert all(wedge.shape == shape for wedge in wedges)
    assert all(0 < wedge.mean() < 0.1 for wedge in wedges)
    for side in (0, 1):
        assert {wedge.mean(1 - side)[0] > wedge.mean(1 - side)[-1] for wedge in wedges} == {True, False}


@pytest.mark.parametrize("index", range(1, 8), ids=[kind.name for kind in KINDS])
def test_slicks_are_darker_than_the_sea_nearby(tiles, index):
    image, target = (mosaic(cut) for cut in tiles)
    slick = target == index
    near = ndimage.binary_dilation(slick, iterations=20) & ~ndimage.binary_dilation(target > 0, iterations=4)
    near &= image > 0
    assert image[slick].mean() < 0.85 * image[near].mean()


def test_slicks_run_on_over_tile_borders(tiles):
    """Across a border as many neighbours agree on slick or sea as within tiles."""
    slick = mosaic(tiles[1]) > 0
    left, right = slick[:, SIDE - 1 :: SIDE][:, : COLUMNS - 1], slick[:, SIDE::SIDE]
    assert (left & right).sum() > 0.5 * (left | right).sum() > 0


def test_the_sea_runs_on_over_tile_borders(tiles):
    """Steps in smoothed intensity are no larger across a border than within tiles."""
    smooth = ndimage.gaussian_filter(mosaic(tiles[0]).astype(float), (8, 0))
    steps = np.abs(np.diff(smooth, axis=1)).mean(0)
    assert steps[SIDE - 1 :: SIDE].max() < 1.3 * np.median(steps)


def test_speckle_is_gamma_noise_with_mean_one():
    noise = speckle(np.random.default_rng(0), (400, 400))
    assert noise.mean() == pytest.approx(1.0, abs=0.01)
    # Far pixels are independent; averaging with neighbours acts like more looks, 10 / (0.846 * 0.718) = 16.
    looks = 10 / ((0.92**2 + 2 * 0.04**2) * (0.84**2 + 2 * 0.08**2))
    assert noise.var() == pytest.approx(1 / looks, rel=0.05)
    assert kstest(noise[::8, ::8].ravel(), "gamma", (looks, 0, 1 / looks)).pvalue > 0.01


def test_the_sea_is_about_one_on_average():
    level = np.mean([sea(np.random.default_rng(seed), (128, 128)).mean() for seed in range(40)])
    assert 0.8 < level < 1.4


def test_ships_are_bright_and_stay_on_clean_sea():
    clean = np.zeros((200, 200), bool)
    clean[50:150, 50:150] = True
    echo = ships(np.random.default_rng(0), clean)
    assert echo.max() > 5
    assert not echo[~clean].any()


def test_no_ship_where_there_is_no_sea():
    assert not ships(np.random.default_rng(0), np.zeros((64, 64), bool)).any()


def test_no_slick_where_there_is_no_data():
    target, damping_db = place_slicks(np.random.default_rng(0), np.zeros((64, 64), bool), scale=1.0)
    assert not target.any()
    assert not damping_db.any()


def test_quantising_keeps_zero_for_nodata():
    assert quantise(np.array([0.0, 1.0, 100.0])).tolist() == [343, 29164, 65535]  # steps 1, 85 and 191 of 191


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_slick_fades_out_within_its_canvas(kind):
    """A canvas too small would cut a slick off along straight lines."""
    cut_off = 0
    for seed in range(20):
        slick = kind.draw(np.random.default_rng(seed), 1.0)
        assert slick.inside.shape == slick.strength.shape
        assert (slick.inside > 0).any()
        frame = np.concatenate([slick.strength[edge] for edge in (0, -1)])
        cut_off += bool(np.any(frame)) + bool(np.any(slick.strength[:, [0, -1]]))
    assert cut_off == 0


# The stage

PARAMS = """sample: {{seed: {seed}, n_scenes: {n_scenes}, tiles_per_scene: 3, tile_size: 32}}\n"""


def written(folder):
    """Digests of the files below data/, by path."""
    files = sorted(path for path in (folder / "data").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def write_sample(tmp_path):
    """Run the stage in a folder of its own; gives digests of what it wrote by path."""

    def run(seed=1, n_scenes=2):
        (tmp_path / "params.yaml").write_text(PARAMS.format(seed=seed, n_scenes=n_scenes))
        sample.main(tmp_path)
        return written(tmp_path)

    return run


def test_the_stage_names_files_like_the_real_set(write_sample):
    names = [f"90000{scene}.00000{tile}.tif" for scene in (1, 2) for tile in (1, 2, 3)]
    folders = ("train_images_256", "train_masks_256")
    assert sorted(write_sample()) == [f"data/sample/{folder}/{name}" for folder in folders for name in names]


def test_the_stage_writes_what_make_scene_makes(write_sample, tmp_path):
    write_sample()
    images, targets = make_scene(1, 1, 3, 32)
    for folder, tiles in (("train_images_256", images), ("train_masks_256", targets)):
        tile = tifffile.imread(tmp_path / f"data/sample/{folder}/900002.000003.tif")
        assert tile.dtype == tiles.dtype
        assert np.array_equal(tile, tiles[2])


def test_files_are_plain_tiff_of_no_date_or_program(write_sample, tmp_path):
    write_sample()
    with tifffile.TiffFile(tmp_path / "data/sample/train_images_256/900001.000001.tif") as file:
        assert len(file.pages) == 1
        assert file.pages[0].compression == tifffile.COMPRESSION.NONE
        assert not {"Software", "DateTime", "ImageDescription"} & {tag.name for tag in file.pages[0].tags}


def test_the_same_seed_writes_the_same_bytes(write_sample):
    first = write_sample()
    assert write_sample() == first
    other = write_sample(seed=2)
    assert other.keys() == first.keys()
    assert all(other[path] != first[path] for path in first if "images" in path)


def test_the_folder_is_replaced_whole(write_sample):
    write_sample(n_scenes=2)
    assert len(write_sample(n_scenes=1)) == 6


def test_a_failure_leaves_the_old_folder_and_nothing_half_written(write_sample, tmp_path, monkeypatch):
    before = write_sample()

    def fail(*_):
        raise OSError(28, "disk full")

    monkeypatch.setattr(sample, "write_tiff", fail)
    with pytest.raises(OSError, match="disk full"):
        write_sample(seed=2)
    assert set(written(tmp_path)) == set(before)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["sample"]


def test_too_small_a_tile_is_refused(tmp_path):
    (tmp_path / "params.yaml").write_text("sample: {seed: 1, n_scenes: 1, tiles_per_scene: 1, tile_size: 16}")
    with pytest.raises(InputError, match=r"sample.tile_size: expected greater than or equal to 32, found 16"):
        sample.main(tmp_path)
