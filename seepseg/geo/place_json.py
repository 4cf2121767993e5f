"""The place of a raster as JSON, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from seepseg.geo.georeference import AffineGeoreference, GcpGeoreference, Georeference


def place_to_json(georeference: Georeference | None) -> dict[str, Any]:
    """The place of a raster as JSON.

    Returns:
        `crs`, a code or WKT, with `transform`, the six numbers of an affine transform from column and row to x and y;
        or with `gcps`, each row, column, x, y and z. Nothing without a place.
    """
    profile = {} if georeference is None else georeference.raster_profile()
    if not profile:
        return {}
    crs = rasterio.CRS.from_user_input(profile["crs"]).to_string()
    if "gcps" in profile:
        return {"crs": crs, "gcps": [[point.row, point.col, point.x, point.y, point.z] for point in profile["gcps"]]}
    return {"crs": crs, "transform": list(profile["transform"])[:6]}


def place_from_json(document: Mapping[str, Any]) -> Georeference | None:
    """Undo `place_to_json`; further keys are ignored."""
    if "gcps" in document:
        y, x, lon, lat, _ = np.array(document["gcps"], np.float64).T
        return GcpGeoreference(x, y, lon, lat)
    if "transform" in document:
        return AffineGeoreference(document["crs"], Affine(*document["transform"]))
    return None
