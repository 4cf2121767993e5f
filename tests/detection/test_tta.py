"""Test-time augmentation by hand: shifted and mirrored passes over whole scenes, and norms adapted to the scene."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Whole
from torch import nn

from seepseg.data.block_array import BlockArray, blocks_of
from seepseg.data.channels import InputMaker, InputParams
from seepseg.data.packed import Packed
from seepseg.data.pixels import Window
from seepseg.data.scenes import TiledScene, find_scenes
from seepseg.detection import tta as module
from seepseg.detection.padded_block import PaddedBlock, window_starts
from seepseg.detection.tta import SHIFTS, BlockProbs, ScenePredictor, device_with_room, typical_tiles

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")
SIDE = 4


def as_is(images, valid):
    """Give networks what was recorded."""
    return images


class Lopsided(nn.Module):
    """Logits that depend on direction: of class 1 the pixel itself, of class 2 the one right of it, by tenths."""

    def forward(self, images):
        right = torch.cat([images[..., 1:], torch.zeros_like(images[..., :1])], dim=-1)
        return torch.cat([torch.zeros_like(images), images, right], dim=1) / 10


def scene_of(cells, seed=0, shape=(SIDE, SIDE)):
    """Tiles at these rows and columns of one scene, with some no-data, and the scene."""
    images = np.random.default_rng(seed).integers(1, 9, (len(cells), *shape)).astype(np.uint16)
    images[0, 0, 0] = 0
    rows, columns = zip(*cells, strict=True)
    table = pd.DataFrame({"tile": [f"t{n}" for n in range(len(cells))], "scene": "s", "row": rows, "col": columns})
    packed = Packed(images, np.zeros(images.shape, np.uint8), table)
    (scene,) = find_scenes(packed.manifest, np.arange(len(cells)), shape)
    return packed, scene


def predictor(network=None, **values):
    fixed = {
        "network": network or Lopsided(),
        "head": "softmax",
        "make_input": as_is,
        "batch_size": 2,
        "device": CPU,
        "dtype": None,
        "backend": "eager",
        "tta": 1,
        "norm_prior_tiles": 0,
    }
    return ScenePredictor(**fixed | values)


def predict(predictor, packed, scene, block=(1000, 1000)):
    """Run a predictor over a scene, block by block."""
    pixels = TiledScene(scene, packed.images[scene.indices])
    predictor.adapt(typical_tiles(pixels, scene.tile_shape))
    foreground, classes = np.zeros(scene.shape, np.float32), None
    for window in blocks_of(scene.shape, block):
        padded = PaddedBlock(pixels, window, scene.tile_shape, predictor.device)
        if not padded.is_empty:
            probs = predictor.predict(padded)
            classes = np.zeros((len(probs.class_probs), *scene.shape), np.float16) if classes is None else classes
            foreground[window.slices], classes[:, *window.slices] = probs
    return BlockProbs(foreground, classes)


def logits_by_hand(packed, scene, passes):
    """Mean of the passes at each pixel, by going through the pixels one by one."""
    whole = scene.stitch(packed.images[scene.indices]).astype(float)
    height, width = whole.shape
    logits = np.zeros((3, height, width))
    for y, x in np.ndindex(height, width):
        total, weights = np.zeros(3), 0.0
        for number in range(passes):
            down, across = (half * SIDE // 2 for half in SHIFTS[number % 4])
            top, left = (y + down) // SIDE * SIDE - down, (x + across) // SIDE * SIDE - across
            window = np.zeros((SIDE, SIDE))
            for v, u in np.ndindex(SIDE, SIDE):
                if 0 <= top + v < height and 0 <= left + u < width:
                    window[v, u] = whole[top + v, left + u]
            # Which neighbour is right of the pixel in the mirrored window.
            step = -1 if number & 1 else 1
            v, u = y - top, x - left
            if number >= 4:
                step = -1 if number & 2 else 1
                neighbour = window[v + step, u] if 0 <= v + step < SIDE else 0
            else:
                neighbour = window[v, u + step] if 0 <= u + step < SIDE else 0
            weight = (window > 0).mean()
            total += weight * np.array([0, whole[y, x], neighbour]) / 10
            weights += weight
        logits[:, y, x] = total / max(weights, 1e-6)
    return logits


@pytest.mark.parametrize("block", [(1000, 1000), (4, 8)])
@pytest.mark.parametrize("tta", [1, 4, 8])
@pytest.mark.parametrize("cells", [[(0, 0)], [(0, 0), (0, 1)], [(0, 0), (0, 1), (1, 1), (2, 1)]])
def test_passes_by_hand(cells, tta, block):
    packed, scene = scene_of(cells)
    probs = predict(predictor(tta=tta), packed, scene, block)
    image = scene.stitch(packed.images)
    expected = np.exp(logits_by_hand(packed, scene, tta))
    expected /= expected.sum(axis=0)
    np.testing.assert_allclose(probs.foreground[image > 0], 1 - expected[0][image > 0], rtol=1e-5)
    assert (probs.foreground[image == 0] == 0).all()
    np.testing.assert_allclose(probs.class_probs[:, image > 0], expected[1:, image > 0], rtol=2e-3)


def test_what_a_pixel_gets_does_not_depend_on_the_blocks():
    """Whatever part of a tile the scene ends with; each block begins with a tile."""
    pixels = np.random.default_rng(0).integers(1, 9, (22, 31)).astype(np.uint16)
    pixels[5:14, 9:20] = 0
    scene = Whole(pixels)
    networks = predictor(Normed(), tta=4, norm_prior_tiles=6, batch_size=1)
    networks.adapt(typical_tiles(scene, (SIDE, SIDE)))
    found = []
    for block in ((100, 100), (8, 12), (4, 4)):
        foreground = BlockArray((22, 31), np.float32, block)
        for window in foreground.windows():
            padded = PaddedBlock(scene, window, (SIDE, SIDE), CPU)
            if not padded.is_empty:
                foreground.write(window, networks.predict(padded).foreground)
        found.append(foreground.whole())
    assert (found[0] > 0).sum() == (pixels > 0).sum()
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


@pytest.mark.parametrize(
    ("length", "back", "expected"),
    [
        (24, 0, [0, 8, 16]),
        (24, 4, [-4, 4, 12, 20]),  # half of the last one lies in the scene
        (28, 0, [0, 8, 16, 24]),
        (27, 0, [0, 8, 16, 19]),  # of the last one, three of eight would
        (27, 4, [-4, 4, 12, 20]),
        (21, 4, [-4, 4, 12, 13]),
        (5, 0, [0]),
        (5, 4, [-4, 4]),  # a scene as narrow has no better window
    ],
)
def test_windows_of_an_axis(length, back, expected):
    assert window_starts(length, 8, 0, length, back) == expected
    parts = [window_starts(length, 8, first, min(8, length - first), back) for first in range(0, length, 8)]
    assert sorted({start for part in parts for start in part}) == sorted(expected)
    for first, part in zip(range(0, length, 8), parts, strict=True):
        assert part == [start for start in sorted(expected) if start < min(first + 8, length) and start + 8 > first]


def test_a_block_without_data_is_empty_whatever_is_around_it():
    pixels = np.ones((12, 12), np.uint16)
    pixels[4:8, 4:8] = 0
    empty = {
        block: PaddedBlock(Whole(pixels), block, (SIDE, SIDE), CPU).is_empty for block in blocks_of((12, 12), (4, 4))
    }
    assert [block for block, is_empty in empty.items() if is_empty] == [Window(4, 4, 4, 4)]


def test_typical_tiles_are_all_that_have_data_or_some_of_all_parts(monkeypatch):
    pixels = np.arange(1, 1 + 40 * 40, dtype=np.uint16).reshape(40, 40)
    pixels[:4] = 0
    assert len(typical_tiles(Whole(pixels), (4, 4))) == 90
    monkeypatch.setattr(module, "MAX_ADAPTED", 10)
    some = typical_tiles(Whole(pixels), (4, 4))
    assert 5 < len(some) <= 10
    assert len({int(tile.max() - 1) // 400 for tile in some}) == 4  # all quarters of the scene
    pixels[:32] = 0  # four fifths are no-data: more of the rest is looked at
    assert 5 < len(typical_tiles(Whole(pixels), (4, 4))) <= 10
    assert typical_tiles(Whole(pixels * 0), (4, 4)).shape == (0, 4, 4)


class Normed(nn.Module):
    """Logits 0 and the normalised pixel."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.norm.running_mean.fill_(3.0)
        self.norm.running_var.fill_(4.0)

    def forward(self, images):
        x = self.norm(images)
        return torch.cat([torch.zeros_like(x), x], dim=1)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_norms_adapt_to_a_scene_as_far_as_it_has_tiles(batch_size):
    packed, scene = scene_of([(0, 0), (0, 1), (0, 2)])
    packed.images[:] += 1  # all of it seen
    network = Normed()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    foreground = predict(predictor(network, norm_prior_tiles=6, batch_size=batch_size), packed, scene).foreground
    pixels = packed.images.astype(float)
    share = 3 / (3 + 6)
    mean = share * pixels.mean() + (1 - share) * 3
    # The mean over the batches.
    own_var = pixels.var(ddof=1) if batch_size == 3 else pixels.var(axis=(1, 2), ddof=1).mean()
    # Of all pixels of nine tiles: three of the scene and six as in training.
    var = share * own_var + (1 - share) * 4 + share * (1 - share) * (pixels.mean() - 3) ** 2
    x = (scene.stitch(pixels) - mean) / np.sqrt(var + network.norm.eps)
    np.testing.assert_allclose(foreground, 1 / (1 + np.exp(-x)), rtol=1e-4)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


