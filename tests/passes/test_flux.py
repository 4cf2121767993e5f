"""Flux by the centreline method, against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from pyproj import CRS

from seepseg.base.errors import InputError
from seepseg.passes.flux import FLUXES, explain_unknown_drift, read_drift, seep_flux, slick_flux
from seepseg.passes.ground import Ground
from seepseg.passes.slick_ends import SlickEnds

METRES = Ground([], "m", 40.0, CRS.from_proj4("+proj=laea +lat_0=27 +lon_0=-91"))
HEADER = "scene,acquired,wind_speed,wind_to,current_speed,current_to\n"


def slicks(names, area, centreline):
    n = len(names)
    ends, pair, one = np.zeros((n, 2, 2)), np.zeros((n, 2)), np.ones((n, 1))
    lengths = np.asarray(centreline, float)
    return SlickEnds(names, np.zeros(n, int), ends, one[:, 0], one, np.asarray(area, float), lengths, pair, pair)


def drift_of(tmp_path, rows, wind_factor=0.03):
    (tmp_path / "passes.csv").write_text(HEADER + rows)
    return read_drift(tmp_path / "passes.csv", wind_factor)


def test_drift_adds_current_and_three_percent_of_the_wind_as_vectors(tmp_path):
    drift = drift_of(tmp_path, "a,,10,90,0.4,0\nb,,10,90,0.3,270\nc,,10,45,0.1,45\nd,,,90,0.4,0\n")
    assert drift == pytest.approx({"a": 0.5, "b": 0, "c": 0.4, "d": np.nan}, abs=1e-12, nan_ok=True)
    assert drift_of(tmp_path, "a,,10,0,0.2,0\n", wind_factor=0.0) == {"a": pytest.approx(0.2)}


def test_scenes_whose_wind_and_current_are_not_known_are_told():
    drift = {"a": 0.5, "b": np.nan, "c": 0.4}
    assert explain_unknown_drift(drift, ["a", "c"]) is None
    assert explain_unknown_drift({}, ["a"]) is None and explain_unknown_drift(drift, []) is None
    told = explain_unknown_drift(drift, ["d", "a", "b"])
    assert told == "wind and current are missing of 2 of 3 scenes: b, d"
    assert explain_unknown_drift(drift | {"e": 0.1}, ["S1A_1", "S1A_2"]) == (
        "expected wind and current by the names that scenes have here, S1A_1, S1A_2, found a, b, c and 1 more "
        "in column scene: no flux is told"
    )


def test_a_slick_of_one_square_kilometre_that_grew_in_a_day(tmp_path):
    # At 0.25 m/s oil goes 21.6 km in a day; a square kilometre of sheen is 40 to 300 litres.
    flux = slick_flux(slicks(["a_b_7", "other_1"], [1e6, 1e6], [21_600, 21_600]), METRES, {"a_b": 0.25})
    np.testing.assert_allclose(flux.to_numpy(), [[40, 300], [np.nan, np.nan]])


@pytest.mark.parametrize("hours", [8, 24])
def test_all_slicks_of_the_gulf_of_mexico_give_what_was_published(hours):
    """MacDonald et al. 2015: 775 km² of 0.1 micrometres that live 8 to 24 hours are 2.5 to 9.4 · 10⁴ m³ a year."""
    seconds = hours * 3600
    flux = slick_flux(slicks(["gulf_1"], [775e6], [0.25 * seconds]), METRES, {"gulf": 0.25})
    low, high = flux.to_numpy()[0] / 1000 * 365.25 * [0.1 / 0.04, 0.1 / 0.30]  # to their thickness
    assert low == pytest.approx(high) and 2.5e4 < low < 9.4e4


def test_no_flux_without_metres_or_length():
    drift = {"a": 0.25}
    assert slick_flux(slicks(["a_1"], [1e6], [0]), METRES, drift).isna().all(axis=None)
    assert slick_flux(slicks(["a_1"], [1e6], [1e4]), Ground([], "px", 1.0, None), drift).isna().all(axis=None)


def test_a_seep_takes_the_weighed_median_of_its_slicks():
    of_slicks = pd.DataFrame({FLUXES[0]: [1.0, 2, 9, np.nan], FLUXES[1]: [10.0, 20, 90, np.nan]})
    links = pd.DataFrame({"seep": [1, 1, 1, 2, 3], "slick": [0, 1, 2, 3, 2], "weight": [0.5, 0.3, 0.1, 1, 0]})
    flux = seep_flux(links, of_slicks, 3)
    np.testing.assert_array_equal(flux, [[1, 10], [np.nan, np.nan], [np.nan, np.nan]])
    assert [*seep_flux(links.assign(weight=[0.2, 0.3, 0.1, 1, 1]), of_slicks, 3)[FLUXES[0]]][::2] == [2, 9]


def test_an_empty_file_tells_of_no_scene(tmp_path):
    """As DVC needs a file, where nobody knows wind and current."""
    (tmp_path / "none").touch()
    assert read_drift(tmp_path / "none", 0.03) == {}


def test_commas_of_spreadsheets_move_nothing(tmp_path):
    """At the end of each row, and in empty rows at the end."""
    assert drift_of(tmp_path, "a,,0,0,0.4,90,\nb,,0,0,0.3,0,\n,,,,,\n,,,,,\n") == {"a": 0.4, "b": 0.3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n", "expected CSV in UTF-8 with commas, found no names of columns, .*; mend it$"),
        (HEADER + "a,,1,5,90,0,4,0\n", "expected CSV in UTF-8 with commas, found .* rows with more cells .*; mend it$"),
        ("scene,wind_speed\na,1\n", "columns wind_to, current_speed, current_to are missing"),
        (
            HEADER + "a,,strong,90,0.4,0\n",
            "expected wind_speed from 0 to 100 metres per second, found strong for scene a",
        ),
        (HEADER + "a,,1,90,0.4,0\nb,,1,90,-0.4,0\n", "expected current_speed from 0 to 100 .* found -0.4 for scene b"),
        (HEADER + "a,,1,2287,0.4,0\n", "wind_to from -180 to 360 degrees clockwise from north, found 2287 for scene a"),
        (
            HEADER + "a,,1,0,0.4,inf\n",
            "current_to from -180 to 360 degrees clockwise from north, found inf for scene a",
        ),
        (HEADER + "a,,NaN,0,0.4,0\n", "wind_speed .* found NaN for scene a; mend it, or leave the cell empty"),
        (HEADER + "a,,1,90,0.4,0\nb,,1,0,1,0\na,,1,0,1,0\n", "expected each scene once, found a again"),
    ],
)
def test_a_table_that_can_not_be_used_is_named(tmp_path, text, message):
    (tmp_path / "passes.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_drift(tmp_path / "passes.csv", 0.03)


def test_another_kind_of_file_is_told_without_a_word_of_its_bytes(tmp_path):
    (tmp_path / "passes.csv").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match="found another kind of file, or of text; save the table as CSV in UTF-8"):
        read_drift(tmp_path / "passes.csv", 0.03)
    with pytest.raises(InputError, match="is missing: expected wind and current"):
        read_drift(tmp_path / "none.csv", 0.03)
