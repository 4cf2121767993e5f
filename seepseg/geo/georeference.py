"""Where on earth a pixel lies, and which pixel shows a place.

Pixel coordinates (x, y) are GDAL's: x along columns, y along rows, (0, 0) is the top-left *corner* of the first pixel
and (0.5, 0.5) its centre. Longitudes and latitudes are degrees on WGS84.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS, Geod, Transformer
from pyproj.enums import TransformDirection
from pyproj.exceptions import ProjError
from rasterio.control import GroundControlPoint
from scipy.interpolate import RBFInterpolator

from seepseg.base.errors import InputError

Floats = npt.NDArray[np.float64]
Coordinates = tuple[Floats, Floats]

WGS84 = "OGC:CRS84"  # longitude, latitude
SPACING_BLOCK = 64  # side of the block whose area gives the spacing, in pixels: that of one is below Geod's precision


class Georeference(ABC):
    """The place of a scene: from pixels to degrees and back."""

    @abstractmethod
    def to_lonlat(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Coordinates:
        """Where points of the image lie.

        Args:
            x: pixels from the left border, of any shape.
            y: pixels from the top border, of the same shape.

        Returns:
            Longitudes from -180 to 180 and latitudes in degrees, float64 of that shape.
        """

    @abstractmethod
    def to_pixel(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Coordinates:
        """Which points of the image show places: the inverse of `to_lonlat`.

        Args:
            lon: degrees, of any shape and in any turn: 190 is -170.
            lat: degrees, of the same shape.

        Returns:
            x and y in pixels, float64 of that shape; also outside of the scene. inf where the projection doesn't reach.
        """

    @abstractmethod
    def raster_profile(self) -> dict[str, Any]:
        """What `rasterio.open` needs to write a raster on the same grid: crs and transform, or crs and gcps."""

    def spacing(self, shape: tuple[int, int]) -> float:
        """Distance of neighbouring pixels in metres: the root of a pixel's area on the ellipsoid.

        Args:
            shape: height and width of the scene, in whose centre it is measured.
        """
        half = SPACING_BLOCK / 2
        y, x = (side / 2 for side in shape)
        lon, lat = self.to_lonlat(x + half * np.array([-1, 1, 1, -1]), y + half * np.array([-1, -1, 1, 1]))
        area, _ = Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)
        return float(np.sqrt(abs(area))) / SPACING_BLOCK


class AffineGeoreference(Georeference):
    """A scene on a map grid."""

    def __init__(self, crs: Any, transform: Affine) -> None:
        """Take the place from a map projection.

        Args:
            crs: what `pyproj.CRS` understands, also a CRS of rasterio.
            transform: from (x, y) in pixels to coordinates of the CRS.

        Raises:
            InputError: the CRS has no way to degrees, or the transform none back to pixels.
        """
        self.crs, self.transform = CRS.from_user_input(crs), transform
        if transform.is_degenerate:
            raise InputError(f"expected a transform with pixels that have an area, found {tuple(transform)[:6]}")
        try:
            self._to_degrees = Transformer.from_crs(self.crs, WGS84, always_xy=True)
        except ProjError as error:
            raise InputError(f"the reference system {self.crs.name} has no way to degrees ({error})") from None

    def to_lonlat(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Coordinates:
        """Where points of the image lie; see `Georeference.to_lonlat`."""
        lon, lat = self._to_degrees.transform(*_apply(self.transform, x, y))
        return wrap(lon), np.asarray(lat, np.float64)

    def to_pixel(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Coordinates:
        """Which points of the image show places; see `Georeference.to_pixel`."""
        lon, lat = wrap(lon), np.asarray(lat, np.float64)
        east, north = self._to_degrees.transform(lon, lat, direction=TransformDirection.INVERSE)
        if self.crs.is_geographic:  # of rasters across 180 degrees the columns go on beyond 180, or start below -180
            east = wrap(east, self.transform.c)
        return _apply(~self.transform, east, north)

    def raster_profile(self) -> dict[str, Any]:
        """CRS and transform; see `Georeference.raster_profile`."""
        return {"crs": self.crs.to_wkt(), "transform": self.transform}


class GcpGeoreference(Georeference):
    """A scene in radar geometry, placed by ground control points and a thin-plate spline through them.

    The spline goes to a plane about the scene's centre (equal-area, azimuthal), where neither 180 degrees nor a pole is
    special. It meets every point exactly; between them it is as good as they are dense. Points on land lie where the
    terrain is, and pull the sea beside them: on a real scene between two seas and mountains of 1,800 m, by 60 m (root
    mean square) in the cells of the coast.
    """

    def __init__(self, x: Floats, y: Floats, lon: Floats, lat: Floats) -> None:
        """Fit the spline.

        Args:
            x: float64 (N,), pixels from the left border of each point.
            y: float64 (N,), pixels from the top border.
            lon: float64 (N,), degrees.
            lat: float64 (N,), degrees.

        Raises:
            InputError: the points lie on a line, or are fewer than 3, or two of them share a pixel.
        """
        self.pixels = np.stack([x, y], axis=1).astype(np.float64)
        centre = _centre(lon, lat)
        self.lon, self.lat = wrap(lon, centre[0]), np.asarray(lat, np.float64)
        self._plane = Transformer.from_crs(
            WGS84, f"+proj=laea +lon_0={centre[0]} +lat_0={centre[1]} +datum=WGS84", always_xy=True
        )
        metres = np.stack(self._plane.transform(self.lon, self.lat), axis=1)
        with_one = np.column_stack([self.pixels, np.ones(len(self.pixels))])
        if not np.isfinite(metres).all() or np.linalg.matrix_rank(with_one) < 3:
            raise InputError(f"expected ground control points that span an area, found {len(self.pixels)} that don't")
        if len(np.unique(self.pixels, axis=0)) < len(self.pixels):
            raise InputError("expected one ground control point in a place of the image, found several")
        self._spline = RBFInterpolator(self.pixels, metres, kernel="thin_plate_spline")
        # The affine nearest to the spline: the first guess of the way back, and its slope.
        self._affine = np.linalg.lstsq(with_one, metres, rcond=None)[0]
        self._reach = 2 * float(np.abs(metres).max())

    def to_lonlat(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Coordinates:
        """Where points of the image lie; see `Georeference.to_lonlat`."""
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        pixels, index = _distinct(x, y)
        metres = self._spline(pixels)
        lon, lat = self._plane.transform(metres[:, 0], metres[:, 1], direction=TransformDirection.INVERSE)
        return wrap(lon)[index].reshape(x.shape), np.asarray(lat)[index].reshape(x.shape)

    def to_pixel(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Coordinates:
        """Which points of the image show places, to a thousandth of a pixel; see `Georeference.to_pixel`.

        Newton's method with the slope of the affine, which differs by a few percent: each step gains a digit or more.
        Far from the scene, where the spline says nothing, the affine alone answers.
        """
        lon, lat = np.broadcast_arrays(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
        places, index = _distinct(lon, lat)
        metres = np.stack(self._plane.transform(*places.T), axis=1)
        back = np.linalg.inv(self._affine[:2])
        pixels = (metres - self._affine[2]) @ back
        with np.errstate(invalid="ignore"):
            unsettled = np.flatnonzero((np.abs(metres) < self._reach).all(axis=1))
        for _ in range(50):
            if not unsettled.size:
                break
            step = (metres[unsettled] - self._spline(pixels[unsettled])) @ back
            pixels[unsettled] += step
            unsettled = unsettled[np.abs(step).max(axis=1) > 1e-4]
        x, y = pixels[index].T.reshape(2, *lon.shape)
        return x, y

    def raster_profile(self) -> dict[str, Any]:
        """CRS and ground control points; see `Georeference.raster_profile`."""
        points = zip(self.pixels, self.lon, self.lat, strict=True)
        return {
            "crs": "EPSG:4326",
            "gcps": [GroundControlPoint(row=y, col=x, x=lon, y=lat, z=0.0) for (x, y), lon, lat in points],
        }


def wrap(lon: npt.ArrayLike, centre: float = 0.0) -> Floats:
    """Bring longitudes into the turn from centre - 180 to centre + 180; those in it stay as they are, to the bit."""
    lon = np.asarray(lon, np.float64)
    with np.errstate(invalid="ignore"):
        turns = np.where(np.abs(lon - centre) > 180, np.round((lon - centre) / 360), 0)
        return np.where(np.isfinite(lon), lon - 360 * turns, lon)


def _distinct(x: Floats, y: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Points (N, 2), each once, and which of them each of those given is.

    What a spline gives for a point depends in its last bit on those beside it in the array, and rings have to close.
    """
    points, index = np.unique(np.stack([x.ravel(), y.ravel()], axis=1), axis=0, return_inverse=True)
    return points, index.ravel()


def _centre(lon: Floats, lat: Floats) -> tuple[float, float]:
    """Longitude and latitude in the middle of points, on the sphere: at home at 180 degrees and at the poles."""
    across = np.cos(np.radians(lat))
    east, front, up = (
        float(values.mean())
        for values in (across * np.sin(np.radians(lon)), across * np.cos(np.radians(lon)), np.sin(np.radians(lat)))
    )
    return float(np.degrees(np.arctan2(east, front))), float(np.degrees(np.arctan2(up, np.hypot(east, front))))


def _apply(transform: Affine, x: npt.ArrayLike, y: npt.ArrayLike) -> Coordinates:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    a, b, c, d, e, f = tuple(transform)[:6]
    return a * x + b * y + c, d * x + e * y + f
