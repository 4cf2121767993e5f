"""Give ingest broken image files by the thousand: it must judge each in 2 s and with 1 GB, and never show a traceback.

    python -m benchmarks.fuzz                       # 20,000 files, in less than a minute
    python -m benchmarks.fuzz --files 500 --seed 2

Sound files of every variant that ingest takes are damaged at random: bytes and bits changed, cut, inserted, repeated,
two files spliced, half-written, sizes of images, tiles and compressed streams and other numbers of headers replaced by
extreme ones. Each is read by itself, which is timed, and what is read without a warning is compared with the pixels
that another reader finds; then the stage runs on folders of a thousand of them, as a user would start it. What fails
is kept in benchmarks/local/fuzz, and the status is 1.
"""

import argparse
import io
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

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile
import yaml

from benchmarks.damaged_files import damage, sound_files
from benchmarks.repository import LOCAL, ROOT, environment
from seepseg.io.raster import Raster, read_raster

KEPT = LOCAL / "fuzz"
SECONDS = 2.0  # for one file
MEMORY = 2**30  # bytes, of the process that reads
BATCH = 1000  # files that the stage is given at a time
REPORT = "ingest_report.txt"
COMPARED = 2**20  # pixels of the largest image that is read a second time

Pixels = npt.NDArray[Any]


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
        compared: how many of those another reader took, too.
        slowest: seconds of the slowest file.
        peak: largest memory of a reading process, in bytes.
        runs: how often the stage was run.
        failures: what must not happen, with the file.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    slowest: float = 0.0
    peak: int = 0
    runs: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{count:7,} {verdict}" for verdict, count in self.verdicts.most_common()]
        lines.append(
            f"{self.verdicts.total():,} files, slowest {self.slowest:.2f} s, at most {self.peak / 2**20:,.0f} MiB; "
            f"{self.compared:,} compared; {self.runs} runs of the stage; failures: {len(self.failures)}"
        )
        return "\n".join([*lines, *self.failures])


def fuzz(files: int, seed: int) -> Outcome:
    """Read damaged files, each by itself and all by the stage.

    Args:
        files: how many.
        seed: decides how they are damaged; file number n is the same however many there are.
    """
    outcome = Outcome()
    originals = [(image, target) for image, target, _, _ in sound_files()]
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, files, BATCH):
            raw_data = Path(folder, str(first))
            paths = list(_write_tiles(raw_data, originals, range(first, min(first + BATCH, files)), seed))
            _read_each(paths, outcome)
            _run_stage(raw_data, outcome)
            shutil.rmtree(raw_data)
    return outcome


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
                verdict, compared, seconds, peak = ours.recv()
            except EOFError:
                alive = False
                _fail(outcome, path, "the process that read it died")
                continue
            outcome.verdicts[verdict] += 1
            outcome.compared += compared
            outcome.slowest, outcome.peak = max(outcome.slowest, seconds), max(outcome.peak, peak)
            if verdict.startswith(("raised", "other")):
                _fail(outcome, path, verdict)
            if seconds > SECONDS:
                _fail(outcome, path, f"read for {seconds:.1f} s")
            if peak > MEMORY:
                alive = False  # the peak of a process does not fall again
                _fail(outcome, path, f"took {peak / 2**20:,.0f} MiB")
        process.kill()
        process.join()


def _reader(connection: Connection) -> None:
    """Read files that are asked for.

    The answers: verdict, whether another reader was asked, seconds, and the largest memory of the process in bytes.
    """
    connection.send("ready")
    while True:
        path: Path = connection.recv()
        started = time.perf_counter()
        compared = False
        try:
            found = read_raster(path)
            seconds = time.perf_counter() - started
            peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            verdict = _name(found)
            if verdict == "sound" and isinstance(found, Raster) and found.pixels.size <= COMPARED:
                other = read_otherwise(path.read_bytes())
                if other is not None and other.shape == found.pixels.shape:
                    compared = True
                    verdict = verdict if _equal(found.pixels, other) else "other pixels than another reader's"
        except Exception as error:  # what this looks for
            verdict = f"raised {type(error).__name__}: {error}"
        connection.send((verdict, compared, seconds, peak))


def _name(found: Raster | list[Any]) -> str:
    """What the reader said of a file."""
    if isinstance(found, Raster):
        return found.warnings[0][0].title if found.warnings else "sound"
    return str(found[0][0].title)


def read_otherwise(content: bytes) -> Pixels | None:
    """Read a file by libtiff or libpng instead of our reader; None where they can't, or can't be trusted.

    Of some damaged files libtiff leaves pixels as they were in memory: what differs the second time is no reading. And
    what is compressed and not of whole bytes comes out shifted.
    """
    is_png = content.startswith(b"\x89PNG")
    try:
        if not is_png:
            with tifffile.TiffFile(io.BytesIO(content)) as tiff:
                if tiff.pages.first.bitspersample % 8 and tiff.pages.first.compression != 1:
                    return None
        decode = imagecodecs.png_decode if is_png else imagecodecs.tiff_decode
        first, second = (np.asarray(decode(content)) for _ in range(2))
    except Exception:  # of a damaged file
        return None
    return first if _equal(first, second) else None


def _equal(one: Pixels, other: Pixels) -> bool:
    """Whether both have the same pixels; NaN equals NaN."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _run_stage(raw_data: Path, outcome: Outcome) -> None:
    """Start ingest on a raw data set as DVC does."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"] |= {"root": ".", "images": "images", "targets": "masks", "corrections": ""}
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
    """All files but a long report."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != REPORT)


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
