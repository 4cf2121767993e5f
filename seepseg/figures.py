"""Pictures for people: arrays and tables in, matplotlib figures out. No file, no path, no pyplot state."""

import colorsys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator

from seepseg.packed import NODATA

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
NODATA_STRIPES = ((74, 80, 96), (104, 112, 132))  # bluish, since no grey of a SAR image is
STRIPE_WIDTH = 6  # pixels, along a row
STRETCH = (1.0, 99.0)  # percentiles shown as black and white; single bright ships must not darken the sea

TRAIN_COLOUR, VAL_COLOUR, EXTRA_COLOUR = "#8a8f99", "#0b5cad", "#d1495b"
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


@contextmanager
def _style() -> Iterator[None]:
    """Draw in the house's style whatever the user's matplotlibrc says: equal input, equal pixels."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@_style()
def png_bytes(figure: Figure, dpi: int) -> bytes:
    """Render a figure as PNG without metadata: the same figure gives the same bytes.

    Args:
        figure: any figure of this module.
        dpi: pixels per inch.
    """
    FigureCanvasAgg(figure)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None}, facecolor="white")
    return buffer.getvalue()


# --- colours --------------------------------------------------------------------------------------


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
    valid = image != NODATA
    rows, cols = np.indices(image.shape)
    shown: Rgb = np.array(NODATA_STRIPES, dtype=np.uint8)[(rows + cols) // STRIPE_WIDTH % 2]
    if valid.any():
        low, high = np.percentile(image[valid], STRETCH)
        share = (image[valid] - low) / (high - low) if high > low else np.full(valid.sum(), 0.5)
        shown[valid] = np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)[:, None]
    return shown


def _class_colours(names: Sequence[str]) -> dict[str, str]:
    """Colour of each class by its name."""
    return {name: _hex(rgb) for name, rgb in zip(names, palette(len(names) + 1)[1:], strict=True)}


def _hex(rgb: Iterable[int]) -> str:
    return "#" + "".join(f"{part:02x}" for part in rgb)


# --- which tiles to show --------------------------------------------------------------------------


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


# --- figures of tiles -----------------------------------------------------------------------------

CELL, GAP = 1.9, 0.06  # inches: side of a panel, space between the panels of a tile
MARGIN, TILE_GAP, LABEL, HEADING, CAPTION = 0.1, 0.22, 0.3, 0.22, 0.26  # inches
LEGEND_ENTRY, LEGEND_LINE = 1.1, 0.18  # inches: width and height


@_style()
def samples_figure(tiles: Sequence[Tile], class_names: Sequence[str]) -> Figure:
    """Image and target of some tiles, two or three tiles a row.

    Args:
        tiles: in reading order.
        class_names: the K classes.
    """
    per_row = 3 if len(tiles) % 3 == 0 else 2
    rows = [("", tiles[start : start + per_row]) for start in range(0, len(tiles), per_row)]
    return _tile_rows(rows, class_names)


@_style()
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
        return _note_figure("no tile to show")
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
    handles = [Patch(color=_hex(rgb), label=name) for rgb, name in zip(palette(len(names)), names, strict=True)]
    dark, light = map(_hex, NODATA_STRIPES)
    handles.append(Patch(facecolor=dark, edgecolor=light, hatch="/////", linewidth=0, label="no data"))
    figure.legend(handles=handles, loc="lower center", ncols=columns, handlelength=1.2, columnspacing=1.2)


def _note_figure(text: str) -> Figure:
    """Stand in for a picture that has nothing to show: the pipeline's output must exist all the same."""
    figure = Figure(figsize=(6, 1.5))
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#555555", fontsize=11)
    return figure


# --- figures of tables ----------------------------------------------------------------------------


