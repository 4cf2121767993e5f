"""Two seeps with round numbers, one of them a platform, and the slicks of two passes that support them."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import shapely
from pyproj import CRS

from seepseg.passes.estimate import Seeps
from seepseg.passes.finding import FoundSeeps
from seepseg.passes.ground import Ground, Pass
from seepseg.passes.seep_tables import describe_seeps
from seepseg.passes.slick_ends import SlickEnds

CLASSES = ["thin", "Seep"]  # p_Seep is p_seep to GIS
WHEN = datetime(2021, 1, 4, 0, 12, 20, tzinfo=UTC)


def plane(lon, lat):
    return CRS.from_proj4(f"+proj=laea +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m")


def found(unit="m", crs=None):
    """The seeps of one ground; the first one at (0, 0)."""
    box = shapely.box(-5000, -4000, 5000, 4000)
    ground = Ground([Pass("a", WHEN, box), Pass("b_1", None, box)], unit, 40.0 if unit == "m" else 1.0, crs)
    ends = np.array([[[0, 0], [3000, 0]], [[0, 2000], [0, 0]], [[1000, 1000], [1500, 1000]]], float)
    pair, probs = np.ones((3, 2)), np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    names = ["a_4", "b_1_7", "a_5"]
    slicks = SlickEnds(names, np.array([0, 1, 0]), ends, np.ones(3), probs, np.ones(3), np.ones(3), pair, pair)
    table = pd.DataFrame({"seep": [1, 2], "x": [0.0, 1000], "y": [0.0, 1000], "error_radius": [300.0, 50]})
    table = table.assign(major=[400.0, 50], minor=[100.0, 50], bearing=[90.0, 0], passes=2, passes_with_slick=[2.0, 1])
    table = table.assign(recurrence_rate=[1.0, 0.5], recurrence_low=0.1, recurrence_high=1.0, p_seep=[0.99, 0.4])
    table = table.assign(q_value=[0.01, 0.3], score=[2.0, 1], expected_false=[0.01, 0.6], p_class_0=[0.3, 0.9])
    table = table.assign(p_class_1=[0.7, 0.1], mean_area=[2.5e6, 1e6], first=[WHEN, pd.NaT], last=[WHEN, pd.NaT])
    table = table.assign(bright_share=[0.0, 1.0], kind=["seep", "platform"])
    links = pd.DataFrame({"seep": [1, 1, 2], "slick": [0, 1, 2], "end": [0, 1, 0], "weight": [1.0, 0.5, 0.8]})
    flux = pd.DataFrame({"flux_low_l_per_day": [40.0, np.nan], "flux_high_l_per_day": [300.0, np.nan]})
    return FoundSeeps(ground, slicks, Seeps(table, links), flux)


def layers_of(*grounds):
    return describe_seeps(grounds, CLASSES, max_fdr=0.05)
