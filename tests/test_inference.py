"""Predictions over mirrored copies."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from seepseg.dataset import TileLoader
from seepseg.inference import predict
from seepseg.inputs import InputMaker, InputSpec
from seepseg.packed import Packed

AS_IS = InputMaker(InputSpec(normalization="dataset", extra="none", mean=0.0, std=1.0), pd.DataFrame())
CPU = torch.device("cpu")


class Lopsided(nn.Module):
    """Logits that depend on direction: of class 1 the pixel itself, of class 2 the one right of it."""

    def forward(self, images):
        right = torch.cat([images[..., 1:], torch.zeros_like(images[..., :1])], dim=-1)
        return torch.cat([torch.zeros_like(images), images, right], dim=1)


def packed(n=2, side=4):
    images = np.random.default_rng(0).integers(1, 9, (n, side, side)).astype(np.uint16)
    images[0, 0, 0] = 0
    table = pd.DataFrame({"tile": ["a", "b"], "scene": "s", "row": 0, "col": [0, 1]})
    return Packed(images, np.zeros(images.shape, np.uint8), table)


def logits(flips):
    tiles = packed()
    batches = [np.array([0, 1])]
    (predicted,) = predict(Lopsided(), TileLoader(tiles, batches[0], CPU), batches, make_input=AS_IS, flips=flips)
    return predicted.logits.numpy(), tiles.images.astype(np.float32)


def neighbours(images, flips):
    """Mean of the pixels right, left, and of eight also below and above; 0 beyond the edge."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    right, left = padded[:, 1:-1, 2:], padded[:, 1:-1, :-2]
    below, above = padded[:, 2:, 1:-1], padded[:, :-2, 1:-1]
    return {1: right, 4: (right + left) / 2, 8: (right + left + below + above) / 4}[flips]


@pytest.mark.parametrize("flips", [1, 4, 8])
def test_logits_are_averaged_over_copies_that_are_turned_back(flips):
    found, images = logits(flips)
    np.testing.assert_array_equal(found[:, 1], images)
    np.testing.assert_allclose(found[:, 2], neighbours(images, flips), rtol=1e-6)
