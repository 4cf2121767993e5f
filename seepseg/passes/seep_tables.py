"""What is said of each seep for people and GIS: rows with a place, in degrees, metres and km² where these are known."""

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import Transformer

from seepseg.geo.polygons import split
from seepseg.geo.seep_files import IN_PIXELS, SEEP_ERRORS, SEEP_SLICKS, SEEPS
from seepseg.geo.slick_attributes import DIGITS, WGS84, probability_columns
from seepseg.geo.slick_files import Layers
from seepseg.passes.finding import FoundSeeps
from seepseg.passes.flux import FLUXES
from seepseg.passes.ground import Ground

Floats = npt.NDArray[np.float64]

CORNERS = 64  # of an error ellipse
DATE = "datetime64[ms, UTC]"
LINK_TYPES = {
    "seep_id": "int64",
    "scene_id": "str",
    "candidate": "int64",
    "acquired": DATE,
    "end": "int64",
    "weight": "float64",
}


def seep_types(class_names: Sequence[str], unit: str) -> dict[str, str]:
    """Columns of a table of seeps but for geometry, in their order, with pandas' types.

    Args:
        class_names: the K classes.
        unit: "m" or "px", of the ground.
    """
    lengths = [f"error_radius_{unit}", f"error_major_{unit}", f"error_minor_{unit}", "error_bearing_deg"]
    of_place = [*FLUXES, "lon", "lat"] if unit == "m" else ["x_px", "y_px"]
    rates = ["recurrence_rate", "recurrence_low", "recurrence_high"]
    first = {"seep_id": "int64", "ground": "int64", "kind": "str", "class_name": "str"}
    first |= {"p_seep": "float64", "q_value": "float64", "reported": "bool"} | dict.fromkeys(rates, "float64")
    first |= {"passes": "int64", "passes_with_slick": "float64"}
    last = dict.fromkeys([*lengths, "mean_area_km2" if unit == "m" else "mean_area_px"], "float64")
    last |= {"first": DATE, "last": DATE}
    last |= dict.fromkeys(["bright_share", *of_place, "score", "expected_false"], "float64")
    return first | dict.fromkeys(_class_columns(class_names), "float64") | last


def describe_seeps(found: Sequence[FoundSeeps], class_names: Sequence[str], max_fdr: float) -> Layers:
    """Describe the seeps of all grounds.

    Args:
        found: of each ground.
        class_names: the K classes.
        max_fdr: a seep counts as reported where its q-value is at most this.

    Returns:
        Layers `SEEPS`, `SEEP_ERRORS` and `SEEP_SLICKS` of the grounds on earth, in degrees of EPSG:4326; where there
        are grounds in pixels, the same with `IN_PIXELS`, y upwards from the upper edge of the ground, as QGIS shows it.
        Without any ground, the layers on earth without a row.
    """
    layers: dict[str, list[gpd.GeoDataFrame]] = {}
    first = 1
    for number, each in enumerate(found, start=1):
        suffix = "" if each.ground.unit == "m" else IN_PIXELS
        for name, table in _layers_of(each, number, first, class_names, max_fdr).items():
            layers.setdefault(name + suffix, []).append(table)
        first += len(each.seeps.table)
    if not found:
        layers = {name: [table] for name, table in _no_seeps(class_names).items()}
    return {name: _together(tables) for name, tables in layers.items()}


def seep_csv(layers: Layers) -> pd.DataFrame:
    """All seeps as one table; of grounds of different units, it has the columns of both."""
    return _plain([layers[name] for name in (SEEPS, SEEPS + IN_PIXELS) if name in layers])


def links_csv(layers: Layers) -> pd.DataFrame:
    """Which slicks support which seeps: columns `LINK_TYPES`."""
    return _plain([layers[name] for name in (SEEP_SLICKS, SEEP_SLICKS + IN_PIXELS) if name in layers])


