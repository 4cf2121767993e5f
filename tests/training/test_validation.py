"""Predictions of the tiles that validate a network."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from seepseg.data.loading import TileLoader, in_order
from seepseg.data.packed import Packed
from seepseg.training.validation import predict

CPU = torch.device("cpu")


def as_is(images, valid):
    return images


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


@pytest.mark.parametrize("batch_size", [1, 2])
def test_logits_of_each_tile_in_order(batch_size):
    tiles = packed()
    batches = in_order(np.array([0, 1]), batch_size)
    predicted = list(predict(Lopsided(), TileLoader(tiles, np.array([0, 1]), CPU), batches, make_input=as_is))
    assert [each.indices.tolist() for each in predicted] == [batch.tolist() for batch in batches]
    logits = torch.cat([each.logits for each in predicted])
    np.testing.assert_array_equal(logits[:, 1], tiles.images)
    np.testing.assert_array_equal(logits[:, 2, :, :-1], tiles.images[:, :, 1:])
    assert not logits.requires_grad


def test_the_share_of_a_batch_may_be_empty():
    tiles = packed()
    loader = TileLoader(tiles, np.array([0, 1]), CPU)
    (predicted,) = predict(Lopsided(), loader, [np.array([], dtype=np.int64)], make_input=as_is)
    assert predicted.logits.shape == (0, 3, 4, 4)
