"""A scene in a file, as networks see it: packed amplitude by window, with its place, time and radiometry."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RBFInterpolator

from seepseg.base.conventions import NODATA
from seepseg.base.errors import InputError
from seepseg.base.radiometry import Quantity, Radiometry
from seepseg.base.scaling import Scaling
from seepseg.data.pixels import Window
from seepseg.geo.acquired import time_acquired
from seepseg.geo.border_noise import BorderNoise
from seepseg.geo.georeference import Georeference
from seepseg.geo.params import ScenesParams
from seepseg.geo.raster_band import COPY_AGAIN, RasterBand
from seepseg.geo.raster_place import place_of_product, place_of_raster
from seepseg.geo.sampling import sample_windows, sampled
from seepseg.geo.scale import HIGHEST, Amplitude, tell_packing
from seepseg.geo.scene_search import Found, find_scenes, scene_name
from seepseg.geo.sentinel1 import MANIFEST, Product, is_measurement, is_product, read_product
from seepseg.geo.trained_on import compare, factor_to
from seepseg.io.image_values import pack_image

__all__ = ["Found", "SceneFile", "find_scenes", "open_scene", "scene_name"]

OUTSIDE = 0.5  # share of pixels beyond the ends of a scaling that is told

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
    _noise: BorderNoise | None
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
        if self._noise:
            valid &= ~self._noise.in_window(inner, values, valid)
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


def open_scene(
    path: Path, params: ScenesParams, trained: Radiometry | None = None, scaling: Scaling | None = None
) -> SceneFile:
    """Open a scene.

    Args:
        path: a SAFE folder or a zip with one, or any raster file that GDAL reads.
        params: polarisation and scale.
        trained: what the numbers were that a model was trained on. Where one of both is calibrated and the other is
            not, or neither is and their means are far apart, they are multiplied so that the means agree.
        scaling: of the model, if its tiles were packed by one: so are the numbers of the file, which then are not
            converted to amplitude, nor multiplied.

    Raises:
        InputError: it is missing, damaged, complex, of another polarisation, or not of the scale that the user says.
    """
    path = path.parent if path.name.lower() == MANIFEST else path
    if not path.exists():
        raise InputError(f"{path}: expected a scene, found nothing; check the path")
    scene = (_open_product if is_product(path) else _open_raster)(path, params, scaling)
    try:
        packed = np.concatenate([scene.read(window).ravel() for window in sample_windows(scene.shape, scene.read)])
        seen = packed[packed != NODATA]
        mean = float(seen.mean(dtype=np.float64)) if seen.size else 0.0
        spacing = scene.georeference.spacing(scene.shape) if scene.georeference else 0.0
        scene.radiometry = replace(scene.radiometry, spacing=spacing, mean=mean)
        if not seen.size and not any("no pixel with data" in warning for warning in scene.warnings):
            scene.warnings.append("found no pixel with data")
        if scaling and seen.size and (share := np.mean((seen == 1) | (seen == HIGHEST))) > OUTSIDE:
            scene.warnings.append(
                f"has {share:.0%} of its numbers outside of {scaling[0]:g} to {scaling[1]:g}, the data.scaling of the "
                "model: it may be of other units"
            )
        if trained:
            scene._factor = 1.0 if scaling else factor_to(scene.radiometry, trained)
            scene.warnings += compare(scene.radiometry, trained, scene._factor)
            scene.radiometry = replace(scene.radiometry, mean=mean * scene._factor)
    except BaseException:
        scene.close()
        raise
    return scene


def _open_product(path: Path, params: ScenesParams, scaling: Scaling | None) -> SceneFile:
    product = read_product(path, params.polarisation)
    band = RasterBand(path, product.measurement, product.polarisation)
    try:
        if band.shape != product.shape:
            raise InputError(
                f"{path}: expected a measurement of {product.shape[0]:,} x {product.shape[1]:,} pixels, as the "
                f"annotation says, found {band.shape[0]:,} x {band.shape[1]:,}; {COPY_AGAIN}"
            )
        place = place_of_product(path, product.grid)
        noise = BorderNoise.of(band, product.acquired)
    except BaseException:
        band.close()
        raise
    quantity: Quantity = "unknown" if scaling else "sigma0"
    return SceneFile(
        product.name,
        band.shape,
        place,
        Radiometry(quantity=quantity, polarisation=product.polarisation, noise_removed=False),
        product.acquired,
        [],
        band,
        _scaled(scaling) if scaling else product.calibration.amplitude,
        product,
        noise,
    )


def _open_raster(path: Path, params: ScenesParams, scaling: Scaling | None) -> SceneFile:
    if path.is_dir():
        raise InputError(f"{path}: expected a scene, found a folder that is no SAFE product; name one of its files")
    band = RasterBand(path, str(path), params.polarisation)
    quantity: Quantity = "unknown"
    try:
        place, warnings = place_of_raster(band.dataset, path)
        sample, tags = sampled(band), band.dataset.tags()
        from_sentinel1 = is_measurement(path.name, tags)
        acquired = time_acquired(path.name, tags, from_sentinel1)
        is_raw = from_sentinel1 and band.dtype == np.uint16
        noise = BorderNoise.of(band, acquired) if is_raw else None
        if scaling:
            to_amplitude = _scaled(scaling)
        else:
            packing, assumed = tell_packing(sample, band.text, params.scale, str(path), band.declares_nodata)
            warnings += assumed
            quantity, to_amplitude = packing.quantity, lambda values, _window: packing.amplitude(values)
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
        Radiometry(quantity=quantity, polarisation=band.polarisation, noise_removed=False if is_raw else None),
        acquired,
        [*band.warnings, *warnings],
        band,
        to_amplitude,
        None,
        noise,
    )


def _scaled(scaling: Scaling) -> ToAmplitude:
    """Packs numbers as ingest does those of tiles."""

    def pack(values: npt.NDArray[Any], _window: Window) -> Amplitude:
        packed = pack_image(values, None, scaling).pixels
        return packed.astype(np.float32), packed != NODATA

    return pack


def _clip(window: Window, shape: tuple[int, int]) -> tuple[Window, tuple[slice, slice]]:
    """The part of a window in a scene, and where it lies in the window."""
    top, left = max(window.top, 0), max(window.left, 0)
    bottom, right = min(window.top + window.height, shape[0]), min(window.left + window.width, shape[1])
    where = slice(top - window.top, bottom - window.top), slice(left - window.left, right - window.left)
    return Window(top, left, bottom - top, right - left), where
