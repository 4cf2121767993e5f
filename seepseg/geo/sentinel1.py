"""Sentinel-1 GRD products in the SAFE format, as folders or zips: files, place, calibration, incidence angle.

The measurement is read as any raster; all else is in XML files beside it. They are found by what they say of themselves
and by the names of each other, so that products that were renamed or repacked as COG are read, too.
"""

import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from seepseg.base.errors import InputError
from seepseg.geo.acquired import in_utc
from seepseg.geo.calibration import Calibration, read_calibration, text_of
from seepseg.geo.raster_band import COPY_AGAIN

Floats = npt.NDArray[np.float64]

MANIFEST = "manifest.safe"
INFORMATION = "imageAnnotation/imageInformation"
_HEAD = 4096  # bytes in which an annotation says of what it is
_ANNOTATION = re.compile(r"annotation/[^/]+\.xml", re.IGNORECASE)


@dataclass(frozen=True)
class GeolocationGrid:
    """Points of a product whose place is known.

    Attributes:
        x: float64 (N,), pixels from the left border, centres of samples: half a pixel more than the sample's number.
        y: float64 (N,), pixels from the top border.
        lon: float64 (N,), degrees.
        lat: float64 (N,), degrees.
        incidence: float64 (N,), degrees.
    """

    x: Floats
    y: Floats
    lon: Floats
    lat: Floats
    incidence: Floats


@dataclass(frozen=True)
class Product:
    """What a product says beside its pixels.

    Attributes:
        name: of the product, without .SAFE.
        measurement: the raster, for GDAL.
        polarisation: such as VV.
        acquired: time of the first line, UTC.
        shape: lines and samples.
        grid: its geolocation grid.
        calibration: from DN to sigma0.
    """

    name: str
    measurement: str
    polarisation: str
    acquired: datetime
    shape: tuple[int, int]
    grid: GeolocationGrid
    calibration: Calibration


