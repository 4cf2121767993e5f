"""How much oil a seep gives, by the published centreline method: nothing where metres, wind and current aren't known.

A slick of length L (its centreline) drifts at the speed v, so the oil at its far end came up L / v ago; with the area A
and a film of thickness h the volume A h came up in that time: flux = A h v / L.

The abstract of O'Reilly et al. (2022) names what the method takes: drift length (centreline), area, and average speeds
of current and wind. It gives no formula; this one is what follows if oil goes on the film at one speed, and all of it
stays there. MacDonald et al. (2015) do the same with a life of slicks of 8 to 24 hours instead of L / v: 775 km² of 0.1
micrometres are 77.5 m³, and 2.5 to 9.4 · 10⁴ m³ a year. A test holds this module to these numbers.

Assumptions, each of which the numbers hang on:

- Oil drifts with the current and with a share of the wind, 3 % in most models of oil on the sea, added as vectors, and
  both were the same all the time that the slick took to grow. Some models let the wind's part turn up to 15 degrees to
  its right, in the northern hemisphere; that is not done here.
- The film is as thick as sheen in the Bonn Agreement Oil Appearance Code, code 1: 0.04 to 0.30 micrometres, which is
  40 to 300 litres per square kilometre; hence a low and a high flux. MacDonald et al. (2015) take 0.1 micrometres for
  slicks of natural seeps. In radar images thickness can't be seen.
- Nothing evaporates, disperses or sinks before the far end; what does, lowers the flux that is told.

References:
    MacDonald et al. 2015, J. Geophys. Res. Oceans 120, 8364, doi 10.1002/2015JC011062: thickness, life, flux.
    O'Reilly et al. 2022, Remote Sensing 14, 3150, doi 10.3390/rs14133150: centreline, area, wind and current.
    Bonn Agreement, Aerial Operations Handbook, part 3, annex A: the Oil Appearance Code.
"""

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.errors import ParserWarning

from seepseg.base.errors import InputError
from seepseg.passes.ground import Ground, some_of
from seepseg.passes.slick_ends import SlickEnds

FLUXES = FLUX_LOW, FLUX_HIGH = "flux_low_l_per_day", "flux_high_l_per_day"
THICKNESS = (0.04e-6, 0.30e-6)  # metres, of sheen
LITRES = 1000.0  # in a cubic metre
DAY = 86_400.0  # seconds
SPEEDS, DIRECTIONS = ("wind_speed", "current_speed"), ("wind_to", "current_to")
SCENE, PARTS = "scene", ("wind_speed", "wind_to", "current_speed", "current_to")
# What is beyond is in another unit, or in another column.
RANGES = dict.fromkeys(SPEEDS, (0, 100, "metres per second")) | dict.fromkeys(
    DIRECTIONS, (-180, 360, "degrees clockwise from north")
)


