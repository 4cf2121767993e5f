"""SAR amplitudes as greys, the same in figures and on pages."""

import numpy as np
import numpy.typing as npt

from seepseg.base.conventions import NODATA

STRETCH = (1.0, 99.0)  # percentiles shown as black and white; single bright ships must not darken the sea


def stretch(image: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Show an image in greys, stretched between two percentiles of its valid pixels.

    Args:
        image: uint16, of any shape; `NODATA` where nothing was seen.

    Returns:
        uint8 of that shape, 0 where nothing was seen. An image of one intensity is mid-grey.
    """
    seen = image[image != NODATA]
    low, high = np.percentile(seen, STRETCH) if seen.size else (0, 0)
    values = np.arange(np.iinfo(np.uint16).max + 1)  # a grey for each is less work than for each pixel
    share = (values - low) / (high - low) if high > low else np.full(values.shape, 0.5)
    greys = np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
    greys[NODATA] = 0
    return greys[image]
