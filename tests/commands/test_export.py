"""Export: a file and a card that tell of the model, of its own run alone, and nothing that no file says."""

import hashlib
import json
import shutil

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from conftest import POSTPROCESSING, small_model

from seepseg.base.errors import InputError
from seepseg.base.radiometry import Radiometry
from seepseg.commands.export import export, main
from seepseg.data.channels import InputParams
from seepseg.detection.classifier import ClassifierMeta, build_classifiers
from seepseg.detection.model_file import Model, ModelMeta, load_model, save_model
from seepseg.detection.proposal import ProposalParams
from seepseg.models.export import AveragedNetworks
from seepseg.models.network_file import NetworksMeta
from seepseg.models.trained_networks import build_networks

pytestmark = pytest.mark.usefixtures("one_thread")

NETWORKS = NetworksMeta(
    model=small_model(),
    networks=2,
    class_names=["seep", "ship"],
    input=InputParams(),
    data_fingerprint="0123456789abcdef",
    radiometry=Radiometry(quantity="sigma0", polarisation="VV", spacing=10.0, noise_removed=True),
    tile_size=64,
)
CLASSIFIERS = ClassifierMeta(class_names=["seep", "ship"], features=["a"], classifiers=2, members=1, hidden=2)
META = ModelMeta(
    networks=NETWORKS,
    proposal=ProposalParams(tta=4, norm_prior_tiles=32, threshold=0.3, min_area=5),
    classifiers=CLASSIFIERS,
    postprocessing=POSTPROCESSING,
)
SCORES = {
    "binary_dice": 0.9,
    "binary_dice_low": 0.8,
    "binary_dice_high": 0.95,
    "macro_dice": 0.7,
    "macro_dice_low": None,
    "macro_dice_high": None,
    "object_f1": 0.6,
    "macro_object_f1": 0.5,
    "surface_dice_1": 0.4,
    "dice": {"seep": 0.75, "ship": None},
}
METRICS = {
    "ingest": {"ingest": {"tiles": 80, "scenes": 8, "foreground_fraction": 0.0318, "nodata_fraction": 0.05}},
    "split": {
        "split": {
            "scenes": {"train": 6, "val": 1, "test": 1},
            "tiles": {"train": 60, "val": 10, "test": 10},
            "foreground_share": {"train": 0.03, "val": 0.04, "test": 0.02},
            "leakage": {"test": 0.0, "val": 0.0},
        }
    },
    "evaluate": {"test": SCORES, "oof": SCORES | {"binary_dice": 0.85}},
}


@pytest.fixture
def run(tmp_path):
    """A folder as the pipeline leaves it: a model, metrics, and DVC's lock of them."""
    networks = list(build_networks(NETWORKS).eval())
    save_model(tmp_path / "models/model.safetensors", Model(META, networks, list(build_classifiers(CLASSIFIERS))))
    (tmp_path / "metrics").mkdir()
    for name, document in METRICS.items():
        (tmp_path / f"metrics/{name}.json").write_text(json.dumps(document))

    def listed(name):
        return [{"path": name, "hash": "md5", "md5": hashlib.md5((tmp_path / name).read_bytes()).hexdigest()}]

    stages = {name: {"outs": listed(f"metrics/{name}.json")} for name in METRICS}
    stages["ingest"]["params"] = {"params.yaml": {"data": {"root": "/home/someone/oil_tiles"}}}
    stages["split"]["params"] = {"params.yaml": {"split": {"by": "scene"}}}
    stages["evaluate"]["deps"] = listed("models/model.safetensors")
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    return tmp_path


@pytest.fixture
def exported(run, monkeypatch, capsys):
    """What the command wrote in that folder, and what it printed."""
    monkeypatch.chdir(run)
    main(["out.onnx"])
    return run / "out.onnx", (run / "out.md").read_text(), capsys.readouterr().out


def test_the_file_is_the_networks_of_the_model(exported, run):
    path, _, printed = exported
    assert printed == "wrote out.onnx and out.md\n"
    image = np.random.default_rng(0).integers(0, 3000, (2, 1, 40, 52)).astype(np.float32)
    session = onnxruntime.InferenceSession(path)
    networks = AveragedNetworks(load_model(run / "models/model.safetensors").networks, NETWORKS)
    with torch.inference_mode():
        np.testing.assert_allclose(
            session.run(None, {"image": image})[0], networks(torch.from_numpy(image)).numpy(), atol=1e-4
        )
    notes = session.get_modelmeta().custom_metadata_map
    digest = hashlib.sha256((run / "models/model.safetensors").read_bytes()).hexdigest()
    assert notes["model_fingerprint"] == digest[:12]
    assert Radiometry(**json.loads(notes["radiometry"])) == NETWORKS.radiometry


