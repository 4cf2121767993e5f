"""Figures: colours, the choice of tiles, odd cases, equal bytes; and the templates that DVC draws with."""

import json
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from dvc_render import VegaRenderer
from matplotlib.image import imread

from seepseg import figures
from seepseg.base.errors import InputError
from seepseg.figures import Tile
from seepseg.passes.seep_measures import CONFIRMED, CURVE
from stages import plot

ROOT = Path(__file__).parents[2]
NAMES = ["class_1", "class_2", "class_3"]
PICTURES = [
    "annotated_confusion",
    "class_balance",
    "confusion",
    "history",
    "precision_recall",
    "predictions",
    "reliability",
    "samples",
    "worst",
]
SIDE = 24


# A small run, as the earlier stages leave it.


def write_run(folder, splits=("train", "train", "train", "val", "test", "test", "test"), n_epochs=3):
    """Write every input of the plot stage; tile i shows class i % 3 + 1, and Dice falls with i."""
    rng = np.random.default_rng(1)
    n = len(splits)
    images = rng.integers(20_000, 40_000, (n, SIDE, SIDE)).astype(np.uint16)
    images[:, :3] = 0
    targets = np.zeros((n, SIDE, SIDE), np.uint8)
    for i in range(n):
        targets[i, 8:16, 8:16] = i % 3 + 1
    tiles = [f"900001.{i:06d}" for i in range(n)]
    for name in ("data/packed", "data/predictions", "plots", "metrics"):
        (folder / name).mkdir(parents=True)
    np.save(folder / "data/packed/images.npy", images)
    np.save(folder / "data/packed/targets.npy", targets)
    (folder / "data/packed/scenes.json").write_text("{}")
    manifest = pd.DataFrame({"tile": tiles, "scene": "900001", "position": range(n), "row": 0, "col": 0})
    manifest[["nodata_fraction", "mean", "std", "min", "max"]] = (0.125, 30_000.0, 6_000.0, 20_000, 40_000)
    for value, name in enumerate(["background", *NAMES]):
        manifest[f"pixels_{name}"] = (targets == value).sum(axis=(1, 2))
    manifest.to_csv(folder / "data/packed/manifest.csv", index=False)
    split = manifest[["tile", "scene"]].assign(split=splits, inner_fold=0)
    split.to_csv(folder / "data/split.csv", index=False)
    shown = split[split["split"] != "train"].reset_index(names="index").replace({"split": {"val": "oof"}})
    shown = shown.assign(binary_dice=0.9 - 0.1 * shown["index"], macro_dice=0.5, slick_pixels=64)
    shown.to_csv(folder / "data/predictions/tiles.csv", index=False)
    pred = np.zeros_like(targets)
    pred[shown["index"]] = targets[shown["index"]]
    np.save(folder / "data/predictions/pred.npy", pred)
    measured = sorted(set(shown["split"]))
    write_tables(folder / "plots", measured, n_epochs)
    (folder / "metrics/evaluate.json").write_text(
        json.dumps({split: {"calibration_error": 0.01} for split in measured})
    )
    (folder / "params.yaml").write_text("plot: {n_tiles: 3, n_worst: 2, dpi: 50}\n")


def write_tables(folder, splits, n_epochs):
    balance(9, 0, 1).to_csv(folder / "class_balance.csv", index=False)
    history(n_epochs).to_csv(folder / "history.csv", index=False)
    class_history(n_epochs).to_csv(folder / "class_history.csv", index=False)
    pd.concat(confusion(split) for split in splits).to_csv(folder / "confusion.csv", index=False)
    pd.concat(curves(split) for split in splits).to_csv(folder / "pr.csv", index=False)
    pd.concat(reliability(split) for split in splits).to_csv(folder / "reliability.csv", index=False)
    annotated = pd.concat(confusion(split) for split in splits)
    annotated = annotated[(annotated["actual"] != "background") & (annotated["predicted"] != "background")]
    annotated.assign(slicks=1).to_csv(folder / "annotated_confusion.csv", index=False)


def balance(*counts):
    return pd.DataFrame({"class": NAMES, "pixels": counts, "tiles": counts, "objects": counts})


