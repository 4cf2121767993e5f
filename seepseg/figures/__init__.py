"""Pictures for people: arrays and tables in, matplotlib figures out. No file, no path, no pyplot state.

Here another figure belongs: a function with `house_style` that returns a figure, in `charts` if it draws a table, in
`tiles` if it draws pixels; `stages.plot` gives it its data and its file.
"""

from seepseg.base.colours import PALETTE, palette
from seepseg.figures.charts import (
    class_balance_figure,
    confusion_figure,
    history_figure,
    precision_recall_figure,
    reliability_figure,
)
from seepseg.figures.seeps import SeepMap, seeps_figure
from seepseg.figures.style import png_bytes
from seepseg.figures.tiles import (
    NODATA_STRIPES,
    Tile,
    choose_ranks,
    choose_samples,
    colour_classes,
    predictions_figure,
    samples_figure,
    stretch_image,
)

__all__ = [
    "NODATA_STRIPES",
    "PALETTE",
    "SeepMap",
    "Tile",
    "choose_ranks",
    "choose_samples",
    "class_balance_figure",
    "colour_classes",
    "confusion_figure",
    "history_figure",
    "palette",
    "png_bytes",
    "precision_recall_figure",
    "predictions_figure",
    "reliability_figure",
    "samples_figure",
    "seeps_figure",
    "stretch_image",
]