def test_the_card_tells_of_the_run(exported):
    path, card, _ = exported
    for line in (
        f"- **File**: out.onnx, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}",
        "- **Networks**: 2 × unet (width 4, depth 3), head softmax; the mean of their log odds of any class, "
        "times their shares of each class",
        "- **Packed numbers**: the root of linear sigma0, times 32767.5, rounded",
        "- **Images**: sigma0, polarisation VV, pixel spacing 10.0 m, thermal noise removed",
        "- **Size**: 80 tiles of 8 scenes; slicks on 3.18% of the pixels with data, no data on 5.00%",
        "- **Source**: a folder named oil_tiles; who annotated it, and how, is not stated in the files of the run",
        "| split | scenes | tiles | share of slick |",
        "| train | 6 | 60 | 3.00% |",
        "| score | test scenes | other scenes, out of fold |",
        "| Dice, slick or not | 0.900 (0.800–0.950) | 0.850 (0.800–0.950) |",
        "| Dice, mean over classes | 0.700 | 0.700 |",
        "| Dice, seep | 0.750 | 0.750 |",
        "| Dice, ship | – | – |",
        "- Without a score, as they do not occur among the evaluated scenes: ship.",
        "- **test-time augmentation**: 4 passes over each pixel, shifted and mirrored",
    ):
        assert line in card.splitlines()
    assert "the **slick classifier**" in card and "**batch-norm adaptation**" in card
    assert "someone" not in card  # a folder of this machine


def test_the_same_model_gives_the_same_files(exported, run):
    path, card, _ = exported
    content = path.read_bytes()
    path.unlink()
    export(path, run / "models/model.safetensors", run / "card.md", root=run)
    assert path.read_bytes() == content and (run / "card.md").read_text() == card


def test_scores_of_another_model_are_left_out(run, tmp_path, capsys):
    shutil.copy(run / "models/model.safetensors", run / "other.safetensors")
    content = bytearray((run / "other.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "other.safetensors").write_bytes(content)
    export(run / "other.onnx", run / "other.safetensors", root=run)
    card = (run / "other.md").read_text()
    assert "Unknown: the folder of the export holds no evaluation of this model file." in card
    assert "- **Size**: unknown" in card and "- **Source**: unknown" in card and "0.9" not in card
    assert "notice: no scores in the card" in capsys.readouterr().out


def test_metrics_that_are_not_of_the_run_are_left_out(run):
    (run / "metrics/ingest.json").write_text('{"ingest": {"tiles": 1}}')
    export(run / "out.onnx", run / "models/model.safetensors", root=run)
    card = (run / "out.md").read_text()
    assert "- **Size**: unknown" in card and "| Dice, slick or not | 0.900" in card


def test_the_synthetic_sample_is_named(run):
    lock = (run / "dvc.lock").read_text().replace("/home/someone/oil_tiles", "data/sample")
    (run / "dvc.lock").write_text(lock)
    export(run / "out.onnx", run / "models/model.safetensors", root=run)
    assert "the **synthetic sample** of the repository" in (run / "out.md").read_text()


def test_a_tile_size_binds_the_graph(run):
    export(run / "out.onnx", run / "models/model.safetensors", tile_size=96, root=run)
    [given] = onnxruntime.InferenceSession(run / "out.onnx").get_inputs()
    assert given.shape == ["batch", 1, 96, 96]
    assert "float32 (N, 1, H, W), 96 × 96 pixels" in (run / "out.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"out": "out.bin"}, r"out\.bin: expected a name that ends in \.onnx"),
        ({"out": "dvc.onnx", "card": "dvc.lock"}, r"dvc\.lock is there already; remove it or name another file"),
        ({"out": "out.onnx", "card": "out.onnx"}, r"out\.onnx: expected another file than OUT\.onnx, found the same"),
        ({"out": "out.onnx", "tile_size": 0}, "--tile-size: expected pixels, 1 or more, found 0"),
        ({"out": "out.onnx", "model": "none.safetensors"}, r"none\.safetensors is missing.* --model"),
    ],
)
def test_what_can_not_be_exported_leaves_nothing(run, arguments, message):
    before = sorted(run.rglob("*"))
    paths = {name: run / value if isinstance(value, str) else value for name, value in arguments.items()}
    with pytest.raises(InputError, match=message):
        export(**{"model": run / "models/model.safetensors", "root": run} | paths)
    assert sorted(run.rglob("*")) == before


def test_a_damaged_lock_is_named(run):
    (run / "dvc.lock").write_text("stages: [")
    with pytest.raises(InputError, match=r"dvc\.lock is not valid YAML"):
        export(run / "out.onnx", run / "models/model.safetensors", root=run)
    assert not (run / "out.onnx").exists()
