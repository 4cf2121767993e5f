"""When a scene was acquired: which of name and tags is believed."""

from datetime import UTC, datetime

import pytest

from seepseg.geo.acquired import time_acquired

MADE = {"TIFFTAG_DATETIME": "2018:07:16 06:06:23"}


@pytest.mark.parametrize(
    ("name", "tags", "is_measurement", "expected"),
    [
        ("a_20211223T051122.tif", {}, False, datetime(2021, 12, 23, 5, 11, 22, tzinfo=UTC)),
        ("a_20211399T051122.tif", {}, False, None),
        (
            "a.tif",
            {"ACQUISITION_START_TIME": "2021-01-04T00:12:20Z"},
            False,
            datetime(2021, 1, 4, 0, 12, 20, tzinfo=UTC),
        ),
        # Zones are converted.
        (
            "a.tif",
            {"ACQUISITION_START_TIME": "2021-01-04T00:12:20+02:00"},
            False,
            datetime(2021, 1, 3, 22, 12, 20, tzinfo=UTC),
        ),
        # The tag for it before the name, and both before the time of the file.
        (
            "a_20211223T051122.tif",
            {"ACQUISITION_START_TIME": "2021-01-04T00:12:20"} | MADE,
            True,
            datetime(2021, 1, 4, 0, 12, 20, tzinfo=UTC),
        ),
        ("a_20211223T051122.tif", MADE, True, datetime(2021, 12, 23, 5, 11, 22, tzinfo=UTC)),
        ("a.tif", MADE, True, datetime(2018, 7, 16, 6, 6, 23, tzinfo=UTC)),
        ("a.tif", MADE, False, None),  # when someone made the file
        ("a.tif", {}, True, None),
    ],
)
def test_times(name, tags, is_measurement, expected):
    assert time_acquired(name, tags, is_measurement) == expected
