"""Check raw tiles and pack them: every fault of a raw data set is listed at once, and only a sound one is packed.

Reads:  the folders of images and targets that the params name, each file once.
Writes: data/packed/images.npy, data/packed/targets.npy, data/packed/manifest.csv (see `seepseg.data.packed`),
        sorted by scene and position, and metrics/ingest.json; all four or, after an error, none.
Params: data.
"""

import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from seepseg.base.conventions import BACKGROUND
from seepseg.base.errors import InputError
from seepseg.base.files import atomic_path, write_csv, write_json
from seepseg.base.npy_stream import NpyStream
from seepseg.base.params import load_params
from seepseg.data.packed import IMAGES, MANIFEST, MANIFEST_TYPES, PIXELS, TARGETS
from seepseg.io.raw_data import DataParams, check_grid
from seepseg.io.report import Report
from seepseg.io.tile_checks import Intensity, TileContent, TileReader
from seepseg.io.tile_files import Tile, find_tiles, grid_cell, grid_columns_of

PARAMS = "params.yaml"
PACKED = "data/packed"
METRICS = "metrics/ingest.json"


def main(root: Path = Path()) -> None:
    """Read, check and pack, and put the outputs in place together at the end."""
    params = load_params(DataParams, "data", root / PARAMS)
    report = Report()
    raw, packed = root / params.root, root / PACKED
    pattern = re.compile(params.name_pattern)
    tiles = find_tiles(raw / params.images, raw / params.targets, pattern, report)
    check_grid(tiles, params.grid_columns, report)
    with ExitStack() as stack:
        images, targets, manifest, metrics = (
            stack.enter_context(atomic_path(path))
            for path in (packed / IMAGES, packed / TARGETS, packed / MANIFEST, root / METRICS)
        )
        with NpyStream.open(images, "<u2") as image_stream, NpyStream.open(targets, "u1") as target_stream:
            packer = Packer(params, image_stream, target_stream)
            packer.pack(tiles, report)
        if report.has_errors:
            raise InputError(f"{raw} can't be used, nothing was written\n{report}")
        write_csv(manifest, packer.manifest())
        write_json(metrics, {"ingest": packer.summary(report)})
    if report.offenders:
        print(report, file=sys.stderr)
    print(f"{len(packer.rows)} tiles of {params.root} packed into {PACKED}")


class Packer:
    """Reads tiles into the two arrays, and keeps what manifest and metrics tell of them."""

    def __init__(self, params: DataParams, images: NpyStream, targets: NpyStream) -> None:
        self.params = params
        self.images = images
        self.targets = targets
        self.rows: list[tuple[Any, ...]] = []  # of the manifest, one per packed tile
        self.scenes: set[str] = set()
        self.shape: tuple[int, ...] = ()
        self.intensity = Intensity()
        self.background_pixels = 0
        self.slick_on_nodata_pixels = 0

    def pack(self, tiles: list[Tile], report: Report) -> None:
        """Read and check all tiles; from the first error on nothing is written any more, only checked."""
        reader = TileReader(len(self.params.class_names) + 1, report)
        progress = tqdm(reader.read(tiles), total=len(tiles), unit="tile", disable=None)  # None: only on a terminal
        for tile, content in zip(tiles, progress, strict=True):
            if content and not report.has_errors:
                self._append(tile, content, len(tiles))
        reader.check_sizes()

    def _append(self, tile: Tile, content: TileContent, count: int) -> None:
        if not self.rows:
            self.shape = content.image.shape
            self.images.write_header(count, self.shape)
            self.targets.write_header(count, self.shape)
        self.images.append(content.image)
        self.targets.append(content.target)
        self.rows.append(self._row(tile, content))
        self.scenes.add(tile.scene)
        self.intensity += content.intensity
        self.background_pixels += int(content.class_pixels[0])
        self.slick_on_nodata_pixels += content.slick_on_nodata

    def _row(self, tile: Tile, content: TileContent) -> tuple[Any, ...]:
        """The values of one tile, in the order of the manifest's columns."""
        intensity = content.intensity
        return (
            tile.name,
            tile.scene,
            tile.position,
            *grid_cell(tile.position, grid_columns_of(tile.scene, self.params.grid_columns)),
            1 - intensity.valid / content.image.size,
            intensity.mean,
            intensity.std,
            intensity.low,
            intensity.high,
            *content.class_pixels.tolist(),
        )

    def manifest(self) -> pd.DataFrame:
        """The table of packed tiles, see `seepseg.data.packed.read_manifest`."""
        counts = [PIXELS + name for name in (BACKGROUND, *self.params.class_names)]
        return pd.DataFrame(self.rows, columns=[*MANIFEST_TYPES, *counts]).astype(MANIFEST_TYPES)

    def summary(self, report: Report) -> dict[str, Any]:
        """The metrics: what the whole set looks like."""
        height, width = self.shape
        valid = self.intensity.valid
        return {
            "tiles": len(self.rows),
            "scenes": len(self.scenes),
            "height": height,
            "width": width,
            "nodata_fraction": 1 - valid / (len(self.rows) * height * width),
            "foreground_fraction": 1 - self.background_pixels / valid if valid else None,
            "intensity_mean": self.intensity.mean,
            "intensity_std": self.intensity.std,
            "warnings": {
                **report.warning_counts(),
                "slick_on_nodata_pixels": self.slick_on_nodata_pixels,
            },
        }
