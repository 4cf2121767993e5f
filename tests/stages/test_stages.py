"""The stages end to end, on a small sample in a temporary folder."""

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from conftest import ROOT, STAGES
from torch import nn

from benchmarks.stage_kills import outputs_of
from seepseg.data.channels import InputMaker
from seepseg.data.loading import TileLoader, in_order
from seepseg.data.packed import open_packed, read_split
from seepseg.detection.model_file import load_model, save_model
from seepseg.evaluation.confusion import confusion_counts, scores
from seepseg.evaluation.scene_counts import SceneCounts, pooled_scores
from seepseg.models.heads import predicted_classes
from seepseg.models.network_file import save_networks
from seepseg.models.trained_networks import load_networks
from seepseg.training.validation import predict

pytestmark = pytest.mark.e2e

CLASSES = [f"class_{number}" for number in range(1, 8)]


def read(workspace, path):
    return json.loads((workspace.folder / path).read_text())


def leaves(document, prefix=""):
    for key, value in document.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_every_declared_output_is_written(finished):
    for outputs in outputs_of(ROOT).values():
        for name in outputs:
            assert (finished.folder / name).exists(), name


def test_metric_keys_are_unique_across_files(finished):
    keys = [key for path in finished.folder.glob("metrics/*.json") for key in leaves(json.loads(path.read_text()))]
    assert len(keys) == len(set(keys)) > 50


def test_evaluate_has_the_documented_layout(finished):
    document = read(finished, "metrics/evaluate.json")
    assert set(document) == {"oof", "test"}
    test = document["test"]
    for name in ("dice", "iou", "precision", "recall"):
        assert list(test[name]) == CLASSES
        assert f"binary_{name}" in test
    present = [value for value in test["dice"].values() if value is not None]
    assert test["macro_dice"] == pytest.approx(np.mean(present), abs=1e-5)
    assert {"pixel_accuracy", "macro_iou", "object_precision", "object_recall", "object_f1"} < set(test)
    assert {"binary_dice_low", "binary_dice_high", "macro_dice_low", "macro_dice_high"} < set(test)
    for name in (f"{start}surface_dice_{tolerance}" for start in ("", "macro_", "class_") for tolerance in (1, 2, 3)):
        assert {name, f"{name}_low", f"{name}_high"} < set(test)
    assert list(test["class_surface_dice_3_low"]) == CLASSES
    assert {"object_f1_low", "object_f1_high", "class_object_f1", "macro_object_f1", "calibration_error"} < set(test)
    assert set(test["baseline"]) == {"all_background", "perfect_outline_class_1"}
    assert test["baseline"]["perfect_outline_class_1"]["binary_dice"] == 1


def test_the_history_of_training(finished):
    history = pd.read_csv(finished.folder / "plots/history.csv")
    assert list(history["epoch"]) == [1, 2, 3]
    per_class = history[[f"val_dice_{name}" for name in CLASSES]]
    assert per_class.mean(axis=1).to_numpy() == pytest.approx(history["val_macro_dice"].to_numpy(), abs=2e-6)
    long = pd.read_csv(finished.folder / "plots/class_history.csv").pivot(
        index="epoch", columns="class", values="val_dice"
    )
    np.testing.assert_array_equal(long[CLASSES].to_numpy(), per_class.to_numpy())
    summary = read(finished, "metrics/train.json")["train"]
    assert summary["best_epoch"] == history.loc[history["val_macro_dice"].idxmax(), "epoch"]


