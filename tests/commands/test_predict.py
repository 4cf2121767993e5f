"""The command predict on scenes, with a detector that knows what is dark; and once with a model that was trained."""

import errno
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import psutil
import pyogrio
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from conftest import ROOT
from dark_slicks import CLASSES, SEA, SLICK, DarkDetector
from PIL import Image

from seepseg.base.errors import InputError
from seepseg.base.radiometry import Radiometry
from seepseg.commands import predict_scene, predict_scenes
from seepseg.commands.predict import main
from seepseg.detection.proposal import DetectParams

FINGERPRINT = hashlib.sha256(b"a model").hexdigest()[:12]
BOXES = [(20, 20, 24, 40), (50, 50, 60, 52)]


def write_scene(path, boxes=BOXES, left=500_000.0, **profile):
    image = np.random.default_rng(1).normal(SEA, 500, (80, 130)).astype(np.uint16)
    for top, first, bottom, end in boxes:
        image[top:bottom, first:end] = SLICK
    place = {"crs": "EPSG:32631", "transform": Affine(40, 0, left, 0, -40, 6_000_000)}
    with rasterio.open(
        path, "w", driver="GTiff", height=80, width=130, count=1, dtype="uint16", nodata=0, **(place | profile)
    ) as file:
        file.write(image, 1)
        file.set_band_description(1, "VV amplitude")
    return path


@pytest.fixture
def at_work(tmp_path, monkeypatch):
    """A folder with a model and two scenes, and a count of the scenes that are done."""
    monkeypatch.chdir(tmp_path)
    model = SimpleNamespace(
        meta=SimpleNamespace(
            networks=SimpleNamespace(tile_size=32, radiometry=Radiometry(), scaling=[]),
            classifiers=SimpleNamespace(recurrence=[]),
        ),
        class_names=CLASSES,
    )
    done = []

    class Counting(DarkDetector):
        def detect(self, scene, tile_shape, watch=None):
            done.append(scene.name)
            return super().detect(scene, tile_shape, watch)

    monkeypatch.setattr(predict_scene, "_load", lambda *_: (model, Counting(), torch.device("cpu")))
    monkeypatch.setattr(predict_scenes, "read_model", lambda *_: model)
    Path("scenes").mkdir()
    Path("model.safetensors").write_bytes(b"a model")
    write_scene(Path("scenes/b.tif"), left=600_000.0)
    write_scene(Path("scenes/a.tif"), BOXES[:1])
    return done


def run(*arguments):
    main(["scenes", "out", "--model", "model.safetensors", *arguments])


def slicks(layer="slicks", path="out/slicks.gpkg"):
    return pyogrio.read_dataframe(path, layer=layer)


def test_a_folder_of_scenes(at_work, capsys):
    run("--rasters")
    assert at_work == ["a", "b"]
    table = slicks()
    assert [*table["slick_id"]] == ["a_1", "b_1", "b_2"] and [*table["area_px"]] == [80, 80, 20]
    # By the scene's own transform: the upper left corner of the first slick.
    expected = gpd.GeoSeries([shapely.Point(500_000 + 40 * 20, 6_000_000 - 40 * 20)], crs="EPSG:32631").to_crs(4326)
    assert shapely.distance(table.geometry[0], expected[0]) < 1e-9
    assert table["model_fingerprint"].unique().tolist() == [FINGERPRINT]
    with rasterio.open("out/scenes/b/b_classes.tif") as file:
        assert np.count_nonzero(file.read(1)) == 100 and file.transform.c == 600_000
    record = json.loads(Path("out/scenes/b/scene.json").read_text())
    assert (record["slicks"], record["height"], record["width"]) == (2, 80, 130)
    output = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in output] == ["a: 1 slick", "b: 2 slicks"]
    lines, footprints = slicks("centrelines"), slicks("footprints")
    assert lines[["slick_id", "candidate"]].to_numpy().tolist() == [["a_1", 1], ["b_1", 1], ["b_2", 2]]
    assert lines["centreline_km"].to_numpy() == pytest.approx([0.04 * 19, 0.04 * 19, 0.04 * 9], rel=0.1)
    assert [*footprints["scene_id"]] == ["a", "b"] and footprints["spacing_m"].to_numpy() == pytest.approx(40, rel=1e-3)
    assert footprints.to_crs(32631).area.to_numpy() == pytest.approx(80 * 130 * 40**2, rel=1e-3)
    assert not list(Path("out").rglob(".*"))