def history(n_epochs):
    epochs = np.arange(1, n_epochs + 1)
    measures = ["train_loss", "val_loss", "train_bce", "val_bce", "train_dice", "val_dice", "val_macro_dice"]
    return pd.DataFrame({"epoch": epochs, "lr": 1e-3} | dict.fromkeys(measures, 1 / (1 + epochs)))


def class_history(n_epochs):
    rows = [(epoch, name, 0.5) for epoch in range(1, n_epochs + 1) for name in NAMES]
    table = pd.DataFrame(rows, columns=["epoch", "class", "val_dice"])
    return table.assign(val_dice=table["val_dice"].where(table["class"] != "class_3"))


def confusion(split, counts=((900, 50, 50, 0), (25, 75, 0, 0), (0, 0, 0, 0), (0, 0, 5, 15))):
    names = ["background", *NAMES]
    rows = [
        (split, a, p, count) for a, row in zip(names, counts, strict=True) for p, count in zip(names, row, strict=True)
    ]
    return pd.DataFrame(rows, columns=["split", "actual", "predicted", "count"])


def curves(split):
    rows = [(split, name, t, 0.5 + t / 2, 1 - t) for name in NAMES for t in (0.75, 0.25, 0.5)]
    table = pd.DataFrame(rows, columns=["split", "class", "threshold", "precision", "recall"])
    table.loc[table["class"] == "class_3", ["precision", "recall"]] = None
    return table


def reliability(split):
    return pd.DataFrame({"split": split, "probability": [0.1, 0.9], "slick_share": [0.2, 0.7], "pixels": [10_000, 100]})


def a_tile(name, pred=False):
    target = np.zeros((SIDE, SIDE), np.uint8)
    target[8:16, 8:16] = 1
    return Tile(name, np.full((SIDE, SIDE), 9, np.uint16), target, target * 2 if pred else None)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def pixels(figure, dpi=100):
    return np.rint(255 * imread(BytesIO(figures.png_bytes(figure, dpi)))[..., :3]).astype(int)


# Colours


def test_palette_is_fixed_for_the_seven_classes_and_distinct_beyond():
    names = ["black", "red", "orange", "yellow", "green", "blue", "midnightblue", "purple"]
    reference = np.array([mpl.colors.to_rgb(name) for name in names])
    assert figures.palette(8).tolist() == [list(rgb) for rgb in figures.PALETTE]
    hues = mpl.colors.rgb_to_hsv(figures.palette(8)[1:] / 255)[:, 0]
    assert np.abs((hues - mpl.colors.rgb_to_hsv(reference[1:])[:, 0] + 0.5) % 1 - 0.5).max() < 0.13
    assert figures.palette(3).tolist() == figures.palette(8)[:3].tolist()
    assert len(np.unique(figures.palette(30), axis=0)) == 30


def test_classes_are_painted_in_their_colours():
    target = np.array([[0, 1, 2], [7, 0, 6]], np.uint8)
    expected = [[figures.PALETTE[value] for value in row] for row in target]
    np.testing.assert_array_equal(figures.colour_classes(target, 8), expected)


def test_image_is_stretched_over_its_valid_pixels_and_nodata_striped():
    image = np.arange(1, 10_001, dtype=np.uint16).reshape(100, 100)
    image[0, :50] = 0
    image[50, 50] = 65_535
    shown = figures.stretch_image(image)
    low, high = np.percentile(image[image > 0], (1, 99))
    assert shown[70, 70].tolist() == [round(255 * (7071 - low) / (high - low))] * 3
    assert shown[50, 50].tolist() == shown[99, 99].tolist() == [255] * 3
    assert {tuple(rgb) for rgb in shown[0, :50].tolist()} == set(figures.NODATA_STRIPES)


@pytest.mark.parametrize(("value", "colours"), [(7, {(128, 128, 128)}), (0, set(figures.NODATA_STRIPES))])
def test_image_without_contrast_or_without_data(value, colours):
    shown = figures.stretch_image(np.full((20, 20), value, np.uint16))
    assert {tuple(rgb) for rgb in shown.reshape(-1, 3).tolist()} == colours


