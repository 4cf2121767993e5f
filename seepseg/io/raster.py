"""One image file of any format that people have, as pixels."""

from pathlib import Path

from seepseg.io.faults import UNREADABLE
from seepseg.io.file_kinds import HEAD, tell
from seepseg.io.pixels import Fault, Raster
from seepseg.io.png_jpeg import JPEG_SIGNATURE, PNG_SIGNATURE, read_png_or_jpeg
from seepseg.io.tiff import TIFF_SIGNATURES, read_tiff

__all__ = ["Raster", "read_raster"]


def read_raster(path: Path | str) -> Raster | list[Fault]:
    """Read a file, whatever its pixels are; or say what is wrong with it.

    What the file is, TIFF, PNG or JPEG, is told by its first bytes, not by its name.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD)
            file.seek(0)
            if head.startswith(TIFF_SIGNATURES):
                return read_tiff(file)
            if head.startswith((PNG_SIGNATURE, JPEG_SIGNATURE)):
                return read_png_or_jpeg(file)
            return [tell(head)]
    except OSError as error:
        return [(UNREADABLE, error.strerror or "an error of the disk")]
