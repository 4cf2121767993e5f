"""Every key of params.yaml with values that it can't have: one clear line each, which names key, expected and found."""

import math

import pytest
import yaml
from conftest import ROOT

from seepseg.base.errors import InputError
from seepseg.base.params import load_params
from tools.params_file import SECTIONS

DEFAULTS = yaml.safe_load((ROOT / "params.yaml").read_text())
TABLES = {"data.grid_columns"}  # whose keys are the user's
# By the type of the default; no number here may be negative.
WRONG = {
    bool: [1, "yes", None, [True]],
    int: [True, 2.5, "3", None, [1], -1, math.inf],
    float: [True, "much", "0.5", None, [0.5], -0.5, math.nan, math.inf],
    str: [1, True, ["unet"], {"name": "unet"}],
    list: ["text", 1, None, {"a": 1}],
    dict: ["text", 1, None, [1], {"0418": "wide"}, {"0418": [1]}, {"0418": 1.5}],
    type(None): [1, True, ["file"]],
}


def keys(section, block):
    """Every key below a section, with its default."""
    for name, value in block.items():
        key = f"{section}.{name}"
        if isinstance(value, dict) and key not in TABLES:
            yield from keys(key, value)
        else:
            yield key, value


KEYS = [pair for section in SECTIONS for pair in keys(section, DEFAULTS[section])]


def changed(key, value):
    """A section with that key alone, as all others have defaults."""
    for step in reversed(key.split(".")):
        value = {step: value}
    return value


def message(tmp_path, section, document):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(InputError) as caught:
        load_params(SECTIONS[section], section, path)
    return str(caught.value).replace(str(path), "params.yaml")


def test_there_is_a_block_for_every_section():
    assert list(SECTIONS) == list(DEFAULTS)
    assert len(KEYS) > 100


@pytest.mark.parametrize(("key", "default"), KEYS, ids=[key for key, _ in KEYS])
def test_a_wrong_value_is_one_clear_line(tmp_path, key, default):
    for value in WRONG[type(default)]:
        text = message(tmp_path, key.split(".")[0], changed(key, value))
        assert text.startswith(f"params.yaml: {key}"), text
        assert ": expected " in text and ("found " in text or isinstance(value, dict)), text
        assert "\n" not in text and len(text) < 400, text
        assert "Input should" not in text and "pydantic" not in text, text


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key(tmp_path, section):
    text = message(tmp_path, section, {section: DEFAULTS[section] | {"extra_key": 1}})
    assert text.startswith(f"params.yaml: unknown key '{section}.extra_key'; ")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("data.name_pattern", "(", "a regular expression"),
        ("data.name_pattern", "x", "a regular expression with the group"),
        ("data.class_names", ["a", "a"], "names that differ from each other"),
        ("data.class_names", ["background"], "other than 'background'"),
        ("data.class_names", [], "at least 1"),
        ("split.fold", 5, "at most 4, as split.n_folds is 5"),
        ("split.n_folds", 2, "greater than or equal to 3"),
        ("split.val_fraction", 1.0, "less than 1"),
        ("model.unet.stem", 3, "1, 2 or 4"),
        ("model.unet.depth", 1, "greater than or equal to 2"),
        ("model.attention_unet.depth", 2, "greater than or equal to 3"),
        ("model.resnet_unet.depth", 6, "less than or equal to 5"),
        ("loss.schedule", [["dice", 0]], "greater than or equal to 1"),
        ("loss.schedule", [["dic", 1]], "'bce'"),
        ("loss.dicebce.bce_weight", 1.5, "less than or equal to 1"),
        ("loss.unified_focal.gamma", 1.0, "less than 1"),
        ("input.channels", ["lees"], "did you mean 'lee'?"),
        ("input.channels", [], "at least 1 item"),
        ("input.channels", ["lee", "lee"], "channels that differ"),
        ("sampling.class_share", 2.0, "less than or equal to 1"),
        ("train.ema_decay", 1.0, "less than 1"),
        ("train.warmup_epochs", 20, "warmup_epochs below epochs 20"),
        ("train.devices", 9, "devices of at most half of batch_size 16"),
        ("train.lr", 0.0, "greater than 0"),
        ("detect.threshold", 1.0, "less than 1"),
        ("detect.tta", 2, "1, 4 or 8"),
        ("detect.backend", "openvino", "'eager' or 'compile'"),
        ("evaluate.object_iou", 0.0, "greater than 0"),
        ("classify.dropout", 1.0, "less than 1"),
        ("classify.postprocessing.accept", "judged", "'classifier' or 'peak'"),
        ("plot.dpi", 1200, "less than or equal to 600"),
    ],
)
def test_values_out_of_range(tmp_path, key, value, expected):
    section = key.split(".")[0]
    text = message(tmp_path, section, changed(key, value))
    assert text.startswith(f"params.yaml: {section}") and "\n" not in text
    assert expected in text
