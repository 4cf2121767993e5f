"""Tables of slicks as detect hands them on."""

import numpy as np
import pandas as pd
import pytest

from seepseg.base.errors import InputError
from seepseg.base.files import write_csv
from seepseg.detection.slick_table import ENDS, feature_columns, in_whole_grid, out_of_fold, read_slick_table

TABLE = pd.DataFrame(
    {
        "split": ["oof", "oof", "test"],
        "scene": ["0418", "NA", "0455"],
        "slick": [1, 1, 1],
        "area": [240, 16, 9],
        **{name: [1.5, 2.5, 3.5] for name in ENDS},
        "network": [0, 1, 0],
        "log_area": [5.5, 2.8, 2.2],
        "prob_peak": [0.9, 0.8, 0.7],
        "pixels_oil": [3, 0, 0],
        "pixels_gas": [0, 0, 9],
        "match": [1, 0, 1],
        "iou": [0.1, 0.0, 1.0],
    }
)


def test_scenes_are_names_whatever_they_look_like(tmp_path):
    write_csv(tmp_path / "candidates.csv", TABLE)
    table = read_slick_table(tmp_path / "candidates.csv", ["oil", "gas"])
    pd.testing.assert_frame_equal(table, TABLE, check_dtype=False)
    assert table["scene"].tolist() == ["0418", "NA", "0455"]


def test_features_are_all_that_is_measured_and_nothing_that_is_annotated():
    assert feature_columns(TABLE) == ["log_area", "prob_peak"]


def test_out_of_fold_are_the_training_scenes():
    table = out_of_fold(TABLE)
    assert table["scene"].tolist() == ["0418", "NA"] and "split" not in table


def test_a_missing_table_names_the_stage_to_run(tmp_path):
    with pytest.raises(InputError, match=r"candidates\.csv is missing: run `dvc repro detect`"):
        read_slick_table(tmp_path / "candidates.csv", [])


def test_a_table_of_other_classes_is_refused(tmp_path):
    write_csv(tmp_path / "candidates.csv", TABLE)
    with pytest.raises(InputError, match="columns pixels_ship are missing; run `dvc repro detect`"):
        read_slick_table(tmp_path / "candidates.csv", ["oil", "ship"])


def test_ends_lie_in_the_whole_grid_of_the_scene():
    """Only places move; without a grid there is none."""
    moved = in_whole_grid(TABLE, (256, 1024))
    assert moved["x_2"].tolist() == [1025.5, 1026.5, 1027.5] and moved["y_1"].tolist() == [257.5, 258.5, 259.5]
    nowhere = in_whole_grid(TABLE, None)
    places = ["x_1", "y_1", "x_2", "y_2"]
    assert np.isnan(nowhere[places]).all(axis=None) and list(nowhere) == list(TABLE)
    for table in (moved, nowhere):
        pd.testing.assert_frame_equal(table.drop(columns=places), TABLE.drop(columns=places))