@pytest.mark.parametrize("given", ["scenes/a.tif", "scenes"])
def test_a_file_is_a_scene_too(at_work, given):
    main([given, "out", "--model", "model.safetensors"])
    assert at_work == (["a"] if given.endswith("tif") else ["a", "b"])


def test_finished_scenes_are_not_repeated(at_work, capsys):
    main(["scenes/b.tif", "out", "--model", "model.safetensors"])
    assert [*slicks()["scene_id"]] == ["b", "b"]
    capsys.readouterr()
    run()
    assert at_work == ["b", "a"] and "1 of 2 scenes are finished already" in capsys.readouterr().out
    in_parts = Path("out/slicks.gpkg").read_bytes()
    run()
    assert at_work == ["b", "a"]
    run("--overwrite")
    assert at_work == ["b", "a", "a", "b"]
    assert Path("out/slicks.gpkg").read_bytes() == in_parts
    run("--rasters")  # which are not there yet
    assert at_work == ["b", "a", "a", "b", "a", "b"]
    run()  # and do no harm
    assert len(at_work) == 6


def test_a_scene_that_changed_is_done_again(at_work):
    run()
    write_scene(Path("scenes/a.tif"), [*BOXES, (5, 5, 9, 9)])
    os.utime("scenes/a.tif", (1, 1))
    run()
    assert at_work == ["a", "b", "a"] and [*slicks()["scene_id"]] == ["a"] * 3 + ["b"] * 2


def test_a_product_is_changed_where_a_file_in_it_is(tmp_path):
    files = [tmp_path / "a.SAFE/measurement/a.tiff", tmp_path / "a.SAFE/manifest.safe"]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
        os.utime(path, (5, 5))
    task = SimpleNamespace(scene=tmp_path / "a.SAFE")
    sources = [predict_scene.SceneTask.source.fget(task)]
    os.utime(files[0], (7, 7))
    sources.append(predict_scene.SceneTask.source.fget(task))
    assert sources == [{"bytes": 6, "modified": 5}, {"bytes": 6, "modified": 7}]


def test_a_folder_without_slicks_is_not_finished(at_work):
    run()
    Path("out/scenes/a/slicks.gpkg").unlink()
    main(["scenes/b.tif", "out", "--model", "model.safetensors"])  # nothing of a, which is not done now
    assert [*slicks()["scene_id"]] == ["b", "b"]
    run()
    assert at_work == ["a", "b", "a"] and [*slicks()["scene_id"]] == ["a", "b", "b"]


def test_old_results_of_a_scene_that_fails_now_are_left_out(at_work):
    run()
    Path("model.safetensors").write_bytes(b"another model")
    Path("scenes/a.tif").write_bytes(b"II*\0nonsense")
    told = (
        r"1 of 2 scenes can't be used, the others are done, results of earlier runs are left out of the file .*\n  a: "
    )
    with pytest.raises(InputError, match=told):
        run("--overwrite")
    table = slicks()
    assert [*table["scene_id"]] == ["b", "b"]
    assert table["model_fingerprint"].unique().tolist() == [hashlib.sha256(b"another model").hexdigest()[:12]]


def test_no_scene_that_can_be_used_is_told_as_that(at_work):
    run()
    before = Path("out/slicks.gpkg").read_bytes()
    for name in ("a", "b"):
        Path(f"scenes/{name}.tif").write_bytes(b"II*\0nonsense")
    with pytest.raises(InputError, match=r"^no scene can be used, results of earlier runs stay as they were:\n  a: "):
        run()
    assert Path("out/slicks.gpkg").read_bytes() == before
    told = r"^no scene can be used, results of earlier runs are left out of the file of all slicks:\n  a: "
    with pytest.raises(InputError, match=told):
        main(["scenes/a.tif", "out", "--model", "model.safetensors"])
    assert [*slicks()["scene_id"]] == ["b", "b"]
    with pytest.raises(InputError, match=r"^no scene can be used:\n  a: "):
        main(["scenes/a.tif", "new", "--model", "model.safetensors"])
    assert not Path("new/slicks.gpkg").exists()


def test_scenes_that_failed_are_told_though_merging_fails_too(at_work, monkeypatch, capsys):
    def refuse(*_):
        raise InputError("candidates.npz: damaged")

    monkeypatch.setattr(predict_scenes, "merge_scenes", refuse)
    Path("scenes/c.tif").write_bytes(b"II*\0nonsense")
    with pytest.raises(InputError, match=r"^candidates\.npz: damaged$"):
        run()
    assert "error: 1 of 3 scenes can't be used, the others are done:\n  c: " in capsys.readouterr().err
    Path("scenes/c.tif").unlink()
    with pytest.raises(InputError, match="damaged"):
        run()
    assert not capsys.readouterr().err


