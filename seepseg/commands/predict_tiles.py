"""A folder of plain tiles without a place on earth: `seepseg predict` gives a predicted mask for each, and a table."""

import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import rasterio
import shapely
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from seepseg.base.conventions import NODATA
from seepseg.base.device import choose_device, explain_full_memory, make_deterministic
from seepseg.base.errors import InputError
from seepseg.base.files import write_csv
from seepseg.base.folders import new_folder
from seepseg.base.npy_stream import NpyStream
from seepseg.base.scaling import Scaling
from seepseg.commands.predict_scene import read_model
from seepseg.data.packed import MANIFEST_TYPES
from seepseg.data.scenes import Scene, TiledScene, find_scenes
from seepseg.detection.classifier import PASSES
from seepseg.detection.detection import COLUMNS
from seepseg.detection.detector import Detector
from seepseg.detection.model_file import Model
from seepseg.detection.postprocessing import draw_slicks
from seepseg.detection.proposal import DetectParams
from seepseg.detection.slick_table import in_whole_grid
from seepseg.io.edges import EdgeCheck
from seepseg.io.grid import Place, place_tiles
from seepseg.io.image_checks import ImageReader
from seepseg.io.raw_data import DataParams
from seepseg.io.report import Report, present_report
from seepseg.io.tiff import write_tiff
from seepseg.io.tile_files import NamePattern, Tile, find_images
from seepseg.passes.classes_in_passes import (
    CLASS,
    KeptScene,
    classify_again,
    evidence_of_others,
    knows_passes,
    say_passes,
)
from seepseg.passes.footprints import footprint, footprint_table
from seepseg.passes.ground import Grounds
from seepseg.passes.params import PassesParams
from seepseg.passes.reading import read_grounds

TABLE = "slicks.csv"
CANDIDATES, FOOTPRINTS = "candidates.csv", "footprints.csv"
REPORT = Path("predict_report.txt")


def are_tiles(folder: Path, name_pattern: str) -> bool:
    """Whether a folder holds tiles: files whose names fit the pattern, and no raster with a place on earth."""
    if not folder.is_dir():
        return False
    pattern = NamePattern(re.compile(name_pattern), "data.name_pattern")
    files = [path for path in (folder.rglob("*") if pattern.has_folders else folder.iterdir()) if path.is_file()]
    fitting = [path for path in files if pattern.match(path.relative_to(folder).as_posix())]
    return bool(fitting) and not any(_has_place(path) for path in files)


def _has_place(path: Path) -> bool:
    with warnings.catch_warnings(), suppress(RasterioError):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            return bool(file.crs or file.gcps[0])
    return False


def predict_tiles(
    images: Path, out: Path, model: Path, data: DataParams, detect: DetectParams, passes: PassesParams, fast: bool
) -> None:
    """Predict scene by scene, each put together from its tiles; then tell classes by other passes, where there are any.

    Args:
        images: a folder of images, each named and laid out like those that ingest takes.
        out: a folder to write, which is not there yet: a mask for each image under its name (uint8, 0 background, 1..K
            the classes of the model); `TABLE`, a row for each slick; and for seeps `CANDIDATES`, a row for each
            candidate, and `FOOTPRINTS`, what each scene has data of, both in pixels of the whole grid of its scene.
        model: the model file.
        data: what file names mean.
        detect: where and how to compute.
        passes: which scenes see the same ground.
        fast: by one pass of one network.
    """
    if out.exists():
        raise InputError(f"{out}: expected a name that is free, found something there; name another one")
    loaded = read_model(model, fast)
    device = choose_device(detect.device, "detect.device")
    make_deterministic(0, detect.threads, device)
    detector = Detector.of_model(loaded, detect, device)
    tables: dict[str, list[pd.DataFrame]] = {TABLE: [], CANDIDATES: []}
    footprints, in_grids = defaultdict[str, list[shapely.Geometry]](list), list[_InGrid]()
    with (
        new_folder(out) as folder,
        TemporaryDirectory(dir=folder, prefix=".") as scratch,
        explain_full_memory(device, f"lower detect.batch_size, {detect.batch_size} tiles"),
    ):
        manifest, pixels = _read(images, data, loaded.meta.networks.scaling, Path(scratch, "images.npy"))
        for scene in find_scenes(manifest, np.arange(len(manifest)), pixels.shape[1:]):
            images_of_scene = pixels[scene.indices]
            found = detector.detect(TiledScene(scene, images_of_scene), scene.tile_shape)
            _write_masks(folder, manifest, scene, found.classes.whole())
            candidates = in_whole_grid(found.candidates, scene.origin)
            if scene.origin is not None:
                footprints[scene.name].append(footprint(scene.stitch(images_of_scene) != NODATA, scene.origin))
            if scene.origin is not None and knows_passes(loaded):
                kept = KeptScene(scene.name, Path(scratch, f"{len(in_grids)}.npz"), loaded.meta.classifiers)
                kept.write(candidates, found.features)
                in_grids.append(_InGrid(scene, len(tables[TABLE]), kept))
                np.save(in_grids[-1].labels, found.labels.whole())
            tables[TABLE].append(found.slicks[list(COLUMNS)])
            tables[CANDIDATES].append(candidates.drop(columns="slick").rename(columns={"candidate": "slick"}))
            print(f"{scene.name}: {len(found.slicks)} slicks on {len(scene.indices)} tiles", flush=True)
        write_csv(folder / FOOTPRINTS, footprint_table(footprints))
        if len(in_grids) > 1:
            grounds = read_grounds({}, folder / FOOTPRINTS, passes.origins, pixels.shape[1:])
            say_passes(grounds, len(in_grids))
            if grounds.scenes:
                tables[TABLE] = _tell_again(in_grids, grounds, loaded, tables[TABLE], folder, manifest)
        for name, of_scenes in tables.items():
            filled = [table for table in of_scenes if len(table)] or of_scenes[:1]
            write_csv(folder / name, pd.concat(filled, ignore_index=True))