def read_drift(path: Path, wind_factor: float) -> dict[str, float]:
    """Read wind and current of scenes.

    Args:
        path: a CSV file with columns `scene`, `wind_speed`, `current_speed` (metres per second), `wind_to` and
            `current_to` (where they go, in degrees clockwise from north); further columns are ignored, and so are rows
            without a scene. An empty file tells nothing of any scene.
        wind_factor: share of the wind speed at which oil drifts.

    Returns:
        Speed of the drift in metres per second, by scene; NaN for scenes of which a number is missing, which is a cell
        without any text.

    Raises:
        InputError: the file is missing or no CSV, or has not these columns, or something else than numbers in them, or
            speeds and directions that can't be, or a scene twice.
    """
    if not path.is_file():
        raise InputError(
            f"{path} is missing: expected wind and current of the passes as CSV; name another file, or none, then no "
            "flux is told"
        )
    if not path.stat().st_size:
        return {}
    as_text: dict[str, Any] = {"dtype": "str", "keep_default_na": False, "na_values": [""], "skipinitialspace": True}
    try:
        with warnings.catch_warnings(action="error", category=ParserWarning):
            table = pd.read_csv(path, index_col=False, **as_text)  # else a comma at the end of rows moves the columns
    except (ValueError, ParserWarning) as error:
        another = "another kind of file, or of text; save the table as CSV in UTF-8"
        odd = "no names of columns, rows with more cells than these, or a quote without its end; mend it"
        found = another if isinstance(error, UnicodeDecodeError) else odd
        raise InputError(f"{path}: expected CSV in UTF-8 with commas, found {found}") from None
    if absent := [name for name in (SCENE, *PARTS) if name not in table]:
        raise InputError(
            f"{path}: columns {', '.join(absent)} are missing in this CSV with commas; found are "
            f"{', '.join(table.columns)}"
        )
    table = table.dropna(subset=[SCENE], ignore_index=True)
    numbers = table[list(PARTS)].apply(pd.to_numeric, errors="coerce")
    for name in PARTS:
        low, high, unit = RANGES[name]
        if (wrong := table[name].notna() & ~numbers[name].between(low, high)).any():
            row = int(wrong.argmax())
            raise InputError(
                f"{path}: expected {name} from {low} to {high} {unit}, found {table[name][row]} for scene "
                f"{table[SCENE][row]}; mend it, or leave the cell empty where it is not known"
            )
    if (twice := table[SCENE].duplicated()).any():
        raise InputError(f"{path}: expected each scene once, found {table[SCENE][twice.argmax()]} again; keep one row")
    wind = wind_factor * numbers["wind_speed"] * np.exp(1j * np.radians(numbers["wind_to"]))
    current = numbers["current_speed"] * np.exp(1j * np.radians(numbers["current_to"]))
    speed = (wind + current).abs()
    return {str(scene): float(value) for scene, value in zip(table[SCENE], speed, strict=True)}


def explain_unknown_drift(drift: Mapping[str, float], scenes: Collection[str]) -> str | None:
    """Say of which scenes wind and current are not known, if of any.

    Args:
        drift: see `read_drift`.
        scenes: names of those that see the same ground.

    Returns:
        A line; None where all are known, or the table is empty, or there are no scenes.
    """
    unknown = [name for name in sorted(scenes) if np.isnan(drift.get(name, np.nan))]
    if not drift or not unknown:
        return None
    if drift.keys().isdisjoint(scenes):
        return (
            f"expected wind and current by the names that scenes have here, {some_of(unknown)}, found "
            f"{some_of(list(drift))} in column {SCENE}: no flux is told"
        )
    return f"wind and current are missing of {len(unknown)} of {len(scenes)} scenes: {some_of(unknown)}"


def slick_flux(slicks: SlickEnds, ground: Ground, drift: Mapping[str, float]) -> pd.DataFrame:
    """The flux that each slick tells of.

    Args:
        slicks: n of them; the scene of each is told by its name, "<scene>_<slick>".
        ground: on which they lie.
        drift: see `read_drift`.

    Returns:
        n rows with columns `FLUXES`, litres per day; NaN where the drift of the scene or metres are not known, and for
        slicks without length.
    """
    speed = np.array([drift.get(name.rpartition("_")[0], np.nan) for name in slicks.names], np.float64)
    measured = (slicks.centreline > 0) & (ground.unit == "m")
    width = np.divide(slicks.area, slicks.centreline, out=np.full(len(slicks), np.nan), where=measured)
    return pd.DataFrame(
        {name: width * speed * film * LITRES * DAY for name, film in zip(FLUXES, THICKNESS, strict=True)}
    )


def seep_flux(links: pd.DataFrame, of_slicks: pd.DataFrame, seeps: int) -> pd.DataFrame:
    """The flux of seeps while they flow: the median over the slicks of each, weighed by what they count for it.

    Args:
        links: columns `seep` (1..n), `slick` (row of `of_slicks`) and `weight`.
        of_slicks: see `slick_flux`.
        seeps: n.

    Returns:
        n rows with columns `FLUXES`; NaN for a seep none of whose slicks tells of a flux.
    """
    table = pd.DataFrame(np.nan, index=range(seeps), columns=list(FLUXES))
    known = links.join(of_slicks, on="slick").dropna()
    known = known[known["weight"] > 0].sort_values(["seep", FLUX_LOW], kind="stable")  # by either: they go together
    of_seep = known.groupby("seep")["weight"]
    median = known[of_seep.cumsum() >= of_seep.transform("sum") / 2].drop_duplicates("seep")
    table.loc[median["seep"] - 1, list(FLUXES)] = median[list(FLUXES)].to_numpy()
    return table
