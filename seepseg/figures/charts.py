"""Pictures of tables: curves, bars, matrices."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from seepseg.base.colours import class_colours
from seepseg.figures.style import house_style, note_figure

TRAIN_COLOUR, VAL_COLOUR, EXTRA_COLOUR = "#8a8f99", "#0b5cad", "#d1495b"


@house_style()
def class_balance_figure(balance: pd.DataFrame) -> Figure:
    """Bars of pixels, tiles and objects per class, on logarithmic axes, each bar with its number.

    Args:
        balance: columns `class`, `pixels`, `tiles`, `objects`; one row per class, without background.
    """
    names = list(balance["class"])
    colours = list(class_colours(names).values())
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


@house_style()
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
    for name, colour in class_colours(names).items():
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


@house_style()
def confusion_figure(confusion: pd.DataFrame) -> Figure:
    """Confusion matrices, one panel per split: shares of each row as shade, with counts as text.

    Args:
        confusion: columns `split`, `actual`, `predicted`, `count` (pixels), classes in order from
            background on. A class without pixels has a grey row.
    """
    splits = list(confusion["split"].unique())
    if not splits:
        return note_figure("no confusion matrix: nothing was evaluated")
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


@house_style()
def precision_recall_figure(curves: pd.DataFrame, class_names: Sequence[str]) -> Figure:
    """Precision over recall per class, one panel per split, over lines of equal F1.

    Args:
        curves: columns `split`, `class`, `threshold`, `precision`, `recall`; the last two may be missing. A row without
            a threshold is the point of the accepted slicks, after post-processing, and is marked.
        class_names: the K classes, for colours and order; further names in the table are drawn in black.
    """
    splits = list(curves["split"].unique())
    if not splits:
        return note_figure("no precision-recall curve: nothing was evaluated")
    figure = Figure(figsize=(4.2 * len(splits) + 1.3, 4.2), layout="constrained")
    panels = figure.subplots(1, len(splits), squeeze=False, sharey=True)[0]
    colours = dict.fromkeys(curves["class"].unique(), "black") | class_colours(class_names)
    for axes, split in zip(panels, splits, strict=True):
        _f1_lines(axes)
        for name, colour in colours.items():
            rows = curves[(curves["split"] == split) & (curves["class"] == name)].sort_values("threshold")
            accepted = rows["threshold"].isna()
            axes.plot(rows["recall"][~accepted], rows["precision"][~accepted], color=colour)
            if accepted.any():
                axes.plot(rows["recall"][accepted], rows["precision"][accepted], color=colour, marker="o", linestyle="")
        axes.set(xlim=(0, 1.01), ylim=(0, 1.01), aspect="equal", xlabel="recall", title=split)
    panels[0].set_ylabel("precision")
    present = set(curves.dropna(subset=["precision", "recall"])["class"])
    handles = [
        Line2D([], [], color=colour, label=name if name in present else f"{name} (absent)")
        for name, colour in colours.items()
    ]
    if curves["threshold"].isna().any():
        handles.append(Line2D([], [], color="black", marker="o", linestyle="", label="accepted slicks"))
    figure.legend(handles=handles, loc="outside right center")
    return figure


@house_style()
def reliability_figure(reliability: pd.DataFrame, errors: Mapping[str, float | None]) -> Figure:
    """Share of slick by the probability of any class, one panel per split, over the number of pixels.

    Args:
        reliability: columns `split`, `probability`, `slick_share`, `pixels`, a row for each bin of probability.
        errors: of each split the expected calibration error, `None` where there is none.
    """
    splits = list(reliability["split"].unique())
    if not splits:
        return note_figure("no reliability diagram: nothing was evaluated")
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
