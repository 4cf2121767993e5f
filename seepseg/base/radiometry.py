"""What the numbers of a SAR image measure: recorded with scenes, tiles and models, as only like compares with like."""

from typing import Annotated, Literal

from annotated_types import Ge

from seepseg.base.params import param_block

Quantity = Literal["unknown", "amplitude", "sigma0", "gamma0", "beta0"]

# Calibrated images are packed as amplitude, the root of sigma0 or its like, so that this becomes 65535: 6 dB.
FULL_AMPLITUDE = 2.0


@param_block
class Radiometry:
    """What the packed numbers of images measure, and how they were recorded.

    Attributes:
        quantity: sigma0, gamma0 or beta0 (calibrated; packed is its root, 65535 for `FULL_AMPLITUDE`), amplitude
            (uncalibrated, as it is recorded), or unknown.
        polarisation: such as VV; empty where it is unknown.
        spacing: metres between neighbouring pixels, the root of a pixel's area on the ground; 0 where it is unknown.
        noise_removed: whether thermal noise was subtracted; None where it is unknown.
        mean: of the packed numbers over valid pixels; 0 where it is unknown.
    """

    quantity: Quantity = "unknown"
    polarisation: str = ""
    spacing: Annotated[float, Ge(0)] = 0.0
    noise_removed: bool | None = None
    mean: Annotated[float, Ge(0)] = 0.0

    @property
    def is_calibrated(self) -> bool:
        """Whether equal numbers mean the same in all images."""
        return self.quantity in ("sigma0", "gamma0", "beta0")