def test_rendered_masks_show_the_palette():
    figure = figures.predictions_figure({"best": [a_tile("t", pred=True)]}, NAMES)
    shown = pixels(figure)
    height, width = shown.shape[:2]
    centres = [
        shown[round(height * (1 - box.y0 - box.height / 2)), round(width * (box.x0 + box.width / 2))].tolist()
        for box in (axes.get_position() for axes in figure.axes)
    ]
    assert centres == [[128, 128, 128], list(figures.PALETTE[1]), list(figures.PALETTE[2])]


# Which tiles


def test_samples_show_every_class_before_any_twice():
    tiles = np.array([[9, 5, 0, 0], [9, 6, 0, 0], [9, 1, 1, 0], [9, 0, 0, 1], [9, 0, 0, 0]])
    # Two classes at once, then the missing third; in the next round the largest of those with one class.
    assert figures.choose_samples(tiles, 4) == [2, 3, 1, 0]
    assert figures.choose_samples(tiles, 9) == [2, 3, 1, 0, 4]
    assert figures.choose_samples(tiles[:0], 3) == []


@pytest.mark.parametrize(
    ("n_ranked", "n_tiles", "best", "median", "worst"),
    [
        (11, 3, [0], [5], [10]),
        (11, 6, [0, 1], [4, 5], [9, 10]),
        (11, 1, [], [], [10]),
        (11, 2, [0], [], [10]),
        (11, 5, [0, 1], [5], [9, 10]),
        (4, 9, [0], [1], [2, 3]),
        (0, 3, [], [], []),
    ],
)
def test_best_median_and_worst_ranks(n_ranked, n_tiles, best, median, worst):
    assert figures.choose_ranks(n_ranked, n_tiles) == {"best": best, "median": median, "worst": worst}


# The stage


@pytest.mark.e2e
def test_stage_draws_every_picture_with_equal_bytes_in_two_runs(tmp_path):
    write_run(tmp_path)
    plot.main(tmp_path)
    first = {path.stem: path.read_bytes() for path in sorted((tmp_path / "plots").glob("*.png"))}
    assert list(first) == PICTURES
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "pink"}):  # somebody's own matplotlibrc
        plot.main(tmp_path)
    assert {name: (tmp_path / f"plots/{name}.png").read_bytes() for name in PICTURES} == first
    assert not any(b"tEXt" in content for content in first.values())


def drawn_tiles(tmp_path, monkeypatch):
    """Run the stage and return the tiles that it hands to the pictures of predictions and of the worst, by group."""
    groups = {}
    original = figures.predictions_figure
    monkeypatch.setattr(figures, "predictions_figure", lambda g, names: groups.update(g) or original(g, names))
    monkeypatch.setattr(figures, "png_bytes", lambda figure, dpi: b"")  # which takes most of the time
    plot.main(tmp_path)
    return groups


def drawn_groups(tmp_path, monkeypatch):
    """The titles of those tiles."""
    groups = drawn_tiles(tmp_path, monkeypatch)
    return {name: [tile.title for tile in tiles] for name, tiles in groups.items()}


def test_predictions_are_of_the_test_split(tmp_path, monkeypatch):
    write_run(tmp_path)
    assert drawn_groups(tmp_path, monkeypatch) == {
        "best (test)": ["900001.000004 · Dice 0.50"],
        "median (test)": ["900001.000005 · Dice 0.40"],
        "worst (test)": ["900001.000006 · Dice 0.30"],
        "worst 1 to 2 (test)": ["900001.000006 · Dice 0.30", "900001.000005 · Dice 0.40"],
    }


def test_without_test_split_predictions_are_out_of_fold_and_one_epoch_is_drawn(tmp_path, monkeypatch):
    write_run(tmp_path, splits=("train", "val", "val"), n_epochs=1)
    assert drawn_groups(tmp_path, monkeypatch) == {
        "best (oof)": ["900001.000001 · Dice 0.80"],
        "median (oof)": [],
        "worst (oof)": ["900001.000002 · Dice 0.70"],
        "worst 1 to 2 (oof)": ["900001.000002 · Dice 0.70", "900001.000001 · Dice 0.80"],
    }


