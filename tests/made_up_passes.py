"""Passes over three seeps, as scenes with a place on earth and as tiles in a grid."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import Geod

GEOD = Geod(ellps="WGS84")
SEEPS = np.array([[-91.00, 27.00], [-90.95, 27.03], [-91.04, 26.98]])
BOX = shapely.box(-91.1, 26.92, -90.9, 27.08)
PASSES = 8
SPACING = 40.0
LOOSE = 4  # slicks in each pass that start where no other one does


def lines_and_footprints():
    """Layers centrelines and footprints: in each pass a slick of 3 km from each seep, and some from elsewhere."""
    rng = np.random.default_rng(1)
    rows, lines = [], []
    cells = np.stack(np.meshgrid(np.arange(-91.09, -90.9, 0.02), np.arange(26.93, 27.08, 0.02)), axis=2).reshape(-1, 2)
    cells = rng.permutation(cells[np.abs(cells[:, None] - SEEPS).max(axis=2).min(axis=1) > 0.02])
    for number in range(PASSES):
        loose = cells[number * LOOSE : (number + 1) * LOOSE]
        for candidate, (lon, lat) in enumerate([*SEEPS, *loose], start=1):
            length = 3000 if candidate <= len(SEEPS) else 200
            lon_1, lat_1, _ = GEOD.fwd(lon, lat, rng.uniform(0, 360), abs(rng.normal(0, 60)))
            lon_2, lat_2, _ = GEOD.fwd(lon_1, lat_1, rng.uniform(0, 360), length)
            p_slick = 0.9 if candidate <= len(SEEPS) else 0.2
            row = {"scene_id": f"scene_{number}", "acquired": pd.Timestamp(f"2021-01-{number + 1:02}", tz="UTC")}
            row |= {"candidate": candidate, "slick_id": None, "p_slick": p_slick, "p_oil": 0.8, "p_gas": 0.2}
            row |= {"area_km2": 0.9, "area_px": 562, "centreline_km": 3.0, "half_width_1_m": 100.0}
            # The third source is a platform.
            row |= {"half_width_2_m": 150.0, "bright_1": 5.0 if candidate == 3 else 1.0, "bright_2": 1.0}
            rows.append(row | {"lon_1": lon_1, "lat_1": lat_1, "lon_2": lon_2, "lat_2": lat_2})
            lines.append(shapely.LineString([(lon_1, lat_1), (lon_2, lat_2)]))
    table = gpd.GeoDataFrame(rows, geometry=lines, crs=4326)
    scenes = table.drop_duplicates("scene_id")[["scene_id", "acquired"]].assign(spacing_m=SPACING)
    return table, gpd.GeoDataFrame(scenes.reset_index(drop=True), geometry=[BOX] * PASSES, crs=4326)


def tiles():
    """In pixels of 0.0004 degrees, four tiles of 250 pixels; scenes that start with b lie one tile further right."""
    lines, _ = lines_and_footprints()
    table = pd.DataFrame({"scene": lines["scene_id"].str.replace("scene", "a"), "slick": lines["candidate"]})
    late = table["scene"] >= "a_4"
    table["scene"] = table["scene"].where(~late, "b" + table["scene"].str[1:])
    for end in ("1", "2"):
        table[f"x_{end}"] = (lines[f"lon_{end}"] + 91.1) / 0.0004 - 250 * late
        table[f"y_{end}"] = (27.08 - lines[f"lat_{end}"]) / 0.0004
    table = table.assign(area=500, centreline=75.0, half_width_1=2.0, half_width_2=3.0, bright_1=1.0, bright_2=1.0)
    table = table.assign(p_slick=lines["p_slick"], p_of_oil=0.8, p_of_gas=0.2)
    boxes = {"a": shapely.box(0, 0, 500, 400), "b": shapely.box(-250, 0, 250, 400)}
    names = sorted(set(table["scene"]))
    footprints = pd.DataFrame({"scene": names, "wkt": [boxes[name[0]].wkt for name in names]})
    return table, footprints


def places_of_tiles():
    """Where the seeps lie on the ground of these tiles, in pixels."""
    return np.column_stack([SEEPS[:, 0] + 91.1, 27.08 - SEEPS[:, 1]]) / 0.0004
