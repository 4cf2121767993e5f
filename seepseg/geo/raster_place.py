"""The place of a raster by what its file says, or of a product by its grid."""

from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from seepseg.base.errors import InputError
from seepseg.geo.georeference import AffineGeoreference, GcpGeoreference, Georeference
from seepseg.geo.sentinel1 import GeolocationGrid, is_measurement

IN_PIXELS = "results are in pixels"


def place_of_product(path: Path, grid: GeolocationGrid) -> Georeference:
    """The place of a product by its geolocation grid.

    Raises:
        InputError: the grid's points don't span an area.
    """
    try:
        return GcpGeoreference(grid.x, grid.y, grid.lon, grid.lat)
    except InputError as error:
        raise InputError(f"{path}: {error}; copy the product again from its source") from None


def place_of_raster(dataset: Any, path: Path) -> tuple[Georeference | None, list[str]]:
    """The place of a raster: by its transform, else by its ground control points.

    Args:
        dataset: open, of rasterio.
        path: of its file.

    Returns:
        The place, None where it has none or a wrong one; and what is wrong with it.
    """
    has_transform, (points, points_crs) = not dataset.transform.is_identity, dataset.gcps
    try:
        if has_transform and dataset.crs:
            place: Georeference = AffineGeoreference(dataset.crs, dataset.transform)
        elif points and points_crs:
            place = _place_of_points(dataset, path)
        else:
            return None, _missing(has_transform, bool(dataset.crs), bool(points))
    except InputError as error:
        return None, [f"has a place that can't be used, and {IN_PIXELS}: {error}"]
    height, width = dataset.shape
    lon, lat = place.to_lonlat(np.array([0, width, width, 0]), np.array([0, 0, height, height]))
    if not (np.isfinite(lon).all() and (np.abs(lat) <= 90).all()):
        return None, [
            f"has corners that are no places in its coordinate reference system, and {IN_PIXELS}: found longitudes "
            f"from {lon.min():.6g} to {lon.max():.6g} and latitudes from {lat.min():.6g} to {lat.max():.6g}"
        ]
    return place, []


def _place_of_points(dataset: Any, path: Path) -> Georeference:
    points, crs = dataset.gcps
    x, y, east, north = np.array([[point.col, point.row, point.x, point.y] for point in points], np.float64).T
    # Sentinel-1's measurements repeat the numbers of samples from the annotation, where GDAL counts from corners.
    if is_measurement(path.name, dataset.tags()):
        height, width = dataset.shape
        if (x.min(), y.min(), x.max(), y.max()) == (0, 0, width - 1, height - 1):
            x, y = x + 0.5, y + 0.5
    lon, lat = AffineGeoreference(crs, Affine.identity()).to_lonlat(east, north)
    return GcpGeoreference(x, y, lon, lat)


def _missing(has_transform: bool, has_crs: bool, has_points: bool) -> list[str]:
    """What half a place lacks; nothing of plain images."""
    if has_crs:
        return [f"has a coordinate reference system, but no transform, and {IN_PIXELS}"]
    if has_transform or has_points:
        place = "transform" if has_transform else "grid of points"
        return [f"has a {place}, but no coordinate reference system, and {IN_PIXELS}"]
    return []