@pytest.mark.parametrize("keep", ["last", "best"])
def test_the_epoch_that_is_kept(prepared, keep):
    prepared.set("loss", name="dice")
    prepared.set("train", networks=1, keep=keep, epochs=4, lr=1e-2, ema_decay=0.0)
    prepared.run("train")
    history = pd.read_csv(prepared.folder / "plots/history.csv")
    kept = history.iloc[-1] if keep == "last" else history.loc[history["val_macro_dice"].idxmax()]
    # Measured from the file, pixel by pixel, as training does: weights and input came through.
    # One network, whose best epoch is that of the history.
    (model,), meta = load_networks(prepared.folder / "models/networks.safetensors")
    packed = open_packed(prepared.folder / "data/packed")
    rows = read_split(packed, prepared.folder / "data/split.csv")["val"]
    loader = TileLoader(packed, rows, torch.device("cpu"))
    table = np.zeros((8, 8), dtype=np.int64)
    make_input = InputMaker(meta.input)
    for _, batch, logits in predict(model, loader, in_order(rows, 4), make_input=make_input):
        pred = predicted_classes(logits, meta.model.head, batch.valid)
        table += confusion_counts(batch.target.numpy(), pred.numpy(), batch.valid.numpy(), 8)
    assert scores(table, CLASSES)["binary_dice"] == pytest.approx(kept["val_dice"], abs=1e-5)
    assert history["val_dice"].nunique() == 4


