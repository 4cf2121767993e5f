"""The colours of the classes, the same in pictures and on maps."""

import colorsys
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

# Background, then the seven classes. Each reads both on black, in masks, and on white, as a curve. They were searched
# for: the two most alike are 30 apart in CIELAB, also for those who see no red, no green or no blue.
PALETTE = (
    (0, 0, 0),  # black
    (160, 6, 4),  # red
    (218, 147, 56),  # orange
    (235, 225, 6),  # yellow
    (57, 143, 92),  # green
    (101, 211, 255),  # light blue
    (16, 16, 242),  # blue
    (163, 78, 219),  # purple
)


def palette(num_classes: int) -> npt.NDArray[np.uint8]:
    """Colours of background and classes.

    Args:
        num_classes: K + 1, with background.

    Returns:
        uint8 (K + 1, 3) RGB: `PALETTE`, and then pale colours a golden angle apart in hue.
    """
    extra = [
        [round(255 * part) for part in colorsys.hsv_to_rgb((0.48 + 0.618034 * i) % 1, 0.4, 0.92)]
        for i in range(num_classes - len(PALETTE))
    ]
    return np.array([*PALETTE, *extra][:num_classes], dtype=np.uint8)


def class_colours(names: Sequence[str]) -> dict[str, str]:
    """Colour of each class by its name."""
    return {name: hex_colour(rgb) for name, rgb in zip(names, palette(len(names) + 1)[1:], strict=True)}


def hex_colour(rgb: Iterable[int]) -> str:
    """A colour of three numbers up to 255 as matplotlib and HTML write it, #rrggbb."""
    return "#" + "".join(f"{part:02x}" for part in rgb)