def test_networks_without_batch_norm_are_left_alone():
    packed, scene = scene_of([(0, 0), (0, 1)])
    plain, adapted = (predict(predictor(norm_prior_tiles=tiles), packed, scene) for tiles in (0, 32))
    np.testing.assert_array_equal(plain.foreground, adapted.foreground)


def test_each_window_is_normalised_by_itself():
    packed, scene = scene_of([(0, 0), (0, 1)])
    packed.images[1] = 5 * packed.images[0]  # the same once it is normalised
    probs = predict(predictor(make_input=InputMaker(InputParams())), packed, scene)
    first, second = scene.cut(probs.foreground)
    np.testing.assert_allclose(first, second, rtol=1e-5)
    assert first.std() > 0


def test_a_predictor_keeps_nothing_of_a_scene():
    first, second = (scene_of([(0, 0), (0, 1), (0, 2)], seed) for seed in (1, 2))
    predicts = predictor(Normed(), norm_prior_tiles=6)
    one, other, again = (predict(predicts, packed, scene) for packed, scene in (first, second, first))
    np.testing.assert_array_equal(again.foreground, one.foreground)
    np.testing.assert_array_equal(again.class_probs, one.class_probs)
    fresh = predict(predictor(Normed(), norm_prior_tiles=6), *second)
    np.testing.assert_array_equal(other.foreground, fresh.foreground)
    assert (one.foreground != other.foreground).any()