def test_no_network_is_trained_on_the_inner_fold_of_its_number(finished, prepared):
    """Other images of inner fold 1 change network 0, which trains on them, and leave network 1 as it is."""
    images = np.load(prepared.folder / "data/packed/images.npy")
    fold = pd.read_csv(prepared.folder / "data/split.csv")["inner_fold"].to_numpy()
    images[fold == 1] = np.where(images[fold == 1] > 0, 65535 - images[fold == 1] // 2, 0)
    np.save(prepared.folder / "data/packed/images.npy", images)
    prepared.run("train")
    before, after = (load_networks(each.folder / "models/networks.safetensors")[0] for each in (finished, prepared))
    weights = [[network.head.weight for network in networks] for networks in (before, after)]
    assert torch.equal(weights[0][1], weights[1][1])
    assert not torch.equal(weights[0][0], weights[1][0])


def test_more_networks_than_inner_folds(prepared):
    prepared.set("train", networks=4)
    assert re.search(
        r"train\.networks: expected at most 3, the inner folds of .*split\.csv, found 4", prepared.refusal("train")
    )
    assert not (prepared.folder / "models").exists()


def test_postprocessing_is_fitted_without_the_test_scenes_and_used_by_evaluate(finished, prepared):
    fitted = read(finished, "models/postprocessing.json")
    assert fitted["accept"] == "classifier" and len(fitted["class_weights"]) == 7
    # Other annotations of the test split change nothing of classifiers and post-processing.
    prepared.take(finished, "models/networks")
    packed = prepared.folder / "data/packed"
    targets = np.load(packed / "targets.npy")
    test = (pd.read_csv(prepared.folder / "data/split.csv")["split"] == "test").to_numpy()
    targets[test] = 7 - targets[test]
    np.save(packed / "targets.npy", targets)
    prepared.run("detect", "classify")
    for name in ("models/postprocessing.json", "models/model.safetensors"):
        assert prepared.files()[name] == finished.files()[name]
    # Post-processing that accepts nothing finds nothing.
    path = prepared.folder / "models/model.safetensors"
    model = load_model(path)
    assert asdict(model.meta.postprocessing) == fitted
    nothing = replace(model.meta.postprocessing, min_area=10**6)
    save_model(path, replace(model, meta=replace(model.meta, postprocessing=nothing)))
    prepared.run("evaluate")
    assert read(prepared, "metrics/evaluate.json")["test"]["binary_recall"] == 0
    assert not np.load(prepared.folder / "data/predictions/pred.npy").any()


def test_the_model_remembers_how_candidates_were_proposed(finished, prepared):
    proposal = load_model(finished.folder / "models/model.safetensors").meta.proposal
    assert asdict(proposal) == {"tta": 4, "norm_prior_tiles": 32, "threshold": 0.3, "min_area": 5}


def test_the_tables_say_which_networks_looked(finished):
    candidates, annotated = (
        pd.read_csv(finished.folder / f"data/candidates/{name}.csv") for name in ("candidates", "annotated")
    )
    for table in (candidates, annotated):
        looked = table.groupby(["split", "scene", "slick"])["network"].nunique()
        assert set(looked["oof"]) == {1} and set(looked["test"]) == {2}
    fold = pd.read_csv(finished.folder / "data/split.csv")["inner_fold"]
    targets = np.load(finished.folder / "data/packed/targets.npy")
    valid = np.load(finished.folder / "data/packed/images.npy") != 0
    for network in (0, 1):
        counted = annotated[(annotated["split"] == "oof") & (annotated["network"] == network)]["area"].sum()
        rows = (fold == network).to_numpy()
        assert counted == ((targets[rows] > 0) & valid[rows]).sum() > 0


def test_arrays_of_detect_have_a_row_for_each_packed_tile(finished):
    candidates = pd.read_csv(finished.folder / "data/candidates/candidates.csv", dtype={"scene": str})
    split = pd.read_csv(finished.folder / "data/split.csv", dtype={"scene": str})
    labels = np.load(finished.folder / "data/candidates/labels.npy")
    areas = candidates.groupby(["scene", "slick"])["area"].first()
    assert labels.shape == np.load(finished.folder / "data/packed/targets.npy", mmap_mode="r").shape
    for scene in split["scene"].unique():
        counted = np.bincount(labels[(split["scene"] == scene).to_numpy()].ravel())[1:]
        assert counted.tolist() == (areas[scene].tolist() if scene in areas else [])
    # Two networks leave the third inner fold out.
    assert not labels[(split["inner_fold"] == 2).to_numpy()].any()


def test_predictions_are_whole_candidates(finished):
    check_predictions(finished)


def check_predictions(workspace):
    """Each candidate is of one class, or background."""
    labels = np.load(workspace.folder / "data/candidates/labels.npy")
    pred = np.load(workspace.folder / "data/predictions/pred.npy")
    assert pred.shape == labels.shape and not pred[labels == 0].any()
    scenes = pd.read_csv(workspace.folder / "data/split.csv", dtype=str)["scene"].to_numpy()
    for scene in np.unique(scenes):
        here = scenes == scene
        for slick in np.unique(labels[here])[1:]:
            assert len(np.unique(pred[here][labels[here] == slick])) == 1, (scene, slick)


@pytest.mark.parametrize("class_from", ["mean_probability", "pixel"])
def test_every_way_of_postprocessing(finished, prepared, class_from):
    prepared.set("classify", postprocessing={"accept": "peak", "class_from": class_from})
    prepared.set("detect", tta=8, norm_prior_tiles=0)
    prepared.take(finished, "models/networks")
    prepared.run("detect", "classify", "evaluate")
    assert read(prepared, "models/postprocessing.json")["class_from"] == class_from
    assert 0 <= read(prepared, "metrics/evaluate.json")["oof"]["binary_dice"] <= 1


def test_networks_that_propose_nothing_are_warned_of(finished, prepared, capsys):
    prepared.take(finished, "models/networks")
    prepared.set("detect", threshold=0.999999)
    prepared.run("detect", "classify", "evaluate")
    assert "warning: the networks propose no candidate in scenes that they were not" in capsys.readouterr().err
    for split in ("oof", "test"):
        assert read(prepared, "metrics/evaluate.json")[split]["binary_recall"] == 0


def test_one_network_is_warned_of(prepared, capsys):
    prepared.set("train", networks=1, epochs=1, warmup_epochs=0)
    prepared.run("train", "detect", "classify")
    assert "warning: with one network, slicks are classified by what was learnt from" in capsys.readouterr().err


def test_annotated_slicks_are_counted_once_each(finished):
    table = pd.read_csv(finished.folder / "plots/annotated_confusion.csv")
    document = read(finished, "metrics/classify.json")["annotated_slicks"]
    for split in ("oof", "test"):
        counted = table[table["split"] == split]
        assert counted["slicks"].sum() == document["count"][split] > 0
        right = counted[counted["actual"] == counted["predicted"]].set_index("actual")["count"]
        sizes = counted.groupby("actual")["count"].sum() + counted.groupby("predicted")["count"].sum()
        dice = (2 * right / sizes)[counted.groupby("actual")["count"].sum() > 0]
        assert document[split]["macro_dice"] == pytest.approx(dice.mean(), abs=1e-5)


def test_the_counts_of_scenes_add_up_to_the_metrics(finished):
    document, scenes = read(finished, "metrics/evaluate.json"), read(finished, "data/predictions/scenes.json")
    for split in ("oof", "test"):
        counts = [SceneCounts.from_json(scene) for scene in scenes[split]]
        pooled = pooled_scores(counts, CLASSES, 50, 1)
        assert pooled["binary_dice"] == pytest.approx(document[split]["binary_dice"], abs=1e-5)
        assert pooled["surface_dice_2"] == pytest.approx(document[split]["surface_dice_2"], abs=1e-5)
        assert pooled["macro_object_f1"] == pytest.approx(document[split]["macro_object_f1"], abs=1e-5)
        assert pooled["calibration_error"] == pytest.approx(document[split]["calibration_error"], abs=1e-5)


def test_confusion_counts_every_valid_pixel_once(finished):
    confusion = pd.read_csv(finished.folder / "plots/confusion.csv")
    packed = finished.folder / "data/packed"
    valid = np.load(packed / "images.npy") != 0
    table = pd.read_csv(finished.folder / "data/split.csv")
    for split, chosen in (("oof", table["inner_fold"] < 2), ("test", table["split"] == "test")):
        counted = confusion.loc[confusion["split"] == split, "count"].sum()
        assert counted == valid[chosen.to_numpy()].sum()


def test_predictions_are_background_on_no_data(finished):
    pred = np.load(finished.folder / "data/predictions/pred.npy")
    images = np.load(finished.folder / "data/packed/images.npy")
    assert (images == 0).any()
    assert (pred[images == 0] == 0).all()


def test_tiles_that_are_split_at_random(finished, workspace):
    """Tiles of one scene are then in several inner folds and in test."""
    workspace.take(finished, "data/packed")
    workspace.set("split", by="tile", test_fraction=0.25)
    workspace.set("train", epochs=1, warmup_epochs=0)
    workspace.run("split", "class_balance", "train", "detect", "classify", "evaluate")
    split = pd.read_csv(workspace.folder / "data/split.csv")
    assert split.groupby("scene")["inner_fold"].nunique().max() > 1
    valid = np.load(workspace.folder / "data/packed/images.npy") != 0
    confusion = pd.read_csv(workspace.folder / "plots/confusion.csv").groupby("split")["count"].sum()
    assert confusion["oof"] == valid[(split["inner_fold"] < 2).to_numpy()].sum()
    assert confusion["test"] == valid[(split["split"] == "test").to_numpy()].sum()
    slicks = pd.read_csv(workspace.folder / "data/candidates/candidates.csv").drop_duplicates(
        ["split", "scene", "slick"]
    )
    assert not slicks.duplicated(["scene", "slick"]).any()
    check_predictions(workspace)


@pytest.mark.parametrize("amp", [False, True])
def test_two_runs_with_one_seed_are_identical_to_the_last_bit(prepared, amp):
    # With everything on that draws random numbers, and with the threads and the precision of the default.
    prepared.set("augment", dihedral=True, resize=0.1, gain=0.1, speckle=0.1)
    prepared.set("train", amp=amp, threads=2, epochs=2, device="cpu")
    written = []
    for _ in range(2):
        prepared.run("train")
        written.append({name: content for name, content in prepared.files().items() if not name.startswith("data/")})
    assert written[0] == written[1]
    assert "models/networks.safetensors" in written[0]


def test_another_seed_gives_other_weights(finished, prepared):
    prepared.set("train", seed=2, epochs=1, warmup_epochs=0)
    prepared.run("train")
    assert prepared.files()["models/networks.safetensors"] != finished.files()["models/networks.safetensors"]


@pytest.mark.parametrize("name", ["attention_unet", "resnet_unet"])
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_every_network_and_head_trains_and_evaluates(prepared, name, head):
    prepared.set("model", name=name, head=head)
    prepared.set("loss", name="dicebce")
    prepared.set("train", epochs=1, warmup_epochs=0)
    prepared.set("augment", dihedral=True, resize=0.2, gain=0.1, speckle=0.1)
    prepared.run("train", "detect", "classify", "evaluate")
    assert load_networks(prepared.folder / "models/networks.safetensors")[1].model.name == name
    assert 0 <= read(prepared, "metrics/evaluate.json")["oof"]["binary_dice"] <= 1


@pytest.mark.parametrize("name", ["unet", "resnet_unet"])
def test_every_input_channel_trains_and_detects(prepared, name):
    prepared.set("input", channels=["intensity", "lee"])
    prepared.set("model", name=name)
    prepared.set("train", epochs=1, warmup_epochs=0)
    prepared.run("train", "detect")
    networks, meta = load_networks(prepared.folder / "models/networks.safetensors")
    assert meta.input.channels == ("intensity", "lee")
    first = next(module for module in networks.modules() if isinstance(module, nn.Conv2d))
    assert first.in_channels == 2 * (4 if name == "unet" else 1)


def test_a_class_that_no_tile_shows_and_a_scene_of_one_tile(finished, workspace, capsys):
    workspace.take(finished, "data/tiles", "data/sample/seeps", "data/sample/passes")
    tiles = workspace.folder / "data/tiles"
    for path in (tiles / "targets").iterdir():
        mask = tifffile.imread(path)
        tifffile.imwrite(path, np.where(mask == 7, 0, mask).astype(np.uint8))
    table = pd.read_csv(tiles / "tiles.csv")
    table[(table["scene"] < 900004) | (table["row"] + table["col"] == 0)].to_csv(tiles / "tiles.csv", index=False)
    workspace.run(*STAGES[2:])
    assert "class_7 has no pixel in train: it can't be learnt" in capsys.readouterr().err
    measured = read(workspace, "metrics/evaluate.json")["oof"]
    assert measured["dice"]["class_7"] is None and measured["macro_dice"] is not None


def test_a_single_tile_is_refused_where_it_would_be_split(finished, workspace):
    workspace.take(finished, "data/tiles")
    table = pd.read_csv(workspace.folder / "data/tiles/tiles.csv")
    table[:1].to_csv(workspace.folder / "data/tiles/tiles.csv", index=False)
    workspace.run("ingest")
    before = workspace.files()
    result = workspace.command("split")
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch("error: .* found 4 folds for 1 scenes; lower split.n_folds .*\n", result.stderr)
    assert workspace.files() == before


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("detect", r"models/networks\.safetensors: expected the classes .*, found .*; run `dvc repro train`"),
        ("classify", r"annotated\.csv: columns pixels_other_1, .* are missing; run `dvc repro detect`"),
        ("evaluate", r"models/model\.safetensors: expected the classes .*, found .*; run `dvc repro train`"),
    ],
)
def test_what_was_made_for_other_classes_is_refused(finished, prepared, stage, expected):
    prepared.take(finished, "models", "data/candidates")
    folder = prepared.folder / "models"
    others = [f"other_{number}" for number in range(1, 8)]
    model = load_model(folder / "model.safetensors")
    networks, classifiers = (
        replace(each, class_names=others) for each in (model.meta.networks, model.meta.classifiers)
    )
    save_networks(folder / "networks.safetensors", [network.state_dict() for network in model.networks], networks)
    meta = replace(model.meta, networks=networks, classifiers=classifiers)
    save_model(folder / "model.safetensors", replace(model, meta=meta))
    assert re.fullmatch(f"error: .*{expected}", prepared.refusal(stage))


