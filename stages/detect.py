"""Detect: propose candidates for slicks, out of fold, and measure them and the annotated slicks.

Reads data/packed, data/split.csv and models/networks.safetensors; takes the section detect of params.yaml. Looks at
training scenes through the network that was not trained on them, and at test scenes through all networks. Writes into
data/candidates: labels.npy (int32, numbers of a scene's candidates), foreground.npy (float16, probability of any class)
and classes.npy (uint8, the networks' most probable class), with a row per packed tile, zeros where no network is out of
fold; candidates.csv and annotated.csv, the features of both and what is annotated at their place.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from seepseg.base.conventions import NODATA
from seepseg.base.device import choose_device, explain_full_memory, make_deterministic
from seepseg.base.files import atomic_path, write_csv
from seepseg.base.npy_stream import NpyStream
from seepseg.base.params import load_params
from seepseg.data.out_of_fold import out_of_fold_scenes
from seepseg.data.packed import open_packed
from seepseg.data.pixels import Window
from seepseg.data.scenes import TiledScene
from seepseg.detection.detector import Candidates, Detector
from seepseg.detection.marked_slicks import MarkedSlicks
from seepseg.detection.matching import annotated_slicks, match_slicks
from seepseg.detection.proposal import DetectParams
from seepseg.detection.slick_table import in_whole_grid
from seepseg.evaluation.objects import Labels
from seepseg.models.trained_networks import check_classes, load_networks
from seepseg.passes.footprints import footprint, footprint_table

PARAMS = "params.yaml"
PACKED = "data/packed"
SPLIT = "data/split.csv"
NETWORKS = "models/networks.safetensors"
CANDIDATES = "data/candidates"
ARRAYS = {"labels": "i4", "foreground": "f2", "classes": "u1"}  # of `Candidates`, with the type on disk


class SlickTables:
    """Tables of candidates and of annotated slicks, a row for each and each network that looks at it.

    Slicks are numbered by scene, from 1, and on where further tiles of the scene are in another inner fold.

    Attributes:
        candidates: a table per scene, or part of it.
        annotated: likewise.
    """

    def __init__(self, workers: ThreadPoolExecutor) -> None:
        self.candidates: list[pd.DataFrame] = []
        self.annotated: list[pd.DataFrame] = []
        self._workers = workers  # the filters that measure use one core each
        self._candidates_so_far, self._annotated_so_far = Counter[str](), Counter[str]()

    def add(
        self,
        split: str,
        origin: tuple[int, int] | None,
        found: Candidates,
        annotated: MarkedSlicks,
        target: npt.NDArray[np.uint8],
        class_names: Sequence[str],
    ) -> Labels:
        """Measure the slicks of a scene.

        Args:
            split: oof or test.
            origin: of the scene; see `seepseg.data.scenes.Scene`.
            found: the candidates.
            annotated: the annotated slicks.
            target: uint8 (H, W), the annotated classes.
            class_names: the K classes.

        Returns:
            int32 (H, W), on candidates their numbers in the table.
        """
        name, slicks = annotated.scene.name, (found.slicks, annotated)
        firsts = self._candidates_so_far[name], self._annotated_so_far[name]
        of_annotated = annotated.labels.whole()
        for table, marked, measured, first in zip(
            (self.candidates, self.annotated),
            slicks,
            self._workers.map(MarkedSlicks.measure, slicks),
            firsts,
            strict=True,
        ):
            matches = match_slicks(marked.labels.whole(), len(marked), of_annotated, target, class_names)
            matches["match"] += np.where(matches["match"] > 0, firsts[1], 0)
            rows = in_whole_grid(measured, origin).merge(matches, on="slick")
            rows["slick"] += first
            rows.insert(0, "split", split)
            rows.insert(1, "scene", name)
            table.append(rows)
        self._candidates_so_far[name] += len(found.slicks)
        self._annotated_so_far[name] += len(annotated)
        labels = found.slicks.labels.whole()
        labels[labels > 0] += firsts[0]
        return labels


class Shown:
    """What the detector shows of a scene, put together.

    Attributes:
        foreground: float32 (H, W), probability of any class; 0 where nothing was seen.
        classes: uint8 (H, W), the networks' most probable class, 1..K, likewise.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.foreground = np.zeros(shape, np.float32)
        self.classes = np.zeros(shape, np.uint8)

    def __call__(self, window: Window, probs: npt.NDArray[np.float32], by_pixel: npt.NDArray[np.uint8]) -> None:
        """Take a block."""
        self.foreground[window.slices], self.classes[window.slices] = probs, by_pixel


def main(root: Path = Path()) -> None:
    """Run the stage."""
    params = load_params(DetectParams, "detect", root / PARAMS)
    device = choose_device(params.device, "detect.device")
    make_deterministic(0, params.threads, device)
    packed, folder = open_packed(root / PACKED), root / CANDIDATES
    networks, meta = load_networks(root / NETWORKS)
    check_classes(root / NETWORKS, meta.class_names, packed.class_names, "train")
    detector = Detector.of_networks(list(networks), meta, params, device)
    with ExitStack() as stack:
        stack.enter_context(explain_full_memory(device, f"lower detect.batch_size, {params.batch_size} tiles"))
        partials = {name: stack.enter_context(atomic_path(folder / f"{name}.npy")) for name in ARRAYS}
        streams = {name: stack.enter_context(NpyStream.open(partials[name], kind)) for name, kind in ARRAYS.items()}
        tables = SlickTables(stack.enter_context(ThreadPoolExecutor(params.threads)))
        footprints = defaultdict[str, list[shapely.Geometry]](list)
        for stream in streams.values():
            stream.write_header(len(packed.targets), packed.targets.shape[1:])
        for split, scene, out_of_fold in out_of_fold_scenes(packed, root / SPLIT, len(networks)):
            images, target = packed.images[scene.indices], scene.stitch(packed.targets[scene.indices])
            shown, image = Shown(scene.shape), scene.stitch(images)
            if scene.origin is not None:
                footprints[scene.name].append(footprint(image != NODATA, scene.origin))
            annotated, _ = annotated_slicks(image, target)
            found = detector.propose(
                TiledScene(scene, images), scene.tile_shape, networks=out_of_fold, annotated=annotated, see=shown
            )
            assert found.annotated is not None, "they were given"
            labels = tables.add(split, scene.origin, found, found.annotated, target, packed.class_names)
            print(
                f"{split} {scene.name}: {len(found.slicks)} candidates, {len(found.annotated)} annotated slicks",
                flush=True,
            )
            for name, whole in (("labels", labels), ("foreground", shown.foreground), ("classes", shown.classes)):
                streams[name].write_rows(scene.indices.tolist(), scene.cut(whole))
    write_csv(folder / "candidates.csv", pd.concat(tables.candidates, ignore_index=True))
    write_csv(folder / "annotated.csv", pd.concat(tables.annotated, ignore_index=True))
    write_csv(folder / "footprints.csv", footprint_table(footprints))
