"""How fast raw tiles become packed ones, and how time and memory of the stages grow with their number.

    python -m benchmarks.data_path --sizes 1000 10000 100000 --folder benchmarks/local --out growth.json

The tiles that growth is measured on are generated: those of a few synthetic scenes, each turned and shifted in a way
of its own, so that no two are alike. The stages run as DVC runs them, each in a process of its own.
"""

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import tifffile
import yaml

from benchmarks.repository import ROOT, Changes, environment, merge
from benchmarks.spread import spread
from seepseg.base.command import run_stage
from seepseg.base.errors import InputError
from seepseg.base.files import atomic_path, write_csv, write_json
from seepseg.base.npy_stream import NpyStream
from seepseg.base.params import load_params
from seepseg.data.packed import IMAGES, MANIFEST, SCENES, TARGETS
from seepseg.geo import tile_writer
from seepseg.io.raw_data import DataParams
from seepseg.io.report import Report
from seepseg.io.tile_files import find_tiles
from seepseg.io.tile_table import TABLE, read_table
from seepseg.synthetic.ground import make_ground
from seepseg.synthetic.scenes import make_scene
from stages.ingest import PARAMS, Packer

STAGES = ("ingest", "split", "class_balance", "train")

TILE = 256  # pixels a side
TILES_PER_SCENE = 250
FOLDS = 4  # so that half of the tiles train, a quarter validates
SYNTHETIC_SCENES, SYNTHETIC_TILES = 8, 24
Pixel = TypeVar("Pixel", bound=np.generic)
BYTES_PER_TILE = TILE * TILE * 3 + 4096  # of both files, with their headers
# One epoch of a network that costs next to nothing: what is measured is the way of the data to it.
TINY: Changes = {
    "model": {"name": "unet", "unet": {"width": 4, "depth": 2, "stem": 4, "norm": "batch"}},
    "sampling": {"crop": 0},
    "train": {"networks": 1, "epochs": 1, "warmup_epochs": 0, "device": "cpu"},
}
TINY_TEXT = "one epoch of a deliberately tiny network: U-Net, width 4, depth 2, stem 4, norm batch"
SAMPLE_EVERY = 0.02  # seconds between looks at the memory in use
MIB = 2**20


def ingest_speed(workspace: Path, repeats: int = 9) -> dict[str, Any]:
    """Measure ingest against a plain read and a plain copy of the same bytes, in turn.

    The plain read opens every file of the raw data set and reads it into one buffer; the plain copy also writes that to
    a new file, as ingest writes the pixels. Ingest finds, reads, checks and packs the tiles and writes manifest and
    metrics, in this process. The files are in the page cache.

    Args:
        workspace: holds the params.yaml that describes the raw data set.
        repeats: how often each is measured.

    Returns:
        Tiles and MiB of the raw data set; median, lowest and highest of `plain_read_seconds`, `plain_copy_seconds`,
        `ingest_seconds`, and of `share_of_plain_read` and `share_of_plain_copy`, the speed of ingest over that of the
        plain read and the plain copy just before it.
    """
    params = load_params(DataParams, "data", workspace / PARAMS)
    root = workspace / params.root
    size = _read_plainly(root, params)  # fills the page cache
    plain, copy, ingest = [], [], []
    with TemporaryDirectory(dir=workspace) as folder:
        tiles = _ingest(root, params, Path(folder))
        for _ in range(repeats):
            plain.append(_seconds(lambda: _read_plainly(root, params)))
            copy.append(_seconds(lambda: _copy_plainly(root, params, Path(folder))))
            ingest.append(_seconds(lambda: _ingest(root, params, Path(folder))))
    named = {
        "plain_read_seconds": plain,
        "plain_copy_seconds": copy,
        "ingest_seconds": ingest,
        "share_of_plain_read": [one / other for one, other in zip(plain, ingest, strict=True)],
        "share_of_plain_copy": [one / other for one, other in zip(copy, ingest, strict=True)],
    }
    spreads = {f"{name}_{which}": value for name, values in named.items() for which, value in spread(values).items()}
    return {"tiles": tiles, "mib": size / MIB, **spreads}