def _plain(tables: Sequence[gpd.GeoDataFrame]) -> pd.DataFrame:
    table = pd.concat([pd.DataFrame(each.drop(columns="geometry")) for each in tables], ignore_index=True)
    dates = {name: table[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in table if table[name].dtype == DATE}
    return table.assign(**dates)


def _layers_of(
    found: FoundSeeps, number: int, first: int, class_names: Sequence[str], max_fdr: float
) -> dict[str, gpd.GeoDataFrame]:
    """Layers of one ground, whose seeps are called `first` and so on."""
    place, ground = _Place(found.ground), found.ground
    table = found.seeps.table
    points = table[["x", "y"]].to_numpy(np.float64)
    ids = np.arange(first, first + len(table))
    rows = _rows(found, class_names).assign(seep_id=ids, ground=number, reported=table["q_value"] <= max_fdr)
    coordinates = place.numbers(points)
    rows[["lon", "lat"] if ground.unit == "m" else ["x_px", "y_px"]] = coordinates
    seeps = _typed(rows, seep_types(class_names, ground.unit))
    brief = ["seep_id", "kind", "p_seep", "reported", f"error_radius_{ground.unit}"]
    links = found.seeps.links[found.seeps.links["weight"] > 0]
    far = found.slicks.ends[links["slick"], 1 - links["end"]].reshape(-1, 2)
    near = points[links["seep"].to_numpy(np.int64) - 1].reshape(-1, 2)
    crs = None if ground.crs is None else WGS84
    return {
        SEEPS: gpd.GeoDataFrame(seeps, geometry=shapely.points(place.to_file(points)), crs=crs),
        SEEP_ERRORS: gpd.GeoDataFrame(seeps[brief], geometry=place.polygons(_ellipses(table, ground.unit)), crs=crs),
        SEEP_SLICKS: gpd.GeoDataFrame(
            _link_rows(found, links, ids), geometry=place.lines(np.stack([near, far], axis=1)), crs=crs
        ),
    }


def _rows(found: FoundSeeps, class_names: Sequence[str]) -> pd.DataFrame:
    """The estimate in the units of people: km² on earth, pixels else."""
    table, unit = found.seeps.table, found.ground.unit
    probs = table[[f"p_class_{number}" for number in range(len(class_names))]].to_numpy(np.float64)
    kept = ["kind", "p_seep", "q_value", "recurrence_rate", "recurrence_low", "recurrence_high", "passes"]
    kept += ["passes_with_slick", "first", "last", "bright_share", "score", "expected_false"]
    renamed = {"error_radius": "radius", "major": "major", "minor": "minor"}
    rows = table[kept].assign(**{f"error_{name}_{unit}": table[column] for column, name in renamed.items()})
    rows["error_bearing_deg"] = table["bearing"]
    rows["class_name"] = np.array(class_names, dtype=object)[probs.argmax(axis=1)]
    rows[_class_columns(class_names)] = probs
    rows["mean_area_km2" if unit == "m" else "mean_area_px"] = table["mean_area"] / (1e6 if unit == "m" else 1)
    return rows.assign(**{name: found.flux[name].to_numpy() for name in FLUXES}) if unit == "m" else rows


def _link_rows(found: FoundSeeps, links: pd.DataFrame, ids: npt.NDArray[np.int64]) -> pd.DataFrame:
    """A row for each slick that supports a seep."""
    names = [found.slicks.names[slick] for slick in links["slick"]]
    times = [found.ground.passes[number].acquired for number in found.slicks.pass_number[links["slick"]]]
    rows = pd.DataFrame(
        {
            "seep_id": ids[links["seep"].to_numpy(np.int64) - 1],
            "scene_id": [name.rpartition("_")[0] for name in names],
            "candidate": [int(name.rpartition("_")[2]) for name in names],
            "acquired": pd.Series(times, dtype=DATE),
            "end": links["end"].to_numpy() + 1,
            "weight": links["weight"].to_numpy(),
        }
    )
    return _typed(rows, LINK_TYPES)


class _Place:
    """The way from the plane of a ground to the coordinates of files."""

    def __init__(self, ground: Ground) -> None:
        self._to_degrees = None if ground.crs is None else Transformer.from_crs(ground.crs, WGS84, always_xy=True)

    def numbers(self, points: Floats) -> Floats:
        """Degrees, or pixels as they are: (n, 2) -> (n, 2)."""
        if self._to_degrees is None:
            return points
        return np.column_stack(self._to_degrees.transform(points[:, 0], points[:, 1]))

    def to_file(self, points: Floats) -> Floats:
        """Degrees, or pixels with y upwards: (n, 2) -> (n, 2)."""
        numbers = self.numbers(points)
        return numbers if self._to_degrees is not None else numbers * [1, -1]

    def polygons(self, corners: Floats) -> npt.NDArray[np.object_]:
        """Polygons of corners (n, k, 2), cut at 180 degrees."""
        whole: npt.NDArray[np.object_] = shapely.orient_polygons(shapely.polygons(self._beside(corners)))
        return whole if self._to_degrees is None else split(whole)

    def lines(self, points: Floats) -> npt.NDArray[np.object_]:
        """Lines of points (n, k, 2), cut at 180 degrees."""
        whole: npt.NDArray[np.object_] = shapely.linestrings(self._beside(points))
        for index in np.flatnonzero(np.abs(shapely.bounds(whole)[:, [0, 2]]).max(axis=1, initial=0) > 180):
            if self._to_degrees is not None:
                parts = [
                    shapely.transform(
                        shapely.intersection(whole[index], shapely.box(turn - 180, -90, turn + 180, 90)),
                        lambda part, turn=turn: part - [turn, 0],
                    )
                    for turn in (-360, 0, 360)
                ]
                whole[index] = shapely.union_all([part for part in parts if part.length > 0])
        return whole

    def _beside(self, points: Floats) -> Floats:
        """Points (n, k, 2) for the file, longitudes beside that of the first of the k."""
        placed = self.to_file(points.reshape(-1, 2)).reshape(points.shape)
        if self._to_degrees is not None:
            placed[..., 0] -= 360 * np.round((placed[..., 0] - placed[:, :1, 0]) / 360)
        return placed


def _ellipses(table: pd.DataFrame, unit: str) -> Floats:
    """Corners of the 95 % error ellipses on the ground, (n, `CORNERS`, 2)."""
    bearing = np.radians(table["bearing"].to_numpy(np.float64))
    north = 1 if unit == "m" else -1  # y goes down in images
    along = np.stack([np.sin(bearing), north * np.cos(bearing)], axis=1)
    across = np.stack([along[:, 1], -along[:, 0]], axis=1)
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)[:, None]
    centre, major, minor = (table[names].to_numpy(np.float64) for names in (["x", "y"], ["major"], ["minor"]))
    corners: Floats = (
        centre[:, None] + np.cos(angles) * (major * along)[:, None] + np.sin(angles) * (minor * across)[:, None]
    )
    return corners


