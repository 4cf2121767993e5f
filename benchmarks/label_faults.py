"""Faults planted into the labels of the sample: are they found on the page, and what does it bring to correct them?

    python -m benchmarks.label_faults
    python -m benchmarks.label_faults --share 0.05 --seed 2     # other faults

Takes three times the time of `dvc repro`. In a temporary clone of the repository the pipeline runs on the sample as it
is, then on annotations with faults: a tenth of the slicks is left out, as many are invented where nothing is, and as
many have another class. Somebody who knows the truth then decides about all that the page lists to look at next; the
decisions are saved as the page saves them, and the pipeline runs again. The test scene stays the same. All scores are
given against the true targets and against those that the run was given. Writes docs/results/label_faults.json.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import rasterio
import shapely
from affine import Affine
from shapely.affinity import affine_transform

from benchmarks.planted_faults import FAULTS, judge, plant, ranks, repaired
from benchmarks.repository import RESULTS, dvc, make_clone, set_params
from seepseg.base.command import run_stage
from seepseg.base.conventions import NODATA
from seepseg.base.files import write_csv, write_json
from seepseg.base.params import load_params
from seepseg.data.packed import Packed, open_packed
from seepseg.data.scenes import find_scenes
from seepseg.evaluation.confusion import confusion_counts, scores
from seepseg.report.contents import Contents
from seepseg.report.params import ReportParams
from seepseg.synthetic.files import CRS
from stages.report import contents_of_run

SLICKS, SCENES = "data/sample/slicks.gpkg", "data/sample/scenes"
PLANTED, CORRECTIONS = "data/slicks_with_faults.gpkg", "data/corrections.csv"
OUT = RESULTS / "label_faults.json"
FIRST = (10, 20, 50)  # of each list
SCORES = ("binary_dice", "macro_dice")


def main() -> None:
    """Run the round trip, print what came of it, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.1, help="faults of each kind for each slick (default: 0.1)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults (default: 1)")
    parser.add_argument("--out", type=Path, default=OUT, help="the file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        document = round_trip(Path(folder, "clone"), arguments.share, arguments.seed)
    write_json(arguments.out, document)
    print(*report(document), sep="\n")


def round_trip(clone: Path, share: float, seed: int) -> dict[str, Any]:
    """Plant, look, decide, correct; see the module.

    Args:
        clone: gets a clone of the repository.
        share: see `plant`.
        seed: likewise.
    """
    make_clone(clone, {})
    truth, reached = _run(clone), {}
    names, targets = truth.class_names, np.array(truth.targets)
    grids = on_grids(truth, targets)
    reached["without faults"] = measure(clone, truth, targets)
    set_params(clone / "params.yaml", {"split": {"test_scenes": _test_scenes(clone)}})

    slicks = read_slicks(clone / SLICKS, clone / SCENES)
    has_data = {scene: image != NODATA for scene, image in on_grids(truth, truth.images).items()}
    annotated, faults = plant(slicks, has_data, share, seed)
    write_slicks(clone / PLANTED, annotated, clone / SCENES)
    set_params(clone / "params.yaml", {"scenes": {"annotations": PLANTED}})
    given = _run(clone)
    with_faults = on_grids(given, np.array(given.targets))
    reached["with faults"] = measure(clone, given, targets)

    contents = contents_of_run(clone, load_params(ReportParams, "report", clone / "params.yaml"))
    listed = listed_slicks(contents)
    write_csv(clone / CORRECTIONS, judge(listed, grids, names))
    corrected = _run(clone)
    reached["corrected"] = measure(clone, corrected, targets)

    best, is_fault = ranks(faults, listed)
    is_repaired = repaired(faults, with_faults, on_grids(corrected, corrected.targets), grids)
    totals = {review.key: review.total for review in contents.reviews}
    return {
        "share": share,
        "seed": seed,
        "slicks": len(slicks),
        "faults": _by_kind(faults, best, is_repaired),
        "lists": _by_list(listed, is_fault, totals),
        "runs": reached,
    }


def _run(clone: Path) -> Packed:
    """Run the pipeline, and open what it packed."""
    print(f"dvc repro in {clone}", flush=True)
    dvc(clone, "repro")
    return open_packed(clone / "data/packed")


def _test_scenes(clone: Path) -> list[str]:
    table = pd.read_csv(clone / "data/split.csv", dtype=str, keep_default_na=False)
    return sorted(table.loc[table["split"] == "test", "scene"].unique())


def on_grids(packed: Packed, tiles: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Tiles (N, h, w) put together to the grid of each scene, (H, W), 0 where there is none."""
    grids = {}
    for scene in find_scenes(packed.manifest, np.arange(len(tiles)), tiles.shape[1:]):
        part, (top, left) = scene.stitch(tiles[scene.indices]), scene.origin or (0, 0)
        grids[scene.name] = np.pad(part, ((top, 0), (left, 0)))
    return grids


def read_slicks(path: Path, scenes: Path) -> pd.DataFrame:
    """The annotated slicks of the sample: `scene`, `class_name`, and `outline` in pixels of the scene's grid."""
    table = gpd.read_file(path).to_crs(CRS)
    outlines = [
        shapely.transform(affine_transform(outline, (~_transform(scenes, scene)).to_shapely()), np.rint)
        for outline, scene in zip(table.geometry, table["scene"], strict=True)
    ]
    return pd.DataFrame({"scene": table["scene"], "class_name": table["class"], "outline": outlines})


def write_slicks(path: Path, slicks: pd.DataFrame, scenes: Path) -> None:
    """Undo `read_slicks`."""
    outlines = [
        affine_transform(outline, _transform(scenes, scene).to_shapely())
        for outline, scene in zip(slicks["outline"], slicks["scene"], strict=True)
    ]
    columns = {"class": slicks["class_name"], "scene": slicks["scene"]}
    gpd.GeoDataFrame(columns, geometry=outlines, crs=CRS).to_crs("EPSG:4326").to_file(path, driver="GPKG")


def _transform(scenes: Path, scene: str) -> Affine:
    with rasterio.open(scenes / f"{scene}.tif") as file:
        transform: Affine = file.transform
        return transform


def measure(clone: Path, packed: Packed, truth: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """What a run reached.

    Args:
        clone: where it ran.
        packed: what it was given.
        truth: uint8 (N, h, w), true targets.

    Returns:
        `wrong_pixels`, of the targets that it was given; and by split and by what is compared with, true or given
        targets, `SCORES`.
    """
    pred = np.load(clone / "data/predictions/pred.npy")
    tiles = pd.read_csv(clone / "data/predictions/tiles.csv")
    valid, names = packed.images != NODATA, packed.class_names
    found: dict[str, Any] = {"wrong_pixels": int(np.count_nonzero(valid & (packed.targets != truth)))}
    for split, rows in tiles.groupby("split")["index"]:
        for against, targets in (("true", truth), ("given", packed.targets)):
            table = confusion_counts(targets[rows], pred[rows], valid[rows], len(names) + 1)
            reached = scores(table, names)
            found.setdefault(split, {})[against] = {name: reached[name] for name in SCORES}
    return found


def listed_slicks(contents: Contents) -> pd.DataFrame:
    """What the page lists to look at next, list by list.

    Returns:
        A row each: `list`, `rank` in it from 1, `scene`, `kind`, `class_name`, `other_class`, `outline`.
    """
    slicks = pd.concat(
        [page.slicks.assign(scene=page.name, outline=page.outlines) for page in contents.scenes], ignore_index=True
    ).set_index(["scene", "slick_id"])
    items = [
        (review.key, rank, item.scene, item.slick_id)
        for review in contents.reviews
        for rank, item in enumerate(review.items, start=1)
    ]
    listed = pd.DataFrame(items, columns=["list", "rank", "scene", "slick_id"])
    columns = ["kind", "class_name", "other_class", "outline"]
    return listed.join(slicks[columns], on=["scene", "slick_id"]).drop(columns="slick_id")


def _by_kind(faults: pd.DataFrame, best: pd.Series, is_repaired: pd.Series) -> dict[str, dict[str, int]]:
    """How many faults of each kind were planted, listed among the first of any list, and repaired."""
    table = {}
    for kind in FAULTS:
        of_kind = faults["fault"] == kind
        among = {f"among_first_{first}": int((best[of_kind] <= first).sum()) for first in FIRST}
        table[kind] = {"planted": int(of_kind.sum()), **among, "repaired": int(is_repaired[of_kind].sum())}
    return table


def _by_list(listed: pd.DataFrame, is_fault: pd.Series, totals: dict[str, int]) -> dict[str, dict[str, int]]:
    """How many slicks are in each list, and how many of the first are planted faults."""
    table = {}
    for key, total in totals.items():
        flags = is_fault[listed["list"] == key]
        table[key] = {"total": total} | {f"faults_in_first_{first}": int(flags[:first].sum()) for first in FIRST}
    return table


def report(document: dict[str, Any]) -> Sequence[str]:
    """The results in lines."""
    lines = [f"{document['slicks']} slicks, faults planted into {document['share']:.0%} of them, for each kind"]
    for what in ("faults", "lists"):
        for kind, row in document[what].items():
            lines.append(f"{kind}: {', '.join(f'{name} {number}' for name, number in row.items())}".replace("_", " "))
    for run, found in document["runs"].items():
        lines.append(f"{run}: {found['wrong_pixels']:,} wrong pixels")
        for split in ("oof", "test"):
            for against, reached in found[split].items():
                shown = ", ".join(f"{name.replace('_', ' ')} {reached[name]:.3f}" for name in SCORES)
                lines.append(f"  {split} against {against} targets: {shown}")
    return lines


if __name__ == "__main__":
    run_stage(main)
