"""Annotated polygons as pixels: a pixel is inside of a polygon if its centre is."""

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.features import rasterize

from seepseg.base.conventions import NODATA
from seepseg.geo.annotations import Geometries, only_polygons

Counts = npt.NDArray[np.int64]


class PolygonRaster:
    """Draws the polygons of a scene, a band of rows after the other; where some overlap, the smallest is on top.

    Attributes:
        pixels: int64 (N,), of each polygon the pixels drawn so far, also those below others.
        on_nodata: int64 (N,), those of them where the scene has no data.
        overlaps: int64 (N, K + 1), those of them that also lie on larger polygons of another class, by that class.
    """

    def __init__(self, polygons: Geometries, classes: npt.NDArray[np.uint8], num_classes: int) -> None:
        """Start with nothing drawn.

        Args:
            polygons: object (N,), in pixels, (0, 0) is the upper left corner of the first.
            classes: uint8 (N,), 1..K.
            num_classes: K + 1.
        """
        self.pixels: Counts = np.zeros(len(polygons), np.int64)
        self.on_nodata: Counts = np.zeros(len(polygons), np.int64)
        self.overlaps: Counts = np.zeros((len(polygons), num_classes), np.int64)
        self._polygons, self._classes = polygons, classes
        self._order = np.argsort(-shapely.area(polygons), kind="stable")
        self._bounds = shapely.bounds(polygons).reshape(-1, 4)

    def draw(self, top: int, image: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
        """Draw a band.

        Args:
            top: its first row in the scene.
            image: its pixels, uint16 (H, W), as wide as the scene.

        Returns:
            The target, uint8 (H, W): 0 is background, 1..K are the classes.
        """
        target = np.zeros(image.shape, np.uint8)
        height, width = image.shape
        west, north, east, south = self._bounds.T
        meets = (south > top) & (north < top + height) & (east > 0) & (west < width)
        for index in self._order[meets[self._order]]:
            first, last = max(0, int(west[index])), min(width, int(np.ceil(east[index])))
            upper, lower = max(top, int(north[index])), min(top + height, int(np.ceil(south[index])))
            part = np.s_[upper - top : lower - top, first:last]
            # A pixel more on all sides, so that new borders lie outside of what is drawn.
            box = shapely.box(first - 1, upper - 1, last + 1, lower + 1)
            (within,) = only_polygons(np.array([shapely.intersection(self._polygons[index], box)], dtype=object))
            if not within.is_empty:
                place, shape = Affine.translation(first, upper), (lower - upper, last - first)
                drawn = rasterize([within], shape, transform=place, dtype="uint8").astype(bool)
                self._count(index, drawn, target[part], image[part])
                target[part][drawn] = self._classes[index]
        return target

    def _count(
        self, index: int, drawn: npt.NDArray[np.bool_], below: npt.NDArray[np.uint8], image: npt.NDArray[np.uint16]
    ) -> None:
        self.pixels[index] += np.count_nonzero(drawn)
        self.on_nodata[index] += np.count_nonzero(image[drawn] == NODATA)
        others = np.bincount(below[drawn], minlength=self.overlaps.shape[1])
        others[[0, self._classes[index]]] = 0
        self.overlaps[index] += others