def test_a_schedule_changes_the_loss_by_epoch(prepared):
    prepared.set("loss", schedule=[["dicebce", 1], ["focal_tversky", 2]])
    prepared.run("train")
    history = pd.read_csv(prepared.folder / "plots/history.csv")
    assert list(history["loss_name"]) == ["dicebce", "focal_tversky", "focal_tversky"]


def test_training_stops_early(prepared):
    prepared.set("train", early_stopping=1, epochs=30, lr=1.0e-9, ema_decay=0.0, optimizer="adam")
    prepared.run("train")
    history = pd.read_csv(prepared.folder / "plots/history.csv")
    assert len(history) < 30
    assert read(prepared, "metrics/train.json")["train"]["epochs"] == len(history)


@pytest.mark.parametrize(
    ("stage", "section", "values", "message"),
    [
        ("sample", "sample", {"n_scenes": 0}, "sample.n_scenes"),
        ("ingest", "data", {"root": "nowhere"}, "nowhere"),
        ("split", "split", {"fold": 4}, "fold"),
        (
            "class_balance",
            "class_balance",
            {"connectivity": 6},
            "class_balance.connectivity: expected 4 or 8, found 6",
        ),
        ("train", "loss", {"name": "dicebc"}, "loss.name: expected 'bce'"),
        (
            "train",
            "model",
            {"name": "vnet"},
            "model.name: expected 'unet', 'attention_unet' or 'resnet_unet'",
        ),
        ("train", "train", {"epcohs": 3}, "unknown key 'train.epcohs'; did you mean 'train.epochs'?"),
        ("train", "train", {"lr": "0.001"}, 'train.lr: expected a valid number, found "0.001"'),
        ("train", "train", {"batch_size": True}, "train.batch_size: expected a valid integer, found true"),
        ("train", "train", {"ema_decay": 1.0}, "train.ema_decay: expected less than 1, found 1.0"),
        ("train", "train", {"device": "cuda"}, "train.device: expected a device of this machine"),
        ("train", "augment", {"resize": -1.0}, "augment.resize: expected"),
        (
            "train",
            "sampling",
            {"class_share": 1.5},
            "sampling.class_share: expected less than or equal to 1, found 1.5",
        ),
        ("train", "train", {"keep": "first"}, "train.keep: expected 'last' or 'best', found \"first\""),
        ("classify", "classify", {"members": 0}, "classify.members: expected greater than or equal to 1, found 0"),
        ("detect", "detect", {"tta": 2}, "detect.tta: expected 1, 4 or 8, found 2"),
        ("classify", "evaluate", {"object_iou": 0}, "evaluate.object_iou: expected greater than 0, found 0"),
        ("train", "train", {"networks": 0}, "train.networks: expected greater than or equal to 1, found 0"),
        ("classify", "classify", {"postprocessing": {"class_from": "pixels"}}, "did you mean 'pixel'?"),
        ("plot", "plot", {"dpi": "high"}, 'plot.dpi: expected a valid integer, found "high"'),
    ],
)
def test_a_wrong_parameter_ends_a_stage_in_one_clear_line(workspace, stage, section, values, message):
    workspace.set(section, **values)
    before = workspace.files()
    assert message in workspace.refusal(stage)
    assert workspace.files() == before


