"""What the numbers of a raster measure, and how they become packed amplitude."""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from seepseg.base.errors import InputError
from seepseg.base.radiometry import FULL_AMPLITUDE, Quantity
from seepseg.geo.params import Scale

Kind = Literal["amplitude", "power", "db"]
Amplitude = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]

HIGHEST: Final = 65_535  # of packed numbers
CALIBRATED: Final = HIGHEST / FULL_AMPLITUDE  # packed for an amplitude of 1, where sigma0 is 1
# Numbers beyond these ends are no measurements but what people write where there is none, such as -99 and -9999.
# Below 0 power may be a little, where noise was subtracted; dB run from far below the noise to the largest DN.
RANGES: Final[dict[Kind, tuple[float, float]]] = {"amplitude": (0, 1e12), "power": (-1, 1e24), "db": (-80, 120)}
# Left out of the numbers that tell the scale.
FILLS: Final = (-99, -999, -9999, -99999, -32768, -32767)
# The median of calibrated images is below: 10 dB. Uncalibrated numbers are in the hundreds, or powers of them.
CALIBRATED_POWER: Final = 10.0
COARSE: Final = 50  # mean of an amplitude that loses by rounding
FINE: Final = 2048  # mean that such an amplitude is brought to

_DB, _AMPLITUDE = {"db", "decibel", "decibels"}, {"amplitude", "amp", "magnitude"}
_SIGMA = {"sigma0", "sigma", "sigmanought", "nrcs"}
_GAMMA, _BETA = {"gamma0", "gamma", "gammanought"}, {"beta0", "betanought"}
_CALIBRATED = _SIGMA | _GAMMA | _BETA
_POWER = _CALIBRATED | {"power", "intensity", "linear"}


@dataclass(frozen=True)
class Packing:
    """How numbers become amplitude.

    Attributes:
        kind: what they are.
        unit: they are multiplied by it first.
        factor: amplitude is multiplied by it.
        quantity: what the amplitude is.
    """

    kind: Kind
    unit: float
    factor: float
    quantity: Quantity

    def amplitude(self, values: npt.NDArray[Any]) -> Amplitude:
        """Amplitude of numbers, before it is rounded.

        Args:
            values: numbers of the file, of any real type.

        Returns:
            float32 of that shape, arbitrary where there is no data; and bool, where they are measurements: 0, NaN,
            infinite ones and those out of `RANGES` are not.
        """
        with np.errstate(all="ignore"):
            numbers = values.astype(np.float32)
            if self.unit != 1:
                numbers *= np.float32(self.unit)
            low, high = RANGES[self.kind]
            valid = (numbers > low) & (numbers < high) & (numbers != 0)
            if self.kind == "power":
                numbers = np.sqrt(np.maximum(numbers, 0))
            elif self.kind == "db":
                numbers = np.exp(numbers * np.float32(np.log(10) / 20))
            return (numbers if self.factor == 1 else numbers * np.float32(self.factor)), valid


def tell_packing(
    sample: npt.NDArray[Any], text: str, wanted: Scale, file: str, nodata_declared: bool
) -> tuple[Packing, list[str]]:
    """Tell what the numbers of a file are.

    Args:
        sample: numbers that the file does not call no data, of its type, any number of them.
        text: words that may tell, in small letters.
        wanted: what the user says.
        file: its name, for errors.
        nodata_declared: whether the file says which numbers are no data.

    Returns:
        How to pack them, and what had to be assumed.

    Raises:
        InputError: the numbers can't be what the user or the file says.
    """
    numbers = sample[(sample != 0) & ~np.isin(sample, FILLS)].astype(np.float64)
    numbers = numbers[np.abs(numbers) < 1e30]
    if not numbers.size:
        return Packing("amplitude", 1, 1, "unknown"), ["found no pixel with data"]
    median = float(np.median(numbers))
    words = set(re.split(r"[^a-z0-9]+", text))
    warnings: list[str] = []
    if wanted == "auto":
        wanted, sure = _tell(words, median, sample.dtype)
        if not sure:
            meaning = {"power": "power", "db": "dB", "centidb": "dB times 100"}.get(wanted, wanted)
            warnings.append(f"took the numbers for {meaning}, as their median is {median:.4g}: else set scenes.scale")
    unit = 0.01 if wanted == "centidb" else 1.0
    kind: Kind = "db" if wanted == "centidb" else wanted
    plain = Packing(kind, unit, 1, "amplitude")
    amplitudes, valid = plain.amplitude(numbers)
    if np.mean(valid) < 0.5:
        raise InputError(
            f"{file}: expected {wanted}, found numbers with a median of {median:.4g}, most of which can't be that; set "
            "scenes.scale to what they are: amplitude, power, db or centidb (dB times 100)"
        )
    if not np.all(fills := plain.amplitude(sample[sample != 0])[1]):
        missing = sample[sample != 0][~fills]
        declared = "are not the declared no-data value" if nodata_declared else "it declares no no-data value"
        warnings.append(
            f"{missing.size / sample.size:.2%} of the numbers can't be measurements, such as {missing[0]:g}, and "
            f"{declared}: took them for no data"
        )
    packing, warning = _pack(kind, unit, amplitudes[valid], words, sample.dtype)
    return packing, warnings + warning


def _tell(
    words: set[str], median: float, dtype: np.dtype[Any]
) -> tuple[Literal["amplitude", "power", "db", "centidb"], bool]:
    """What numbers are, and whether that is sure."""
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return "amplitude", True
    if words & _DB or median < 0:
        low, high = RANGES["db"]
        return ("db" if low < median < high else "centidb"), bool(words & _DB)
    if words & _AMPLITUDE:
        return "amplitude", True
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        return "amplitude", True
    if words & _POWER:
        return "power", True
    return ("amplitude" if CALIBRATED_POWER < median <= HIGHEST else "power"), False


def _told_quantity(words: set[str]) -> Quantity:
    """What calibrated numbers are: sigma0, unless words tell another and not that."""
    if words & _SIGMA:
        return "sigma0"
    return "gamma0" if words & _GAMMA else "beta0" if words & _BETA else "sigma0"


def _pack(
    kind: Kind, unit: float, amplitudes: npt.NDArray[np.float32], words: set[str], dtype: np.dtype[Any]
) -> tuple[Packing, list[str]]:
    """Quantity and factor by a sample of amplitudes."""
    typical = float(np.median(amplitudes))
    named = kind != "amplitude" or bool(words & _CALIBRATED)
    if named and typical**2 <= CALIBRATED_POWER and not (kind == "amplitude" and dtype.kind in "iu"):
        return Packing(kind, unit, CALIBRATED, _told_quantity(words)), []
    quantity: Quantity = "unknown" if dtype == np.uint8 else "amplitude"
    mean = float(amplitudes.mean(dtype=np.float64))
    if (dtype.kind in "iu" and dtype.itemsize <= 2) or (mean >= COARSE and np.quantile(amplitudes, 0.99) <= HIGHEST):
        return Packing(kind, unit, 1, quantity), []
    factor = FINE / mean
    return Packing(kind, unit, factor, quantity), [
        f"multiplied the amplitude, of unknown units, by {factor:.4g}, so that it fits whole numbers up to {HIGHEST:,}"
    ]
