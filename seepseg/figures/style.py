"""What all pictures share: the look, the colours of the classes, PNG bytes."""

import colorsys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Rgb = npt.NDArray[np.uint8]

# Background, then the seven classes. Each reads both on black, in masks, and on white, as a curve.
PALETTE = (
    (0, 0, 0),  # black
    (228, 32, 28),  # red
    (255, 133, 20),  # orange
    (246, 205, 0),  # yellow
    (44, 170, 66),  # green
    (64, 156, 255),  # blue
    (32, 58, 200),  # dark blue
    (164, 58, 214),  # purple
)

STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a $ in a class or tile name is just that
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 3.5,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house's style whatever the user's matplotlibrc says: equal input, equal pixels."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@house_style()
def png_bytes(figure: Figure, dpi: int) -> bytes:
    """Render a figure as PNG without metadata: the same figure gives the same bytes.

    Args:
        figure: any figure of this package.
        dpi: pixels per inch.
    """
    FigureCanvasAgg(figure)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None}, facecolor="white")
    return buffer.getvalue()


def palette(num_classes: int) -> Rgb:
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


def note_figure(text: str) -> Figure:
    """Stand in for a picture that has nothing to show: the pipeline's output must exist all the same."""
    figure = Figure(figsize=(6, 1.5))
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#555555", fontsize=11)
    return figure
