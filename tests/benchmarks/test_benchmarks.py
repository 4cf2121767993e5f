import copy
import sys
from pathlib import Path

import pytest
import torch
import yaml
from conftest import Workspace

from benchmarks import bench, data_path, reference, report, worker
from benchmarks.ours import PARTS, SAME_ARCHITECTURE, Laps, OurLoop
from seepseg.base.errors import InputError
from seepseg.base.files import read_json, write_json
from seepseg.base.params import load_params
from seepseg.losses import LossParams, build_loss
from seepseg.models import ModelParams, build_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def same_architecture(tmp_path_factory):
    """A params.yaml with the reference's settings."""
    path = tmp_path_factory.mktemp("same") / "params.yaml"
    params = yaml.safe_load((bench.ROOT / "params.yaml").read_text())
    path.write_text(yaml.safe_dump(bench.merged(params, SAME_ARCHITECTURE)))
    return path


def our_network(path):
    return build_model(load_params(ModelParams, "model", path), 1, num_classes=8).eval()


def test_reference_is_the_original_network(same_architecture):
    theirs = reference.PlainUNet().eval()
    ours = our_network(same_architecture)
    assert sum(weight.numel() for weight in theirs.parameters()) == 7_782_151
    theirs.down.load_state_dict(without_gaps(ours.encoder.levels))
    theirs.up.load_state_dict(without_gaps(reversed(ours.decoder.blocks)))
    theirs.head.load_state_dict(ours.head.state_dict())
    images = torch.randn(1, 1, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), ours(images))


def without_gaps(blocks):
    """State dict of our blocks, whose missing norms take a number each."""
    convolutions = {"0": "0", "3": "2"}
    return {
        f"{index}.{convolutions[layer]}.{kind}": value
        for index, block in enumerate(blocks)
        for layer, kind, value in ((*name.split("."), value) for name, value in block.state_dict().items())
    }


def test_loss_of_the_reference_is_ours(same_architecture):
    ours = build_loss("focal_tversky", load_params(LossParams, "loss", same_architecture), "sigmoid", {})
    logits, target = torch.randn(2, 7, 8, 8), torch.randint(0, 8, (2, 8, 8))
    valid = torch.ones_like(target, dtype=torch.bool)
    torch.testing.assert_close(reference.focal_tversky(logits, target), ours(logits, target, valid))