def _no_seeps(class_names: Sequence[str]) -> dict[str, gpd.GeoDataFrame]:
    """The layers on earth without a row."""
    types = seep_types(class_names, "m")
    brief = {name: types[name] for name in ("seep_id", "kind", "p_seep", "reported", "error_radius_m")}
    columns = {SEEPS: types, SEEP_ERRORS: brief, SEEP_SLICKS: LINK_TYPES}
    return {
        name: gpd.GeoDataFrame(_typed(pd.DataFrame(columns=list(each)), each), geometry=[], crs=WGS84)
        for name, each in columns.items()
    }


def _together(tables: Sequence[gpd.GeoDataFrame]) -> gpd.GeoDataFrame:
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True)


def _typed(rows: pd.DataFrame, types: dict[str, str]) -> pd.DataFrame:
    """The columns of `types`, rounded."""
    dates = {name: pd.to_datetime(rows[name], utc=True) for name, kind in types.items() if kind == DATE}
    typed = rows[list(types)].assign(**dates).astype(types)
    numbers = [name for name, kind in types.items() if kind == "float64"]
    typed[numbers] = typed[numbers].round(DIGITS)
    return typed


def _class_columns(class_names: Sequence[str]) -> list[str]:
    """Name of the column with each class's share: that of slicks, with its number where it is taken here."""
    columns = probability_columns(class_names)
    return [f"{name}_{number}" if name.lower() == "p_seep" else name for number, name in enumerate(columns, start=1)]
