"""Files damaged at random, a few here; `make fuzz` takes 20,000."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import tifffile

from benchmarks.damaged_files import SIDE, damage, packed_tiff, sound_files
from benchmarks.fuzz import fuzz, read_otherwise
from seepseg.io.raster import Raster, read_raster


def test_damaged_files_are_judged_and_never_crash_ingest():
    # In a small process: on Linux the peak of memory of a new one begins with what the one that starts it holds.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as small:
        outcome = small.submit(fuzz, files=300, seed=7).result()
    assert outcome.failures == []
    assert outcome.verdicts.total() == 300
    assert outcome.runs == 1
    assert len(outcome.verdicts) >= 8  # not all alike: some are still sound, others broken in several ways
    assert 0 < outcome.compared <= outcome.verdicts["sound"] < 150


def test_a_seed_decides_the_damage():
    (first, *_), (other, *_), *_ = sound_files()
    damaged = [damage(first, other, np.random.default_rng([seed, 5])) for seed in (1, 1, 2)]
    assert damaged[0] == damaged[1] != damaged[2]
    assert damaged[0] != first


def test_what_is_damaged_was_sound(tmp_path):
    path = tmp_path / "tile.tif"
    lossless = 0
    for image, target, *pixels in sound_files():
        for content, expected in zip((image, target), pixels, strict=True):
            path.write_bytes(content)
            found = read_raster(path)
            assert isinstance(found, Raster)
            assert bool(found.warnings) == (expected is None)
            if expected is not None:
                np.testing.assert_array_equal(found.pixels, expected)
                lossless += 1
    assert lossless > 30


@pytest.mark.parametrize("bits", [2, 7, 12, 15])
def test_packed_bits_are_what_libtiff_reads(bits):
    pixels = np.random.default_rng(0).integers(2**bits, size=(5, 7)).astype(np.uint16 if bits > 8 else np.uint8)
    np.testing.assert_array_equal(read_otherwise(packed_tiff(pixels, bits)), pixels)


def test_damage_claims_sizes_of_tiles_and_of_compressed_streams(tmp_path):
    """Among the damaged files are those that the memory of a reader depends on."""
    path = tmp_path / "tile.tif"
    tifffile.imwrite(path, np.zeros((SIDE, SIDE), np.uint8), tile=(16, 16), compression="png")
    original = path.read_bytes()
    wide_tiles = wide_streams = not_stored = 0
    for seed in range(300):
        path.write_bytes(damage(original, original, np.random.default_rng(seed)))
        try:
            with tifffile.TiffFile(path) as tiff:
                page = tiff.pages.first
                wide_tiles += page.tilewidth > 2 * SIDE
                not_stored += 0 in page.databytecounts
        except Exception:  # this damage hit the header
            continue
        at = path.read_bytes().find(b"IHDR") + 4
        wide_streams += int.from_bytes(path.read_bytes()[at : at + 4], "big") > 2 * SIDE
    assert min(wide_tiles, wide_streams, not_stored) >= 5, (wide_tiles, wide_streams, not_stored)