@_style()
def class_balance_figure(balance: pd.DataFrame) -> Figure:
    """Bars of pixels, tiles and objects per class, on logarithmic axes, each bar with its number.

    Args:
        balance: columns `class`, `pixels`, `tiles`, `objects`; one row per class, without background.
    """
    names = list(balance["class"])
    colours = list(_class_colours(names).values())
    figure = Figure(figsize=(10, 0.34 * len(names) + 1.2), layout="constrained")
    for axes, column in zip(figure.subplots(1, 3, sharey=True), ("pixels", "tiles", "objects"), strict=True):
        counts = balance[column].to_numpy()
        axes.barh(names, counts, color=colours, height=0.72)
        # Room for one number right of the longest bar; the axis starts below 1, so that a bar of 1 is seen.
        axes.set(xscale="log", xlim=(0.5, max(counts.max(initial=1), 1) ** 1.3 * 3), title=column)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.minorticks_off()
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        for row, count in enumerate(counts):
            axes.annotate(f"{count:,}", (max(count, 0.5), row), (4, 0), textcoords="offset points", va="center", size=8)
    figure.axes[0].invert_yaxis()
    return figure


@_style()
def history_figure(history: pd.DataFrame, class_history: pd.DataFrame) -> Figure:
    """Curves over epochs: loss, binary cross-entropy, Dice, and validation Dice per class.

    Args:
        history: columns `epoch`, and `<split>_loss`, `<split>_bce`, `<split>_dice` (binary) of train and val,
            `val_macro_dice`; one row per epoch.
        class_history: columns `epoch`, `class`, `val_dice` (missing: class absent), classes in order.
    """
    figure = Figure(figsize=(10, 6.2), layout="constrained")
    (loss, bce), (dice, per_class) = figure.subplots(2, 2, sharex=True)
    for axes, measure, title in (
        (loss, "loss", "Loss"),
        (bce, "bce", "Binary cross-entropy"),
        (dice, "dice", "Dice"),
    ):
        what = ", slick or not" if axes is dice else ""
        _curve(axes, history["epoch"], history[f"train_{measure}"], f"train{what}", TRAIN_COLOUR)
        _curve(axes, history["epoch"], history[f"val_{measure}"], f"validation{what}", VAL_COLOUR)
        axes.set_title(title)
    _curve(dice, history["epoch"], history["val_macro_dice"], "validation, mean over classes", EXTRA_COLOUR)
    names = list(class_history["class"].unique())
    for name, colour in _class_colours(names).items():
        rows = class_history[class_history["class"] == name]
        label = name if rows["val_dice"].notna().any() else f"{name} (absent)"
        _curve(per_class, rows["epoch"], rows["val_dice"], label, colour)
    per_class.set_title("Validation Dice per class")
    for axes in (loss, bce, dice, per_class):
        axes.grid()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.tick_params(labelbottom=True)
    for axes in (dice, per_class):
        axes.set(xlabel="epoch", ylim=(0, 1))
    for axes in (loss, bce, dice):
        axes.legend()
    per_class.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _curve(axes: Axes, x: pd.Series, y: pd.Series, label: str, colour: str) -> None:
    """One line; dots where there are few points, without which a single one would not show."""
    axes.plot(x, y, label=label, color=colour, marker="o" if len(x) <= 30 else "")


@_style()
def confusion_figure(confusion: pd.DataFrame) -> Figure:
    """Confusion matrices, one panel per split: shares of each row as shade, with counts as text.

    Args:
        confusion: columns `split`, `actual`, `predicted`, `count` (pixels), classes in order from
            background on. A class without pixels has a grey row.
    """
    splits = list(confusion["split"].unique())
    if not splits:
        return _note_figure("no confusion matrix: nothing was evaluated")
    names = list(confusion["actual"].unique())
    side = 0.68 * len(names) + 1.4
    figure = Figure(figsize=(side * len(splits), side), layout="constrained")
    for axes, split in zip(figure.subplots(1, len(splits), squeeze=False).flat, splits, strict=True):
        table = confusion[confusion["split"] == split].pivot(index="actual", columns="predicted", values="count")
        _confusion_panel(axes, table.loc[names, names].to_numpy(), names)
        axes.set_title(split)
    return figure


def _confusion_panel(axes: Axes, counts: npt.NDArray[np.int64], names: Sequence[str]) -> None:
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.ma.masked_array(counts / np.maximum(totals, 1), mask=np.broadcast_to(totals == 0, counts.shape))
    colours = mpl.colormaps["Blues"].with_extremes(bad="#ececec")
    axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="actual (a row adds up to 100%)")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(np.arange(1, len(names)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(names)) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    for row, column in np.ndindex(counts.shape):
        if counts[row, column]:
            text = f"{shares[row, column]:.1%}\n{_short(int(counts[row, column]))}"
            colour = "white" if shares[row, column] > 0.55 else "#222222"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7.5, linespacing=1.3)