@pytest.mark.parametrize("stage", STAGES[3:])
def test_a_missing_input_names_the_stage_to_run(workspace, stage):
    result = workspace.command(stage)
    assert result.returncode == 1
    assert re.search("is missing: (run|write it anew with) `dvc repro ", result.stderr)
    assert "Traceback" not in result.stderr


def test_two_processes_train_as_one_does(prepared):
    # Each kind of loss for an epoch: of sums over the batch, and of pixels that are ranked over the whole batch.
    names = ["dicece", "dicetopk", "lovasz", "boundary", "unified_focal"]
    prepared.set("loss", schedule=[[name, 1] for name in names])
    prepared.set("augment", dihedral=True, gain=0.1, speckle=0.1)
    # Small steps: with large ones, rounding alone makes any two runs drift apart.
    prepared.set("train", networks=1, epochs=len(names), lr=1e-5, batch_size=4, ema_decay=0.5)
    prepared.set("sampling", crop=0)
    prepared.run("train")
    alone = pd.read_csv(prepared.folder / "plots/history.csv")
    prepared.set("train", devices=2)
    finished = prepared.command("train")
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert finished.stdout.count("epoch 1/5") == 1
    assert "2 x cpu" in finished.stdout
    pd.testing.assert_frame_equal(alone, pd.read_csv(prepared.folder / "plots/history.csv"), rtol=1e-4, atol=1e-5)
    assert len(set(alone["train_loss"])) == len(names)