def test_windows_without_a_valid_pixel_are_not_computed():
    packed, scene = scene_of([(0, 0), (0, 1), (1, 0), (1, 1)])
    packed.images[1:] = 0
    network = Counting()
    predict(predictor(network, tta=1, batch_size=3), packed, scene)
    assert network.calls == [1]
    # A quarter of the shifted windows have a pixel of the first tile: they begin half a tile up or left of the scene.
    predict(predictor(network, tta=4, batch_size=1), packed, scene)
    assert network.calls == [1] + [1] * (1 + 4 + 2 + 2)


class Counting(Lopsided):
    """Keeps how many images it was given at each call, also to its copies."""

    calls: ClassVar[list[int]] = []

    def forward(self, images):
        self.calls.append(len(images))
        return super().forward(images)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (1, 2)])
@pytest.mark.parametrize("shift", SHIFTS)
def test_windows_of_a_shifted_grid(shape, shift):
    """Each pixel of a tile lies in one window, and a canvas takes what was cut from it where it came from."""
    packed, scene = scene_of([(0, 0), (0, 1), (0, 3), (2, 0), (2, 1)], shape=shape)
    packed.images[1] = 65535 - packed.images[1]
    packed.images[packed.images == 0] = 1
    padded = PaddedBlock(TiledScene(scene, packed.images), Window(0, 0, *scene.shape), shape, CPU)
    corners = padded.corners(shift)
    cut = padded.cut_recorded(corners)
    assert cut.shape == (len(corners), 1, *shape) and cut.dtype == torch.float32
    assert cut.sum() == packed.images.sum(dtype=np.int64)
    canvas = torch.zeros(1, *padded.shape)
    padded.add(canvas, corners, cut)
    np.testing.assert_array_equal(padded.crop(canvas)[0].numpy(), scene.stitch(packed.images))
    np.testing.assert_array_equal(padded.cut(canvas, padded.tiles)[:, 0].numpy(), packed.images)
    assert len(list(padded._side_by_side(canvas, padded.tiles))) == 3, "tiles side by side are one view"
    places = [tuple(slice(first, first + side) for first, side in zip(at, shape, strict=True)) for at in corners]
    whole = canvas[0].numpy()
    np.testing.assert_array_equal(cut[:, 0].numpy(), np.stack([whole[place] for place in places]))


@pytest.mark.parametrize(("device", "size", "expected"), [(CUDA, 54, CUDA), (CUDA, 55, CPU), (CPU, 55, CPU)])
def test_what_takes_more_than_half_of_a_gpu_stays_off(monkeypatch, device, size, expected):
    """100 bytes are free, and 8 of those that torch has reserved."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 15)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 7)
    assert device_with_room(device, size) == expected


@needs_gpu
@pytest.mark.parametrize("free", [None, 0])
@pytest.mark.parametrize("tta", [1, 8])
def test_a_gpu_predicts_the_same(tta, free, monkeypatch):
    """Whether it keeps the sums or leaves them to the CPU, for scene after scene."""
    if free is not None:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
        monkeypatch.setattr(torch.cuda, "memory_reserved", torch.cuda.memory_allocated)
    on_gpu = predictor(Normed().to(CUDA), tta=tta, norm_prior_tiles=6, device=CUDA)
    for seed in (1, 2):
        packed, scene = scene_of([(0, 0), (0, 1), (1, 1), (2, 1)], seed)
        expected = predict(predictor(Normed(), tta=tta, norm_prior_tiles=6), packed, scene)
        found = predict(on_gpu, packed, scene)
        np.testing.assert_allclose(found.foreground, expected.foreground, atol=1e-5)
        np.testing.assert_allclose(found.class_probs, expected.class_probs, atol=1e-3)
