"""A tiny Sentinel-1 GRD product, real in its structure: folder, measurement, annotation, calibration, manifest."""

import zipfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint

NAME = "S1A_IW_GRDH_1SDV_20200102T030405_20200102T030430_030000_040000_ABCD"
POINT = """<geolocationGridPoint><azimuthTime>2020-01-02T03:04:05.000000</azimuthTime><line>{line}</line>
<pixel>{pixel}</pixel><latitude>{lat:.15e}</latitude><longitude>{lon:.15e}</longitude><height>1.0e-04</height>
<incidenceAngle>{incidence:.15e}</incidenceAngle></geolocationGridPoint>"""
ANNOTATION = """<?xml version="1.0" encoding="UTF-8"?>
<product><adsHeader><missionId>S1A</missionId><productType>{kind}</productType><polarisation>{polarisation}</polarisation>
<mode>IW</mode><startTime>2020-01-02T03:04:05.250000</startTime></adsHeader>
<imageAnnotation><imageInformation><numberOfSamples>{width}</numberOfSamples><numberOfLines>{height}</numberOfLines>
</imageInformation></imageAnnotation>
<geolocationGrid><geolocationGridPointList count="{count}">{points}</geolocationGridPointList></geolocationGrid>
</product>"""
VECTOR = """<calibrationVector><azimuthTime>2020-01-02T03:04:05.000000</azimuthTime><line>{line}</line>
<pixel count="{count}">{pixels}</pixel><sigmaNought count="{count}">{gains}</sigmaNought></calibrationVector>"""


def grid_place(line, pixel):
    """Longitude, latitude and incidence angle of a sample of the product, by its number: a descending pass."""
    line, pixel = np.asarray(line, float), np.asarray(pixel, float)
    return 14 - 1.2e-4 * pixel - 2e-5 * line, 42 + 2e-5 * pixel - 9e-5 * line, 31 + 15 * pixel / 500


def gain(line, pixel):
    """A_sigma at a sample: linear both ways, as between the vectors of a real table."""
    return 600.0 - 0.5 * np.asarray(pixel, float) + 0.05 * np.asarray(line, float)


def write_safe(
    folder: Path,
    shape: tuple[int, int] = (300, 500),
    polarisations: tuple[str, ...] = ("VV",),
    name: str = NAME,
    kind: str = "GRD",
    image=None,
    gcps: bool = True,
) -> Path:
    """Write a product.

    Args:
        folder: it becomes a folder in it.
        shape: lines and samples.
        polarisations: one measurement each.
        name: of the product.
        kind: GRD or SLC.
        image: uint16 of that shape, DN; speckle with 20 columns without data at the left by default.
        gcps: whether measurements have ground control points, as real ones.

    Returns:
        The folder NAME.SAFE.
    """
    height, width = shape
    safe = folder / f"{name}.SAFE"
    for part in ("measurement", "annotation/calibration"):
        (safe / part).mkdir(parents=True)
    (safe / "manifest.safe").write_text("<xfdu/>")
    if image is None:
        image = np.random.default_rng(0).rayleigh(150, shape).clip(1, 60_000).astype(np.uint16)
        image[:, :20] = 0
    lines, pixels = np.linspace(0, height - 1, 4).round().astype(int), np.linspace(0, width - 1, 5).round().astype(int)
    grid = [(line, pixel, *map(float, grid_place(line, pixel))) for line in lines for pixel in pixels]
    points = [GroundControlPoint(line, pixel, lon, lat, 0) for line, pixel, lon, lat, _ in grid]
    for number, polarisation in enumerate(polarisations, start=1):
        stem = f"s1a-iw-grd-{polarisation.lower()}-20200102t030405-20200102t030430-030000-040000-{number:03}"
        file = safe / f"measurement/{stem}.tiff"
        place = {"gcps": points, "crs": "EPSG:4326"} if gcps else {}
        with rasterio.open(
            file, "w", driver="GTiff", height=height, width=width, count=1, dtype="uint16", blockysize=1, **place
        ) as tiff:
            tiff.write(image, 1)
            tiff.update_tags(TIFFTAG_IMAGEDESCRIPTION="Sentinel-1A IW GRD HR L1")
        text = "".join(
            POINT.format(line=line, pixel=pixel, lon=lon, lat=lat, incidence=incidence)
            for line, pixel, lon, lat, incidence in grid
        )
        (safe / f"annotation/{stem}.xml").write_text(
            ANNOTATION.format(
                kind=kind, polarisation=polarisation, width=width, height=height, count=len(grid), points=text
            )
        )
        columns = [*range(0, width, 40), width - 1]
        vectors = "".join(
            VECTOR.format(
                line=line,
                count=len(columns),
                pixels=" ".join(map(str, columns)),
                gains=" ".join(f"{value:.9e}" for value in gain(line, columns)),
            )
            for line in (-7, 90, 211, height + 50)
        )
        (safe / f"annotation/calibration/calibration-{stem}.xml").write_text(
            f"<calibration><calibrationVectorList>{vectors}</calibrationVectorList></calibration>"
        )
    return safe


def zip_product(safe: Path, file: Path) -> Path:
    """Pack a product as it is downloaded."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(safe.rglob("*")):
            archive.write(path, path.relative_to(safe.parent))
    return file
