"""Give ingest broken TIFF files by the thousand: it must judge each in 2 s and with 1 GB, and never show a traceback.

    python -m benchmarks.fuzz                       # 20,000 files, in less than a minute
    python -m benchmarks.fuzz --files 500 --seed 2

Sound files of every variant that ingest takes are damaged at random: bytes and bits changed, cut, inserted, repeated,
two files spliced, numbers of the header replaced by extreme ones. Each is read by itself, which is timed; then the
stage runs on folders of a thousand of them, as a user would start it. What fails is kept in benchmarks/local/fuzz, and
the status is 1.
"""

import argparse
import multiprocessing
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import yaml

from benchmarks.repository import LOCAL, ROOT, environment
from seepseg.io.report import WRONG_IMAGE_TYPE, WRONG_TARGET_TYPE
from seepseg.io.tiff import read_tiff

KEPT = LOCAL / "fuzz"
SECONDS = 2.0  # for one file
MEMORY = 2**30  # bytes, of the process that reads
BATCH = 1000  # files that the stage is given at a time
SIDE = 48  # pixels
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"byteorder": ">"},
    {"bigtiff": True},
    {"rowsperstrip": 5},
    {"tile": (16, 16)},
    {"compression": "lzw", "predictor": True},
    {"compression": "deflate"},
    {"compression": "zstd", "rowsperstrip": 16},
    {"compression": "packbits"},
    {"tile": (16, 16), "compression": "deflate", "byteorder": ">"},
)
EXTREME = (0, 1, 2, 3, 5, 7, 0x7F, 0x80, 0xFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Generator = np.random.Generator


def main() -> None:
    """Damage, read, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000, help="how many (default: 20000)")
    parser.add_argument("--seed", type=int, default=1, help="another one damages in other ways (default: 1)")
    arguments = parser.parse_args()
    outcome = fuzz(arguments.files, arguments.seed)
    print(outcome)
    if outcome.failures:
        sys.exit(f"error: {len(outcome.failures)} failures; the files are in {KEPT}")


@dataclass
class Outcome:
    """What came of all files.

    Attributes:
        verdicts: how many files were judged how; `sound` are those that can still be read.
        slowest: seconds of the slowest file.
        peak: largest memory of a reading process, in bytes.
        runs: how often the stage was run.
        failures: what must not happen, with the file.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    peak: int = 0
    runs: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{count:7,} {verdict}" for verdict, count in self.verdicts.most_common()]
        lines.append(
            f"{self.verdicts.total():,} files, slowest {self.slowest:.2f} s, at most {self.peak / 2**20:,.0f} MiB; "
            f"{self.runs} runs of the stage; failures: {len(self.failures)}"
        )
        return "\n".join([*lines, *self.failures])


def fuzz(files: int, seed: int) -> Outcome:
    """Read damaged files, each by itself and all by the stage.

    Args:
        files: how many.
        seed: decides how they are damaged; file number n is the same however many there are.
    """
    outcome = Outcome()
    originals = sound_files()
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, files, BATCH):
            raw_data = Path(folder, str(first))
            paths = list(_write_tiles(raw_data, originals, range(first, min(first + BATCH, files)), seed))
            _read_each(paths, outcome)
            _run_stage(raw_data, outcome)
            shutil.rmtree(raw_data)
    return outcome


def sound_files() -> list[tuple[bytes, bytes]]:
    """Image and target in every variant, as bytes of TIFF files."""
    rng = np.random.default_rng(0)
    image = rng.integers(1, 2**16, (SIDE, SIDE)).astype(np.uint16)
    target = np.zeros((SIDE, SIDE), np.uint8)
    target[10:20, 5:40] = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tile.tif")

        def content(pixels: npt.NDArray[Any], options: dict[str, Any]) -> bytes:
            tifffile.imwrite(path, pixels, **options)
            return path.read_bytes()

        return [(content(image, options), content(target, options)) for options in VARIANTS]


