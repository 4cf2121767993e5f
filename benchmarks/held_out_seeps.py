"""Seeps from slicks of scenes that were held out: what recorded runs keep of their test scenes, and the folds together.

In a run, most passes are training scenes, whose slicks the networks of one inner fold find. Here each slick is found as
on a new scene, by all networks of the run whose test scene it is on.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from seepseg.base.files import write_csv
from seepseg.base.params import load_params
from seepseg.data.packed import PIXELS, open_packed
from seepseg.detection.detection import P_CLASS
from seepseg.detection.detector import Detector
from seepseg.detection.model_file import load_model
from seepseg.detection.slick_table import ENDS, SLICK, read_slick_table
from seepseg.geo.seep_files import no_known_seeps
from seepseg.passes.finding import find_seeps
from seepseg.passes.known import known_on
from seepseg.passes.params import PassesParams, SeepsParams
from seepseg.passes.reading import annotated_ends_of, read_grounds
from seepseg.passes.recurrence import P_SLICK
from seepseg.passes.seep_measures import SeepMeasures
from stages.classify import ANNOTATED, CANDIDATES, FOOTPRINTS, MODEL, PACKED, PARAMS

DECIMALS = 4


def held_out_slicks(folder: Path) -> dict[str, Any]:
    """What has to be kept of the test scenes of a run, as plain values.

    Args:
        folder: where its stages ran.

    Returns:
        `candidates` and `annotated`, columns of slicks with their ends, probabilities and annotated pixels;
        `footprints`, WKT by scene; `tile_shape` in pixels; and `origins`, see `seepseg.passes.params.PassesParams`.
    """
    packed, model = open_packed(folder / PACKED), load_model(folder / MODEL)
    names = model.class_names
    candidates, annotated = (_of_test(read_slick_table(folder / name, names)) for name in (CANDIDATES, ANNOTATED))
    slicks = Detector.of_model(model).classify(candidates)
    p_slick, p_class = slicks.probabilities()
    found = slicks.candidates.table[[*SLICK, "area", *ENDS]].assign(**{P_SLICK: p_slick})
    found[[P_CLASS + name for name in names]] = p_class
    marked = annotated.drop_duplicates(SLICK)[[*SLICK, "area", *ENDS, *(PIXELS + name for name in names)]]
    footprints = pd.read_csv(folder / FOOTPRINTS, dtype=str, keep_default_na=False).set_index("scene")["wkt"]
    scenes = sorted({*found["scene"], *marked["scene"]} & set(footprints.index))
    return {
        "candidates": _plain(found),
        "annotated": _plain(marked),
        "footprints": footprints[scenes].to_dict(),
        "tile_shape": list(packed.images.shape[1:]),
        "origins": load_params(PassesParams, "passes", folder / PARAMS).origins,
    }


def held_out_seeps(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The metrics of seeps, see `seepseg.passes.seep_measures`, from the test scenes of several runs together.

    Args:
        results: as recorded, each with other test scenes; of tiles without a place on earth.
    """
    parts = [result["held_out"] for result in results]
    candidates, annotated = (
        pd.concat([pd.DataFrame(part[name]) for part in parts], ignore_index=True)
        for name in ("candidates", "annotated")
    )
    footprints = pd.DataFrame([item for part in parts for item in part["footprints"].items()], columns=["scene", "wkt"])
    rows, columns = parts[0]["tile_shape"]
    with TemporaryDirectory() as folder:
        path = Path(folder, "footprints.csv")
        write_csv(path, footprints)
        grounds = read_grounds({}, path, parts[0]["origins"], (rows, columns))
    names = [column.removeprefix(P_CLASS) for column in candidates if column.startswith(P_CLASS)]
    params = SeepsParams(known="", conditions="")
    p_class = candidates[[P_CLASS + name for name in names]].to_numpy(np.float64)
    found = find_seeps(candidates, candidates[P_SLICK].to_numpy(np.float64), p_class, grounds, params, {})
    marked = annotated_ends_of(annotated, names, grounds)
    known = [known_on(each.ground, no_known_seeps()) for each in found]
    return SeepMeasures.of(found, marked, known, params).document


def _of_test(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["split"] == "test"].drop(columns="split")


def _plain(table: pd.DataFrame) -> dict[str, Any]:
    """Columns as lists; None where nothing is known."""
    columns: dict[str, Any] = table.round(DECIMALS).astype(object).where(table.notna(), None).to_dict("list")
    return columns
