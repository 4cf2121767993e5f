"""The box around a scene in longitude and latitude, wherever on earth it is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from seepseg.geo.scene_records import SceneRecord

BORDER_POINTS = 65  # on each side of a scene
MARGIN = 0.02  # around a scene, of its extent: its border bends between the points

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """The box in longitude and latitude around a scene.

    Attributes:
        west, south, east, north: degrees; longitudes run on across the antimeridian.
    """

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def around(cls, scene: SceneRecord) -> "Frame":
        """The frame of a scene that has a place on earth."""
        georeference, (height, width) = scene.georeference, scene.shape
        assert georeference is not None
        steps, ends = np.linspace(0, 1, BORDER_POINTS), np.repeat([0.0, 1.0], BORDER_POINTS)
        x, y = np.concatenate([np.tile(steps, 2), ends]), np.concatenate([ends, np.tile(steps, 2)])
        lon, lat = georeference.to_lonlat(x * width, y * height)
        (centre,), (middle,) = georeference.to_lonlat(np.array([width / 2]), np.array([height / 2]))
        lon = centre + (lon - centre + 180) % 360 - 180
        west, south, east, north = lon.min(), lat.min(), lon.max(), lat.max()
        across, along = MARGIN * (east - west), MARGIN * (north - south)
        if east - west > 350:  # around a pole, which no point of the border is
            return cls(-180.0, -90.0 if middle < 0 else south - along, 180.0, 90.0 if middle > 0 else north + along)
        return cls(west - across, south - along, east + across, north + along)

    @property
    def box(self) -> shapely.Polygon:
        """The frame as a polygon."""
        return shapely.box(self.west, self.south, self.east, self.north)

    def holds_any(self, lonlat: Floats) -> bool:
        """Whether any of some points, (N, 2) in degrees, lies in the frame."""
        return bool(self.turns(np.concatenate([lonlat, lonlat], axis=1)).any())

    def turns(self, bounds: Floats) -> npt.NDArray[np.bool_]:
        """For boxes (..., 4) of west, south, east, north: whether they meet the frame after turns of -1, 0, 1.

        Returns:
            bool (3, ...).
        """
        west, south, east, north = np.moveaxis(bounds, -1, 0)
        turned = 360.0 * np.arange(-1, 2).reshape(3, *[1] * west.ndim)
        meets = (south <= self.north) & (north >= self.south)
        result: npt.NDArray[np.bool_] = meets & (west + turned <= self.east) & (east + turned >= self.west)
        return result
