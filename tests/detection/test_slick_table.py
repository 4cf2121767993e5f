"""Tables of slicks as detect hands them on."""

import pandas as pd
import pytest

from seepseg.base.errors import InputError
from seepseg.base.files import write_csv
from seepseg.detection.slick_table import feature_columns, out_of_fold, read_slick_table

TABLE = pd.DataFrame(
    {
        "split": ["oof", "oof", "test"],
        "scene": ["0418", "NA", "0455"],
        "slick": [1, 1, 1],
        "area": [240, 16, 9],
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
