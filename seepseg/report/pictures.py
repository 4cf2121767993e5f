"""Pictures of scenes for the page: JPEG, in greys, dark where nothing was seen."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from seepseg.base.greys import stretch

THUMBNAIL = 160  # pixels, the longer side
THUMBNAIL_QUALITY = 70


def jpeg(image: npt.NDArray[np.uint16], max_side: int, quality: int) -> bytes:
    """Draw an image.

    Args:
        image: uint16 (H, W), `NODATA` where nothing was seen.
        max_side: of the picture, in pixels; larger images are reduced to it.
        quality: of the JPEG, 1..95.
    """
    picture = Image.fromarray(stretch(image))
    height, width = image.shape
    if (longer := max(height, width)) > max_side:
        size = max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer))
        picture = picture.resize(size, Image.Resampling.BOX)
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()
