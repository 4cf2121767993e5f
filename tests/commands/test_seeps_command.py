"""The command `seepseg seeps` on what `seepseg predict` would write of passes over three seeps."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from made_up_passes import GEOD, LOOSE, PASSES, SEEPS, lines_and_footprints, places_of_tiles, tiles
from made_up_seeps import found, plane

from seepseg.base.errors import InputError
from seepseg.commands.seeps import _tell, main
from seepseg.detection.slick_table import ENDS
from seepseg.io.tiff import write_tiff
from seepseg.passes.params import SeepsParams

pytestmark = pytest.mark.usefixtures("nowhere")


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Without a parameter file."""
    monkeypatch.chdir(tmp_path)


def write_found(folder, lines, footprints, suffix=""):
    folder.mkdir()
    for name, table in (("centrelines", lines), ("footprints", footprints)):
        pyogrio.write_dataframe(table, folder / "slicks.gpkg", layer=name + suffix, driver="GPKG")


@pytest.fixture(scope="module")
def layers():
    return lines_and_footprints()


def test_seeps_of_scenes(tmp_path, layers, capsys):
    write_found(tmp_path / "found", *layers)
    beside = SEEPS[0] + [0.001, 0]  # one reported place serves one known seep
    known = gpd.GeoDataFrame(geometry=[*map(shapely.Point, [*SEEPS, beside]), shapely.box(0, 0, 2, 2)], crs=4326)
    pyogrio.write_dataframe(known, tmp_path / "known.gpkg")
    header = "scene,wind_speed,wind_to,current_speed,current_to\n"
    (tmp_path / "wind.csv").write_text(header + "".join(f"scene_{n},0,0,0.1,90\n" for n in range(PASSES - 1)))
    options = ["--known", str(tmp_path / "known.gpkg"), "--conditions", str(tmp_path / "wind.csv")]
    main([str(tmp_path / "found"), str(tmp_path / "out"), *options])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "seeps.csv",
        "seeps.gpkg",
        "seeps.png",
        "slicks.csv",
    ]
    seeps = pd.read_csv(tmp_path / "out/seeps.csv")
    reported = seeps[seeps["reported"]]
    distance = GEOD.inv(*np.repeat(SEEPS, len(reported), axis=0).T, *np.tile(reported[["lon", "lat"]].T, 3))[2]
    nearest = distance.reshape(3, -1)
    assert len(reported) == 3 and (nearest.min(axis=1) < 100).all()
    of_seep = reported.iloc[nearest.argmin(axis=1)].reset_index(drop=True)
    assert [*of_seep["kind"]] == ["seep", "seep", "platform"] and [*of_seep["passes"]] == [PASSES] * 3
    assert (of_seep["class_name"] == "oil").all() and (of_seep["recurrence_rate"] > 0.7).all()
    # 0.9 km² of 3 km that grew at 0.1 m/s: 300 m wide, and 40 to 300 litres a km².
    np.testing.assert_allclose(of_seep["flux_low_l_per_day"], 300 * 0.1 * 86_400 / 1e6 * 40, rtol=0.01)
    links = pd.read_csv(tmp_path / "out/slicks.csv")
    assert links["scene_id"].str.startswith("scene_").all()
    told, notices = capsys.readouterr()
    assert f"{PASSES} passes over one ground, scene_0 to scene_7, {PASSES * (3 + LOOSE)} candidates:" in told
    assert "2 seeps and 1 platforms" in told and "3 of 4 known seeps" in told and "litres a day" in told
    assert "wind.csv: wind and current are missing of 1 of 8 scenes: scene_7\n" in notices
    assert "known.gpkg: 1 of 5 known seeps are polygons: a point within each counts\n" in notices


@pytest.mark.parametrize("passes", [2, 3])
def test_grounds_of_two_passes_are_told(tmp_path, layers, passes, capsys):
    lines, footprints = layers
    write_found(tmp_path / "found", lines[lines["scene_id"] < f"scene_{passes}"], footprints[:passes])
    main([str(tmp_path / "found"), str(tmp_path / "out")])
    told = "notice: 1 of 1 grounds have only two passes, scene_0 and scene_1: p_seep is too sure there"
    assert (told in capsys.readouterr().err) == (passes == 2)


def test_the_same_of_tiles_in_a_grid(tmp_path):
    table, footprints = tiles()
    (tmp_path / "found").mkdir()
    table.to_csv(tmp_path / "found/candidates.csv", index=False)
    footprints.to_csv(tmp_path / "found/footprints.csv", index=False)
    write_tiff(tmp_path / "found/a_0.tif", np.zeros((250, 250), np.uint8))
    (tmp_path / "params.yaml").write_text("passes: {origins: {a: [0, 0], b: [0, 1]}}\nseeps: {}\n")
    main([str(tmp_path / "found"), str(tmp_path / "out")])
    seeps = pd.read_csv(tmp_path / "out/seeps.csv")
    places = seeps.loc[seeps["reported"], ["x_px", "y_px"]].to_numpy()
    assert len(places) == 3
    assert (np.linalg.norm(places[:, None] - places_of_tiles(), axis=2).min(axis=0) < 4).all()
    assert "seeps_in_pixels" in pyogrio.list_layers(tmp_path / "out/seeps.gpkg")[:, 0]


def test_no_flux_is_said_and_no_zero(capsys):
    unknown = found(crs=plane(-91, 27))
    unknown.flux[:] = np.nan
    _tell([unknown], SeepsParams(), with_flux=True)
    told = capsys.readouterr().out
    assert "no flux: wind and current of none of their slicks are known" in told and "litres" not in told


def test_what_can_not_be_used_is_said(tmp_path, layers):
    lines, footprints = layers
    out = str(tmp_path / "out")
    (tmp_path / "empty").mkdir()
    write_found(tmp_path / "pixels", lines, footprints, "_in_pixels")
    write_found(tmp_path / "one", lines[lines["scene_id"] == "scene_0"], footprints[:1])
    write_found(tmp_path / "other", lines.drop(columns="centreline_km"), footprints)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/slicks.gpkg").write_bytes(b"half a file")
    (tmp_path / "table").mkdir()
    for file in ("candidates.csv", "footprints.csv"):
        (tmp_path / "table" / file).touch()
    (tmp_path / "tiles").mkdir()
    pd.DataFrame(columns=["scene", "slick", "area", *ENDS, "p_slick"]).to_csv(tmp_path / "tiles/candidates.csv")
    (tmp_path / "tiles/footprints.csv").write_text("scene,polygon\n")
    write_tiff(tmp_path / "tiles/one.tif", np.zeros((8, 8), np.uint8))
    for name, message in (
        ("empty", "expected the results of `seepseg predict`, slicks.gpkg"),
        ("pixels", "expected scenes with a place on earth, found none"),
        ("empty/../one/slicks.gpkg", "expected the folder that `seepseg predict` wrote, found a file"),
        ("other", "layer centrelines: columns centreline_km are missing"),
        ("damaged", "expected a GeoPackage, found none that can be read; run `seepseg predict` again"),
        ("table", "expected a table of candidates, .*; run `seepseg predict` again"),
        ("tiles", "footprints.csv: expected columns scene and wkt, .*; run `seepseg predict` again"),
        ("one", "expected several passes over the same ground, found no two scenes"),
    ):
        with pytest.raises(InputError, match=message):
            main([str(tmp_path / name), out])
    with pytest.raises(InputError, match="expected a name that is free"):
        main([str(tmp_path / "one"), str(tmp_path / "empty")])
    assert not (tmp_path / "out").exists()