class _Files:
    """The files of a product by their names in it, whether it is a folder or a zip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.zipped = not path.is_dir()
        if not self.zipped:
            self.base = ""
            self.names = sorted(
                file.relative_to(path).as_posix()
                for folder in ("annotation", "annotation/calibration", "measurement")
                for file in (path / folder).glob("*")
            )
            return
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        self.base = min((name[: found.start()] for name in names if (found := _ANNOTATION.search(name))), default="")
        self.names = sorted(name[len(self.base) :] for name in names if name.startswith(self.base))

    def read(self, name: str, size: int = -1) -> bytes:
        try:
            if self.zipped:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.base + name) as file:
                    return file.read(size)
            with (self.path / name).open("rb") as file:
                return file.read(size)
        except (OSError, zipfile.BadZipFile, RuntimeError, zlib.error, EOFError) as error:
            raise InputError(f"{self.path}: {name} can't be read ({error}); {COPY_AGAIN}") from None

    def source(self, name: str) -> str:
        """Name of a file for GDAL."""
        path = self.path.absolute()
        return f"/vsizip/{{{path}}}/{self.base}{name}" if self.zipped else str(path / name)


def is_product(path: Path) -> bool:
    """Whether a path is a product: a folder with a manifest or named so, a zip with an annotation, or a damaged one."""
    if path.is_dir():
        return path.suffix.lower() == ".safe" or (path / MANIFEST).is_file()
    if path.suffix.lower() != ".zip" or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(_ANNOTATION.search(name) or name.endswith(MANIFEST) for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return True  # half a download; reading it says so


def is_measurement(name: str, tags: Mapping[str, str]) -> bool:
    """Whether a raster by itself, by the name of its file or its tags, is the measurement of a product."""
    of_tags = tags.get("TIFFTAG_IMAGEDESCRIPTION", "").startswith("Sentinel-1")
    return of_tags or bool(re.match(r"s1[a-z]-\w+-grd\w?-", name.lower()))


def product_name(path: Path) -> str:
    """Name of a product: of the folder or zip, without endings."""
    return re.sub(r"(\.safe|\.zip)+$", "", path.name, flags=re.IGNORECASE)


def read_product(path: Path, polarisation: str) -> Product:
    """Read what a product says beside its pixels.

    Args:
        path: a SAFE folder, or a zip with one.
        polarisation: which of its measurements.

    Raises:
        InputError: it is no GRD product, lacks the polarisation or one of its files, or is damaged.
    """
    wanted = polarisation.upper()
    try:
        files = _Files(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected a whole zip file, found {error}; {COPY_AGAIN}") from None
    annotation = _choose_annotation(files, wanted)
    stem = PurePosixPath(annotation).stem
    measurement = _find(files, f"measurement/{stem}.tiff", "measurement/", wanted, r"\.tiff?")
    start = "annotation/calibration/calibration-"
    table = _find(files, f"{start}{stem}.xml", start, wanted, r"\.xml")
    source = annotation
    try:
        root = _parse(files, annotation)
        product = Product(
            name=product_name(path),
            measurement=files.source(measurement),
            polarisation=wanted,
            acquired=in_utc(datetime.fromisoformat(text_of(root, "adsHeader/startTime"))),
            shape=(
                int(text_of(root, f"{INFORMATION}/numberOfLines")),
                int(text_of(root, f"{INFORMATION}/numberOfSamples")),
            ),
            grid=_read_grid(root),
            calibration=read_calibration(_parse(files, source := table)),
        )
    except InputError:
        raise
    except (ValueError, LookupError, ElementTree.ParseError) as error:
        raise InputError(f"{path}: expected a whole product, found {source} with {error}; {COPY_AGAIN}") from None
    return product


def _choose_annotation(files: _Files, wanted: str) -> str:
    found: dict[str, str] = {}
    kinds = set()
    for name in files.names:
        if not _ANNOTATION.fullmatch(name) or PurePosixPath(name).name.startswith("."):
            continue
        head = files.read(name, _HEAD)
        kind, polarisation = (
            match.group(1).decode() if (match := re.search(rb"<%s>\s*(\w+)\s*</" % tag, head)) else ""
            for tag in (b"productType", b"polarisation")
        )
        kinds.add(kind)
        if kind == "GRD":
            found.setdefault(polarisation.upper(), name)
    if wanted in found:
        return found[wanted]
    if found:
        raise InputError(
            f"{files.path}: expected a measurement of polarisation {wanted}, found {', '.join(sorted(found))}; choose "
            "one of them by scenes.polarisation"
        )
    if kinds - {""}:
        kind = ", ".join(sorted(kinds - {""}))
        raise InputError(
            f"{files.path}: expected a GRD product (amplitude), found {kind}; download the GRD of this scene"
        )
    raise InputError(
        f"{files.path}: expected an annotation of polarisation {wanted}, annotation/*.xml, found none; {COPY_AGAIN}"
    )


def _find(files: _Files, expected: str, start: str, wanted: str, ending: str) -> str:
    """The only file whose name begins so, names the polarisation and ends so; start and ending are patterns."""
    pattern = rf"{start}([^/]*[^a-z])?{wanted}([^a-z][^/]*)?{ending}"
    matching = [name for name in files.names if re.fullmatch(pattern, name, re.IGNORECASE)]
    if len(matching) != 1:
        raise InputError(f"{files.path}: expected {expected}, found {len(matching) or 'none'}; {COPY_AGAIN}")
    return matching[0]


def _parse(files: _Files, name: str) -> ElementTree.Element:
    return ElementTree.fromstring(files.read(name))


def _read_grid(root: ElementTree.Element) -> GeolocationGrid:
    points = [
        [float(text_of(point, key)) for key in ("pixel", "line", "longitude", "latitude", "incidenceAngle")]
        for point in root.iter("geolocationGridPoint")
    ]
    if not points:
        raise ValueError("no geolocation grid")
    x, y, lon, lat, incidence = np.array(points).T
    return GeolocationGrid(x + 0.5, y + 0.5, lon, lat, incidence)