def growth(tiles: list[int], folder: Path) -> list[dict[str, Any]]:
    """Measure the stages on generated tiles, and delete these after each size.

    Args:
        tiles: numbers of tiles, at least 4 each.
        folder: where to work, on a disk with room for the largest number.

    Returns:
        A record for each number of tiles and stage: seconds, seconds per 1,000 tiles, and the peak of anonymous memory
        in MiB, `None` where the system has no /proc.

    Raises:
        InputError: the disk is too small, a number is, or a stage fails.
    """
    if min(tiles) < FOLDS:
        raise InputError(f"--sizes: expected at least {FOLDS} tiles, found {min(tiles)}")
    folder.mkdir(parents=True, exist_ok=True)
    check_disk(max(tiles), folder)
    images, targets = _synthetic_tiles(max(tiles))
    records: list[dict[str, Any]] = []
    for count in tiles:
        with TemporaryDirectory(dir=folder, prefix=f"tiles-{count}-") as name:
            workspace = Path(name)
            write_tiles(workspace / "raw", count, images, targets)
            _write_params(workspace / PARAMS)
            for stage in STAGES:
                seconds, peak = _run_stage(stage, workspace)
                record = {"tiles": count, "stage": stage, "seconds": seconds}
                records.append(record | {"seconds_per_1000_tiles": 1000 * seconds / count, "anonymous_mib": peak})
    return records


def disk_need(tiles: int) -> int:
    """Bytes that `growth` needs for a number of tiles: raw, and packed once more."""
    return 2 * tiles * BYTES_PER_TILE + 100 * MIB


def check_disk(tiles: int, folder: Path) -> None:
    """Refuse a number of tiles that the disk of a folder has no room for.

    Raises:
        InputError: it has not.
    """
    need, free = disk_need(tiles), shutil.disk_usage(folder).free
    if need > free:
        raise InputError(
            f"{folder}: expected {need / 1e9:.1f} GB of free disk for {tiles:,} tiles, found {free / 1e9:.1f} GB; "
            "name another folder or fewer tiles"
        )