class _InGrid(NamedTuple):
    """A scene whose place in its grid is known, so that other passes may have seen the same.

    Attributes:
        scene: where its tiles lie.
        number: of its table of slicks.
        kept: of its candidates.
    """

    scene: Scene
    number: int
    kept: KeptScene

    @property
    def labels(self) -> Path:
        """A file, int32 (H, W), 1..n on its slicks."""
        return self.kept.path.with_suffix(".npy")


def _write_masks(folder: Path, manifest: pd.DataFrame, scene: Scene, mask: npt.NDArray[np.uint8]) -> None:
    """Write the mask of each tile of a scene, (H, W)."""
    for index, of_tile in zip(scene.indices.tolist(), scene.cut(mask), strict=True):
        path = folder / f"{manifest['tile'][index]}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tiff(path, of_tile)


def _tell_again(
    scenes: Sequence[_InGrid],
    grounds: Grounds,
    model: Model,
    tables: Sequence[pd.DataFrame],
    folder: Path,
    manifest: pd.DataFrame,
) -> list[pd.DataFrame]:
    """Tell classes by other passes, too, and draw the masks in which these are others.

    Args:
        scenes: that may have been seen by other passes.
        grounds: that they see.
        model: by which they were detected.
        tables: of slicks, of all scenes.
        folder: of the masks.
        manifest: of all tiles.

    Returns:
        The tables with the classes that are told, and a further column `PASSES`.
    """
    told = [table.assign(**{PASSES: 0}) for table in tables]
    evidence = evidence_of_others((each.kept for each in scenes), grounds)
    names = np.array(model.class_names, dtype=object)
    for each in scenes:
        if each.kept.name not in evidence:
            continue
        classes = classify_again(each.kept, evidence[each.kept.name], model)
        table = told[each.number].set_index("slick")
        before = table["class"].copy()
        table.loc[classes.index, "class"] = names[classes[CLASS].to_numpy() - 1]
        table.loc[classes.index, ["p_class", PASSES]] = classes[["p_class", PASSES]]
        told[each.number] = table.reset_index()[told[each.number].columns]
        if (table["class"] != before).any():
            numbers = pd.Index(names).get_indexer(table["class"]) + 1
            labels = np.load(each.labels, mmap_mode="r", allow_pickle=False)
            mask = draw_slicks(labels, np.ones(len(numbers), np.bool_), numbers.astype(np.uint8), None)
            _write_masks(folder, manifest, each.scene, mask)
    return told


def _read(
    folder: Path, data: DataParams, scaling: Scaling, packed: Path
) -> tuple[pd.DataFrame, npt.NDArray[np.uint16]]:
    """Check all images of a folder, and pack them into a file, so that each is read once and all are known to be sound.

    Returns:
        Scene and place of each tile, as far as `find_scenes` needs them, and uint16 (N, H, W), mapped from that file.

    Raises:
        InputError: anything is wrong with any of them.
    """
    report = Report()
    # Where images and targets lie in one folder, they do so here, too.
    has_targets = data.target_pattern and Path(data.images) == Path(data.targets)
    target_pattern = re.compile(data.target_pattern) if has_targets else None
    tiles = find_images(folder, re.compile(data.name_pattern), report, target_pattern)
    if scaling != data.scaling:
        print(f"data.scaling is {data.scaling}, but the model's is used, {scaling}", file=sys.stderr)
    reader, edges = ImageReader(report, scaling), EdgeCheck(tiles)
    with NpyStream.open(packed, "<u2") as stream:
        for number, tile in enumerate(tiles):
            found = reader.read_image(tile)
            if found:
                edges.see(tile, found[0])
            if found and not reader.has_faults:
                if number == 0:
                    stream.write_header(len(tiles), found[0].shape)
                stream.append(found[0])
    cells = place_tiles(tiles, reader.finish(), data.grid_columns, report)
    edges.note(report)
    text = present_report(report, REPORT)
    if report.has_errors:
        raise InputError(f"{folder} can't be used, nothing was written\n{text}")
    if text:
        print(text, file=sys.stderr)
    pixels: npt.NDArray[np.uint16] = np.load(packed, mmap_mode="r", allow_pickle=False)
    return _manifest(tiles, cells), pixels


def _manifest(tiles: list[Tile], cells: list[Place]) -> pd.DataFrame:
    rows = [(tile.name, tile.scene, *cell) for tile, cell in zip(tiles, cells, strict=True)]
    types = {name: MANIFEST_TYPES[name] for name in ("tile", "scene", "row", "col")}
    return pd.DataFrame(rows, columns=list(types)).astype(types)
