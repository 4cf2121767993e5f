"""Image files of every variant that ingest takes, and ways to damage them, for `benchmarks.fuzz`."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

SIDE = 48  # pixels
Generator = np.random.Generator
Pixels = npt.NDArray[Any]

TIFF_VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"byteorder": ">"},
    {"bigtiff": True},
    {"rowsperstrip": 5},
    {"tile": (16, 16)},
    {"compression": "lzw", "predictor": True},
    {"compression": "deflate", "predictor": True, "byteorder": ">"},
    {"compression": "zstd", "rowsperstrip": 16},
    {"compression": "packbits"},
    {"compression": "lzma"},
    {"tile": (16, 16), "compression": "deflate", "byteorder": ">"},
    {"tile": (32, 64), "compression": "lzw", "predictor": True},
    {"compression": "png"},
    {"compression": "lerc"},
)
EXTREME = (0, 1, 2, 3, 5, 7, 0x7F, 0x80, 0xFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SIZES = (0, 1, SIDE - 1, SIDE + 1, 2 * SIDE, 1000, 8192, 8193, 30000, 65535, 2**16, 2**20, 2**31 - 1, 2**32 - 1)

# Tags of a TIFF header by what they claim.
SIZE_TAGS = (256, 257, 278, 322, 323)  # width and length of the image, rows of a strip, width and length of a tile
OFFSET_TAGS, BYTE_COUNT_TAGS = (273, 324), (279, 325)  # of strips and tiles
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 16: 8}  # bytes of a value of bytes, text, and numbers of 16, 32 and 64 bits
# Where compressed streams have height and width, or the reverse: after these bytes, so many bytes on.
STREAM_SIZES = ((b"\xff\xc0", 5, ">HH"), (b"\xff\xc1", 5, ">HH"), (b"\xff\x51", 6, ">II"), (b"IHDR", 4, ">II"))


def sound_files() -> Iterator[tuple[bytes, bytes, Pixels | None, Pixels | None]]:
    """Image and target in every variant: their files, and the pixels that must be read; None from a lossy file."""
    rng = np.random.default_rng(0)
    image = rng.integers(1, 2**16, (SIDE, SIDE)).astype(np.uint16)
    target = np.zeros((SIDE, SIDE), np.uint8)
    target[10:20, 5:40] = 3
    for options in TIFF_VARIANTS:
        yield _tiff(image, **options), _tiff(target, **options), image, target
    for image_bits, target_bits in ((9, 2), (12, 4), (15, 7)):
        narrow = image >> (16 - image_bits)
        yield packed_tiff(narrow, image_bits), packed_tiff(target, target_bits), narrow, target
    yield _with_pages(image), _with_pages(target), image, target
    decibels = (image / 2**12 - 30).astype(np.float32)
    for predictor in (False, True):
        options = {"compression": "deflate", "predictor": predictor}
        yield _tiff(decibels, **options), _tiff(target.astype(np.float32), **options), decibels, target
    yield _saved(image, "PNG"), _saved(target, "PNG"), image, target
    grey = (image >> 8).astype(np.uint8)
    yield _saved(grey, "JPEG"), _saved(target * 30, "JPEG"), None, None
    yield _tiff(grey, compression="jpeg"), _tiff(target * 30, compression="jpeg"), None, None


def _tiff(pixels: Pixels, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def _saved(pixels: Pixels, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def _with_pages(pixels: Pixels) -> bytes:
    """An image with an overview and a transparency mask that hides nothing."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(pixels, metadata=None)
        writer.write(pixels[::2, ::2], subfiletype=1, metadata=None)
        mask = np.full(pixels.shape, True)
        writer.write(mask, photometric=tifffile.PHOTOMETRIC.MASK, subfiletype=4, metadata=None)
    return file.getvalue()


def packed_tiff(pixels: Pixels, bits: int) -> bytes:
    """An uncompressed file of so many bits a sample, each row filled up to whole bytes, as GDAL writes it."""
    one_bit_each = np.unpackbits(pixels.astype(">u2").view(np.uint8).reshape(*pixels.shape, 2), axis=2)
    rows = np.packbits(one_bit_each[:, :, 16 - bits :].reshape(len(pixels), -1), axis=1).tobytes()
    height, width = pixels.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 0, 277: 1, 278: height, 279: len(rows)}
    start = 8 + 2 + 12 * len(tags) + 4
    entries = [struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in tags.items()]
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + b"".join(entries) + bytes(4) + rows


