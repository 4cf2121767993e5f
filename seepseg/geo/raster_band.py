"""One band of a raster file by window: which of several it is, and which of its pixels have data."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from seepseg.base.errors import InputError
from seepseg.data.pixels import Window

Numbers = npt.NDArray[Any]

MAX_PIXELS = 2**34  # 40 times a Sentinel-1 scene: a header that claims more is taken for damaged
# Rows of a whole Sentinel-1 scene, stored line by line, stay cached while windows move along them. Bytes: for rasterio
# 256 is bytes, for GDAL MB. Without GDAL_NUM_THREADS, which makes such files slower.
GDAL = {"GDAL_CACHEMAX": 2**27}

_TOKEN = re.compile(r"(?<![a-z])(vv|vh|hh|hv)(?![a-z])")
# Sentinel-1's names tell the polarisations of a product in two letters.
_MODES = {"1sdv": ("VV", "VH"), "1sdh": ("HH", "HV"), "1ssv": ("VV",), "1ssh": ("HH",)}
_TELLING_TAGS = re.compile(r"unit|scale|radiometr|calibrat|quantity|polari[sz]ation|name|long_name", re.IGNORECASE)

COPY_AGAIN = "copy it again from its source"


@contextmanager
def gdal(path: Path) -> Iterator[None]:
    """GDAL's settings for what is read in the block; its errors become an InputError that names the scene."""
    try:
        with rasterio.Env(**GDAL), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            yield
    except (RasterioError, CPLE_BaseError, OSError, SystemError) as error:
        found = error.__cause__ or error
        raise InputError(
            f"{path}: expected a whole raster file, found one that can't be read ({found}); {COPY_AGAIN}"
        ) from None


class RasterBand:
    """The band of a file that shows a polarisation.

    Attributes:
        path: the file as the user knows it.
        dataset: open, of rasterio.
        shape: height and width, in pixels.
        dtype: type of the numbers that `read` gives.
        polarisation: such as VV; empty where it is unknown.
        text: all words that may tell what the numbers are, in small letters.
        warnings: what had to be assumed.
    """

    def __init__(self, path: Path, source: str, polarisation: str) -> None:
        """Open a file.

        Args:
            path: the file as the user knows it.
            source: its name for GDAL.
            polarisation: the one that is wanted.

        Raises:
            InputError: it is no raster, is damaged, complex, or has bands of other polarisations only.
        """
        self.path = path
        self.warnings: list[str] = []
        with gdal(path):
            self.dataset = rasterio.open(source)
            self.shape: tuple[int, int] = self.dataset.shape
            if self.shape[0] * self.shape[1] > MAX_PIXELS:
                raise InputError(
                    f"{path}: expected at most {MAX_PIXELS:,} pixels, found {self.shape[0]:,} x {self.shape[1]:,}; "
                    "copy it again from its source if it is damaged, or cut it into scenes"
                )
            bands = [
                index
                for index, meaning in zip(self.dataset.indexes, self.dataset.colorinterp, strict=True)
                if meaning != ColorInterp.alpha
            ]
            if not bands:
                raise InputError(
                    f"{path}: expected a raster with a band, found none; name one of its parts or convert it"
                )
            self._index, self.polarisation = self._choose(bands, polarisation.upper())
            self._stored = np.dtype(self.dataset.dtypes[self._index - 1].replace("complex_int16", "complex64"))
            if self._stored.kind == "c":
                raise InputError(f"{path}: expected amplitude, power or dB, found complex numbers; take a GRD product")
            self._gain = float(self.dataset.scales[self._index - 1]), float(self.dataset.offsets[self._index - 1])
            self.dtype = self._stored if self._gain == (1.0, 0.0) else np.dtype(np.float32)
            self._nodata = self.dataset.nodatavals[self._index - 1]
            flags = self.dataset.mask_flag_enums[self._index - 1]
            self._has_mask = MaskFlags.alpha in flags or MaskFlags.per_dataset in flags
            self.text = " ".join([path.name, *self._words(self._index)]).lower()

    def read(self, window: Window) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """Read a window that lies in the raster.

        Returns:
            The numbers (height, width), of `dtype`; and where they are data by what the file says: not the declared
            value, not masked, not transparent, not NaN and not infinite.

        Raises:
            InputError: the file is damaged there.
        """
        top, left, height, width = window
        place = rasterio.windows.Window(left, top, width, height)
        with gdal(self.path):
            values = self.dataset.read(self._index, window=place)
            mask = self.dataset.read_masks(self._index, window=place) if self._has_mask else None
        valid = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, np.bool_)
        if self._nodata is not None and not np.isnan(self._nodata):
            valid &= values != np.asarray(self._nodata).astype(values.dtype if values.dtype.kind == "f" else np.float64)
        if mask is not None:
            valid &= mask > 0
        gain, offset = self._gain
        return (values if self.dtype == self._stored else values.astype(np.float32) * gain + offset), valid

    @property
    def declares_nodata(self) -> bool:
        """Whether the file says which pixels are no data."""
        return self._nodata is not None or self._has_mask

    def close(self) -> None:
        """Close the file."""
        self.dataset.close()

    def _choose(self, bands: list[int], wanted: str) -> tuple[int, str]:
        """Number and polarisation of the band to read."""
        told = {band: _told(" ".join(self._words(band))) for band in bands}
        if not any(told.values()):
            told = dict.fromkeys(bands, ()) | dict(zip(bands, self._told_by_name(len(bands)), strict=False))
        known = {names[0]: band for band, names in reversed(told.items()) if len(names) == 1}
        if wanted in known:
            return known[wanted], wanted
        if len(bands) == 1:
            return bands[0], next(iter(known), "")
        if len(known) == len(bands):
            raise InputError(
                f"{self.path}: expected a band of polarisation {wanted}, found {', '.join(sorted(known))}; choose "
                "one of them by scenes.polarisation"
            )
        self.warnings.append(f"has {len(bands)} bands, and none says that it is {wanted}: took the first")
        return bands[0], ""

    def _told_by_name(self, count: int) -> list[tuple[str, ...]]:
        """The polarisations of so many bands by the name of the file or its tags, in their order."""
        name = self.path.name.lower()
        mode = next((names for code, names in _MODES.items() if f"_{code}_" in name), ())
        tags = " ".join(text for key, text in sorted(self.dataset.tags().items()) if _TELLING_TAGS.search(key))
        for names in (_told(name), _told(tags), mode):
            if len(names) == count:
                return [(one,) for one in names]
        return []

    def _words(self, band: int) -> list[str]:
        """Description, unit and telling tags of a band."""
        tags = self.dataset.tags(band)
        words = [self.dataset.descriptions[band - 1], self.dataset.units[band - 1]]
        words += [text for key, text in sorted(tags.items()) if _TELLING_TAGS.search(key)]
        return [word for word in words if word]


def _told(text: str) -> tuple[str, ...]:
    """Polarisations that a text names, each once, in order."""
    return tuple(dict.fromkeys(found.upper() for found in _TOKEN.findall(text.lower())))
