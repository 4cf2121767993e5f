"""Pictures of scenes for the page: greys as JPEG, blue where nothing was seen, as black would look like a slick."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from seepseg.base.conventions import NODATA
from seepseg.base.greys import stretch

THUMBNAIL = 160  # pixels, the longer side
THUMBNAIL_QUALITY = 70
UNSEEN = (92, 112, 130)  # where nothing was seen


def jpeg(image: npt.NDArray[np.uint16], max_side: int, quality: int) -> bytes:
    """Draw an image.

    Args:
        image: uint16 (H, W), `NODATA` where nothing was seen.
        max_side: of the picture, in pixels; larger images are reduced to it.
        quality: of the JPEG, 1..95.
    """
    grey, unseen = stretch(image), image == NODATA
    if unseen.any():
        grey = grey[..., np.newaxis].repeat(3, axis=2)
        grey[unseen] = UNSEEN
    picture = Image.fromarray(grey)
    height, width = image.shape
    if (longer := max(height, width)) > max_side:
        size = max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer))
        picture = picture.resize(size, Image.Resampling.BOX)
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()
