"""The ensembles that judge slicks by their properties."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch

from seepseg.base.errors import InputError
from seepseg.base.tensor_file import write_tensors
from seepseg.detection.classifier import (
    NAMERS,
    Ensemble,
    NamersMeta,
    NamingParams,
    fit_namer,
    judge_all,
    load_namers,
    save_namers,
)

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
    "recurrence": False,
    "seed": 1,
}
NAMES = ["oil", "gas", "ship"]


def meta(**values):
    fixed = {"class_names": NAMES, "features": ["a", "b", "noise"], "namers": 1, "members": 3, "hidden": 16}
    return NamersMeta(**fixed | values)


def slicks(n=240, seed=0):
    """Class by the angle of two properties of very different size; a third one means nothing."""
    generator = np.random.default_rng(seed)
    a, b, noise = generator.normal(size=(3, n))
    classes = np.digitize(np.arctan2(b, a), [-1, 1])
    table = pd.DataFrame({"a": 1000 * a + 5000, "b": b / 100, "noise": noise}).astype(np.float32)
    table[[f"pixels_{name}" for name in NAMES]] = 10 * np.eye(3, dtype=int)[classes]
    return table.assign(area=10, scene=0, slick=np.arange(n), network=0)


def outlines(n=240, seed=0):
    """Slicks where a is large, look-alikes elsewhere, of which a fifth is annotated all the same."""
    table = slicks(n, seed)
    is_slick = table["a"] > 5000
    table[[f"pixels_{name}" for name in NAMES]] = 0
    table["pixels_oil"] = np.where(is_slick, 8, 2)
    return table.assign(iou=np.where(is_slick, 0.7, 0.1))


def fit(n=240, **values):
    return fit_namer(slicks(n), outlines(n), meta(), NamingParams(**PARAMS | values), 0.3)


def test_it_learns_what_properties_tell():
    table = slicks(seed=1)
    said = fit().judge(table)
    assert said.classes.shape == (240, 3)
    np.testing.assert_allclose(said.classes.sum(1), 1, rtol=1e-5)
    classes = table[[f"pixels_{name}" for name in NAMES]].to_numpy().argmax(axis=1)
    assert (said.classes.argmax(1) == classes).mean() > 0.9


def test_it_tells_slicks_from_look_alikes():
    table = slicks(seed=1)
    said, is_slick = fit().judge(table), (table["a"] > 5000).to_numpy()
    assert ((said.found > 0.5) == is_slick).mean() > 0.9
    assert np.median(said.share[is_slick]) == pytest.approx(0.8, abs=0.07)
    assert np.median(said.share[~is_slick]) == pytest.approx(0.2, abs=0.07)


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
    classes, areas = np.repeat([0, 1], [80, 20]), np.repeat([1, 100], [80, 20])
    table = pd.DataFrame({"a": np.zeros(100, np.float32)})  # nothing to tell them apart by
    table["pixels_x"], table["pixels_y"] = areas * (classes == 0), areas * (classes == 1)

    def share(**values):
        params = NamingParams(**PARAMS | {"members": 2, "dropout": 0.0, "epochs": 100} | values)
        described = meta(class_names=["x", "y"], features=["a"], members=2)
        return fit_namer(table, table[:0], described, params, 0.3).judge(table).classes[0, 1]

    assert share(class_power=0.0) == pytest.approx(0.2, abs=0.04)
    assert share(class_power=1.0) == pytest.approx(0.5, abs=0.04)
    assert share(class_power=0.0, area_power=0.5) == pytest.approx(200 / 280, abs=0.04)


def test_far_out_values_count_as_four_deviations():
    namer = fit()
    far, farther = slicks(), slicks()
    far["a"], farther["a"] = 5000 + 4.5e3, 1e9
    np.testing.assert_array_equal(namer.judge(far).classes, namer.judge(farther).classes)


def test_no_slick_gives_no_row():
    said = fit().judge(slicks().iloc[:0])
    assert said.classes.shape == (0, 3) and said.found.shape == said.share.shape == (0,)


def test_each_row_is_judged_by_the_namer_of_its_network_and_the_mean_counts():
    namers, table = [fit(seed=1), fit(seed=2)], slicks(4)
    both = pd.concat([table, table.assign(network=1)]).sort_values(["slick", "network"])
    first, second = (namer.judge(table) for namer in namers)
    said = judge_all(namers, both)
    np.testing.assert_allclose(said.classes, (first.classes + second.classes) / 2)
    np.testing.assert_allclose(said.found, (first.found + second.found) / 2)
    mixed = judge_all(namers, table.assign(network=[1, 0, 1, 0]))
    np.testing.assert_allclose(mixed.share, np.where([1, 0, 1, 0], second.share, first.share))


def test_same_seed_same_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        save_namers(tmp_path / name, [fit(epochs=2, seed=seed)], meta())
    content = [(tmp_path / name).read_bytes() for name in "abc"]
    assert content[0] == content[1] != content[2]


def test_namers_survive_their_file(tmp_path):
    namers, table = [fit(epochs=3, seed=seed) for seed in (1, 2)], slicks()
    save_namers(tmp_path / "namers.safetensors", namers, meta(namers=2))
    loaded, described = load_namers(tmp_path / "namers.safetensors")
    assert described == meta(namers=2)
    for one, other in zip(loaded, namers, strict=True):
        shuffled = table[["noise", "b", "a"]]  # by name, not by place
        np.testing.assert_array_equal(one.judge(shuffled).classes, other.judge(table).classes)
        np.testing.assert_array_equal(one.judge(shuffled).share, other.judge(table).share)


def test_nothing_annotated_to_learn_from():
    with pytest.raises(InputError, match="expected annotated slicks in the training tiles, found none"):
        fit_namer(slicks().iloc[:0], outlines(), meta(), NamingParams(**PARAMS), 0.3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "damaged"),
        (lambda content: content[:-5], "damaged"),
        (lambda content: content.replace(b'\\"hidden\\"', b'\\"hidten\\"'), "hid.en is not as expected"),
        (
            lambda content: content.replace(b'\\"version\\": 3', b'\\"version\\": 7'),
            "version 3, found namers, version 7",
        ),
        (
            lambda content: content.replace(b'\\"members\\": 3', b'\\"members\\": 5'),
            r"expected float32 \(5, .* found float32 \(3,",
        ),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, damage, message):
    path = tmp_path / "namers.safetensors"
    save_namers(path, [fit(epochs=1)], meta())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=message) as error:
        load_namers(path)
    assert str(error.value).endswith("write it anew with `dvc repro name`")
    assert len(str(error.value).splitlines()) == 1


def test_namers_beyond_all_bounds_take_no_memory(tmp_path):
    tensors = fit(epochs=1).state_dict()
    for key in ("hidden", "members", "namers"):
        write_tensors(tmp_path / "huge", NAMERS, tensors, asdict(meta()) | {key: 10**9})
        with pytest.raises(InputError, match=r"the weights don't fit|can't be built|expected 1000000000 namers"):
            load_namers(tmp_path / "huge")
