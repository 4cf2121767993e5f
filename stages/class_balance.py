"""Class balance: count what the training split holds of each class, and derive class weights from it.

Reads data/packed and data/split.csv, and of the arrays the training tiles alone; takes the section
class_balance of params.yaml. Writes plots/class_balance.csv (pixels, tiles and connected objects of each
class, and their shares) and data/class_weights.json (weights of background and of each class, by kind).

With n_c valid pixels of class c out of n, in C classes that have any:

    balanced        n / (C n_c)
    sqrt_balanced   sqrt(n / (C n_c)), scaled

Both have a mean of 1 over the training pixels, so that weights change what a loss attends to and not its
size: balanced as it is, which is scikit-learn's class_weight="balanced" (King & Zeng 2001, Logistic
Regression in Rare Events Data), sqrt_balanced after scaling. A class without a training pixel weighs 0: it has no
frequency to balance, and the loss isn't asked in validation about what training never showed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.base.conventions import BACKGROUND, NODATA
from seepseg.base.errors import InputError
from seepseg.base.files import write_csv, write_json
from seepseg.base.params import load_params, param_block
from seepseg.data.packed import Packed, open_packed, read_split
from seepseg.evaluation.objects import Connectivity, count_objects

PARAMS = "params.yaml"
PACKED = "data/packed"
SPLIT = "data/split.csv"
BALANCE_PLOT = "plots/class_balance.csv"
CLASS_WEIGHTS = "data/class_weights.json"

Counts = npt.NDArray[np.int64]


@param_block
class ClassBalanceParams:
    """How objects are counted."""

    connectivity: Connectivity = 8
    """4 | 8: neighbours of a pixel that belong to one object"""


def main(root: Path = Path()) -> None:
    """Run the stage."""
    params = load_params(ClassBalanceParams, "class_balance", root / PARAMS)
    packed = open_packed(root / PACKED)
    train = read_split(packed, root / SPLIT)["train"]
    pixels, tiles, objects = _count(packed, train, params.connectivity)
    if not pixels.any():
        raise InputError(f"{SPLIT}: expected valid pixels in the training tiles, found none; change split")
    write_csv(root / BALANCE_PLOT, _balance_table(packed.class_names, len(train), pixels, tiles, objects))
    write_json(root / CLASS_WEIGHTS, _class_weights([BACKGROUND, *packed.class_names], pixels))


def _count(packed: Packed, indices: Counts, connectivity: Connectivity) -> tuple[Counts, Counts, Counts]:
    """Valid pixels, tiles and connected objects of background and each class, (K+1,) each.

    An object is cut where its tile ends and counts in every tile. Background's objects stay uncounted, at 0.
    """
    num_classes = len(packed.class_names) + 1
    pixels, tiles, objects = np.zeros((3, num_classes), dtype=np.int64)
    for index in indices:
        image, target = packed.images[index], packed.targets[index]
        valid = np.count_nonzero(image)
        if valid < image.size:
            target = np.where(image != NODATA, target, 0)
        in_tile, objects_in_tile = count_objects(target, num_classes, connectivity)
        in_tile[0] = valid - in_tile.sum()
        pixels += in_tile
        tiles += in_tile > 0
        objects += objects_in_tile
    return pixels, tiles, objects


def _balance_table(
    class_names: list[str], n_tiles: int, pixels: Counts, tiles: Counts, objects: Counts
) -> pd.DataFrame:
    """A row per class; background, whose bar would dwarf the others, is what the pixel shares lack to 1."""
    return pd.DataFrame(
        {
            "class": class_names,
            "pixels": pixels[1:],
            "tiles": tiles[1:],
            "objects": objects[1:],
            "pixel_share": pixels[1:] / pixels.sum(),
            "tile_share": tiles[1:] / n_tiles,
            "object_share": objects[1:] / max(objects.sum(), 1),
        }
    )


def _class_weights(names: list[str], pixels: Counts) -> dict[str, Any]:
    """Weights by kind and class, see the top of this module."""
    present = pixels > 0
    balanced = np.zeros(len(pixels))
    balanced[present] = pixels.sum() / (present.sum() * pixels[present])
    root = np.sqrt(balanced)
    root *= pixels.sum() / (pixels @ root)
    return {
        kind: {name: float(weight) for name, weight in zip(names, weights, strict=True)}
        for kind, weights in (("balanced", balanced), ("sqrt_balanced", root))
    }
