"""Land: polygons of it in a scene, where nothing has to be looked for, and where what is found is no slick."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyogrio
import shapely
from pyogrio.errors import DataSourceError
from pyproj import CRS, Transformer
from pyproj.enums import TransformDirection
from rasterio.features import rasterize
from rasterio.transform import Affine

from seepseg.base.conventions import NODATA
from seepseg.base.errors import InputError
from seepseg.data.block_array import BlockArray
from seepseg.data.pixels import ScenePixels, Window
from seepseg.geo.georeference import Georeference
from seepseg.geo.polygons import Polygons, parts

WGS84 = CRS.from_epsg(4326)
MARGIN = 0.03  # degrees of latitude around a scene, 3 km, in which land is near to what is in the scene
STEP = 0.01  # degrees between two points of a coast at most, and of a scene's edge on the map
PIECES = 200  # into which a scene's length is divided between points of land in another reference system
REMEDY = "give --land a file with one layer of polygons"


class Land:
    """Land in a scene.

    Args:
        on_map: (m,) polygons in degrees of longitude and latitude, as `seepseg.geo.polygons.to_map` gives them.
        in_pixels: (m,) the same in pixel coordinates.
    """

    def __init__(self, on_map: Polygons, in_pixels: Polygons) -> None:
        self.on_map = on_map
        self.in_pixels = in_pixels
        self._index = shapely.STRtree(in_pixels)

    @classmethod
    def read(cls, path: Path, georeference: Georeference, shape: tuple[int, int]) -> "Land":
        """Read what lies in a scene or near it.

        Args:
            path: any vector file, in any coordinate reference system, of one layer of polygons.
            georeference: of the scene.
            shape: height and width of the scene.

        Raises:
            InputError: the file can't be used.
        """
        layer, crs = find_layer(path)
        west, south, east, north = _bounds(georeference, shape)
        found = []
        for turn in (-360, 0, 360):  # of a scene across the antimeridian, parts lie in two places of the file
            box = shapely.box(max(west - turn, -180), max(south, -90), min(east - turn, 180), min(north, 90))
            if west - turn < 180 and east - turn > -180:
                found.append(_turned(_read_box(path, layer, crs, box), turn))
        on_map = shapely.segmentize(np.concatenate(found), STEP)
        corners = shapely.get_coordinates(on_map)
        x, y = georeference.to_pixel(corners[:, 0], corners[:, 1])
        return cls(on_map, shapely.set_coordinates(on_map.copy(), np.column_stack([x, y])))

    def covers(self, window: Window) -> npt.NDArray[np.bool_]:
        """Which pixels of a window have their centre on land: bool (height, width)."""
        top, left, height, width = window
        met = self._index.query(shapely.box(left, top, left + width, top + height))
        if not met.size:
            return np.zeros((height, width), dtype=bool)
        corner = Affine.translation(left, top)
        burnt: npt.NDArray[np.uint8] = rasterize(
            self.in_pixels[np.sort(met)], (height, width), transform=corner, dtype="uint8"
        )
        return burnt.astype(bool)

    def share(self, labels: BlockArray[np.int32], n: int) -> npt.NDArray[np.float64]:
        """The share of each slick's pixels that is on land.

        Args:
            labels: int32 (H, W), 1..n on the slicks, 0 elsewhere.
            n: number of slicks.

        Returns:
            float64 (n,), 0..1.
        """
        area, on_land = np.zeros(n), np.zeros(n)
        for number, window, part in parts(labels):
            area[number - 1] += np.count_nonzero(part)
            on_land[number - 1] += np.count_nonzero(part & self.covers(window))
        return on_land / area


class WithoutLand:
    """A scene without the land in it: no data in cells that lie wholly on land, so that they take no time.

    Cells, not pixels: the sea beside a coast is looked at as it was recorded, with the land that the networks learned
    to tell from it.

    Args:
        scene: with its land.
        land: in it.
        cell: side of a cell, in pixels.
    """

    def __init__(self, scene: ScenePixels, land: Land, cell: int) -> None:
        self.name = scene.name
        self.shape = scene.shape
        self._scene = scene
        self._land = land
        self._cell = cell

    def read(self, window: Window) -> npt.NDArray[np.uint16]:
        """See `ScenePixels`."""
        image = self._scene.read(window)
        top, left, height, width = window
        cell = self._cell
        first_row, first_column = top // cell * cell, left // cell * cell
        down, across = -(-(top + height - first_row) // cell), -(-(left + width - first_column) // cell)
        covered = self._land.covers(Window(first_row, first_column, down * cell, across * cell))
        if covered.any():
            covered[max(self.shape[0] - first_row, 0) :] = True  # what is outside of the scene is no sea, either
            covered[:, max(self.shape[1] - first_column, 0) :] = True
            whole = covered.reshape(down, cell, across, cell).all(axis=(1, 3))
            whole = whole.repeat(cell, axis=0).repeat(cell, axis=1)
            image[whole[top - first_row :, left - first_column :][:height, :width]] = NODATA
        return image


def find_layer(path: Path) -> tuple[str, CRS]:
    """Name and coordinate reference system of a file's layer of polygons.

    Raises:
        InputError: the file can't be used.
    """
    if not path.exists():
        raise InputError(f"{path} is missing: {REMEDY}")
    try:
        layers = pyogrio.list_layers(path)
        names = [str(name) for name, kind in layers if kind and ("Polygon" in kind or kind == "Unknown")]
        if len(names) != 1:
            found = ", ".join(f"{name} ({kind or 'no geometry'})" for name, kind in layers) or "none"
            raise InputError(f"{path}: expected one layer of polygons, found {found}; {REMEDY}")
        crs = pyogrio.read_info(path, layer=names[0])["crs"]
    except DataSourceError:
        raise InputError(f"{path}: expected a vector file, found another or a damaged one; {REMEDY}") from None
    if not crs:
        raise InputError(f"{path}: expected a coordinate reference system, found none; write it anew with one")
    return names[0], CRS.from_user_input(crs)


def _bounds(georeference: Georeference, shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """West, south, east and north of a scene with a margin; beyond 180 degrees for a scene across the antimeridian."""
    height, width = shape
    y, x = np.linspace(0, height, 65), np.linspace(0, width, 65)
    across, down = np.meshgrid(x, y)
    lon, lat = georeference.to_lonlat(across.ravel(), down.ravel())
    lon = lon - 360 * np.round((lon - lon[0]) / 360)
    south, north = lat.min() - MARGIN, lat.max() + MARGIN
    wide = MARGIN / max(np.cos(np.radians(np.abs(lat).max())), 0.01)
    return lon.min() - wide, south, lon.max() + wide, north


def _read_box(path: Path, layer: str, crs: CRS, box: shapely.Polygon) -> Polygons:
    """Polygons of a file that meet a box of longitudes and latitudes, cut off at its edges."""
    to_file = Transformer.from_crs(WGS84, crs, always_xy=True)
    x, y = to_file.transform(*shapely.get_coordinates(shapely.segmentize(box, 0.1)).T)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return np.array([], dtype=np.object_)
    bounds = tuple(float(edge) for edge in (x[known].min(), y[known].min(), x[known].max(), y[known].max()))
    table = pyogrio.read_dataframe(path, layer=layer, columns=[], bbox=bounds, force_2d=True)
    met = np.array(table.geometry.dropna().array, dtype=np.object_)
    if (wrong := met[(shapely.get_dimensions(met) < 2)]).size:
        raise InputError(f"{path}: expected polygons, found {wrong[0].geom_type}; {REMEDY}")
    # First cut and given more points in the file's own system, in which its long edges are straight.
    west, south, east, north = bounds
    near = shapely.segmentize(_cut(met, shapely.box(*bounds)), max(east - west, north - south) / PIECES)
    x, y = shapely.get_coordinates(near).T
    lon, lat = to_file.transform(x, y, direction=TransformDirection.INVERSE)
    return _cut(shapely.set_coordinates(near, np.column_stack([lon, lat])), box)


def _cut(polygons: Polygons, box: shapely.Polygon) -> Polygons:
    """What a box holds of polygons and multipolygons, as polygons; invalid ones are mended in place."""
    broken = ~shapely.is_valid(polygons)
    polygons[broken] = shapely.make_valid(polygons[broken])
    pieces = shapely.get_parts(shapely.get_parts(shapely.intersection(polygons, box)))
    areas: Polygons = pieces[shapely.get_dimensions(pieces) == 2]
    return areas


def _turned(polygons: Polygons, turn: int) -> Polygons:
    turned: Polygons = shapely.transform(polygons, lambda points: np.column_stack([points[:, 0] + turn, points[:, 1]]))
    return turned
