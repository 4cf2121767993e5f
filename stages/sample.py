"""Sample: write the synthetic data set, the pipeline's embedded default.

Reads nothing; takes the section sample of params.yaml. Writes data/sample/train_images_256/<scene>.<tile>.tif
(uint16) and data/sample/train_masks_256/<scene>.<tile>.tif (uint8), named and laid out like the real set.
"""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from seepseg.base.folders import new_folder
from seepseg.base.params import load_params, param_block
from seepseg.io.tiff import write_tiff
from seepseg.synthetic.scenes import make_scene

PARAMS = "params.yaml"
SAMPLE = "data/sample"
IMAGES = "train_images_256"
TARGETS = "train_masks_256"


@param_block
class SampleParams:
    """The synthetic data set, the embedded default. Written to data/sample."""

    seed: Annotated[int, Ge(0)] = 1
    """of all random numbers"""
    n_scenes: Annotated[int, Ge(1), Le(99_999)] = 8
    """scenes to make"""
    tiles_per_scene: Annotated[int, Ge(1), Le(999_999)] = 10
    """in a grid of 5 columns"""
    tile_size: Annotated[int, Ge(32)] = 256
    """side of a tile, in pixels"""


def main(root: Path = Path()) -> None:
    """Make every scene, and put the whole folder in place at the end."""
    params = load_params(SampleParams, "sample", root / PARAMS)
    with new_folder(root / SAMPLE) as folder:
        (folder / IMAGES).mkdir()
        (folder / TARGETS).mkdir()
        for scene in range(params.n_scenes):
            images, targets = make_scene(params.seed, scene, params.tiles_per_scene, params.tile_size)
            for tile, (image, target) in enumerate(zip(images, targets, strict=True), start=1):
                name = f"{900_001 + scene}.{tile:06d}.tif"
                write_tiff(folder / IMAGES / name, image)
                write_tiff(folder / TARGETS / name, target)
    print(f"{SAMPLE}: {params.n_scenes} scenes of {params.tiles_per_scene} tiles")
