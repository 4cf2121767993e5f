"""Tile: cut scenes into tiles, and draw annotated polygons on their pixels.

Reads:  the scenes and annotations that section scenes of params.yaml names. A scene stays on its own grid: polygons go
        to its pixels, and the scene is read by bands of rows, so that memory doesn't grow with it.
Writes: data/tiles/images/<scene>_<row>_<col>.tif (uint16) and data/tiles/targets/<the same> (uint8), with their place;
        the last ones of a row or column are filled up with no-data, and tiles without any data are left out.
        data/tiles/tiles.csv, a line for each, and data/tiles/scenes.json, what is known of each scene.
        metrics/tile.json; all or, after an error, none. tile_report.txt, if the report is too long to show.
Params: scenes, data.class_names.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from seepseg.base.conventions import NODATA
from seepseg.base.errors import InputError
from seepseg.base.files import atomic_path, write_csv, write_json
from seepseg.base.folders import new_folder
from seepseg.base.params import load_params
from seepseg.data.pixels import Window
from seepseg.geo.annotations import read_annotations
from seepseg.geo.faults import (
    ALL_OUTSIDE,
    EMPTY_SCENE,
    MIXED_SCENES,
    NO_PLACE,
    NO_SCENE,
    NOTHING_DRAWN,
    ON_NODATA,
    ON_SEVERAL_SCENES,
    OUTSIDE,
    OVERLAP,
    SCENE_WARNING,
    THIN,
    UNUSABLE_SCENE,
    WARNINGS,
)
from seepseg.geo.misplaced import explain_misplaced
from seepseg.geo.params import ScenesParams
from seepseg.geo.placement import PlacedAnnotations, to_lonlat
from seepseg.geo.rasterise import PolygonRaster
from seepseg.geo.scene_file import find_scenes, open_scene
from seepseg.geo.scene_records import SceneRecord, common_radiometry, differing_kinds, write_scene_records
from seepseg.geo.tile_writer import TileWriter
from seepseg.io.raw_data import DataParams
from seepseg.io.report import Report, present_report
from seepseg.io.tile_table import TABLE

PARAMS = "params.yaml"
TILES = "data/tiles"
SCENES = "scenes.json"
METRICS = "metrics/tile.json"
REPORT = "tile_report.txt"


def main(root: Path = Path()) -> None:
    """Check scenes and annotations, cut all scenes, and put the outputs in place together at the end."""
    params = load_params(ScenesParams, "scenes", root / PARAMS)
    class_names = load_params(DataParams, "data", root / PARAMS).class_names
    report = Report()
    scenes = _survey(root / params.root, root / params.annotations, params, report)
    placed = _place_annotations(root / params.annotations, params, class_names, scenes, report)
    _refuse_errors(report, params, root)
    assert placed is not None
    with ExitStack() as stack:
        metrics = stack.enter_context(atomic_path(root / METRICS))
        folder = stack.enter_context(new_folder(root / TILES))
        cutter = Cutter(folder, params, class_names, placed)
        for scene in tqdm(scenes, unit="scene", disable=None):  # None: only on a terminal
            cutter.cut(scene, report)
        cutter.finish(report)
        _refuse_errors(report, params, root)
        write_csv(folder / TABLE, cutter.writer.table())
        radiometry = replace(common_radiometry(scenes), mean=cutter.writer.mean)
        write_scene_records(folder / SCENES, scenes, radiometry)
        write_json(metrics, {"tile": cutter.summary(report)})
    if text := present_report(report, root / REPORT):
        print(text, file=sys.stderr)
    print(f"{len(cutter.writer.rows)} tiles of {len(scenes)} scenes in {TILES}")


def _survey(folder: Path, annotations: Path, params: ScenesParams, report: Report) -> list[SceneRecord]:
    """What is known of all scenes, in the order of their names."""
    found = find_scenes(folder)
    for path in found.passed_over:
        if path != annotations:
            report.add(NO_SCENE, path)
    scenes = []
    for path in found.scenes:
        try:
            scenes.append(SceneRecord.of(path, params))
        except InputError as error:
            report.add(UNUSABLE_SCENE, path, str(error))
    for scene in scenes:
        if scene.warnings:
            report.add(SCENE_WARNING, scene.name, scene.warnings)
    on_earth = any(scene.georeference for scene in scenes)
    for scene in scenes:
        if on_earth and not scene.georeference:
            report.add(NO_PLACE, scene.path)
    for difference in differing_kinds(scenes):
        report.add(MIXED_SCENES, "the whole set", difference)
    return scenes


def _place_annotations(
    path: Path, params: ScenesParams, class_names: Sequence[str], scenes: Sequence[SceneRecord], report: Report
) -> PlacedAnnotations | None:
    """The annotations on earth or in pixels; None where they can't be used."""
    placeable = [scene for scene in scenes if scene.georeference]
    names = [scene.name for scene in scenes]
    annotations = read_annotations(path, params, class_names, names, bool(placeable) or not scenes, report)
    if annotations is None or not scenes:
        return None
    if not annotations.names:
        if not report.has_errors:
            report.add(NOTHING_DRAWN, path, "polygons of background or without an area alone")
        return None
    if not placeable:
        return PlacedAnnotations(annotations, annotations.polygons)
    if annotations.crs is None:
        return None
    placed = to_lonlat(annotations, placeable, report)
    if placed is None:
        return None
    meets = np.zeros(len(annotations.names), np.int64)
    for scene in placeable:
        meets[placed.on_scene(scene)[0]] += 1
    if not meets.any():
        report.add(ALL_OUTSIDE, f"{len(meets):,} polygons", explain_misplaced(annotations, placeable))
    else:
        if several := int(np.count_nonzero(meets > 1)):
            report.add(
                ON_SEVERAL_SCENES, f"{several:,} of {len(meets):,} polygons", f"up to {meets.max()} scenes for one"
            )
        for index in np.flatnonzero(meets == 0):
            of_scene = annotations.scenes[index]
            report.add(OUTSIDE, annotations.names[index], f"no part of it on {of_scene}" if of_scene else ())
    return placed


