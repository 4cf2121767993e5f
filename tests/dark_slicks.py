"""A detector and a network for tests that learned nothing: slicks are what is dark, so that a test knows of them."""

import numpy as np
import pandas as pd
import torch
from conftest import small_model
from scipy import ndimage
from torch import nn

from seepseg.base.conventions import NODATA
from seepseg.base.radiometry import Radiometry
from seepseg.data.block_array import BlockArray
from seepseg.data.channels import InputParams
from seepseg.data.pixels import Window
from seepseg.detection.centrelines import find_centrelines
from seepseg.detection.detection import P_CLASS, Detection, candidate_columns
from seepseg.detection.shapes import find_boxes
from seepseg.detection.slick_table import ENDS
from seepseg.models.network_file import NetworksMeta

SEA, SLICK = 30_000, 15_000
CLASSES = ["thin", "thick"]


class DarkDetector:
    """Slicks are 8-connected pixels below the middle of `SEA` and `SLICK`; the first, third, ... are thin."""

    def detect(self, scene, tile_shape, watch=None):
        image = scene.read(Window(0, 0, *scene.shape))
        labels, n = ndimage.label((image != NODATA) & (image < (SEA + SLICK) / 2), np.ones((3, 3)))
        numbers = np.arange(1, n + 1)
        classes = np.concatenate([[0], 2 - numbers % 2])[labels]
        foreground = np.where(image == NODATA, 255, np.where(labels > 0, 180, 10))
        boxes = ndimage.find_objects(labels)
        thin = np.where(numbers % 2, 0.75, 0.25)
        table = pd.DataFrame(
            {
                "scene": scene.name,
                "slick": numbers,
                "class": [CLASSES[1 - number % 2] for number in numbers],
                "area": np.bincount(labels.ravel(), minlength=n + 1)[1:],
                "top": [rows.start for rows, _ in boxes],
                "left": [columns.start for _, columns in boxes],
                "bottom": [rows.stop for rows, _ in boxes],
                "right": [columns.stop for _, columns in boxes],
                "p_slick": 0.9,
                "p_class": 0.75,
                P_CLASS + "thin": thin,
                P_CLASS + "thick": 1 - thin,
                "length": 10.0,
                "intensity": float(SLICK),
                "sea_near": float(SEA),
            }
        )
        if watch:
            watch(1, 1)

        def blocks(values, dtype):
            return BlockArray.of(values.astype(dtype), tile_shape)

        in_blocks = blocks(labels, np.int32)
        lines = find_centrelines(in_blocks, find_boxes(in_blocks, n), with_paths=True)
        columns = [*lines.ends.reshape(n, 4).T, lines.length, *lines.half_width.T, np.ones(n), np.ones(n)]
        candidates = table.assign(candidate=numbers, **dict(zip(ENDS, columns, strict=True)))[
            candidate_columns(CLASSES)
        ]
        foreground_blocks = blocks(foreground, np.uint8)
        return Detection(
            scene, in_blocks, blocks(classes, np.uint8), foreground_blocks, table, candidates, lines.paths, None
        )


def meta_of_two(side, fingerprint=""):
    """What belongs to two networks that were trained on tiles of so many pixels, of oil and gas."""
    return NetworksMeta(
        model=small_model(),
        networks=2,
        class_names=["oil", "gas"],
        input=InputParams(),
        data_fingerprint=fingerprint,
        radiometry=Radiometry(),
        tile_size=side,
    )


class Dark(nn.Module):
    """What is darker than the mean of its tile is oil, and gas in the lower half of it: a network without weights.

    Args:
        slope: how sure it is.
    """

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, images):
        logits = -self.slope * (images + 1)
        lower = torch.linspace(-1, 1, images.shape[-2])[:, None].expand_as(images)
        return torch.cat([torch.zeros_like(images), logits - lower, logits + lower], dim=1)
