"""What all pictures share: the look, PNG bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Rgb = npt.NDArray[np.uint8]

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


def note_figure(text: str) -> Figure:
    """Stand in for a picture that has nothing to show: the pipeline's output must exist all the same."""
    figure = Figure(figsize=(6, 1.5))
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#555555", fontsize=11)
    return figure