def _refuse_errors(report: Report, params: ScenesParams, root: Path) -> None:
    if report.has_errors:
        named = f"{params.root} with {params.annotations}"
        raise InputError(f"{named} can't be used, nothing was written\n{present_report(report, root / REPORT)}")


class Cutter:
    """Cuts scenes, and keeps what metrics and report tell of polygons."""

    def __init__(
        self, folder: Path, params: ScenesParams, class_names: Sequence[str], placed: PlacedAnnotations
    ) -> None:
        self.params, self.class_names, self.placed = params, class_names, placed
        self.writer = TileWriter(folder, params.tile_size)
        count = len(placed.annotations.names)
        self.pixels = np.zeros(count, np.int64)  # of each polygon, in all scenes
        self.is_placed = np.zeros(count, bool)
        self.slick_pixels = 0

    def cut(self, record: SceneRecord, report: Report) -> None:
        """Cut a scene into tiles, band by band; damage that shows is noted."""
        indices, polygons = self.placed.on_scene(record)
        raster = PolygonRaster(polygons, self.placed.annotations.classes[indices], len(self.class_names) + 1)
        has_data = False
        try:
            with open_scene(record.path, self.params) as scene:
                for band in self._bands(record):
                    image = scene.read(band)
                    target = raster.draw(band.top, image)
                    has_data |= self.writer.write_band(record, band.top, image, target)
                    self.slick_pixels += int(np.count_nonzero(target[image != NODATA]))
        except InputError as error:
            report.add(UNUSABLE_SCENE, record.path, str(error))
            return
        if not has_data:
            report.add(EMPTY_SCENE, record.name)
        self.is_placed[indices] = True
        self.pixels[indices] += raster.pixels
        self._note(record.name, indices, raster, report)

    def _bands(self, record: SceneRecord) -> Iterator[Window]:
        height, width = record.shape
        step = self.params.tile_size
        for top in range(0, height, step):
            yield Window(top, 0, min(step, height - top), width)

    def _note(self, scene: str, indices: Any, raster: PolygonRaster, report: Report) -> None:
        for index, pixels, on_nodata, overlaps in zip(
            indices, raster.pixels, raster.on_nodata, raster.overlaps, strict=True
        ):
            name = f"{self.placed.annotations.names[index]} on {scene}"
            if on_nodata:
                report.add(ON_NODATA, name, f"{on_nodata:,} of {pixels:,} px")
            if overlaps.any():
                own = self.class_names[self.placed.annotations.classes[index] - 1]
                shared = [f"{overlaps[other]:,} px of {self.class_names[other - 1]}" for other in overlaps.nonzero()[0]]
                report.add(OVERLAP, f"{name}, {own}", shared)

    def finish(self, report: Report) -> None:
        """Note what only all scenes together show."""
        for index in np.flatnonzero(self.is_placed & (self.pixels == 0)):
            report.add(THIN, self.placed.annotations.names[index])
        if not self.slick_pixels and not report.has_errors:
            report.add(NOTHING_DRAWN, f"{len(self.pixels):,} polygons")

    def summary(self, report: Report) -> dict[str, Any]:
        """The metrics: what was cut, and what was odd about it."""
        return {
            "scenes": len({row[0] for row in self.writer.rows}),
            "tiles": len(self.writer.rows),
            "empty_tiles": self.writer.empty,
            "polygons": len(self.pixels),
            "slick_pixels": self.slick_pixels,
            "warnings": report.warning_counts(WARNINGS),
        }
