"""One scene from file to files: the task that `seepseg predict` gives to a process, which may be on another machine."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from seepseg.base.device import choose_device, explain_full_memory, make_deterministic
from seepseg.base.errors import InputError
from seepseg.base.files import fingerprint, read_json, write_json
from seepseg.base.folders import new_folder
from seepseg.commands.options import check_model
from seepseg.data.pixels import ScenePixels
from seepseg.detection.detection import P_CLASS, Detection
from seepseg.detection.detector import Detector
from seepseg.detection.model_file import Model, load_model
from seepseg.detection.proposal import DetectParams
from seepseg.geo.centreline_files import CENTRELINES, describe_centrelines, describe_footprint
from seepseg.geo.georeference import Georeference
from seepseg.geo.land import Land, WithoutLand
from seepseg.geo.params import ScenesParams
from seepseg.geo.rasters import write_classes, write_probabilities
from seepseg.geo.scene_file import SceneFile, open_scene
from seepseg.geo.scene_search import files_of
from seepseg.geo.slick_attributes import FoundSlicks, describe
from seepseg.geo.slick_files import NOT_SLICKS, Layers, layers_of, write_geopackage
from seepseg.passes.classes_in_passes import PLACES, KeptScene, knows_passes
from seepseg.passes.footprints import footprint_of_blocks

RECORD, SLICKS, KEPT = "scene.json", "slicks.gpkg", "candidates.npz"
# A process does one scene at a time, also where a worker of a cluster has several threads: networks are adapted to the
# scene that they are at, and settings of GDAL and of warnings are those of the process.
ONE_SCENE = threading.Lock()


@dataclass(frozen=True)
class SceneTask:
    """Paths and plain values, so that it can be sent to another process.

    Attributes:
        scene: file or folder of the scene.
        folder: to write.
        model: the model file.
        land: a file of polygons, if land is to be left out.
        scenes: what scenes are like.
        detect: where and how to compute.
        fast: by one pass of one network.
        rasters: whether to write rasters, too.
        settings: what the results depend on, for the record.
        watched: whether to show how far it is.
    """

    scene: Path
    folder: Path
    model: Path
    land: Path | None
    scenes: ScenesParams
    detect: DetectParams
    fast: bool
    rasters: bool
    settings: dict[str, Any]
    watched: bool

    @property
    def name(self) -> str:
        """Name of the scene."""
        return self.folder.name

    @property
    def source(self) -> dict[str, int]:
        """Bytes and time of the last change of the scene's files, by which a changed one is told."""
        status = [path.stat() for path in files_of(self.scene)]
        return {
            "bytes": sum(each.st_size for each in status),
            "modified": max((int(each.st_mtime) for each in status), default=0),
        }


def read_record(folder: Path) -> dict[str, Any] | None:
    """What is recorded of a finished scene; None where the folder holds none."""
    try:
        return read_json(folder / RECORD)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise InputError(
            f"{folder / RECORD}: expected the record of a scene, found {error}; remove the folder"
        ) from None


def predict_scene(task: SceneTask) -> dict[str, Any]:
    """Find the slicks of a scene and write them into a folder, which is there whole or not at all.

    Returns:
        The record, which is also in the folder: numbers of slicks, warnings, seconds.

    Raises:
        InputError: the scene, the model or the land can't be used.
    """
    with ONE_SCENE:
        return _predict_scene(task)