def damage(content: bytes, other: bytes, rng: Generator) -> bytes:
    """Change a file at random, in one to three ways.

    Args:
        content: of the file.
        other: of another file, to splice with.
        rng: decides.
    """
    for _ in range(rng.integers(1, 4)):
        changed = bytearray(content)
        # Half of all changes go to the first bytes and the last, where headers are.
        at = int(rng.integers(len(changed) + 1))
        if rng.random() < 0.5:
            at = min(int(rng.exponential(40)), len(changed))
            at = at if rng.random() < 0.7 else len(changed) - at
        length = min(int(rng.exponential(30)) + 1, max(len(changed) - at, 1))
        match int(rng.integers(8)):
            case 0:
                return bytes(changed[:at])
            case 1:
                changed[at : at + length] = rng.bytes(length)
            case 2 if at < len(changed):
                changed[at] ^= 1 << int(rng.integers(8))
            case 3:
                size = int(rng.choice([1, 2, 4, 8]))
                number = int(rng.choice(EXTREME)) % 256**size
                changed[at : at + size] = number.to_bytes(size, "big" if rng.random() < 0.3 else "little")
            case 4:
                changed[at:at] = rng.bytes(length)
            case 5:
                del changed[at : at + length]
            case 6:
                changed[at:at] = changed[at : at + length] * int(rng.integers(1, 20))
            case _:
                changed[at:] = other[int(rng.integers(len(other) + 1)) :]
        content = bytes(changed)
    return content


def _write_tiles(folder: Path, originals: list[tuple[bytes, bytes]], numbers: range, seed: int) -> Iterator[Path]:
    """Write tiles, of each of which image or target is damaged; give the paths of those files."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in numbers:
        rng = np.random.default_rng([seed, number])
        chosen, other = (originals[index] for index in rng.integers(len(originals), size=2))
        broken = int(rng.random() < 0.3)
        files = list(chosen)
        files[broken] = damage(chosen[broken], other[broken], rng)
        paths = [folder / name / f"900001.{number + 1:06d}.tif" for name in ("images", "masks")]
        for path, content in zip(paths, files, strict=True):
            path.write_bytes(content)
        yield paths[broken]


def _read_each(paths: list[Path], outcome: Outcome) -> None:
    """Read files in a process of their own, which is ended where it takes too long."""
    ahead = list(paths)
    while ahead:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=_reader, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        ours.recv()  # it is ready
        alive = True
        while ahead and alive:
            path = ahead.pop(0)
            ours.send(path)
            if not ours.poll(SECONDS + 1):
                alive = False
                _fail(outcome, path, f"read for more than {SECONDS} s")
                continue
            try:
                verdict, seconds, peak = ours.recv()
            except EOFError:
                alive = False
                _fail(outcome, path, "the process that read it died")
                continue
            outcome.verdicts[verdict] += 1
            outcome.slowest, outcome.peak = max(outcome.slowest, seconds), max(outcome.peak, peak)
            if verdict.startswith("raised"):
                _fail(outcome, path, verdict)
            if seconds > SECONDS:
                _fail(outcome, path, f"read for {seconds:.1f} s")
            if peak > MEMORY:
                alive = False  # the peak of a process does not fall again
                _fail(outcome, path, f"took {peak / 2**20:,.0f} MiB")
        process.kill()
        process.join()


def _reader(connection: Connection) -> None:
    """Read files that are asked for: verdict, seconds, and the largest memory of the process so far in bytes."""
    kinds = {"images": (np.uint16, WRONG_IMAGE_TYPE), "masks": (np.uint8, WRONG_TARGET_TYPE)}
    connection.send("ready")
    while True:
        path: Path = connection.recv()
        started = time.perf_counter()
        try:
            found = read_tiff(path, *kinds[path.parent.name])
            verdict = "sound" if isinstance(found, np.ndarray) else found[0][0].title
        except Exception as error:  # what this looks for
            verdict = f"raised {type(error).__name__}: {error}"
        seconds = time.perf_counter() - started
        connection.send((verdict, seconds, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def _run_stage(raw_data: Path, outcome: Outcome) -> None:
    """Start ingest on a raw data set as DVC does."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"] |= {"root": ".", "images": "images", "targets": "masks"}
    (raw_data / "params.yaml").write_text(yaml.safe_dump(params))
    before = _files(raw_data)
    command = [sys.executable, "-m", "stages", "ingest"]
    env = environment() | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=raw_data, env=env, capture_output=True, text=True, check=False)
    outcome.runs += 1
    if result.returncode != 1 or "Traceback" in result.stderr or _files(raw_data) != before:
        what = f"ingest ended with status {result.returncode}: {result.stderr[-300:]}"
        _fail(outcome, raw_data, what)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _fail(outcome: Outcome, path: Path, what: str) -> None:
    """Note a failure and keep what led to it."""
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / f"{path.parent.name}-{path.name}"
    if path.is_dir():
        shutil.copytree(path, kept, dirs_exist_ok=True)
    else:
        shutil.copy(path, kept)
    outcome.failures.append(f"{kept}: {what}")


if __name__ == "__main__":
    main()
