"""Find and classify the slicks of scenes, and write them for GIS.

SCENES is a GeoTIFF or COG, a Sentinel-1 GRD product as SAFE folder or zip, or a folder of any of these, and OUT a
folder. In it are written

  slicks.gpkg                  GeoPackage of the slicks of all scenes: polygons in longitude and latitude, layer
                               `slicks`, which QGIS opens coloured by class; what lies on land in layer `not_slicks`;
                               for `seepseg seeps`, centrelines of all candidates and what each scene has data of,
                               layers `centrelines` and `footprints`; where scenes see the same ground, classes are
                               told by all passes, column `passes` says of how many others
  scenes/NAME/slicks.gpkg      the same of each scene, as it tells alone
  scenes/NAME/scene.json       how it was found, warnings, seconds
  scenes/NAME/candidates.npz   by what other passes are told, if the model knows them
  scenes/NAME/NAME_classes.tif, NAME_probability.tif
                               with --rasters: the class of each pixel, 0 for background; the probability of any slick
                               in half percents; 255 where there is no data

Scenes that are finished in OUT are not done again, so a run that was stopped goes on where it was, and scenes can be
added later; at its end, slicks.gpkg holds all that are finished there. A scene that can't be used is named at the
end, with exit status 1; the others are done.

Of an image without a place on earth, PNG or JPEG too, polygons are in pixels: layer `slicks_in_pixels`, y negative
downwards. A folder of nothing but tiles without a place, whose names fit data.name_pattern of the parameter file, is
put together to scenes first, and OUT, a new folder, gets a mask for each tile, slicks.csv, and for `seepseg seeps`
candidates.csv and footprints.csv.

A parameter file says what scenes are like (section scenes: polarisation, scale of the numbers), where to compute
(section detect: device, threads, batch_size), and which scenes of tiles see the same ground (section passes: origins).
Classes, and all that was learned, are the model's.
"""

import argparse
from pathlib import Path

from seepseg.commands.options import MODEL, PARAMS, PredictOptions

EXAMPLES = """examples:
  seepseg predict scene.tif found
  seepseg predict ../scenes ../found --rasters --land land_polygons.shp
  seepseg predict S1A_IW_GRDH_1SDV_20240101T000000.zip found --model ../their_model.safetensors --fast
  seepseg predict ../archive ../found --workers 8
  seepseg predict /shared/archive /shared/found --scheduler tcp://10.0.0.5:8786
"""


def main(arguments: list[str] | None = None) -> None:
    """Find the slicks of scenes as the command line says."""
    parser = argparse.ArgumentParser(
        "seepseg predict", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("scenes", metavar="SCENES", type=Path, help="a scene, or a folder of scenes")
    add("out", metavar="OUT", type=Path, help="a folder to write, or one to go on with")
    add("--model", metavar="FILE", type=Path, default=MODEL, help=f"the model file (default: {MODEL})")
    add("--params", metavar="FILE", type=Path, help=f"parameter file (default: {PARAMS}, if there is one)")
    add("--land", metavar="FILE", type=Path, help="land as polygons, any vector file: what lies on it is no slick")
    add("--format", choices=("gpkg", "geojson"), default="gpkg", help="of the file of all slicks (default: gpkg)")
    add("--rasters", action="store_true", help="also write class and probability of each pixel, as GeoTIFF (COG)")
    add("--fast", action="store_true", help="one pass over each pixel by the first network alone: faster, less sure")
    add("--overwrite", action="store_true", help="do scenes again that are finished in OUT")
    add("--workers", metavar="N", type=_count, default=0, help="do N scenes at once, each with detect.threads threads")
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="give scenes to a Dask cluster, as tcp://host:8786 (default: $DASK_SCHEDULER_ADDRESS)",
    )
    options = PredictOptions(**vars(parser.parse_args(arguments)))
    from seepseg.commands.predict_scenes import predict  # noqa: PLC0415 - it takes seconds to import torch

    predict(options)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more, found {text}")
    return int(text)
