"""Check raw tiles and pack them: every fault of a raw data set is listed at once, and only a sound one is packed.

Reads:  the tiles in the table that tile writes or, without one, in the folders of images and targets that the params
        name, each file once; and scenes.json beside the table.
Writes: data/packed/images.npy, data/packed/targets.npy, data/packed/manifest.csv (see `seepseg.data.packed`),
        sorted by scene and position, data/packed/scenes.json, what is known of scenes, and metrics/ingest.json; all
        five or, after an error, none. Targets and their pixel counts are the corrected ones.
        ingest_report.txt, if the report is too long to show.
Params: data.
"""

import re
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from seepseg.base.conventions import BACKGROUND, NODATA
from seepseg.base.errors import InputError
from seepseg.base.files import atomic_path, write_bytes, write_csv, write_json
from seepseg.base.npy_stream import NpyStream
from seepseg.base.params import load_params
from seepseg.data.corrected_targets import Corrector
from seepseg.data.corrections import no_corrections, read_corrections
from seepseg.data.packed import IMAGES, MANIFEST, MANIFEST_TYPES, PIXELS, SCALING, SCENES, TARGETS
from seepseg.io.edges import EdgeCheck
from seepseg.io.grid import Place, place_tiles
from seepseg.io.intensity import Intensity
from seepseg.io.raw_data import DataParams
from seepseg.io.report import Report, present_report
from seepseg.io.tile_checks import TileContent, TileReader
from seepseg.io.tile_files import Tile, find_tiles
from seepseg.io.tile_table import TABLE, read_table

PARAMS = "params.yaml"
PACKED = "data/packed"
METRICS = "metrics/ingest.json"
REPORT = "ingest_report.txt"


def main(root: Path = Path()) -> None:
    """Read, check and pack, and put the outputs in place together at the end."""
    params = load_params(DataParams, "data", root / PARAMS)
    corrections = root / params.corrections
    corrector = Corrector(
        read_corrections(corrections, params.classes) if params.corrections else no_corrections(), params.classes
    )
    report = Report()
    raw, packed = root / params.root, root / PACKED
    has_table = (raw / TABLE).is_file()
    tiles = read_table(raw, report) if has_table else _find_tiles(raw, params, report)
    with ExitStack() as stack:
        images, targets, manifest, scenes, metrics = (
            stack.enter_context(atomic_path(path))
            for path in (packed / IMAGES, packed / TARGETS, packed / MANIFEST, packed / SCENES, root / METRICS)
        )
        with NpyStream.open(images, "<u2") as image_stream, NpyStream.open(targets, "u1") as target_stream:
            packer = Packer(params, image_stream, target_stream, corrector)
            packer.pack(tiles, report, by_names=not has_table)
        if report.has_errors:
            raise InputError(f"{raw} can't be used, nothing was written\n{present_report(report, root / REPORT)}")
        corrector.check(corrections)
        write_csv(manifest, packer.manifest())
        write_bytes(scenes, _known_scenes(raw / SCENES if has_table else None))
        write_json(metrics, {"ingest": packer.summary(report)})
    if text := present_report(report, root / REPORT):
        print(text, file=sys.stderr)
    if count := len(corrector.table):
        effect = f"{np.count_nonzero(corrector.changed)} changed targets, by {corrector.changed_pixels:,} pixels"
        print(f"{count} corrections of {params.corrections}: {effect}")
    print(f"{len(packer.rows)} tiles of {params.root} packed into {PACKED}")


def _find_tiles(raw: Path, params: DataParams, report: Report) -> list[Tile]:
    pattern = re.compile(params.name_pattern)
    target_pattern = re.compile(params.target_pattern) if params.target_pattern else None
    return find_tiles(raw / params.images, raw / params.targets, pattern, report, target_pattern)


def _known_scenes(path: Path | None) -> bytes:
    """What is known of the scenes, as JSON."""
    return path.read_bytes() if path and path.is_file() else b"{}\n"