def test_missed_tiles_rank_by_what_was_missed_and_tiles_without_score_not_at_all(tmp_path, monkeypatch):
    write_run(tmp_path)
    path = tmp_path / "data/predictions/tiles.csv"
    tiles = pd.read_csv(path).assign(binary_dice=[None, 0.0, None, 0.0], slick_pixels=[9, 80, 0, 20])
    tiles.to_csv(path, index=False)
    shown = drawn_groups(tmp_path, monkeypatch)
    assert shown["best (test)"] == ["900001.000006 · Dice 0.00"]
    assert shown["worst (test)"] == ["900001.000004 · Dice 0.00"]


def test_each_tile_is_drawn_with_its_own_arrays(tmp_path, monkeypatch):
    write_run(tmp_path)
    (worst,) = drawn_tiles(tmp_path, monkeypatch)["worst (test)"]
    assert worst.title.startswith("900001.000006")
    np.testing.assert_array_equal(worst.image, np.load(tmp_path / "data/packed/images.npy")[6])
    assert np.unique(worst.target).tolist() == np.unique(worst.pred).tolist() == [0, 6 % 3 + 1]


@pytest.mark.parametrize("name", ["plots/pr.csv", "data/predictions/pred.npy", "data/split.csv"])
def test_missing_input_is_named(tmp_path, name):
    write_run(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing: run `dvc repro"):
        plot.main(tmp_path)


def test_predictions_of_other_tiles_are_refused(tmp_path):
    write_run(tmp_path)
    np.save(tmp_path / "data/predictions/pred.npy", np.zeros((2, SIDE, SIDE), np.uint8))
    with pytest.raises(InputError, match=r"pred\.npy: expected the 7 packed tiles, found 2"):
        plot.main(tmp_path)


# Figures of tables


def test_class_balance_bars_are_as_long_as_the_counts():
    figure = figures.class_balance_figure(balance(900, 0, 1))
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [900, 0, 1]
    assert [text.get_text() for text in axes.texts] == ["900", "0", "1"]
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[0] == 0.5
    assert axes.yaxis_inverted()


def test_history_draws_each_curve_and_names_absent_classes():
    loss, bce, dice, per_class = figures.history_figure(history(3), class_history(3)).axes
    assert [len(axes.lines) for axes in (loss, bce, dice, per_class)] == [2, 2, 3, 3]
    np.testing.assert_array_equal(loss.lines[0].get_xydata(), [[1, 1 / 2], [2, 1 / 3], [3, 1 / 4]])
    labels = [text.get_text() for text in per_class.get_legend().get_texts()]
    assert labels == ["class_1", "class_2", "class_3 (absent)"]


def test_a_single_epoch_is_drawn_as_a_dot_and_many_epochs_without():
    assert figures.history_figure(history(1), class_history(1)).axes[0].lines[0].get_marker() == "o"
    assert figures.history_figure(history(31), class_history(31)).axes[0].lines[0].get_marker() == ""


def test_confusion_is_normalised_by_row_and_shows_counts():
    figure = figures.confusion_figure(pd.concat([confusion("oof"), confusion("test")]))
    assert [axes.get_title() for axes in figure.axes] == ["oof", "test"]
    shares = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shares[0], [0.9, 0.05, 0.05, 0])
    np.testing.assert_allclose(shares[3], [0, 0, 0.25, 0.75])
    assert shares.mask[2].all()
    assert not shares.mask[[0, 1, 3]].any()
    cells = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert cells[3, 3] == "75.0%\n15"
    assert (0, 3) not in cells


@pytest.mark.parametrize(
    ("count", "text"),
    [(9_999, "9,999"), (10_000, "10k"), (45_230, "45.2k"), (999_499, "999k"), (1_234_567, "1.23M")],
)
def test_large_counts_are_shortened(count, text):
    table = confusion("oof", ((count, 0, 0, 0), *[(0, 0, 0, 0)] * 3))
    assert figures.confusion_figure(table).axes[0].texts[0].get_text() == f"100.0%\n{text}"


def test_precision_recall_curves_run_along_the_threshold():
    figure = figures.precision_recall_figure(curves("oof"), NAMES)
    (line,) = [line for line in figure.axes[0].lines if line.get_color() == "#a00604"]
    np.testing.assert_array_equal(line.get_xydata(), [[0.75, 0.625], [0.5, 0.75], [0.25, 0.875]])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["class_1", "class_2", "class_3 (absent)"]


def test_the_point_of_the_accepted_slicks_is_marked():
    chosen = {"split": "oof", "class": "any", "threshold": np.nan, "precision": 0.7, "recall": 0.6}
    figure = figures.precision_recall_figure(pd.concat([curves("oof"), pd.DataFrame([chosen])]), NAMES)
    (point,) = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    assert point.get_xydata().tolist() == [[0.6, 0.7]]
    assert figure.legends[0].get_texts()[-1].get_text() == "accepted slicks"


def test_reliability_shows_shares_over_probabilities_and_the_error():
    figure = figures.reliability_figure(pd.concat([reliability("oof"), reliability("test")]), {"oof": 0.0123})
    above = figure.axes[0]
    assert above.lines[1].get_xydata().tolist() == [[0.1, 0.2], [0.9, 0.7]]
    assert [axes.get_title() for axes in figure.axes[:2]] == ["oof · calibration error 0.0123", "test"]
    assert [bar.get_height() for bar in figure.axes[2].patches] == [10_000, 100]


def test_lines_of_equal_f1_have_that_f1():
    recall, precision = figures.precision_recall_figure(curves("oof"), NAMES).axes[0].lines[1].get_xydata().T
    np.testing.assert_allclose(2 * precision * recall / (precision + recall), 0.4)


def test_nothing_to_show_is_said_in_the_picture():
    assert texts(figures.samples_figure([], NAMES)) == ["no tile to show"]
    assert texts(figures.predictions_figure({"best": [], "worst": []}, NAMES)) == ["no tile to show"]
    assert "nothing was evaluated" in texts(figures.confusion_figure(confusion("oof").iloc[:0]))[0]
    assert "nothing was evaluated" in texts(figures.precision_recall_figure(curves("oof").iloc[:0], NAMES))[0]
    assert "nothing was evaluated" in texts(figures.reliability_figure(reliability("oof").iloc[:0], {}))[0]


def test_legend_names_every_class_whatever_their_number():
    names = [f"class {i} at $^$" for i in range(19)]
    figure = figures.samples_figure([a_tile("t")], names)
    figures.png_bytes(figure, 50)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["background", *names, "no data"]


# Templates of dvc plots


TEMPLATES = {
    "history": history(2),
    "class_history": class_history(2),
    "class_balance": balance(9, 0, 1),
    "confusion": confusion("oof"),
    "pr": curves("oof"),
    "reliability": reliability("oof"),
    "split_pixels": balance(9, 0, 1)[["class", "pixels", "tiles"]].assign(split="train"),
    "seeps_curve": pd.DataFrame(
        [("known", "seepseg", 1, 0.9, 1.0, 0.5), ("known", "published_rule", 1, None, 0, 0)], columns=CURVE
    ),
    "seeps_confirmed": pd.DataFrame([(1, 0.9, 1, 1, 1.0, 0.3, None, None)], columns=CONFIRMED),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_dvc_fills_each_template_with_every_column_and_leaves_no_anchor(name):
    # The renderer that `dvc plots` calls, with rows as DVC reads them from CSV: every value a text.
    assert json.loads((ROOT / f".dvc/plots/{name}.json").read_text())["data"] == {"values": "<DVC_METRIC_DATA>"}
    table = TEMPLATES[name].astype(object).where(TEMPLATES[name].notna(), "").astype(str)
    rows = [row | {"rev": rev} for rev in ("main", "workspace") for row in table.to_dict("records")]
    properties = {"template": name, "title": "A title", "x": "step", "y": table.columns[-1]}
    rows = [row | {"step": str(i)} for i, row in enumerate(rows)]
    filled = VegaRenderer(rows, name, template_dir=str(ROOT / ".dvc/plots"), **properties).get_filled_template()
    text = json.dumps(filled)
    assert "<DVC_METRIC" not in text
    assert filled["title"]["text"] == "A title"
    assert filled["data"]["values"] == rows
    assert '"rev"' in text


def test_every_template_is_checked():
    assert {path.stem for path in (ROOT / ".dvc/plots").iterdir()} == set(TEMPLATES)