def test_a_process_does_one_scene_at_a_time(at_work, monkeypatch):
    """As a worker of a cluster with several threads would not."""
    sent, inside, most = [], [], []
    monkeypatch.setattr(predict_scenes, "run_tasks", lambda _, tasks, *__: sent.extend(tasks) or [])
    run()

    def slow(path, *_):
        inside.append(path)
        most.append(len(inside))
        time.sleep(0.1)
        inside.pop()
        raise InputError("enough")

    monkeypatch.setattr(predict_scene, "open_scene", slow)
    with ThreadPoolExecutor(2) as threads:
        ends = [threads.submit(predict_scene.predict_scene, task) for task in sent]
    assert all(isinstance(end.exception(), InputError) for end in ends) and most == [1, 1]


def test_a_worker_that_stays_takes_no_other_model_for_the_same(tmp_path, monkeypatch):
    path, loaded = tmp_path / "model.safetensors", []
    monkeypatch.setattr(predict_scene, "load_model", lambda path: loaded.append(path.read_bytes()))
    monkeypatch.setattr(predict_scene, "make_deterministic", lambda *_: None)
    monkeypatch.setattr(predict_scene.Detector, "of_model", lambda *_: None)
    path.write_bytes(b"one")
    one, two = (hashlib.sha256(content).hexdigest()[:12] for content in (b"one", b"two"))
    for _ in range(2):
        predict_scene._load(path, DetectParams(device="cpu"), False, one)
    with pytest.raises(InputError, match=rf"expected the model of the command, {two}, found {one}"):
        predict_scene._load(path, DetectParams(device="cpu"), False, two)
    path.write_bytes(b"two")
    predict_scene._load(path, DetectParams(device="cpu"), False, two)
    assert loaded == [b"one", b"two"]


def test_with_nothing_to_do_no_worker_starts(at_work, monkeypatch):
    run()
    monkeypatch.setattr(predict_scenes, "run_tasks", lambda *_: pytest.fail("workers are started"))
    run("--workers", "2")
    assert len(slicks()) == 3


@pytest.mark.parametrize("number", ["-1", "two"])
def test_a_wrong_number_of_workers_is_one_clear_line(at_work, capsys, number):
    with pytest.raises(SystemExit):
        run("--workers", number)
    assert f"argument --workers: expected a whole number, 0 or more, found {number}" in capsys.readouterr().err


def test_models_and_options_are_not_mixed(at_work):
    run()
    Path("model.safetensors").write_bytes(b"another model")
    with pytest.raises(
        InputError, match=r"out/scenes/a holds results of other settings: model_fingerprint " + FINGERPRINT
    ):
        run()
    with pytest.raises(InputError, match="out/scenes/b holds results of other settings"):
        main(["scenes/a.tif", "out", "--model", "model.safetensors", "--overwrite"])
    assert at_work == ["a", "b"]
    run("--overwrite", "--fast")
    with pytest.raises(InputError, match=r"fast True \(now False\)"):
        run()


def test_a_damaged_scene_is_named_and_the_others_are_done(at_work):
    Path("scenes/aa.tif").write_bytes(Path("scenes/a.tif").read_bytes()[:3000])
    Path("scenes/c.tif").write_bytes(b"II*\0nonsense")
    with pytest.raises(
        InputError, match=r"(?s)2 of 4 scenes can't be used, the others are done:\n  aa: .*\n  c: "
    ) as end:
        run()
    assert "aa.tif" in str(end.value) and "c.tif" in str(end.value)
    assert [*slicks()["scene_id"]] == ["a", "b", "b"]
    assert sorted(path.name for path in Path("out/scenes").iterdir()) == ["a", "b"]


