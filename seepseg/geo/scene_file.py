"""A scene in a file, as networks see it: packed amplitude by window, with its place, time and radiometry."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RBFInterpolator

from seepseg.base.conventions import NODATA
from seepseg.base.errors import InputError
from seepseg.base.radiometry import Radiometry
from seepseg.data.pixels import Window
from seepseg.geo.georeference import Georeference
from seepseg.geo.params import ScenesParams
from seepseg.geo.raster_band import COPY_AGAIN, RasterBand
from seepseg.geo.raster_place import place_of_product, place_of_raster
from seepseg.geo.scale import HIGHEST, Amplitude, tell_packing
from seepseg.geo.scene_search import Found, find_scenes, scene_name
from seepseg.geo.sentinel1 import MANIFEST, Product, is_product, read_product
from seepseg.geo.trained_on import compare, factor_to

__all__ = ["Found", "SceneFile", "find_scenes", "open_scene", "scene_name"]

WHOLE = 2**20  # pixels of scenes whose mean is taken over all of them
SAMPLE_SIDE = 64  # of the squares sampled from larger ones, which lie in one block of most files, in pixels
SAMPLE_GRIDS = (12, 48)  # squares along a side: the second where the first sees too little
ENOUGH = 4096  # sampled pixels with data

ToAmplitude = Callable[[npt.NDArray[Any], Window], Amplitude]


@dataclass
class SceneFile:
    """An open scene, which is a `seepseg.data.pixels.ScenePixels`; close it, or use it in a with block.

    It can't be sent to another process: send the path, and open it there.

    Attributes:
        name: of the scene.
        shape: height and width, in pixels.
        georeference: its place on earth; None where it has none.
        radiometry: of the numbers that `read` gives; its mean is over a sample of the pixels with data.
        acquired: time, UTC; None where it is unknown.
        warnings: what had to be assumed, or differs from what a model was trained on; sentences about the scene.
    """

    name: str
    shape: tuple[int, int]
    georeference: Georeference | None
    radiometry: Radiometry
    acquired: datetime | None
    warnings: list[str]
    _band: RasterBand
    _to_amplitude: ToAmplitude
    _product: Product | None
    _factor: float = field(default=1.0)

    def read(self, window: Window) -> npt.NDArray[np.uint16]:
        """Read a window as networks see it.

        Args:
            window: any part, also beyond the scene.

        Returns:
            uint16 (height, width), amplitude from 1 to 65535, `NODATA` where nothing was seen and outside of the scene.

        Raises:
            InputError: the file is damaged there.
        """
        packed = np.full((max(window.height, 0), max(window.width, 0)), NODATA, np.uint16)
        inner, where = _clip(window, self.shape)
        if inner.height <= 0 or inner.width <= 0:
            return packed
        values, valid = self._band.read(inner)
        amplitude, measured = self._to_amplitude(values, inner)
        if self._factor != 1:
            amplitude = amplitude * np.float32(self._factor)
        valid &= measured
        with np.errstate(invalid="ignore"):
            np.rint(amplitude, out=amplitude)
            np.clip(amplitude, 1, HIGHEST, out=amplitude)
            packed[where] = np.where(valid, amplitude, np.float32(NODATA))
        return packed

    def incidence(self, x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.float64] | None:
        """Incidence angle at points of the image.

        Args:
            x: pixels from the left border, of any shape.
            y: pixels from the top border, of the same shape.

        Returns:
            Degrees, float64 of that shape; None where the scene does not tell it.
        """
        if self._product is None:
            return None
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        angles: npt.NDArray[np.float64] = self._incidence_spline(np.stack([x.ravel(), y.ravel()], axis=1))
        return angles.reshape(x.shape)

    @cached_property
    def _incidence_spline(self) -> RBFInterpolator:
        assert self._product is not None
        grid = self._product.grid
        return RBFInterpolator(np.stack([grid.x, grid.y], axis=1), grid.incidence, kernel="thin_plate_spline")

    def close(self) -> None:
        """Close the file."""
        self._band.close()

    def __enter__(self) -> "SceneFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_scene(path: Path, params: ScenesParams, trained: Radiometry | None = None) -> SceneFile:
    """Open a scene.

    Args:
        path: a SAFE folder or a zip with one, or any raster file that GDAL reads.
        params: polarisation and scale.
        trained: what the numbers were that a model was trained on. Where the scene's are of another kind, or one of
            them is unknown and their means are far apart, they are multiplied so that the means agree.

    Raises:
        InputError: it is missing, damaged, complex, of another polarisation, or not of the scale that the user says.
    """
    path = path.parent if path.name.lower() == MANIFEST else path
    if not path.exists():
        raise InputError(f"{path}: expected a scene, found nothing; check the path")
    scene = _open_product(path, params) if is_product(path) else _open_raster(path, params)
    try:
        packed = np.concatenate([scene.read(window).ravel() for window in _sample(scene.shape, scene.read)])
        seen = packed[packed != NODATA]
        mean = float(seen.mean(dtype=np.float64)) if seen.size else 0.0
        spacing = scene.georeference.spacing(scene.shape) if scene.georeference else 0.0
        scene.radiometry = replace(scene.radiometry, spacing=spacing, mean=mean)
        if trained:
            scene.warnings += compare(scene.radiometry, trained)
            scene._factor = factor_to(scene.radiometry, trained)
            scene.radiometry = replace(scene.radiometry, mean=mean * scene._factor)
    except BaseException:
        scene.close()
        raise
    return scene


def _open_product(path: Path, params: ScenesParams) -> SceneFile:
    product = read_product(path, params.polarisation)
    band = RasterBand(path, product.measurement, product.polarisation)
    if band.shape != product.shape:
        band.close()
        raise InputError(
            f"{path}: expected a measurement of {product.shape[0]:,} x {product.shape[1]:,} pixels, as the annotation "
            f"says, found {band.shape[0]:,} x {band.shape[1]:,}; {COPY_AGAIN}"
        )
    radiometry = Radiometry(quantity="sigma0", polarisation=product.polarisation)
    place = place_of_product(path, product.grid)
    return SceneFile(
        product.name, band.shape, place, radiometry, product.acquired, [], band, product.calibration.amplitude, product
    )


def _open_raster(path: Path, params: ScenesParams) -> SceneFile:
    if path.is_dir():
        raise InputError(f"{path}: expected a scene, found a folder that is no SAFE product; name one of its files")
    band = RasterBand(path, str(path), params.polarisation)
    try:
        place, warnings = place_of_raster(band.dataset, path)
        windows = _sample(band.shape, lambda window: band.read(window)[1])
        sample = np.concatenate([values[valid] for values, valid in map(band.read, windows)])
        packing, assumed = tell_packing(sample, band.text, params.scale, str(path), band.declares_nodata)
        acquired = _time_of(path.name, band.dataset.tags())
    except BaseException:
        band.close()
        raise
    if band.polarisation and band.polarisation != params.polarisation.upper():
        warnings.append(
            f"shows polarisation {band.polarisation}, not {params.polarisation}, as scenes.polarisation says"
        )
    return SceneFile(
        scene_name(path),
        band.shape,
        place,
        Radiometry(quantity=packing.quantity, polarisation=band.polarisation),
        acquired,
        [*band.warnings, *warnings, *assumed],
        band,
        lambda values, _window: packing.amplitude(values),
        None,
    )


def _sample(shape: tuple[int, int], read: Callable[[Window], npt.NDArray[Any]]) -> list[Window]:
    """Windows that stand for a scene, the same at every time: squares on a grid, or all of a small scene.

    Args:
        shape: of the scene.
        read: gives a window's pixels, 0 where there is no data.
    """
    height, width = shape
    if height * width <= WHOLE:
        return [Window(0, 0, height, width)]
    for grid in SAMPLE_GRIDS:
        windows = [
            Window(top, left, min(SAMPLE_SIDE, height), min(SAMPLE_SIDE, width))
            for top in _places(height, grid)
            for left in _places(width, grid)
        ]
        if sum(int(np.count_nonzero(read(window))) for window in windows) >= ENOUGH:
            break
    return windows


def _places(length: int, count: int) -> list[int]:
    """Where squares begin along a side: evenly spread, at whole squares, so that each lies in one block of the file."""
    last = max(0, length - SAMPLE_SIDE)
    middles = (np.arange(count) + 0.5) / count * length - SAMPLE_SIDE / 2
    return sorted({int(min(last, max(0, middle // SAMPLE_SIDE * SAMPLE_SIDE))) for middle in middles})


def _clip(window: Window, shape: tuple[int, int]) -> tuple[Window, tuple[slice, slice]]:
    """The part of a window in a scene, and where it lies in the window."""
    top, left = max(window.top, 0), max(window.left, 0)
    bottom, right = min(window.top + window.height, shape[0]), min(window.left + window.width, shape[1])
    where = slice(top - window.top, bottom - window.top), slice(left - window.left, right - window.left)
    return Window(top, left, bottom - top, right - left), where


def _time_of(name: str, tags: dict[str, str]) -> datetime | None:
    """When a scene was acquired: by a name such as Sentinel-1's products have, else by the tags of its file."""
    found = re.search(r"(?<!\d)(\d{8})[tT](\d{6})(?!\d)", name)
    texts = [f"{found[1]}T{found[2]}"] if found else []
    texts.append(tags.get("ACQUISITION_START_TIME", ""))
    day, _, time = tags.get("TIFFTAG_DATETIME", "").strip().partition(" ")
    texts.append(f"{day.replace(':', '-')}T{time}")
    for text in texts:
        with suppress(ValueError):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    return None