def _predict_scene(task: SceneTask) -> dict[str, Any]:
    started = time.monotonic()
    model, detector, device = _load(task.model, task.detect, task.fast, task.settings["model_fingerprint"])
    networks = model.meta.networks
    tile = (networks.tile_size, networks.tile_size)
    with (
        open_scene(task.scene, task.scenes, networks.radiometry, networks.scaling) as scene,
        new_folder(task.folder) as folder,
        explain_full_memory(device, f"lower detect.batch_size, {task.detect.batch_size} tiles"),
    ):
        land = _read_land(task.land, scene)
        seen: ScenePixels = scene if land is None else WithoutLand(scene, land, networks.tile_size // 2)
        with _progress(task) as watch:
            found = detector.detect(seen, tile, watch)
        record, layers = _write(task, folder, scene, land, found, model.class_names)
        if scene.georeference is not None and knows_passes(model):
            kept = KeptScene(task.name, folder / KEPT, model.meta.classifiers)
            kept.write(_on_map(found.candidates, layers[CENTRELINES], scene.georeference), found.features)
        record["seconds"] = round(time.monotonic() - started, 1)
        write_json(folder / RECORD, record)
    return record


@lru_cache(maxsize=1)
def _load(path: Path, params: DetectParams, fast: bool, expected: str) -> tuple[Model, Detector, torch.device]:
    """Model, detector and device, kept for the next scene of this process with a model of this fingerprint."""
    if (found := fingerprint(path)) != expected:
        raise InputError(
            f"{path}: expected the model of the command, {expected}, found {found}; have the workers see the same file"
        )
    device = choose_device(params.device, "detect.device")
    make_deterministic(0, params.threads, device)
    model = read_model(path, fast)
    return model, Detector.of_model(model, params, device), device


def read_model(path: Path, fast: bool) -> Model:
    """Read the model file; to be `fast`, see `only_first_pass`."""
    check_model(path)
    model = load_model(path)
    return only_first_pass(model) if fast else model


def only_first_pass(model: Model) -> Model:
    """A model of the first network alone, with one pass over each pixel: cheaper by the product of both numbers."""
    meta = model.meta
    return Model(
        replace(
            meta,
            networks=replace(meta.networks, networks=1),
            proposal=replace(meta.proposal, tta=1),
            classifiers=replace(meta.classifiers, classifiers=1),
        ),
        model.networks[:1],
        model.classifiers[:1],
    )


def _read_land(path: Path | None, scene: SceneFile) -> Land | None:
    if path is None:
        return None
    if scene.georeference is None:
        scene.warnings.append("has no place on earth, so that --land says nothing of it")
        return None
    return Land.read(path, scene.georeference, scene.shape)


def _write(
    task: SceneTask, folder: Path, scene: SceneFile, land: Land | None, found: Detection, class_names: list[str]
) -> tuple[dict[str, Any], Layers]:
    """Write all but the record; gives that, and the layers of the slicks."""
    class_probs = found.slicks[[P_CLASS + name for name in class_names]].to_numpy(float)
    of_scene = FoundSlicks(found.slicks, class_probs, found.labels, found.foreground, class_names)
    slicks = describe(of_scene, scene, land, task.settings["model_fingerprint"])
    layers = layers_of(
        slicks,
        centrelines=describe_centrelines(found.candidates, found.paths, class_names, scene, land),
        footprints=describe_footprint(footprint_of_blocks(found.foreground), scene),
    )
    write_geopackage(folder / SLICKS, [layers], class_names)
    if task.rasters:
        place = {} if scene.georeference is None else scene.georeference.raster_profile()
        others = (slicks["reason"] != "").to_numpy().nonzero()[0] + 1
        without = found.labels, others
        write_classes(folder / f"{task.name}_classes.tif", place, found.classes, found.foreground, class_names, without)
        write_probabilities(folder / f"{task.name}_probability.tif", place, found.foreground)
    not_slicks = len(layers.get(NOT_SLICKS, ()))
    record = {
        "settings": task.settings,
        "class_names": class_names,
        "source": task.source,
        "height": scene.shape[0],
        "width": scene.shape[1],
        "slicks": len(slicks) - not_slicks,
        "not_slicks": not_slicks,
        "rasters": task.rasters,
        "warnings": scene.warnings,
    }
    return record, layers


def _on_map(candidates: pd.DataFrame, lines: pd.DataFrame, georeference: Georeference) -> pd.DataFrame:
    """Those candidates that have a line, as those on land have none, with their ends in longitude and latitude."""
    chosen = candidates[candidates["candidate"].isin(lines["candidate"])]
    ends = [georeference.to_lonlat(*chosen[[f"x_{end}", f"y_{end}"]].to_numpy(np.float64).T) for end in (1, 2)]
    return chosen.assign(**dict(zip(PLACES, [*ends[0], *ends[1]], strict=True)))


@contextmanager
def _progress(task: SceneTask) -> Iterator[Callable[[int, int], None] | None]:
    """A bar for the scene, below that of all scenes."""
    if not task.watched:
        yield None
        return
    with tqdm(desc=task.name, unit="block", leave=False, position=1, file=sys.stderr) as bar:

        def watch(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield watch