def test_a_full_disk_loses_nothing_finished(at_work, monkeypatch):
    original = predict_scene.write_geopackage

    def full(path, *arguments):
        if path.parents[1].name.startswith(".b"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(path, *arguments)

    monkeypatch.setattr(predict_scene, "write_geopackage", full)
    with pytest.raises(OSError, match="No space left on device, finished scenes stay") as end:
        run()
    assert end.value.filename == "out"
    assert [path.name for path in Path("out/scenes").iterdir()] == ["a"]
    monkeypatch.setattr(predict_scene, "write_geopackage", original)
    run()
    assert at_work == ["a", "b", "b"] and len(slicks()) == 3


def test_land(at_work):
    """Around the first slick of b, and too small for a part of the scene to be left out."""
    land = shapely.box(600_000 + 40 * 18, 6_000_000 - 40 * 30, 600_000 + 40 * 44, 6_000_000 - 40 * 18)
    pyogrio.write_dataframe(gpd.GeoDataFrame(geometry=[land], crs="EPSG:32631").to_crs(3857), "land.shp")
    run("--land", "land.shp", "--rasters")
    assert [*slicks()["slick_id"]] == ["a_1", "b_2"] and [*slicks()["near_land"]] == [False, True]
    assert slicks("not_slicks")[["slick_id", "reason"]].to_numpy().tolist() == [["b_1", "land"]]
    assert [*slicks("centrelines")["slick_id"]] == ["a_1", "b_2"]
    with rasterio.open("out/scenes/b/b_classes.tif") as file:
        assert np.count_nonzero(file.read(1)) == 20
    with pytest.raises(InputError, match="land"):
        run()


def test_what_is_nothing_but_land_is_not_looked_at(at_work):
    land = shapely.box(600_000 - 40, 5_000_000, 600_000 + 40 * 48, 7_000_000)
    pyogrio.write_dataframe(gpd.GeoDataFrame(geometry=[land], crs="EPSG:32631"), "land.gpkg")
    run("--land", "land.gpkg")
    assert [*slicks()["slick_id"]] == ["a_1", "b_1"]
    assert [*slicks()["area_px"]] == [80, 20]  # the second one of b
    assert "not_slicks" not in pyogrio.list_layers("out/slicks.gpkg")[:, 0]


def test_geojson(at_work):
    run("--format", "geojson")
    document = json.loads(Path("out/slicks.geojson").read_text())
    assert [each["properties"]["slick_id"] for each in document["features"]] == ["a_1", "b_1", "b_2"]
    assert Path("out/slicks.qml").is_file()


def test_another_format_replaces_the_file_of_all_slicks(at_work):
    def written():
        return sorted(path.name for path in Path("out").iterdir() if path.is_file())

    run()
    assert written() == ["slicks.gpkg"]
    run("--format", "geojson")
    names = ("centrelines", "footprints", "slicks")
    assert written() == [f"{name}.{suffix}" for name in names for suffix in ("geojson", "qml")]
    run()
    assert written() == ["slicks.gpkg"]


def test_an_image_without_a_place_gives_pixels(at_work):
    image = np.full((60, 90), 180, np.uint8)
    image[10:14, 30:50] = 90
    Image.fromarray(image).save("plain.png")
    main(["plain.png", "out", "--model", "model.safetensors"])
    table = slicks("slicks_in_pixels")
    assert slicks("footprints_in_pixels").total_bounds.tolist() == [0, -60, 90, 0]
    assert [*slicks("centrelines_in_pixels")["candidate"]] == [1]
    assert table.crs is None or "Undefined" in str(table.crs)
    assert table["area_km2"].isna().all()


def test_results_among_the_scenes_are_no_scenes(at_work):
    for _ in range(2):
        main([".", "found", "--model", "model.safetensors", "--rasters"])
    assert at_work == ["a", "b"]
    with pytest.raises(InputError, match="expected a folder for results, found scenes in scenes/"):
        main(["scenes", ".", "--model", "model.safetensors"])


@pytest.mark.parametrize("given", ["one.tif", "."])
def test_results_may_lie_beside_their_scene(at_work, monkeypatch, capsys, given):
    Path("beside").mkdir()
    monkeypatch.chdir("beside")
    write_scene(Path("one.tif"))
    for _ in range(2):
        main([given, ".", "--model", "../model.safetensors", "--rasters"])
    assert at_work == ["one"] and len(slicks(path="slicks.gpkg")) == 2
    assert "no scenes" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda: Path("out").write_text(""), "out: expected a folder or a name that is free, found a file"),
        (lambda: Path("out/scenes/a").mkdir(parents=True), r"out/scenes/a: expected results of a scene or nothing"),
        (lambda: [path.unlink() for path in Path("scenes").iterdir()], "scenes: expected scenes"),
        (lambda: Path("params.yaml").write_text("scenes: {}\n"), "section 'data' is missing"),
    ],
)
def test_what_can_be_wrong(at_work, spoil, message):
    spoil()
    with pytest.raises(InputError, match=message):
        run()
    assert at_work == []


