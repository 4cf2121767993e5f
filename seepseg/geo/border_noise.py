"""Border noise of Sentinel-1: products made before March 2018 have a rim of tiny numbers where nothing was seen."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from seepseg.data.pixels import Window
from seepseg.geo.raster_band import RasterBand

# From this day on Sentinel-1's own processor (IPF 2.90) sets the rim to 0.
SET_TO_ZERO: Final = datetime(2018, 3, 13, tzinfo=UTC)
# DN that may be of the rim are below. The calmest sea shows the noise of the instrument, 18 to 53 DN over most of a
# real product: of its pixels one in twelve at most is darker than this, too few to hang together as those of a rim do.
DARK: Final = 12
WIDTH: Final = 500  # pixels to which the rim is followed


@dataclass(frozen=True)
class BorderNoise:
    """Finds the rim by window, the same pixels in whatever windows they are read.

    Attributes:
        band: DN, 0 where there are no data.
    """

    band: RasterBand

    @classmethod
    def of(cls, band: RasterBand, acquired: datetime | None) -> "BorderNoise | None":
        """What finds the rim of a measurement, by its DN; None where it has none."""
        return None if acquired and acquired >= SET_TO_ZERO else cls(band)

    def in_window(self, window: Window, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """Dark pixels that hang together, also by corners, with no-data or the scene's border within `WIDTH` steps.

        Args:
            window: that lies in the scene.
            values: its numbers (height, width).
            valid: where they are data by what the file says.

        Returns:
            bool (height, width).
        """
        if not (valid & (values > 0) & (values < DARK)).any():
            return np.zeros(values.shape, np.bool_)
        height, width = self.band.shape
        top, left = max(0, window.top - WIDTH), max(0, window.left - WIDTH)
        bottom = min(height, window.top + window.height + WIDTH)
        right = min(width, window.left + window.width + WIDTH)
        values, valid = self.band.read(Window(top, left, bottom - top, right - left))
        # A pixel more on all sides, which is no-data where the scene ends.
        dark = np.pad(values < DARK, 1)
        empty = np.pad(~valid | (values == 0), 1)
        for line, ends in ((empty[0], top == 0), (empty[-1], bottom == height)):
            line[:] = ends
        for line, ends in ((empty[:, 0], left == 0), (empty[:, -1], right == width)):
            line[:] |= ends
        reached = ndimage.binary_dilation(empty, np.ones((3, 3), bool), iterations=WIDTH, mask=dark | empty)
        first_row, first_column = window.top - top + 1, window.left - left + 1
        part = np.s_[first_row : first_row + window.height, first_column : first_column + window.width]
        rim: npt.NDArray[np.bool_] = (reached & ~empty)[part]
        return rim