class Packer:
    """Reads tiles into the two arrays, and keeps what manifest and metrics tell of them."""

    def __init__(
        self, params: DataParams, images: NpyStream, targets: NpyStream, corrector: Corrector | None = None
    ) -> None:
        self.params = params
        self.corrector = corrector or Corrector(no_corrections(), params.classes)
        self.images = images
        self.targets = targets
        self.rows: list[tuple[Any, ...]] = []  # of the manifest, one per packed tile, without row and column
        self.cells: list[Place] = []  # row and column, one per tile
        self.scenes: set[str] = set()
        self.shape: tuple[int, ...] = ()
        self.intensity = Intensity()
        self.background_pixels = 0
        self.slick_on_nodata_pixels = 0

    def pack(self, tiles: list[Tile], report: Report, by_names: bool = True) -> None:
        """Read and check all tiles; from the first error on nothing is written any more, only checked.

        Args:
            tiles: in the order of the arrays.
            report: takes what is wrong.
            by_names: whether scene and place were read from file names, which can be misread.
        """
        params = self.params
        reader = TileReader(len(params.classes) + 1, report, params.parsed_mask_values, params.scaling)
        edges = EdgeCheck(tiles if by_names else [])
        progress = tqdm(reader.read(tiles), total=len(tiles), unit="tile", disable=None)  # None: only on a terminal
        for tile, content in zip(tiles, progress, strict=True):
            if content:
                edges.see(tile, content.image)
            if content and not reader.has_faults:
                self._append(tile, content, tiles)
        self.cells = place_tiles(tiles, reader.finish(), self.params.grid_columns, report)
        edges.note(report)

    def _append(self, tile: Tile, content: TileContent, tiles: list[Tile]) -> None:
        if not self.rows:
            self._begin(tiles, content.image.shape)
        content = self._corrected(tile, content)
        self.images.append(content.image)
        self.targets.append(content.target)
        self.rows.append(self._row(tile, content))
        self.scenes.add(tile.scene)
        self.intensity += content.intensity
        self.background_pixels += int(content.class_pixels[0])
        self.slick_on_nodata_pixels += content.slick_on_nodata

    def _begin(self, tiles: list[Tile], shape: tuple[int, ...]) -> None:
        """Begin the arrays: of a sound set, all tiles have the shape of the first one."""
        self.shape = shape
        self.images.write_header(len(tiles), shape)
        self.targets.write_header(len(tiles), shape)
        if len(self.corrector.table):
            unreported = Report()  # what is wrong with places is noted when all tiles are known
            cells = place_tiles(tiles, shape, self.params.grid_columns, unreported)
            self.corrector.place([tile.scene for tile in tiles], cells, (shape[0], shape[1]))

    def _corrected(self, tile: Tile, content: TileContent) -> TileContent:
        target = self.corrector.correct(len(self.rows), tile.scene, content.target, content.image)
        if target is content.target:
            return content
        class_pixels = np.bincount(target[content.image != NODATA], minlength=len(content.class_pixels))
        return replace(content, target=target, class_pixels=class_pixels)

    def _row(self, tile: Tile, content: TileContent) -> tuple[Any, ...]:
        """The values of one tile, in the order of the manifest's columns, without row and column."""
        intensity = content.intensity
        return (
            tile.name,
            tile.scene,
            tile.position,
            1 - intensity.valid / content.image.size,
            intensity.mean,
            intensity.std,
            intensity.low,
            intensity.high,
            *content.class_pixels.tolist(),
        )

    def manifest(self) -> pd.DataFrame:
        """The table of packed tiles, see `seepseg.data.packed.read_manifest`."""
        counts = [PIXELS + name for name in (BACKGROUND, *self.params.classes)]
        columns = [*MANIFEST_TYPES, *counts]
        table = pd.DataFrame(self.rows, columns=[name for name in columns if name not in ("row", "col")])
        table["row"], table["col"] = zip(*self.cells, strict=True)
        scaling = dict(zip(SCALING, map(repr, self.params.scaling), strict=False))
        return table[columns].astype(MANIFEST_TYPES).assign(**scaling)

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
            **dict(zip(SCALING, self.params.scaling, strict=False)),
            "corrections": self.corrector.summary(),
            "warnings": {
                **report.warning_counts(),
                "slick_on_nodata_pixels": self.slick_on_nodata_pixels,
            },
        }
