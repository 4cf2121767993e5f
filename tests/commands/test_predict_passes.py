"""Classes that `seepseg predict` tells by other passes: with networks that find what is dark, and accept all of it."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import tifffile
import torch
from conftest import POSTPROCESSING, Whole, Workspace
from dark_slicks import SEA, Dark, meta_of_two
from dark_slicks import SLICK as DARK
from PIL import Image
from test_predict import write_scene

from seepseg.base.errors import InputError
from seepseg.commands import predict_scene
from seepseg.commands.predict import main
from seepseg.data.pixels import Window
from seepseg.data.scenes import TiledScene, find_scenes
from seepseg.detection.classifier import ClassifierMeta, average_probs, build_classifiers
from seepseg.detection.detector import Detector
from seepseg.detection.model_file import Model, ModelMeta
from seepseg.detection.proposal import DetectParams, ProposalParams
from seepseg.detection.slick_table import ENDS, SLICK, feature_columns, in_whole_grid
from seepseg.geo.params import ScenesParams
from seepseg.geo.scene_file import open_scene
from seepseg.passes.classes_in_passes import KeptScene
from seepseg.passes.footprints import footprint
from seepseg.passes.ground import Grounds, SceneView
from seepseg.passes.recurrence import recurrence_features, recurrence_names

NAMES = ["oil", "gas"]
OF_CLASSES = [f"p_of_{name}" for name in NAMES]
RADIUS, SIDE = 12.0, 32
NETWORKS = meta_of_two(SIDE)
PROPOSAL = ProposalParams(tta=1, norm_prior_tiles=0, threshold=0.9, min_area=20)
COMPUTE = DetectParams(device="cpu", amp=False, threads=1)
# Boxes of dark spots, top, left, bottom, right, which lie at about the same places in all scenes.
SPOTS = [(10, 8, 13, 28), (40, 60, 44, 85), (60, 20, 66, 34), (16, 90, 20, 118), (70, 96, 73, 112)]


def measured():
    """Features of the dark spots."""
    image = np.random.default_rng(0).normal(SEA, 500, (80, 130)).astype(np.uint16)
    for top, left, bottom, right in SPOTS:
        image[top:bottom, left:right] = DARK
    proposer = Detector.of_networks([Dark(4.0)], NETWORKS, replace(COMPUTE, **asdict(PROPOSAL)), torch.device("cpu"))
    table = proposer.propose(Whole(image), (SIDE, SIDE)).slicks.measure()
    return table[feature_columns(table)]


@pytest.fixture
def models(monkeypatch, tmp_path, one_thread):
    """Models by the names of their files: one knows other passes, the other is the same without."""
    table = measured()
    of_alone = ClassifierMeta(class_names=NAMES, features=[*table], classifiers=2, members=2, hidden=8)
    of_knowing = replace(of_alone, recurrence=recurrence_names(NAMES), recurrence_radius=RADIUS)
    accepts_all = replace(POSTPROCESSING, object_threshold=0.0, pixel_threshold=0.0, class_weights=[1.0, 1.0])
    classifiers, found = build_classifiers(of_alone), {}
    for name, meta in (("alone", of_alone), ("knowing", of_knowing)):
        for classifier in classifiers if meta.recurrence else ():
            ensemble = classifier.add_classes_in_passes(meta)
            ensemble.mean[-2:], ensemble.std[-2:] = 0.4, 0.1  # of the evidence
        for ensemble in (each for classifier in classifiers for each in classifier.children()):
            ensemble.mean[: len(of_alone.features)] = torch.from_numpy(table.to_numpy().mean(axis=0))
            ensemble.std[: len(of_alone.features)] = torch.from_numpy(table.to_numpy().std(axis=0)) + 1e-3
        whole = ModelMeta(networks=NETWORKS, proposal=PROPOSAL, classifiers=meta, postprocessing=accepts_all)
        found[name] = Model(whole, [Dark(4.0), Dark(2.0)], list(classifiers))
        Path(tmp_path, name).write_text(name)
    monkeypatch.setattr(predict_scene, "load_model", lambda path: found[path.name])
    monkeypatch.chdir(tmp_path)
    return found


def run(scenes, out, model, *options):
    main([str(scenes), str(out), "--model", model, "--params", "params.yaml", *options])


class Expected:
    """What a detector says of several scenes if it is given all their candidates, and what other passes tell of them.

    The way of the stages: all candidates are in memory, in pixels.

    Args:
        model: which.
        scenes: by name, pixels, origin in the whole grid, footprint, georeference, time.
        origins: of scenes without a georeference.
    """

    def __init__(self, model, scenes, origins):
        self.detector = Detector.of_model(model, COMPUTE, torch.device("cpu"))
        self.found = {name: self.detector.propose(scene[0], (SIDE, SIDE)) for name, scene in scenes.items()}
        table = pd.concat(
            [
                in_whole_grid(found.slicks.measure().assign(scene=name), scenes[name][1])
                for name, found in self.found.items()
                if len(found.slicks)
            ],
            ignore_index=True,
        )
        candidates = table.drop_duplicates(SLICK)[[*SLICK, *ENDS]].reset_index(drop=True)
        probs = average_probs(model.classifiers, table)
        candidates["p_slick"], candidates[OF_CLASSES] = probs.p_slick, probs.classes
        views = [SceneView(name, *scene[2:]) for name, scene in scenes.items()]
        grounds = Grounds.of_scenes(views, origins, SIDE)
        evidence = recurrence_features(table, candidates, grounds, RADIUS, NAMES)
        self.slicks, self.alone = (self.detector.classify(each) for each in (table.join(evidence), table))

    def rows(self, slicks):
        """Scene, number, class, passes and probabilities of each slick."""
        rows = slicks.candidates.table[SLICK].assign(name=np.array(NAMES)[slicks.classes - 1])
        rows["passes"] = self.slicks.candidates.table["passes"]
        rows[OF_CLASSES] = slicks.probabilities()[1]
        return rows

    def mask(self, name):
        """The predicted mask of a scene."""
        found, here = self.found[name], (self.slicks.candidates.table["scene"] == name).to_numpy()
        labels, by_pixel = found.slicks.labels.whole(), found.classes.whole()
        return self.detector.draw(labels, self.slicks.accepted[here], self.slicks.classes[here], by_pixel)


def spots(number):
    """Those of a scene; its slicks have drifted a little, and one is missing."""
    moved = [tuple(np.array(box) + number % 2) for box in SPOTS]
    return moved[:number] + moved[number + 1 :]


@pytest.fixture
def scenes(tmp_path):
    """Three scenes of a ground, one of them further east; one of it without a slick; and one of elsewhere."""
    Workspace(tmp_path)
    (tmp_path / "scenes").mkdir(exist_ok=True)
    for number in range(3):
        write_scene(tmp_path / f"scenes/s{number}.tif", spots(number), left=500_000.0 + 40 * 5 * (number == 2))
    write_scene(tmp_path / "scenes/calm.tif", [])
    write_scene(tmp_path / "scenes/elsewhere.tif", spots(0), left=600_000.0)
    return tmp_path / "scenes"


def slicks(path, layer="slicks"):
    return gpd.read_file(path, layer=layer)


def test_scenes_are_told_what_the_stages_would_tell(models, scenes, capsys):
    run(scenes, "out", "knowing", "--rasters")
    told = capsys.readouterr()
    assert "4 of 5 scenes see ground that other passes see" in told.out and "calm: 0 slicks" in told.out
    assert told.err == "notice: scenes that share ground with no other pass: elsewhere\n"
    given = {}
    for path in sorted(scenes.iterdir()):
        with open_scene(path, ScenesParams(), NETWORKS.radiometry, NETWORKS.scaling) as scene:
            image = scene.read(Window(0, 0, *scene.shape))
            view = footprint(image != 0), scene.georeference, scene.acquired
            given[scene.name] = Whole(image, scene.name), (0, 0), *view
    expected = Expected(models["knowing"], given, {})
    found, rows, alone = slicks("out/slicks.gpkg"), expected.rows(expected.slicks), expected.rows(expected.alone)
    assert [*found["slick_id"]] == [f"{scene}_{slick}" for scene, slick in rows[SLICK].to_numpy()]
    assert [*found["class_name"]] == [*rows["name"]] and [*found["passes"]] == [*rows["passes"]]
    assert {*found["passes"]} >= {0, 3} and (rows["name"] != alone["name"]).sum() >= 3
    assert [*found["class_id"]] == [1 + NAMES.index(name) for name in rows["name"]]
    np.testing.assert_allclose(found[["p_oil", "p_gas"]], rows[OF_CLASSES], atol=2e-6)
    assert [*found["p_class"]] == [*np.where(found["class_id"] == 1, found["p_oil"], found["p_gas"])]
    assert found["p_slick"].to_numpy() == pytest.approx(expected.alone.probabilities()[0], abs=2e-6)
    # Folders of scenes and centrelines, on which seeps build, hold what each scene tells alone.
    own = pd.concat([slicks(f"out/scenes/{name}/slicks.gpkg") for name in given])
    assert [*own["class_name"]] == [*alone["name"]] and "passes" not in own
    lines = slicks("out/slicks.gpkg", "centrelines")
    np.testing.assert_allclose(lines[["p_oil", "p_gas"]], alone[OF_CLASSES], atol=2e-6)


def test_scenes_may_come_one_after_the_other(models, scenes):
    run(scenes, "at_once", "knowing")
    run(scenes / "s1.tif", "later", "knowing")
    one = slicks("later/slicks.gpkg")
    run(scenes, "later", "knowing")
    assert Path("later/slicks.gpkg").read_bytes() == Path("at_once/slicks.gpkg").read_bytes()
    # One scene gets what a model gives that knows no passes, which keeps nothing for them.
    run(scenes / "s1.tif", "plain", "alone")
    plain = slicks("plain/slicks.gpkg").drop(columns="model_fingerprint")
    pd.testing.assert_frame_equal(one.drop(columns="model_fingerprint"), plain)
    assert sorted(path.name for path in Path("plain/scenes/s1").iterdir()) == ["scene.json", "slicks.gpkg"]


def test_what_is_kept_of_a_scene_is_damaged(models, scenes, capsys):
    run(scenes, "out", "knowing", "--fast", "--format", "geojson")
    assert "passes" in gpd.read_file("out/slicks.geojson")
    damaged = Path("out/scenes/s0/candidates.npz")
    damaged.write_bytes(damaged.read_bytes()[:300])
    before = Path("out/slicks.geojson").read_bytes()
    with pytest.raises(InputError, match=r"candidates\.npz: expected what predict keeps .*; remove the folder"):
        run(scenes, "out", "knowing", "--fast", "--format", "geojson")
    assert Path("out/slicks.geojson").read_bytes() == before
    shutil.rmtree(damaged.parent)
    run(scenes, "out", "knowing", "--fast", "--format", "geojson")
    assert Path("out/slicks.geojson").read_bytes() == before


def test_scenes_of_an_earlier_version_are_done_again(models, scenes, capsys):
    """Which kept nothing for other passes; of an image without a place on earth there is nothing to keep."""
    Image.fromarray(np.full((60, 90), 180, np.uint8)).save(scenes / "plain.png")
    for scene in ("s0.tif", "s1.tif", "plain.png"):
        run(scenes / scene, "out", "knowing")
    both = Path("out/slicks.gpkg").read_bytes()
    Path("out/scenes/s0/candidates.npz").unlink()
    with pytest.raises(InputError, match=r"out/scenes/s0 holds results of other settings: no candidates\.npz"):
        run(scenes / "s1.tif", "out", "knowing")
    for scene in ("s2.tif", "calm.tif", "elsewhere.tif"):
        (scenes / scene).unlink()
    capsys.readouterr()
    run(scenes, "out", "knowing")
    assert "2 of 3 scenes are finished already" in capsys.readouterr().out
    assert Path("out/slicks.gpkg").read_bytes() == both
    run(scenes / "s1.tif", "plain", "alone")  # another model is none of an earlier version
    with pytest.raises(InputError, match="plain/scenes/s1 holds results of other settings: model_fingerprint"):
        run(scenes / "s1.tif", "plain", "knowing")


def test_candidates_on_land_tell_nothing(models, scenes):
    """Around the third spot, and around none of its neighbours."""
    top, left, bottom, right = 40 * np.array(SPOTS[2]) + [-80, -80, 120, 120]
    land = shapely.box(500_000 + left, 6_000_000 - bottom, 500_000 + right, 6_000_000 - top)
    gpd.GeoDataFrame(geometry=[land], crs="EPSG:32631").to_crs(4326).to_file("land.gpkg")
    run(scenes, "out", "knowing", "--land", "land.gpkg")
    on_land = slicks("out/slicks.gpkg", "not_slicks")
    assert len(on_land) == 2 and [*on_land["passes"]] == [0, 0]
    assert (slicks("out/slicks.gpkg")["passes"] > 0).any()
    for name in ("s0", "s1"):
        path = Path(f"out/scenes/{name}/candidates.npz")
        assert [*KeptScene(name, path, models["knowing"].meta.classifiers).candidates()["number"]] == [1, 2, 4]


def write_tiles(folder, number):
    """A scene of 3 x 4 tiles."""
    image = np.random.default_rng(number).normal(SEA, 500, (3 * SIDE, 4 * SIDE)).astype(np.uint16)
    for top, left, bottom, right in spots(number):
        image[top:bottom, left:right] = DARK
    for row in range(3):
        for column in range(4):
            tile = image[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
            tifffile.imwrite(folder / f"90{number}_{row}_{column}.tif", tile)


def read_tiles(folder):
    """A table of the tiles, and their pixels."""
    paths = sorted(folder.glob("*.tif"))
    manifest = pd.DataFrame([path.stem.split("_") for path in paths], columns=["scene", "row", "col"])
    return manifest.astype({"row": "Int64", "col": "Int64"}), np.stack([tifffile.imread(path) for path in paths])


def test_tiles_are_told_and_drawn_by_other_passes(models, tmp_path, capsys):
    workspace, folder = Workspace(tmp_path), tmp_path / "tiles"
    workspace.set("data", name_pattern=r"(?P<scene>\d+)_(?P<row>\d+)_(?P<col>\d+)\.tif")
    folder.mkdir()
    for number in range(3):
        write_tiles(folder, number)
    run(folder, "alone_again", "knowing")
    told = capsys.readouterr().err
    assert "notice: no two scenes see the same ground" in told
    assert "notice: scenes that have no georeference and fit none of passes.origins: 900, 901, 902" in told
    run(folder, "plain", "alone")
    assert not capsys.readouterr().err
    one, other = (sorted(Path(name).iterdir()) for name in ("alone_again", "plain"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
    origins = {"900": [0, 0], "901": [0, 0], "902": [0, -1]}
    workspace.set("passes", origins=origins)
    run(folder, "out", "knowing")
    manifest, images = read_tiles(folder)
    given = {}
    scenes = find_scenes(manifest, manifest.index.to_numpy(), (SIDE, SIDE))
    for scene in scenes:
        tiles = images[scene.indices]
        view = footprint(scene.stitch(tiles) != 0, scene.origin), None, None
        given[scene.name] = TiledScene(scene, tiles), scene.origin, *view
    expected = Expected(models["knowing"], given, origins)
    rows, alone = expected.rows(expected.slicks), expected.rows(expected.alone)
    found, before = (pd.read_csv(f"{name}/slicks.csv", dtype={"scene": str}) for name in ("out", "plain"))
    assert [*found["class"]] == [*rows["name"]] and [*found["passes"]] == [*rows["passes"]]
    assert {*found["passes"]} >= {1, 2} and (rows["name"] != alone["name"]).any()
    _, masks = read_tiles(Path("out"))
    for scene in scenes:
        np.testing.assert_array_equal(masks[scene.indices], scene.cut(expected.mask(scene.name)))
    unchanged = ["scene", "slick", "area", "p_slick"]
    pd.testing.assert_frame_equal(found[unchanged], before[unchanged])
    for name in ("candidates.csv", "footprints.csv"):  # on which seeps build
        assert Path("out", name).read_bytes() == Path("plain", name).read_bytes()
