"""The ensemble that names slicks by their properties."""

import numpy as np
import pandas as pd
import pytest
import torch

from seepseg.errors import InputError
from seepseg.naming import Ensemble, NamingParams, fit_namer, load_namer, save_namer

PARAMS = {
    "members": 3,
    "hidden": 16,
    "epochs": 60,
    "batch_size": 16,
    "lr": 1e-2,
    "weight_decay": 0.0,
    "dropout": 0.1,
    "noise": 0.05,
    "class_power": 0.5,
    "area_power": 0.0,
    "seed": 1,
}
NAMES = ["oil", "gas", "ship"]


def slicks(n=240, seed=0):
    """Class by the angle of two properties of very different size; a third one means nothing."""
    generator = np.random.default_rng(seed)
    a, b, noise = generator.normal(size=(3, n))
    classes = np.digitize(np.arctan2(b, a), [-1, 1])
    table = pd.DataFrame({"a": 1000 * a + 5000, "b": b / 100, "noise": noise}).astype(np.float32)
    return table, classes.astype(np.int64), np.ones(n, np.int64)


def fit(n=240, **values):
    return fit_namer(*slicks(n), NAMES, NamingParams(**PARAMS | values))


def test_it_learns_what_properties_tell():
    table, classes, _ = slicks(seed=1)
    probs = fit().probs(table)
    assert probs.shape == (240, 3) and probs.dtype == np.float32
    np.testing.assert_allclose(probs.sum(1), 1, rtol=1e-5)
    assert (probs.argmax(1) == classes).mean() > 0.9


def test_an_ensemble_is_perceptrons_side_by_side():
    torch.manual_seed(0)
    ensemble = Ensemble(2, 4, 5, 3).eval()
    x = torch.randn(2, 7, 4)
    for member in range(2):
        y = x[member]
        for layer in range(3):
            y = y @ ensemble.weights[layer][member] + ensemble.biases[layer][member]
            y = y.relu() if layer < 2 else y
        torch.testing.assert_close(ensemble(x)[member], y)


def test_weights_by_class_and_area():
    table = pd.DataFrame({"a": np.zeros(100, np.float32)})  # nothing to tell them apart by
    classes, areas = np.repeat([0, 1], [80, 20]), np.repeat([1, 100], [80, 20])

    def share(**values):
        params = NamingParams(**PARAMS | {"members": 2, "dropout": 0.0, "epochs": 100} | values)
        return fit_namer(table, classes, areas, ["x", "y"], params).probs(table)[0, 1]

    assert share(class_power=0.0) == pytest.approx(0.2, abs=0.04)
    assert share(class_power=1.0) == pytest.approx(0.5, abs=0.04)
    assert share(class_power=0.0, area_power=0.5) == pytest.approx(200 / 280, abs=0.04)


def test_far_out_values_count_as_four_deviations():
    namer = fit()
    table = slicks()[0]
    far, farther = table.copy(), table.copy()
    far["a"], farther["a"] = 5000 + 4.5e3, 1e9
    np.testing.assert_array_equal(namer.probs(far), namer.probs(farther))


def test_no_slick_gives_no_row():
    assert fit().probs(slicks()[0].iloc[:0]).shape == (0, 3)


def test_same_seed_same_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        save_namer(tmp_path / name, fit(epochs=2, seed=seed))
    content = [(tmp_path / name).read_bytes() for name in "abc"]
    assert content[0] == content[1] != content[2]


def test_a_namer_survives_its_file(tmp_path):
    namer, table = fit(epochs=3), slicks()[0]
    save_namer(tmp_path / "namer.safetensors", namer)
    loaded = load_namer(tmp_path / "namer.safetensors")
    assert loaded.meta == namer.meta and loaded.meta.class_names == NAMES
    np.testing.assert_array_equal(loaded.probs(table[["noise", "b", "a"]]), namer.probs(table))  # by name, not by place


def test_nothing_to_learn_from():
    with pytest.raises(InputError, match="expected slicks in the training split, found none"):
        fit(n=0)


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "model", "version"])
def test_a_wrong_file_is_one_clear_line(tmp_path, damage):
    path = tmp_path / "namer.safetensors"
    save_namer(path, fit(epochs=1))
    content = path.read_bytes()
    match damage:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(content[:-5])
        case "model":
            path.write_bytes(content.replace(b'\\"hidden\\"', b'\\"hidten\\"'))
        case "version":
            path.write_bytes(content.replace(b'\\"version\\": 1', b'\\"version\\": 7'))
    with pytest.raises(InputError, match=r"namer\.safetensors") as error:
        load_namer(path)
    assert "dvc repro name" in str(error.value)
    assert len(str(error.value).splitlines()) == 1
