"""Pictures of tiles: image, annotation and prediction side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from seepseg.base.colours import hex_colour, palette
from seepseg.base.conventions import NODATA
from seepseg.base.greys import stretch
from seepseg.figures.style import Rgb, house_style, note_figure

NODATA_STRIPES = ((74, 80, 96), (104, 112, 132))  # bluish, since no grey of a SAR image is
STRIPE_WIDTH = 6  # pixels, along a row

CELL, GAP = 1.9, 0.06  # inches: side of a panel, space between the panels of a tile
MARGIN, TILE_GAP, LABEL, HEADING, CAPTION = 0.1, 0.22, 0.3, 0.22, 0.26  # inches
LEGEND_ENTRY, LEGEND_LINE = 1.1, 0.18  # inches: width and height


@dataclass(frozen=True)
class Tile:
    """One tile as it is drawn: image, annotation and, where there is one, prediction, each (H, W)."""

    title: str
    image: npt.NDArray[np.uint16]
    target: npt.NDArray[np.uint8]
    pred: npt.NDArray[np.uint8] | None = None

    def panels(self, num_classes: int) -> dict[str, Rgb]:
        """RGB pictures (H, W, 3) by their name, from left to right."""
        shown = {"image": stretch_image(self.image), "target": colour_classes(self.target, num_classes)}
        if self.pred is not None:
            shown["prediction"] = colour_classes(self.pred, num_classes)
        return shown


def colour_classes(target: npt.NDArray[np.uint8], num_classes: int) -> Rgb:
    """Paint a map of classes.

    Args:
        target: uint8 (H, W), values 0..K.
        num_classes: K + 1, with background.

    Returns:
        uint8 (H, W, 3) RGB, in the colours of `palette`.
    """
    return palette(num_classes)[target]


def stretch_image(image: npt.NDArray[np.uint16]) -> Rgb:
    """Show a SAR tile in greys, stretched between two percentiles of its valid pixels; no-data is striped.

    Args:
        image: uint16 (H, W); `NODATA` where nothing was seen.

    Returns:
        uint8 (H, W, 3) RGB. A tile of one intensity is mid-grey.
    """
    rows, cols = np.indices(image.shape)
    stripes: Rgb = np.array(NODATA_STRIPES, dtype=np.uint8)[(rows + cols) // STRIPE_WIDTH % 2]
    return np.where((image != NODATA)[..., None], stretch(image)[..., None], stripes)


def choose_samples(pixels: npt.NDArray[np.int64], n_tiles: int) -> list[int]:
    """Choose tiles that show as many classes as possible, greedily; no chance is involved.

    Each further tile is the one with the most classes not yet shown, among equals the one that shows them
    largest (pixels relative to the largest tile of each class). When all are shown, a new round begins.

    Args:
        pixels: int64 (N, K + 1), pixels per tile and class, background first.
        n_tiles: how many to choose; all N if there are fewer.

    Returns:
        Row indices, in the order chosen.
    """
    classes = pixels[:, 1:]
    present = classes > 0
    size = classes / np.maximum(classes.max(axis=0, initial=0), 1)
    left, missing = list(range(len(pixels))), present.any(axis=0)
    chosen: list[int] = []
    while left and len(chosen) < n_tiles:
        if not (present[left] & missing).any():
            missing = present[left].any(axis=0)
        best = max(left, key=lambda i: ((present[i] & missing).sum(), size[i] @ missing, -i))
        chosen.append(best)
        left.remove(best)
        missing = missing & ~present[best]
    return chosen


def choose_ranks(n_ranked: int, n_tiles: int) -> dict[str, list[int]]:
    """Divide the tiles to show among the best, the median and the worst of a ranking.

    Args:
        n_ranked: how many tiles are ranked.
        n_tiles: how many to show; what three doesn't divide goes to the worst first, then to the best.

    Returns:
        Ranks (0 is the best) under `best`, `median` and `worst`, ascending; no rank twice.
    """
    third, rest = divmod(min(n_tiles, n_ranked), 3)
    n_best, n_worst = third + (rest == 2), third + (rest >= 1)
    middle = n_best + (n_ranked - n_best - n_worst - third) // 2
    return {
        "best": list(range(n_best)),
        "median": list(range(middle, middle + third)),
        "worst": list(range(n_ranked - n_worst, n_ranked)),
    }


@house_style()
def samples_figure(tiles: Sequence[Tile], class_names: Sequence[str]) -> Figure:
    """Image and target of some tiles, two or three tiles a row.

    Args:
        tiles: in reading order.
        class_names: the K classes.
    """
    per_row = 3 if len(tiles) % 3 == 0 else 2
    rows = [("", tiles[start : start + per_row]) for start in range(0, len(tiles), per_row)]
    return _tile_rows(rows, class_names)


@house_style()
def predictions_figure(groups: Mapping[str, Sequence[Tile]], class_names: Sequence[str]) -> Figure:
    """Image, target and prediction of some tiles, one row a group.

    Args:
        groups: tiles with predictions by the group's name, such as best and worst; empty groups are left out.
        class_names: the K classes.
    """
    return _tile_rows([(name, tiles) for name, tiles in groups.items() if tiles], class_names)


def _tile_rows(rows: Sequence[tuple[str, Sequence[Tile]]], class_names: Sequence[str]) -> Figure:
    """Lay out rows of tiles by hand, in inches, so that panels touch neatly whatever their number."""
    if not rows:
        return note_figure("no tile to show")
    n_panels = 2 if rows[0][1][0].pred is None else 3
    pitch = n_panels * (CELL + GAP) - GAP + TILE_GAP
    left = LABEL if any(name for name, _ in rows) else MARGIN
    width = left + max(len(tiles) for _, tiles in rows) * pitch - TILE_GAP + MARGIN
    legend_columns = int(width / LEGEND_ENTRY)
    legend_lines = -(-(len(class_names) + 2) // legend_columns)
    height = HEADING + len(rows) * (CAPTION + CELL) + 0.3 + legend_lines * LEGEND_LINE
    figure = Figure(figsize=(width, height))
    for r, (name, tiles) in enumerate(rows):
        bottom = height - HEADING - (r + 1) * (CAPTION + CELL)
        _inch_text(figure, MARGIN, bottom + CELL / 2, name, rotation=90, va="center", weight="bold")
        for t, tile in enumerate(tiles):
            _draw_tile(figure, tile, (left + t * pitch, bottom), len(class_names) + 1, headings=r == 0)
    _class_legend(figure, class_names, legend_columns)
    return figure


def _draw_tile(figure: Figure, tile: Tile, corner: tuple[float, float], num_classes: int, headings: bool) -> None:
    """One tile's panels side by side, its title above them; `corner` is the lower left one, in inches."""
    width, height = figure.get_size_inches()
    x, y = corner
    _inch_text(figure, x, y + CELL + 0.06, tile.title)
    for name, rgb in tile.panels(num_classes).items():
        axes = figure.add_axes((x / width, y / height, CELL / width, CELL / height))
        axes.imshow(rgb)
        axes.set_axis_off()
        if headings:
            _inch_text(figure, x + CELL / 2, height - 0.16, name, ha="center", color="#555555")
        x += CELL + GAP


def _inch_text(figure: Figure, x: float, y: float, text: str, **style: str | float) -> None:
    figure.text(x, y, text, style, transform=figure.dpi_scale_trans)


def _class_legend(figure: Figure, class_names: Sequence[str], columns: int) -> None:
    """The masks' colours, and no-data, at the foot of the figure."""
    names = ["background", *class_names]
    handles = [Patch(color=hex_colour(rgb), label=name) for rgb, name in zip(palette(len(names)), names, strict=True)]
    dark, light = map(hex_colour, NODATA_STRIPES)
    handles.append(Patch(facecolor=dark, edgecolor=light, hatch="/////", linewidth=0, label="no data"))
    figure.legend(handles=handles, loc="lower center", ncols=columns, handlelength=1.2, columnspacing=1.2)
