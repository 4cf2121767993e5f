"""Random fields: noise with a given spectrum, and the natural darkening of calm air."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import fft

Floats = npt.NDArray[np.float64]


def spectral(rng: np.random.Generator, shape: tuple[int, int], gain: Callable[[Floats, Floats], Floats]) -> Floats:
    """Noise with mean 0, deviation 1 and the given gain by frequency in cycles per pixel (rows, columns)."""
    white = fft.rfft2(rng.standard_normal(shape))
    white *= gain(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :])
    white[0, 0] = 0
    noise: Floats = fft.irfft2(white, shape)
    noise /= noise.std()
    return noise


def calm_patches(rng: np.random.Generator, shape: tuple[int, int], rarity: float) -> Floats:
    """Calm air, which darkens the sea much as oil does, but with edges tens of pixels wide: the look-alikes.

    Args:
        rng: generator.
        shape: rows and columns.
        rarity: deviations above the mean at which air is calm.

    Returns:
        By how much the logarithm of intensity is lower, 0 to 0.7; (H, W).
    """
    calm = spectral(rng, shape, lambda fy, fx: (np.hypot(fy, fx) + 1 / 300) ** -2.8)
    darkening: Floats = 0.5 * np.clip(calm - rarity, 0, 1.4)
    return darkening
