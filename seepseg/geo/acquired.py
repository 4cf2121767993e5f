"""When a scene was acquired, by what its file says."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

ACQUIRED = "ACQUISITION_START_TIME"  # tag of files that say it, in ISO 8601


def time_acquired(name: str, tags: Mapping[str, str], is_measurement: bool) -> datetime | None:
    """When a scene was acquired: by the tag for it, else by a name such as Sentinel-1's products have.

    `TIFFTAG_DATETIME` is when a file was made; only Sentinel-1's measurements have the time of acquisition there.

    Args:
        name: of the file.
        tags: of the file.
        is_measurement: whether it is one of Sentinel-1's.

    Returns:
        The time in UTC, which times without a zone are taken for; None where it is unknown.
    """
    texts = [tags.get(ACQUIRED, "").strip()]
    if found := re.search(r"(?<!\d)(\d{8})[tT](\d{6})(?!\d)", name):
        texts.append(f"{found[1]}T{found[2]}")
    if is_measurement:
        day, _, time = tags.get("TIFFTAG_DATETIME", "").strip().partition(" ")
        texts.append(f"{day.replace(':', '-')}T{time}")
    for text in texts:
        with suppress(ValueError):
            return in_utc(datetime.fromisoformat(text))
    return None


def in_utc(time: datetime) -> datetime:
    """A time with its zone changed to UTC, or with UTC for a zone."""
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
