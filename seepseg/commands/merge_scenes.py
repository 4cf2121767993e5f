"""One file of the slicks of all finished scenes, whose classes are told by other passes, too, where there are any.

Folders of scenes stay as they are: each tells its classes alone, so nothing in them is wrong when another scene comes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import torch

from seepseg.base.device import make_deterministic
from seepseg.commands.predict_scene import KEPT, SLICKS
from seepseg.detection.classifier import PASSES
from seepseg.detection.detection import P_CLASS
from seepseg.detection.model_file import Model
from seepseg.geo.centreline_files import FOOTPRINTS, IN_PIXELS
from seepseg.geo.slick_attributes import DIGITS, probability_columns
from seepseg.geo.slick_files import (
    NOT_SLICKS,
    Layers,
    read_layers,
    remove_geojson,
    write_geojson,
    write_geopackage,
)
from seepseg.geo.slick_files import SLICKS as ON_MAP
from seepseg.passes.classes_in_passes import (
    CLASS,
    KeptScene,
    classify_again,
    evidence_of_others,
    knows_passes,
    say_passes,
)
from seepseg.passes.found_slicks import views_of
from seepseg.passes.ground import Grounds, SceneView


def merge_scenes(out: Path, folders: Sequence[Path], model: Model, threads: int, file_format: str) -> None:
    """Put the slicks of scenes into one file.

    Args:
        out: the folder for it.
        folders: of the scenes, in the order of rows.
        model: by which they were detected.
        threads: with which classes are told.
        file_format: gpkg or geojson; a file of the other one goes.

    Raises:
        InputError: what is kept of a scene can't be read.
    """
    scenes = _scenes(folders, model, threads)
    if file_format == "geojson":
        write_geojson(out, scenes, model.class_names)
        (out / SLICKS).unlink(missing_ok=True)  # what this replaces
    else:
        write_geopackage(out / SLICKS, scenes, model.class_names)
        remove_geojson(out)


def lacks_candidates(folder: Path, model: Model) -> bool:
    """Whether nothing was kept of a finished scene for other passes, though there should be: by an earlier version."""
    if not knows_passes(model) or (folder / KEPT).is_file():
        return False
    return FOOTPRINTS + IN_PIXELS not in pyogrio.list_layers(folder / SLICKS)[:, 0]


def _scenes(folders: Sequence[Path], model: Model, threads: int) -> Iterator[Layers]:
    """The layers of each scene, classes told by other passes, too."""
    kept = {folder.name: KeptScene(folder.name, folder / KEPT, model.meta.classifiers) for folder in folders}
    kept = {name: scene for name, scene in kept.items() if knows_passes(model) and scene.path.is_file()}
    grounds = Grounds.of_scenes([view for scene in kept.values() for view in _views(scene.path.parent)], {}, 1)
    if len(kept) > 1:
        say_passes(grounds, len(folders))
    if not grounds.scenes:
        yield from (read_layers(folder / SLICKS, model.class_names) for folder in folders)
        return
    make_deterministic(0, threads, torch.device("cpu"))
    evidence = evidence_of_others(kept.values(), grounds)
    for folder in folders:
        layers = read_layers(folder / SLICKS, model.class_names)
        told = evidence.get(folder.name)
        classes = None if told is None else classify_again(kept[folder.name], told, model)
        for name in {ON_MAP, NOT_SLICKS} & layers.keys():
            layers[name] = _tell(layers[name], folder.name, classes, model.class_names)
        yield layers


def _views(folder: Path) -> Sequence[SceneView]:
    """What a scene shows of the earth, if anything."""
    return views_of(pyogrio.read_dataframe(folder / SLICKS, layer=FOOTPRINTS))


def _tell(
    table: gpd.GeoDataFrame, scene: str, classes: pd.DataFrame | None, class_names: Sequence[str]
) -> gpd.GeoDataFrame:
    """A table of slicks with a column `PASSES`, and classes told again.

    Args:
        table: see `seepseg.geo.slick_attributes.describe`.
        scene: of which they are.
        classes: of some of them, see `classify_again`; None of none.
        class_names: the K classes.
    """
    told = table.copy()
    told.insert(told.columns.get_loc("area_km2"), PASSES, np.zeros(len(told), np.int32))
    if classes is None:
        return told
    by_id = classes.set_axis([f"{scene}_{number}" for number in classes.index])
    rows = told.index[told["slick_id"].isin(by_id.index)]
    found = by_id.loc[told.loc[rows, "slick_id"]]
    number = found[CLASS].to_numpy()
    told.loc[rows, "class_id"] = number.astype(np.int32)
    told.loc[rows, "class_name"] = np.array(class_names, dtype=object)[number - 1]
    told.loc[rows, PASSES] = found[PASSES].to_numpy(np.int32)
    columns = ["p_class", *(P_CLASS + name for name in class_names)]
    told.loc[rows, ["p_class", *probability_columns(class_names)]] = found[columns].to_numpy().round(DIGITS)
    return told
