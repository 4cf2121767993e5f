"""What is known of a scene without its pixels: name, size, place, time of acquisition, radiometry."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from affine import Affine
from rasterio.control import GroundControlPoint

from seepseg.base.files import write_bytes
from seepseg.base.radiometry import Radiometry
from seepseg.geo.georeference import Georeference
from seepseg.geo.params import ScenesParams
from seepseg.geo.place_json import place_to_json
from seepseg.geo.scene_file import SceneFile, open_scene
from seepseg.geo.trained_on import other_spacing


@dataclass(frozen=True)
class SceneRecord:
    """A scene without its pixels.

    Attributes:
        name: of the scene.
        path: where it is.
        shape: height and width, in pixels.
        georeference: its place on earth, if it has one.
        acquired: when, in UTC, if that is known.
        radiometry: what its pixels measure.
        warnings: what had to be assumed of it.
    """

    name: str
    path: Path
    shape: tuple[int, int]
    georeference: Georeference | None
    acquired: datetime | None
    radiometry: Radiometry
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, params: ScenesParams) -> "SceneRecord":
        """Read what there is to know of a scene.

        Raises:
            InputError: it can't be used.
        """
        with open_scene(path, params) as scene:
            return cls.of_file(path, scene)

    @classmethod
    def of_file(cls, path: Path, scene: SceneFile) -> "SceneRecord":
        """The record of an open scene."""
        place, warnings = scene.georeference, tuple(scene.warnings)
        return cls(scene.name, path, scene.shape, place, scene.acquired, scene.radiometry, warnings)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON; coordinates in full, as pixels of degrees have many digits."""
        return {
            "shape": list(self.shape),
            **place_to_json(self.georeference),
            "acquired": self.acquired.isoformat() if self.acquired else None,
            "radiometry": radiometry_to_json(self.radiometry),
        }


def radiometry_to_json(radiometry: Radiometry) -> dict[str, Any]:
    """Radiometry as JSON, rounded: the last digits of sums depend on the machine."""
    rounded = {"spacing": round(radiometry.spacing, 6), "mean": round(radiometry.mean, 6)}
    return asdict(radiometry) | rounded


def part_profile(georeference: Georeference | None, top: int, left: int) -> dict[str, Any]:
    """What rasterio needs to give a part of a scene its place; `top` and `left` are its first row and column."""
    profile = {} if georeference is None else georeference.raster_profile()
    if "transform" in profile:
        profile = profile | {"transform": profile["transform"] @ Affine.translation(left, top)}
    if "gcps" in profile:
        moved = [
            GroundControlPoint(point.row - top, point.col - left, point.x, point.y, point.z, point.id)
            for point in profile["gcps"]
        ]
        profile = profile | {"gcps": moved}
    return profile


def common_radiometry(records: Sequence[SceneRecord]) -> Radiometry:
    """What the pixels of all scenes measure: the median of known spacings, and else only what all have in common."""
    each = [record.radiometry for record in records]
    spacings = [radiometry.spacing for radiometry in each if radiometry.spacing]
    removed = {radiometry.noise_removed for radiometry in each}
    return Radiometry(
        quantity=each[0].quantity if len({radiometry.quantity for radiometry in each}) == 1 else "unknown",
        polarisation=each[0].polarisation if len({radiometry.polarisation for radiometry in each}) == 1 else "",
        spacing=float(median(spacings)) if spacings else 0.0,
        noise_removed=removed.pop() if len(removed) == 1 else None,
    )


def differing_kinds(records: Sequence[SceneRecord]) -> list[str]:
    """In what scenes differ that should be of one kind, with their numbers; nothing where they don't."""
    each = [record.radiometry for record in records]
    differing = []
    for title, values in (
        ("quantity", [radiometry.quantity for radiometry in each]),
        ("polarisation", [radiometry.polarisation or "unknown" for radiometry in each]),
    ):
        counts = Counter(values)
        if len(counts) > 1:
            differing.append(f"{title} " + " and ".join(f"{name} of {count:,}" for name, count in counts.most_common()))
    spacings = [radiometry.spacing for radiometry in each if radiometry.spacing]
    if spacings and (text := other_spacing(max(spacings), min(spacings), "as in other scenes")):
        differing.append(text)
    return differing


def write_scene_records(path: Path, records: Sequence[SceneRecord], radiometry: Radiometry) -> None:
    """Write what is known of scenes, and what the pixels of all measure, as JSON."""
    document = {
        "radiometry": radiometry_to_json(radiometry),
        "scenes": {record.name: record.to_json() for record in records},
    }
    write_bytes(path, (json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())