def write_tiles(root: Path, count: int, images: npt.NDArray[np.uint16], targets: npt.NDArray[np.uint8]) -> None:
    """Write a raw data set of tiles, no two of them alike, in scenes of `TILES_PER_SCENE`.

    Args:
        root: gets the two folders that params.yaml names.
        count: how many tiles.
        images: uint16 (N, H, H), to make them from.
        targets: uint8 (N, H, H), likewise.
    """
    data = _default_params()["data"]
    per_scene = min(TILES_PER_SCENE, count // FOLDS)
    for kind, arrays in (("images", images), ("targets", targets)):
        folder = root / data[kind]
        folder.mkdir(parents=True)
        before, after = _around_pixels(arrays[0])
        for number in range(count):
            scene, position = divmod(number, per_scene)
            pixels = _variant(arrays[number % len(arrays)], number // len(arrays))
            path = folder / f"{900_001 + scene}.{position + 1:06d}.tif"
            path.write_bytes(b"".join([before, pixels.tobytes(), after]))


def folders_of(root: Path, images: str, targets: str) -> tuple[Path, Path]:
    """The folders of images and of targets: of tiles that the stage tile cut, or else these two."""
    if (root / TABLE).is_file():
        images, targets = tile_writer.IMAGES, tile_writer.TARGETS
    return root / images, root / targets


def _read_plainly(root: Path, params: DataParams, write: Callable[[memoryview], object] = len) -> int:
    """Read every file of a raw data set into one buffer, and hand on what was read; the number of bytes."""
    buffer, size = memoryview(bytearray(MIB)), 0
    for folder in folders_of(root, params.images, params.targets):
        for entry in os.scandir(folder):
            with open(entry.path, "rb") as file:  # noqa: PTH123 - a Path would make the plain read slower
                while count := file.readinto(buffer):
                    write(buffer[:count])
                    size += count
    return size


def _copy_plainly(root: Path, params: DataParams, folder: Path) -> None:
    """Read every file of a raw data set, and write it to one new file."""
    with atomic_path(folder / "copy") as path, path.open("wb") as file:
        _read_plainly(root, params, file.write)


def _ingest(root: Path, params: DataParams, folder: Path) -> int:
    """What the stage does, but into another folder; the number of tiles."""
    report = Report()
    has_table = (root / TABLE).is_file()
    tiles = (
        read_table(root, report)
        if has_table
        else find_tiles(*folders_of(root, params.images, params.targets), re.compile(params.name_pattern), report)
    )
    with atomic_path(folder / IMAGES) as images, atomic_path(folder / TARGETS) as targets:
        with NpyStream.open(images, "<u2") as image_stream, NpyStream.open(targets, "u1") as target_stream:
            packer = Packer(params, image_stream, target_stream)
            packer.pack(tiles, report, by_names=not has_table)
        if report.has_errors:
            raise InputError(f"{root} can't be used\n{report}")
        write_csv(folder / MANIFEST, packer.manifest())
        write_json(folder / "metrics.json", packer.summary(report))
        write_json(folder / SCENES, {})
    return len(tiles)


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _synthetic_tiles(wanted: int) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
    """Images and targets (N, H, H) of as many scenes as there are tiles wanted, or of the largest number."""
    n_scenes = min(-(-wanted // SYNTHETIC_TILES), SYNTHETIC_SCENES)
    ground = make_ground(1, (2 * TILE, SYNTHETIC_TILES // 2 * TILE))
    scenes = [make_scene(1, scene, ground) for scene in range(n_scenes)]
    return _cut([scene.image for scene in scenes]), _cut([scene.target for scene in scenes])


def _cut(scenes: list[npt.NDArray[Pixel]]) -> npt.NDArray[Pixel]:
    """Scenes (H, W) as tiles (N, TILE, TILE)."""
    stacked = np.stack(scenes)
    rows, columns = (side // TILE for side in stacked.shape[1:])
    tiles = stacked.reshape(-1, rows, TILE, columns, TILE).swapaxes(2, 3)
    return tiles.reshape(-1, TILE, TILE)


def _variant(tile: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
    """A tile turned in one of eight ways and rolled along its rows; (H, H), another one for each number below 8 H."""
    shift, way = divmod(number, 8)
    turned = np.rot90(tile.T if way >= 4 else tile, way)
    return np.roll(turned, shift, axis=1)


def _around_pixels(tile: npt.NDArray[Any]) -> tuple[bytes, bytes]:
    """What a TIFF file of such a tile holds before its pixels and after them."""
    file = io.BytesIO()
    tifffile.imwrite(file, tile, byteorder="<", photometric="minisblack", metadata=None, software=False)
    before, after = file.getvalue().split(tile.tobytes())
    return before, after


def _default_params() -> Changes:
    params: Changes = yaml.safe_load((ROOT / PARAMS).read_text(encoding="utf-8"))
    return params


def _write_params(path: Path) -> None:
    params = _default_params()
    params["data"] |= {"root": "raw", "corrections": ""}
    params["split"] |= {"by": "scene", "n_folds": FOLDS, "fold": 0, "test_scenes": [], "val_scenes": []}
    merge(params, TINY)
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def _run_stage(stage: str, workspace: Path) -> tuple[float, float | None]:
    """Run a stage in a process of its own: seconds, and the peak of anonymous memory in MiB."""
    env = environment() | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages", stage]
    started, peak = time.perf_counter(), 0
    with (workspace / f"{stage}.log").open("w+", encoding="utf-8") as log:
        with _ended(subprocess.Popen(command, cwd=workspace, env=env, stdout=log, stderr=log)) as process:
            while process.poll() is None:
                peak = max(peak, _anonymous_bytes(process.pid))
                time.sleep(SAMPLE_EVERY)
        seconds = time.perf_counter() - started
        if process.returncode:
            log.seek(0)
            raise InputError(f"stage {stage} ended with status {process.returncode}:\n{log.read()[-2000:]}")
    return seconds, peak / MIB if peak else None


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that doesn't outlive the block."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _anonymous_bytes(pid: int) -> int:
    """Anonymous memory of a process and of all that it started; 0 where the system has no /proc."""
    process = Path("/proc", str(pid))
    try:
        found = re.search(r"^RssAnon:\s+(\d+) kB", (process / "status").read_text(), re.MULTILINE)
        children = [child for task in (process / "task").iterdir() for child in (task / "children").read_text().split()]
    except OSError:  # it has ended
        return 0
    own = 1024 * int(found[1]) if found else 0
    return own + sum(_anonymous_bytes(int(child)) for child in children)


def main() -> None:
    """Measure growth, and write and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000], help="numbers of tiles")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to work, on a disk with enough room")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    args = parser.parse_args()
    need = disk_need(max(args.sizes))
    print(f"{max(args.sizes):,} tiles need {need / 1e9:.1f} GB in {args.folder}; train is {TINY_TEXT}", flush=True)
    records = growth(args.sizes, args.folder)
    args.out.write_text(json.dumps({"train": TINY_TEXT, "growth": records}, indent=2) + "\n", encoding="utf-8")
    print(f"{'tiles':>8} {'stage':<14} {'seconds':>9} {'s/1000 tiles':>13} {'anonymous MiB':>14}")
    for record in records:
        memory = "-" if record["anonymous_mib"] is None else f"{record['anonymous_mib']:.0f}"
        numbers = f"{record['seconds']:>9.2f} {record['seconds_per_1000_tiles']:>13.3f} {memory:>14}"
        print(f"{record['tiles']:>8,} {record['stage']:<14} {numbers}")


if __name__ == "__main__":
    run_stage(main)
