"""Sample: write the synthetic data set, the pipeline's embedded default.

Reads nothing; takes the section sample of params.yaml. Writes data/sample/scenes/<scene>.tif (GeoTIFF, uint16),
passes over common ground; data/sample/slicks.gpkg, their annotated slicks as polygons; and what is true of them and no
stage reads: data/sample/seeps.gpkg, where slicks come from, and data/sample/passes.csv, wind and current of each scene.
"""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from seepseg.base.folders import new_folder
from seepseg.base.params import load_params, param_block
from seepseg.synthetic.files import trace_slicks, write_passes, write_scene, write_seeps, write_slicks
from seepseg.synthetic.ground import make_ground
from seepseg.synthetic.scenes import make_scene

PARAMS = "params.yaml"
SAMPLE = "data/sample"


@param_block
class SampleParams:
    """The synthetic data set, the embedded default. Written to data/sample."""

    seed: Annotated[int, Ge(0)] = 1
    """of all random numbers"""
    n_scenes: Annotated[int, Ge(1), Le(99_999)] = 8
    """passes over the same ground, a scene each"""
    height: Annotated[int, Ge(32)] = 512
    """rows of a scene, in pixels of 40 m"""
    width: Annotated[int, Ge(32)] = 1024
    """columns of a scene"""


def main(root: Path = Path()) -> None:
    """Make every scene, and put the whole folder in place at the end."""
    params = load_params(SampleParams, "sample", root / PARAMS)
    ground = make_ground(params.seed, (params.height, params.width))
    passes, slicks = {}, []
    with new_folder(root / SAMPLE) as folder:
        (folder / "scenes").mkdir()
        for index in range(params.n_scenes):
            scene, name = make_scene(params.seed, index, ground), str(900_001 + index)
            write_scene(folder / "scenes" / f"{name}.tif", scene)
            slicks.append(trace_slicks(scene, name))
            passes[name] = scene.conditions
        write_slicks(folder / "slicks.gpkg", slicks)
        write_seeps(folder / "seeps.gpkg", ground)
        write_passes(folder / "passes.csv", passes)
    count = sum(len(table) for table in slicks)
    print(f"{SAMPLE}: {params.n_scenes} scenes with {count} slicks, {len(ground.seeps)} seeps")