def test_tasks_can_be_sent(at_work, monkeypatch):
    sent = []
    monkeypatch.setattr(predict_scenes, "run_tasks", lambda function, tasks, *_: sent.extend([function, *tasks]) or [])
    run()
    function, task, _ = pickle.loads(pickle.dumps(sent))
    assert function is predict_scene.predict_scene and task == sent[1]


@pytest.mark.e2e
def test_it_gives_what_evaluate_gives_for_the_test_scene(finished, alone, tmp_path, monkeypatch):
    """By its GeoTIFF, which evaluate knew as tiles only."""
    monkeypatch.chdir(finished.folder)
    tiles = pd.read_csv(alone.folder / "data/predictions/tiles.csv", dtype={"tile": str, "scene": str})
    tiles = tiles[tiles["split"] == "test"]
    (scene,) = tiles["scene"].unique()
    pred = np.load(alone.folder / "data/predictions/pred.npy")[tiles["index"]]
    expected = np.zeros((128, 192), np.uint8)
    for tile, image in zip(tiles["tile"], pred, strict=True):
        _, row, column = (int(part) for part in tile.split("_"))
        expected[row * 64 : (row + 1) * 64, column * 64 : (column + 1) * 64] = image
    try:
        main([f"data/sample/scenes/{scene}.tif", f"{tmp_path}/out", "--rasters"])
    finally:
        torch.use_deterministic_algorithms(False)
    with rasterio.open(tmp_path / f"out/scenes/{scene}/{scene}_classes.tif") as file:
        found = file.read(1)
    assert expected.any()
    np.testing.assert_array_equal(np.where(found == 255, 0, found), expected)
    table = pyogrio.read_dataframe(tmp_path / "out/slicks.gpkg", layer="slicks")
    assert table["area_px"].sum() == np.count_nonzero(expected)


def kill_in_a_scene(scenes, killed):
    """Kill the first process that is in the middle of a scene, and note which; a thread for it."""

    def busy():
        for child in psutil.Process().children(recursive=True):
            try:
                files = [file.path for file in child.open_files()]
            except psutil.Error:  # it has ended
                continue
            for lock in (Path(file) for file in files if file.endswith(".partial/lock")):
                return child, lock
        return None

    def wait():
        while not killed:
            if found := busy():
                child, lock = found
                child.suspend()
                if lock.exists() and not (scenes / lock.parent.name.split(".")[1]).exists():
                    killed.append(lock.parent)
                    child.send_signal(signal.SIGKILL)
                else:
                    child.resume()
            time.sleep(0.02)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.e2e
def test_a_worker_that_is_killed_in_a_scene_changes_nothing(finished, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(finished.folder)
    killed = []
    thread = kill_in_a_scene(tmp_path / "killed/scenes", killed)
    main(["data/sample/scenes", f"{tmp_path}/killed", "--rasters", "--workers", "2"])
    thread.join(timeout=1)
    assert len(killed) == 1 and not killed[0].exists()
    try:
        main(["data/sample/scenes", f"{tmp_path}/alone", "--rasters"])
    finally:
        torch.use_deterministic_algorithms(False)
    assert not list(Path(tmp_path, "killed").rglob(".*"))
    of_workers, of_one = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.suffix in {".gpkg", ".tif"}}
        for folder in (tmp_path / "killed", tmp_path / "alone")
    )
    assert of_workers.keys() == of_one.keys() and len({path.suffix for path in of_one}) == 2
    assert all(of_workers[path] == content for path, content in of_one.items())
    assert "Traceback" not in capfd.readouterr().err


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "seepseg", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.e2e
def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    help_text = command("predict", "--help")
    assert help_text.returncode == 0 and "seepseg predict ../scenes ../found --rasters" in help_text.stdout
    write_scene(Path("a.tif"))
    result = command("predict", "a.tif", "out")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: models/model.safetensors is missing") and "--model FILE" in result.stderr
    assert result.stderr.count("\n") == 1  # and so no traceback
    assert not Path("out").exists()
    assert command().stderr.startswith("usage: ") and command().returncode == 1
    unknown = command("nothing")
    assert unknown.stderr.startswith("error: unknown command nothing; expected one of predict, seeps, export\nusage: ")
    assert unknown.returncode == 1
    code = "import sys, seepseg.commands.predict; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
