"""Test-time augmentation by hand: shifted and mirrored passes over whole scenes, and norms adapted to the scene."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from seepseg.data.channels import InputMaker, InputParams
from seepseg.data.packed import Packed
from seepseg.data.scenes import find_scenes
from seepseg.detection.tta import SHIFTS, ScenePredictor

CPU = torch.device("cpu")
SIDE = 4


def as_is(images, valid):
    """Give networks what was recorded."""
    return images


class Lopsided(nn.Module):
    """Logits that depend on direction: of class 1 the pixel itself, of class 2 the one right of it, by tenths."""

    def forward(self, images):
        right = torch.cat([images[..., 1:], torch.zeros_like(images[..., :1])], dim=-1)
        return torch.cat([torch.zeros_like(images), images, right], dim=1) / 10


def scene_of(cells, seed=0):
    """Tiles at these rows and columns of one scene, with some no-data, and the scene."""
    images = np.random.default_rng(seed).integers(1, 9, (len(cells), SIDE, SIDE)).astype(np.uint16)
    images[0, 0, 0] = 0
    rows, columns = zip(*cells, strict=True)
    table = pd.DataFrame({"tile": [f"t{n}" for n in range(len(cells))], "scene": "s", "row": rows, "col": columns})
    packed = Packed(images, np.zeros(images.shape, np.uint8), table)
    (scene,) = find_scenes(packed.manifest, np.arange(len(cells)), (SIDE, SIDE))
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


@pytest.mark.parametrize("tta", [1, 4, 8])
@pytest.mark.parametrize("cells", [[(0, 0)], [(0, 0), (0, 1)], [(0, 0), (0, 1), (1, 1), (2, 1)]])
def test_passes_by_hand(cells, tta):
    packed, scene = scene_of(cells)
    probs = predictor(tta=tta).predict(scene, packed.images)
    image = scene.stitch(packed.images)
    expected = np.exp(logits_by_hand(packed, scene, tta))
    expected /= expected.sum(axis=0)
    np.testing.assert_allclose(probs.foreground[image > 0], 1 - expected[0][image > 0], rtol=1e-5)
    assert (probs.foreground[image == 0] == 0).all()
    assert probs.class_probs.shape == (len(cells), 2, SIDE, SIDE)
    stitched = scene.stitch(probs.class_probs)
    np.testing.assert_allclose(stitched[:, image > 0], expected[1:, image > 0], rtol=2e-3)


def test_a_scene_without_data_gets_no_slick():
    packed, scene = scene_of([(0, 0), (0, 1)])
    packed.images[:] = 0
    probs = predictor(tta=4).predict(scene, packed.images)
    assert (probs.foreground == 0).all()
    assert np.isfinite(probs.class_probs).all()


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


def test_norms_adapt_to_a_scene_as_far_as_it_has_tiles():
    packed, scene = scene_of([(0, 0), (0, 1), (0, 2)])
    packed.images[:] += 1  # all of it seen
    network = Normed()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    foreground = predictor(network, norm_prior_tiles=6, batch_size=3).predict(scene, packed.images).foreground
    pixels = packed.images.astype(float)
    share = 3 / (3 + 6)
    mean = share * pixels.mean() + (1 - share) * 3
    # Of all pixels of nine tiles: three of the scene and six as in training.
    var = share * pixels.var(ddof=1) + (1 - share) * 4 + share * (1 - share) * (pixels.mean() - 3) ** 2
    x = (scene.stitch(pixels) - mean) / np.sqrt(var + network.norm.eps)
    np.testing.assert_allclose(foreground, 1 / (1 + np.exp(-x)), rtol=1e-4)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


def test_networks_without_batch_norm_are_left_alone():
    packed, scene = scene_of([(0, 0), (0, 1)])
    plain, adapted = (predictor(norm_prior_tiles=tiles).predict(scene, packed.images) for tiles in (0, 32))
    np.testing.assert_array_equal(plain.foreground, adapted.foreground)


def test_each_window_is_normalised_by_itself():
    packed, scene = scene_of([(0, 0), (0, 1)])
    packed.images[1] = 5 * packed.images[0]  # the same once it is normalised
    probs = predictor(make_input=InputMaker(InputParams())).predict(scene, packed.images)
    first, second = scene.cut(probs.foreground)
    np.testing.assert_allclose(first, second, rtol=1e-5)
    assert first.std() > 0
