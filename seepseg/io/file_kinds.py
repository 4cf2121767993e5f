"""What a file is that is neither TIFF nor PNG nor JPEG, told by its first bytes."""

from seepseg.io.faults import DAMAGED, LFS_POINTER, NOT_AN_IMAGE, OTHER_FORMAT
from seepseg.io.pixels import Fault

HEAD = 512  # bytes that tell

# How files of other formats start, and their names.
FORMATS = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"\x89HDF", "HDF5 or NetCDF-4"),
    (b"CDF", "NetCDF"),
    (b"\x0e\x03\x13\x01", "HDF4"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"RIFF", "WebP"),
    (b"8BPS", "Photoshop"),
    (b"\x93NUMPY", "NumPy"),
    (b"MATLAB", "MATLAB"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "zip archive"),
    (b"Rar!", "RAR archive"),
    (b"7z\xbc\xaf", "7z archive"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"(\xb5/\xfd", "zstd"),
)
# How texts start that stand in place of a file, in lower case, and what they are.
TEXTS = (
    ("<!doctype html", "an HTML page, such as a server sends in place of a file"),
    ("<html", "an HTML page, such as a server sends in place of a file"),
    ("<", "XML text"),
    ("/annex/objects/", "a git-annex pointer: `git annex get` fetches the file"),
    ("../.git/annex/", "a git-annex pointer: `git annex get` fetches the file"),
    ("outs:", "a .dvc file: `dvc pull` fetches the file that it names"),
    ("{", "JSON text"),
)


def tell(head: bytes) -> Fault:
    """Say what a file is that can't be read.

    Args:
        head: its first `HEAD` bytes, or all of a shorter one.
    """
    if not any(head):
        return DAMAGED, "bytes that are all zero, as an interrupted copy leaves" if head else "an empty file"
    if name := next((name for start, name in FORMATS if head.startswith(start)), ""):
        return OTHER_FORMAT, name
    text = _text(head)
    if text.startswith("version https://git-lfs"):
        return LFS_POINTER, "a pointer"
    if name := next((name for start, name in TEXTS if text.lower().startswith(start)), ""):
        return NOT_AN_IMAGE, name
    start = f"text that starts with '{text.splitlines()[0][:40]}'" if text else f"the bytes {head[:4].hex(' ')}"
    return NOT_AN_IMAGE, start


def _text(head: bytes) -> str:
    """The beginning of a file as text; empty if it is none."""
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = head.decode(encoding, errors="ignore").strip()  # the last letter may be cut
    return text if all(letter.isprintable() or letter.isspace() for letter in text) else ""
