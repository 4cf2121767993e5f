"""Read PNG and JPEG files."""

from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import JpegImagePlugin, PngImagePlugin
from PIL.ImageFile import ImageFile

from seepseg.io.faults import DAMAGED, LOSSY_IMAGE, UNSUPPORTED_SAMPLES, WRONG_LAYERS
from seepseg.io.pixels import Fault, Pixels, Raster, size_fault

PNG_SIGNATURE, JPEG_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
PNG_DEPTH_AT = 24  # where the bits per sample stand


def open_png(file: BinaryIO) -> PngImagePlugin.PngImageFile:
    """Read the header of a PNG file, and the checksums of the rest, which decoding would pass over.

    Raises:
        Exception: of any kind, if something is wrong.
    """
    # Not Image.open, which would guess the format, and warn of images that are not too large here.
    PngImagePlugin.PngImageFile(file).verify()
    file.seek(0)
    return PngImagePlugin.PngImageFile(file)


def read_png_or_jpeg(file: BinaryIO) -> Raster | list[Fault]:
    """Read a PNG file of 1 to 16 bits, or a JPEG file.

    Raises:
        OSError: the file can't be read.
    """
    head = file.read(PNG_DEPTH_AT + 1)
    is_png = head.startswith(PNG_SIGNATURE)
    file.seek(0)
    try:
        image = open_png(file) if is_png else JpegImagePlugin.JpegImageFile(file)
        channels = len(image.getbands())
        if fault := size_fault(image.height, image.width, channels + (image.mode == "I;16")):
            return [fault]
        if is_png and channels > 1 and head[PNG_DEPTH_AT] == 16:  # Pillow would cut them to 8 bits
            return [(UNSUPPORTED_SAMPLES, f"{channels} channels of 16 bits in a PNG file")]
        if (frames := getattr(image, "n_frames", 1)) > 1:
            return [(WRONG_LAYERS, f"{frames} pictures")]
        pixels: Pixels = np.array(image)
    except OSError as error:
        if error.errno:
            raise
    except Exception:  # Pillow raises whatever broken bytes lead it to, in words for programmers
        pass
    else:
        return Raster(pixels, warnings=() if is_png else ((LOSSY_IMAGE, "JPEG"),), palette=_palette(image))
    return [(DAMAGED, f"a {'PNG' if is_png else 'JPEG'} file that can't be decoded")]


def _palette(image: ImageFile) -> npt.NDArray[np.uint8] | None:
    """The colours of an image's numbers, uint8 (256, 3); None where these are none."""
    colours = image.getpalette() if image.mode == "P" else None
    if not colours:
        return None
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours) // 3] = np.reshape(colours, (-1, 3))
    return palette