@pytest.mark.parametrize(("called", "true", "errors"), [(2, 0, 0.7), (0, 1, 0.3), (2, 1, 1.0), (3, 3, 0.0)])
def test_loss_of_the_reference_by_hand(called, true, errors):
    """One pixel, called some class for sure; a false positive weighs 0.7, a false negative 0.3."""
    logits = torch.full((1, 7, 1, 1), -100.0)
    if called:
        logits[0, called - 1] = 100.0
    loss = reference.focal_tversky(logits, torch.full((1, 1, 1), true))
    hit = float(called == true != 0)
    assert loss.item() == pytest.approx((1 - (hit + 1) / (hit + errors + 1)) ** 1.33)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A workspace in which the stages before train have run. Read it only."""
    workspace = Workspace(tmp_path_factory.mktemp("packed"))
    workspace.set("train", grad_clip=1.0e-3)  # at each step
    workspace.run("sample", "tile", "ingest", "split", "class_balance")
    return workspace.folder


@pytest.fixture
def tile_folders(packed):
    return tuple(packed / "data/tiles" / name for name in ("images", "targets"))


def test_files_of_the_reference_turn_with_their_targets(tile_folders):
    plain, turned = (reference.TileFiles(*tile_folders, augment=augment) for augment in (False, True))
    assert len(plain) == 24
    image, target = plain[0]
    assert image.shape == (1, 64, 64) and target.shape == (64, 64)
    assert image.mean().abs() < 1e-5 and image.std() == pytest.approx(1, abs=1e-4)
    flips = (lambda x: x, lambda x: x.rot90(2, (-2, -1)), lambda x: x.flip(-1), lambda x: x.flip(-2))
    seen = set()
    for _ in range(40):
        turned_image, turned_target = turned[0]
        (how,) = (index for index, flip in enumerate(flips) if torch.equal(flip(image), turned_image))
        assert torch.equal(flips[how](target), turned_target)
        seen.add(how)
    assert seen == {0, 1, 2, 3}


def test_reference_trains_and_predicts(tile_folders):
    spec = worker.Spec(Path(), None, *tile_folders, batch_size=1, threads=1, device="cpu")
    loop = worker.ReferenceLoop(spec)
    before = [weight.clone() for weight in loop.model.parameters()]
    assert next(loop.train(1)) == 1
    changed = [not torch.equal(old, new) for old, new in zip(before, loop.model.parameters(), strict=True)]
    assert all(changed)
    assert next(loop.predict(2)) == 2


def test_reference_decides_by_half():
    class Fixed(torch.nn.Module):
        def forward(self, images):
            logits = torch.full((1, 7, 1, 3), -1.0)
            logits[0, 2, 0, 1], logits[0, 6, 0, 2], logits[0, 5, 0, 2] = 0.1, 2.0, 1.0
            return logits

    (pred,) = reference.predict(Fixed(), [(torch.zeros(1), None)], torch.device("cpu"))
    assert pred.tolist() == [[[0, 3, 7]]]


@pytest.fixture
def loop(packed):
    """Our loop with the default model, made anew at each call."""
    return lambda: OurLoop(packed / "params.yaml", packed)


def test_a_step_in_parts_is_a_step(loop):
    whole, parts = loop(), loop()
    for taken in (whole.train(4), parts.train_in_parts(4)):
        for _ in range(3):
            next(taken)
    for ours, theirs in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    averages = (each.optimization.average.module.state_dict() for each in (whole, parts))
    for ours, theirs in zip(*(average.values() for average in averages), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_step_is_kept_for_each_batch_size(loop, monkeypatch):
    ours, used = loop(), []
    monkeypatch.setattr("benchmarks.ours.make_step", lambda *_: object())
    monkeypatch.setattr("benchmarks.ours.train_epoch", lambda step, inputs, monitor: used.append(step) or iter([1]))
    for batch_size in (2, 4, 4):
        next(ours.train(batch_size))
    assert used[0] is not used[1] and used[1] is used[2]


def test_parts_take_time(loop):
    tiles, seconds = next(loop().train_in_parts(4))
    assert tiles == 4 and tuple(seconds) == PARTS and all(value > 0 for value in seconds.values())


def test_prediction_goes_round_and_round(loop):
    steps = loop().predict(16)
    assert [next(steps) for _ in range(4)] == [16, 8, 16, 8]


def test_laps_add_up(monkeypatch):
    now = iter([1.0, 1.5, 3.5])
    clock = Laps(torch.device("cpu"))
    monkeypatch.setattr("benchmarks.ours.time.perf_counter", lambda: next(now))
    clock.start()
    clock.lap("data")
    clock.lap("forward")
    assert clock.seconds == {"data": 0.5, "forward": 2.0}


def test_flops_of_a_convolution_by_hand():
    # 3 x 3 from 1 to 4 channels on 8 x 8 pixels: 2 * 9 * 4 * 64 forward. Backward needs the gradient of the kernel,
    # as many, and none of the image.
    model = torch.nn.Conv2d(1, 4, 3, padding=1)
    assert worker.count_flops(model, 8) == (4608, 2 * 4608)


def test_reference_needs_85_gflop_a_tile():
    forward, both = worker.count_flops(reference.PlainUNet(), 256)
    assert forward == pytest.approx(85e9, rel=0.02)
    assert both == pytest.approx(3 * forward, rel=0.01)


def test_memory_is_seen():
    before = worker.peak_memory()
    held = torch.ones(64 * 2**20 // 4)
    assert worker.peak_memory() >= before and held.sum() > 0 and before > 50


def measured(tiles_per_second):
    return worker.Measured(
        tiles=[2, 2], seconds=[2 / tiles_per_second] * 2, peak_mib=1000.0, anonymous_mib=900.0, device_mib=None
    )


def results(default_dtype="float32"):
    """Results as bench.py puts them together, of made-up measurements."""
    speeds = {"reference": 0.25, "same_architecture": 0.5, "default": 12.0}
    if default_dtype != "float32":
        speeds |= {"same_architecture_float32": 0.4, "default_float32": 9.0}
    rounds = [
        {name: {task: measured(speed * factor) for task in bench.TASKS} for name, speed in speeds.items()}
        for factor in (1.0, 1.2)
    ]
    dtypes = dict.fromkeys(speeds, "float32") | {"default": default_dtype, "same_architecture": default_dtype}
    ceiling = {dtype: bench.spread([130.0, 140.0]) for dtype in set(dtypes.values())}
    described = {
        name: {
            "weights": 7_782_151,
            "batch_size": 16,
            "dtype": dtypes[name],
            "device": "cpu",
            "gflop_per_tile": {"predict": 2.0, "train": 6.0},
        }
        for name in speeds
    }
    return {
        "machine": worker.machine(2),
        "run": {"quick": False, "data": "synthetic sample", "rounds": 2, "tile_size": 256, "seconds": 10.0},
        "ceiling_gflops": ceiling,
        "subjects": {name: bench.summary(name, described[name], rounds, ceiling) for name in speeds},
        "step_ms_per_tile": {
            name: dict(zip(PARTS, (1.0, 30.0, 12.0, 50.0, 5.0, 2.0), strict=True))
            for name in ("same_architecture", "default")
        },
        "backends": {
            "eager": {
                "tiles_per_second": 50.0,
                "lowest": 40.0,
                "highest": 60.0,
                "times_eager": 1.0,
                "seconds_to_first_batch": 0.2,
                "logit_difference": 0.00002,
                "probability_difference": 0.000001,
            },
            "compile": "not measured: compiling failed",
        },
        "detection": {
            "tiles": 100,
            "networks": 4,
            "tta": 4,
            "tiles_per_second": {"median": 6.0, "low": 5.5, "high": 6.25},
            "tiles_per_second_single": {"median": 50.0, "low": 40.0, "high": 60.0},
            "ms_per_tile": {"input": 10.0, "network": 140.0, "sums": 30.0, "candidates": 20.0},
        },
        "ingest": {
            "tiles": 200,
            "mib": 37.5,
            **{
                f"{name}_{which}": value
                for name, value in (
                    ("plain_read_seconds", 0.1),
                    ("plain_copy_seconds", 0.15),
                    ("ingest_seconds", 0.2),
                    ("share_of_plain_read", 0.5),
                    ("share_of_plain_copy", 0.75),
                )
                for which in ("median", "low", "high")
            },
        },
        "growth": growth(1000, 2000),
    }


def growth(*sizes):
    return [
        {"tiles": size, "stage": stage, "seconds": size / 500, "seconds_per_1000_tiles": 2.0, "anonymous_mib": None}
        for size in sizes
        for stage in data_path.STAGES
    ]


def test_summary_compares_within_rounds():
    default = results()["subjects"]["default"]["train"]
    assert default["times_reference"] == {"median": 48.0, "low": 48.0, "high": 48.0}
    assert default["tiles_per_second"]["median"] == pytest.approx(13.2)
    assert default["share_of_ceiling"]["float32"] == pytest.approx(13.2 * 6 / 135)
    assert default["batches"] == 4


def test_report_sets_targets_beside_what_was_reached():
    page = report.render(results())
    lines = page.splitlines()
    assert "| training, same network | ≥ 1.5× | 2× ✓ |" in lines
    assert "| training, default model | ≥ 40× | 48× ✓ |" in lines
    assert "| loss, share of the step | ≤ 10.0% | 12.0% ✗ |" in lines
    assert "| data, share of the step | ≤ 5.0% | 1.0% ✓ |" in lines
    assert "| prediction, default model | ≥ 70× | 48× ✗ |" in lines
    assert "| eager | 50 | 40–60 | 1 | 0.2 | 0.000020 | 0.000001 |" in lines
    assert "| compile | not measured: compiling failed |  |  |  |  |  |" in lines
    assert (
        "up to its candidates: **6 tiles/s** (5.5–6.25). With one network and one pass: **50 tiles/s** (40–60)." in page
    )
    assert "| milliseconds a tile | 10 (5.0%) | 140 (70.0%) | 30 (15.0%) | 20 (10.0%) | 200 |" in lines
    assert "|  | 1,000 tiles | 2,000 tiles |" in lines
    assert "| ingest | 2 (–) | 2 (–) |" in lines
    assert "Quick run" not in page


def test_report_has_a_section_on_a_gpu_where_one_was_measured():
    step = {
        "step_ms": {"median": 2.5, "low": 2.0, "high": 3.0},
        "crops_per_second": {"median": 6400.0, "low": 5333.0, "high": 8000.0},
        "kernels_ms": 2.25,
        "kernels": 744,
        "busy": 0.9,
        "share_of_ceiling": 0.01,
    }
    found = {"gpu": "Some card", "torch": "2.0", "ceiling_gflops": 790_000.0, "steps": {"default": step}}
    page = report.render(results(), None, found | {"detection": results()["detection"]})
    assert "## On a GPU\n\nOne Some card, torch 2.0" in page and "790 TFLOP/s" in page
    assert "| default | 2.50 (2.00–3.00) | 6,400 | 744 | 90.0% | 1.0% |" in page.splitlines()
    assert page.count("up to its candidates: **6 tiles/s**") == 2
    assert "On a GPU" not in report.render(results())


def test_report_tells_reduced_precision_from_float32():
    page = report.render(results("bfloat16"))
    assert "| training, default model | ≥ 40× | 48× ✓ | 36× ✗ |" in page.splitlines()
    assert "This machine computes in bfloat16" in page


def test_report_says_that_a_quick_run_is_one():
    quick = results()
    quick["run"]["quick"] = True
    assert "**Quick run" in report.render(quick)


def test_page_and_picture_can_be_made_from_files(tmp_path):
    kept = results("bfloat16")
    write_json(tmp_path / "results.json", kept)
    report.write(tmp_path)
    page, picture = (tmp_path / name for name in ("RESULTS.md", "results.png"))
    before = page.read_text(), picture.read_bytes()
    training = before[0].split("## Training\n\n")[1].split("\n\n")[0].splitlines()[2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in training] == list(report.LABELS.values())

    write_json(tmp_path / "growth.json", {"growth": growth(1000, 100_000)})
    report.write(tmp_path)
    assert "|  | 1,000 tiles | 100,000 tiles |" in page.read_text() and "100,000 tiles" not in before[0]
    assert picture.read_bytes() != before[1]


def test_page_without_results_ends_with_a_line(tmp_path):
    with pytest.raises(InputError, match=r"results\.json is missing: run `make bench`"):
        report.write(tmp_path)


def test_picture_is_a_png_and_the_same_each_time():
    first, second = (report.draw(results("bfloat16")) for _ in range(2))
    assert first == second and first.startswith(b"\x89PNG")


def test_merged_changes_a_copy():
    params = {"train": {"lr": 1.0, "nested": {"a": 1, "b": 2}}}
    before = copy.deepcopy(params)
    assert bench.merged(params, {"train": {"nested": {"b": 3}}}) == {"train": {"lr": 1.0, "nested": {"a": 1, "b": 3}}}
    assert params == before
    with pytest.raises(KeyError, match="learning_rate"):
        bench.merged(params, {"train": {"learning_rate": 1.0}})


@pytest.mark.parametrize("reduced", [None, torch.bfloat16])
def test_reduced_precision_is_measured_beside_float32(tmp_path, monkeypatch, reduced):
    monkeypatch.setattr(bench, "amp_dtype", lambda device, wanted: reduced if wanted else None)
    params = yaml.safe_load((bench.ROOT / "params.yaml").read_text())
    specs = bench.subjects(tmp_path, params, bench.FULL)
    names = ["reference", "same_architecture", "default"]
    assert list(specs) == names + [f"{name}_float32" for name in names[1:] if reduced]
    read = {name: yaml.safe_load(spec.params_file.read_text()) for name, spec in specs.items() if spec.params_file}
    assert read["default"] == params
    assert read["same_architecture"]["model"]["unet"]["width"] == 64
    assert read["same_architecture"]["train"]["batch_size"] == specs["reference"].batch_size == 16
    assert [values["train"]["amp"] for values in read.values()] == [True, True] + [False, False] * bool(reduced)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "0"], "--threads: expected 1 or more, found 0"),
        (["--data", "nowhere"], "--data: expected a folder of tiles, found none at nowhere"),
    ],
)
def test_wrong_arguments_end_with_a_line(monkeypatch, arguments, message):
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(InputError, match=message):
        bench.main()


def test_detection_of_a_scene_is_measured(packed):
    found = worker.detection_speed(packed / "params.yaml", packed, repeats=2)
    assert (found["tiles"], found["networks"], found["tta"]) == (6, 2, 4)
    assert 0 < found["tiles_per_second"]["low"] <= found["tiles_per_second"]["high"]
    assert found["tiles_per_second_single"]["median"] > found["tiles_per_second"]["median"]
    assert list(found["ms_per_tile"]) == list(report.DETECTION_PARTS)
    assert all(value > 0 for value in found["ms_per_tile"].values())
    # Measured once more, so only roughly as long.
    assert 0.2 < sum(found["ms_per_tile"].values()) * found["tiles_per_second"]["median"] / 1000 < 5


def test_the_committed_page_is_that_of_the_committed_results():
    names = ("results.json", "growth.json", "gpu.json", "scene.json")
    results, scale, gpu, scene = (read_json(bench.COMMITTED / name) for name in names)
    assert report.render(results, scale["growth"], gpu, scene) == (bench.COMMITTED / "RESULTS.md").read_text()