def damage(content: bytes, other: bytes, rng: Generator) -> bytes:
    """Change a file at random, in one to three ways.

    Args:
        content: of the file.
        other: of another file, to splice with.
        rng: decides.
    """
    for _ in range(rng.integers(1, 4)):
        content = _make_claim(content, rng) if rng.random() < 0.4 else _change_bytes(content, other, rng)
    return content


def _change_bytes(content: bytes, other: bytes, rng: Generator) -> bytes:
    """Change bytes without regard to what they mean."""
    changed = bytearray(content)
    # Half of all changes go to the first bytes and the last, where headers are.
    at = int(rng.integers(len(changed) + 1))
    if rng.random() < 0.5:
        at = min(int(rng.exponential(40)), len(changed))
        at = at if rng.random() < 0.7 else len(changed) - at
    length = min(int(rng.exponential(30)) + 1, max(len(changed) - at, 1))
    match int(rng.integers(9)):
        case 0:
            del changed[at:]
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
        case 7:  # half-written: a copy that broke off in a file of the full length
            changed[at:] = bytes(len(changed) - at)
        case _:
            changed[at:] = other[int(rng.integers(len(other) + 1)) :]
    return bytes(changed)


def _make_claim(content: bytes, rng: Generator) -> bytes:
    """Let a file claim what is not so: its sizes, those of its tiles or of compressed streams, or what is stored."""
    changed = bytearray(content)
    places = list(_stream_sizes(changed))
    if places and rng.random() < 0.5:
        at, layout = places[int(rng.integers(len(places)))]
        largest = 256 ** (struct.calcsize(layout) // 2) - 1
        struct.pack_into(layout, changed, at, *(min(int(size), largest) for size in rng.choice(SIZES, 2)))
        if changed[at - 4 : at] == b"IHDR":  # a reader looks at the checksum first
            struct.pack_into(">I", changed, at + 13, zlib.crc32(changed[at - 4 : at + 13]))
        return bytes(changed)
    tags = list(_tags(changed))
    if not tags:
        return content
    storage = [tag for tag in tags if tag[0] in OFFSET_TAGS + BYTE_COUNT_TAGS]
    sizes = [tag for tag in tags if tag[0] in SIZE_TAGS]
    match int(rng.integers(4)):
        case 0 if storage:  # sparse, all of it or a part
            for _, at, size, count in storage:
                first = int(rng.integers(count)) if rng.random() < 0.5 else 0
                changed[at + first * size : at + count * size] = bytes((count - first) * size)
        case 1 | 2 if sizes:
            for _, at, size, _ in sizes:
                if rng.random() < 0.4:
                    _put(changed, at, size, int(rng.choice(SIZES)))
        case _:  # bits, compression, predictor, pages, type of samples, ...
            _, at, size, _ = tags[int(rng.integers(len(tags)))]
            _put(changed, at, size, int(rng.choice([*range(20), 32773, 34712, 34933, 50000, *EXTREME])))
    return bytes(changed)


def _put(content: bytearray, at: int, size: int, value: int) -> None:
    content[at : at + size] = min(value, 256**size - 1).to_bytes(size, "big" if content[:2] == b"MM" else "little")


def _stream_sizes(content: bytearray) -> Iterator[tuple[int, str]]:
    """Where compressed streams say their size, and how."""
    for mark, distance, layout in STREAM_SIZES:
        found = content.find(mark)
        if 0 <= found <= len(content) - 32:
            yield found + distance, layout


def _tags(content: bytearray) -> Iterator[tuple[int, int, int, int]]:
    """Tags of the first page of a classic TIFF: number, place of the values, bytes of each, how many."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(content[:4]))
    if order is None or len(content) < 10:
        return
    (directory,) = struct.unpack_from(f"{order}I", content, 4)
    if directory > len(content) - 2:
        return
    (entries,) = struct.unpack_from(f"{order}H", content, directory)
    for entry in range(directory + 2, min(directory + 2 + 12 * entries, len(content) - 12), 12):
        tag, kind, count, offset = struct.unpack_from(f"{order}HHII", content, entry)
        size = TYPE_SIZES.get(kind, 4)
        place = entry + 8 if size * count <= 4 else offset
        if count and place + size * count <= len(content):
            yield tag, place, size, count
