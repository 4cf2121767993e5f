"""Seeps: find the places that slicks of several passes come from, and measure how right that is.

Every candidate counts by its probability of being a slick, out of fold on training scenes; nothing of what is annotated
enters the estimate. It is compared with seeps from annotated slicks of all passes, with seeps that are known, and, with
the first half of the passes alone, with annotated slicks of the second half.

Reads data/packed, models/model.safetensors and, of data/candidates, candidates.csv, annotated.csv and footprints.csv;
takes the sections seeps and passes of params.yaml, and the files that seeps.known and seeps.conditions name. Writes
data/seeps: seeps.gpkg for GIS, seeps.csv and slicks.csv (which slick supports which seep); plots/seeps.png, the map;
plots/seeps_curve.csv, precision and recall along p_seep; plots/seeps_confirmed.csv, by rank; and metrics/seeps.json.
Where no two scenes see the same ground, tables have no row and metrics no value.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seepseg.base.files import write_bytes, write_csv, write_json
from seepseg.base.params import load_params
from seepseg.data.packed import open_packed
from seepseg.detection.detector import Detector
from seepseg.detection.model_file import load_model
from seepseg.detection.slick_table import SLICK, read_slick_table
from seepseg.figures import png_bytes, seeps_figure
from seepseg.geo.seep_files import no_known_seeps, read_known_seeps, write_seeps
from seepseg.models.trained_networks import check_classes
from seepseg.passes.finding import FoundSeeps, explain_two_passes, find_seeps
from seepseg.passes.flux import explain_unknown_drift, read_drift
from seepseg.passes.known import explain_none_on, explain_polygons, known_on
from seepseg.passes.params import PassesParams, SeepsParams
from seepseg.passes.reading import annotated_ends_of, read_grounds
from seepseg.passes.seep_map import map_of
from seepseg.passes.seep_measures import SeepMeasures
from seepseg.passes.seep_tables import describe_seeps, links_csv, seep_csv

PARAMS = "params.yaml"
PACKED = "data/packed"
CANDIDATES = "data/candidates"
MODEL = "models/model.safetensors"
SEEPS = "data/seeps"
MAP = "plots/seeps.png"
CURVE = "plots/seeps_curve.csv"
CONFIRMED = "plots/seeps_confirmed.csv"
METRICS = "metrics/seeps.json"
DPI = 150


def main(root: Path = Path()) -> None:
    """Run the stage."""
    params = load_params(SeepsParams, "seeps", root / PARAMS)
    passes = load_params(PassesParams, "passes", root / PARAMS)
    packed, model = open_packed(root / PACKED), load_model(root / MODEL)
    names = packed.class_names
    check_classes(root / MODEL, model.class_names, names, "train")
    table = read_slick_table(root / CANDIDATES / "candidates.csv", names).drop(columns="split")
    annotated = read_slick_table(root / CANDIDATES / "annotated.csv", names).drop_duplicates(SLICK)
    grounds = read_grounds(packed.scenes, root / CANDIDATES / "footprints.csv", passes.origins, packed.images.shape[1:])
    for notice in grounds.notices:
        print(notice)
    if why := explain_two_passes(grounds.grounds):
        print(why)
    slicks = Detector.of_model(model).classify(table)
    p_slick, p_class = slicks.probabilities()
    drift = read_drift(root / params.conditions, params.wind_factor) if params.conditions else {}
    if why := explain_unknown_drift(drift, grounds.scenes):
        print(f"{params.conditions} (seeps.conditions): {why}")
    found = find_seeps(slicks.candidates.table, p_slick, p_class, grounds, params, drift)
    of_annotated = annotated_ends_of(annotated, names, grounds)
    places = read_known_seeps(root / params.known) if params.known else no_known_seeps()
    if why := explain_polygons(places):
        print(f"{params.known} (seeps.known): {why}")
    known = [known_on(each.ground, places) for each in found]
    if why := explain_none_on([each.ground for each in found], places):
        print(f"{params.known} (seeps.known): {why}")
    _write(root, found, known, names, params)
    measures = SeepMeasures.of(found, of_annotated, known, params)
    write_csv(root / CURVE, measures.curve)
    write_csv(root / CONFIRMED, measures.confirmed)
    write_json(root / METRICS, measures.document)
    print(_line(measures.document) if found else "no seeps: no two scenes see the same ground, and a seep comes back")


def _write(
    root: Path, found: list[FoundSeeps], known: list[pd.DataFrame], class_names: list[str], params: SeepsParams
) -> None:
    """Write the seeps, their slicks and the map."""
    layers = describe_seeps(found, class_names, params.max_fdr)
    write_seeps(root / SEEPS / "seeps.gpkg", layers)
    write_csv(root / SEEPS / "seeps.csv", seep_csv(layers))
    write_csv(root / SEEPS / "slicks.csv", links_csv(layers))
    maps = [
        map_of(each, places[["x", "y"]].to_numpy(np.float64), params.max_fdr)
        for each, places in zip(found, known, strict=True)
    ]
    write_bytes(root / MAP, png_bytes(seeps_figure(maps), DPI))


def _line(document: dict[str, Any]) -> str:
    def shown(part: str, name: str) -> str:
        value = (document[part] or {}).get(name)
        return "-" if value is None else f"{value:.3f}"

    seeps = document["reported"] - document["platforms"]
    return (
        f"{seeps} seeps and {document['platforms']} platforms in {document['passes']} passes, "
        f"{document['expected_false']:.1f} of them expected to be none; against annotated slicks precision "
        f"{shown('annotated', 'precision')}, recall {shown('annotated', 'recall')}; against known seeps "
        f"{shown('known', 'precision')}, {shown('known', 'recall')}; of those in the first half of the passes "
        f"{shown('confirmed', 'confirmed_by_1')} confirmed in the second, by chance {shown('confirmed', 'by_chance_1')}"
    )