def _short(count: int) -> str:
    """A count in few characters: 9,999, 45.2k, 1.23M."""
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1e3:.3g}k" if count < 999_500 else f"{count / 1e6:.3g}M"


@_style()
def precision_recall_figure(curves: pd.DataFrame, class_names: Sequence[str]) -> Figure:
    """Precision over recall per class, one panel per split, over lines of equal F1.

    Args:
        curves: columns `split`, `class`, `threshold`, `precision`, `recall`; the last two may be missing. A row without
            a threshold is the point where the decision rule stands, and is marked.
        class_names: the K classes, for colours and order; further names in the table are drawn in black.
    """
    splits = list(curves["split"].unique())
    if not splits:
        return _note_figure("no precision-recall curve: nothing was evaluated")
    figure = Figure(figsize=(4.2 * len(splits) + 1.3, 4.2), layout="constrained")
    panels = figure.subplots(1, len(splits), squeeze=False, sharey=True)[0]
    colours = dict.fromkeys(curves["class"].unique(), "black") | _class_colours(class_names)
    for axes, split in zip(panels, splits, strict=True):
        _f1_lines(axes)
        for name, colour in colours.items():
            rows = curves[(curves["split"] == split) & (curves["class"] == name)].sort_values("threshold")
            chosen = rows["threshold"].isna()
            axes.plot(rows["recall"][~chosen], rows["precision"][~chosen], color=colour)
            if chosen.any():
                axes.plot(rows["recall"][chosen], rows["precision"][chosen], color=colour, marker="o", linestyle="")
        axes.set(xlim=(0, 1.01), ylim=(0, 1.01), aspect="equal", xlabel="recall", title=split)
    panels[0].set_ylabel("precision")
    present = set(curves.dropna(subset=["precision", "recall"])["class"])
    handles = [
        Line2D([], [], color=colour, label=name if name in present else f"{name} (absent)")
        for name, colour in colours.items()
    ]
    if curves["threshold"].isna().any():
        handles.append(Line2D([], [], color="black", marker="o", linestyle="", label="as decided"))
    figure.legend(handles=handles, loc="outside right center")
    return figure


@_style()
def reliability_figure(reliability: pd.DataFrame, errors: Mapping[str, float | None]) -> Figure:
    """Share of slick by the probability of any class, one panel per split, over the number of pixels.

    Args:
        reliability: columns `split`, `probability`, `slick_share`, `pixels`, a row for each bin of probability.
        errors: of each split the expected calibration error, `None` where there is none.
    """
    splits = list(reliability["split"].unique())
    if not splits:
        return _note_figure("no reliability diagram: nothing was evaluated")
    figure = Figure(figsize=(4.2 * len(splits), 5.2), layout="constrained")
    panels = figure.subplots(2, len(splits), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1))
    for (above, below), split in zip(panels.T, splits, strict=True):
        rows = reliability[reliability["split"] == split].sort_values("probability")
        above.plot([0, 1], [0, 1], color="#8a8a8a", linewidth=0.8)
        above.plot(rows["probability"], rows["slick_share"], marker="o", markersize=3, color="#1f77b4")
        error = errors.get(split)
        above.set(title=split if error is None else f"{split} · calibration error {error:.4f}", ylim=(0, 1))
        below.bar(rows["probability"], rows["pixels"], width=0.012, color="#1f77b4")
        below.set(yscale="log", xlim=(0, 1), xlabel="probability of any class")
        below.yaxis.set_major_formatter(lambda count, _: _short(int(count)))
    panels[0, 0].set_ylabel("share of slick")
    panels[1, 0].set_ylabel("pixels")
    return figure


def _f1_lines(axes: Axes) -> None:
    """Lines of equal F1 = 2 P R / (P + R), from R = 1, where P = F1 / (2 - F1), up to P = 1."""
    for f1 in (0.2, 0.4, 0.6, 0.8):
        precision = np.linspace(f1 / (2 - f1), 1, 100)
        axes.plot(f1 * precision / (2 * precision - f1), precision, color="#dcdcdc", linewidth=0.8)
        axes.text(1.02, f1 / (2 - f1), f"F1 {f1}", va="center", color="#8a8a8a", fontsize=7)
