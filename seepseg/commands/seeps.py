"""Find the seeps behind the slicks of several passes over the same ground.

FOUND is a folder that `seepseg predict` wrote, of scenes that have a place on earth, or of tiles in a grid. OUT is a
folder that is not there yet. In it are written

  seeps.gpkg    GeoPackage: `seeps`, points with the probability of being one, recurrence rate, error radius, ...;
                `seep_errors`, the ellipses in which they lie with 95 %; `seep_slicks`, lines to their slicks. QGIS
                opens them styled. Of tiles, layers end in `_in_pixels`.
  seeps.csv     the same as a table
  slicks.csv    which slick supports which seep, and how much
  seeps.png     a map

Every candidate counts by its probability of being a slick, whether predict accepted it or not. A seep is `reported`
where at most the share seeps.max_fdr of the parameter file is expected to be none; others follow, with less certainty.
docs/seeps.md tells how it works, and how to read the numbers.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from seepseg.base.errors import InputError
from seepseg.base.files import write_bytes, write_csv
from seepseg.base.folders import new_folder
from seepseg.commands.options import PARAMS, read_section
from seepseg.figures import png_bytes, seeps_figure
from seepseg.geo.seep_files import no_known_seeps, read_known_seeps, write_seeps
from seepseg.passes.finding import FoundSeeps, explain_two_passes, find_seeps
from seepseg.passes.flux import FLUXES, explain_unknown_drift, read_drift
from seepseg.passes.found_slicks import read_predicted
from seepseg.passes.known import explain_none_on, explain_polygons, known_on
from seepseg.passes.params import PassesParams, SeepsParams
from seepseg.passes.seep_map import map_of
from seepseg.passes.seep_measures import score_known
from seepseg.passes.seep_scores import WITHIN
from seepseg.passes.seep_tables import describe_seeps, links_csv, seep_csv

DPI = 150

EXAMPLES = """examples:
  seepseg predict ../scenes ../found
  seepseg seeps ../found ../seeps
  seepseg seeps ../found ../seeps --known wells_and_seeps.shp --conditions wind_and_current.csv
"""


def main(arguments: list[str] | None = None) -> None:
    """Find seeps as the command line says."""
    parser = argparse.ArgumentParser(
        "seepseg seeps", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("found", metavar="FOUND", type=Path, help="a folder that `seepseg predict` wrote")
    add("out", metavar="OUT", type=Path, help="a folder to write, which is not there yet")
    add("--params", metavar="FILE", type=Path, help=f"parameter file (default: {PARAMS}, if there is one)")
    add(
        "--known", metavar="FILE", type=Path, help="points of known seeps, any vector file, to draw and to compare with"
    )
    add(
        "--conditions",
        metavar="FILE",
        type=Path,
        help="wind and current of the scenes, for the flux: CSV with columns scene, wind_speed, wind_to, "
        "current_speed, current_to, in m/s and degrees clockwise from north",
    )
    seeps(**vars(parser.parse_args(arguments)))


def seeps(
    found: Path, out: Path, params: Path | None = None, known: Path | None = None, conditions: Path | None = None
) -> None:
    """Find the seeps.

    Raises:
        InputError: OUT is there, or something of what was given can't be used, or no two scenes see the same ground.
    """
    if out.exists():
        raise InputError(f"{out}: expected a name that is free, found something there; name another one")
    settings = read_section(SeepsParams, "seeps", params)
    predicted = read_predicted(found, read_section(PassesParams, "passes", params))
    if not predicted.grounds.grounds:
        raise InputError(
            "\n".join(
                [
                    f"{found}: expected several passes over the same ground, found no two scenes that overlap, of "
                    "different times; a seep shows only where slicks come back",
                    *predicted.grounds.notices,
                ]
            )
        )
    for notice in predicted.grounds.notices:
        print(f"notice: {notice}", file=sys.stderr)
    if why := explain_two_passes(predicted.grounds.grounds):
        print(f"notice: {why}", file=sys.stderr)
    drift = read_drift(conditions, settings.wind_factor) if conditions else {}
    if why := explain_unknown_drift(drift, predicted.grounds.scenes):
        print(f"notice: {conditions}: {why}", file=sys.stderr)
    places = read_known_seeps(known) if known else no_known_seeps()
    if why := explain_polygons(places):
        print(f"notice: {known}: {why}", file=sys.stderr)
    each = find_seeps(predicted.table, predicted.p_slick, predicted.p_class, predicted.grounds, settings, drift)
    layers = describe_seeps(each, predicted.class_names, settings.max_fdr)
    of_grounds = [known_on(ground.ground, places) for ground in each]
    maps = [
        map_of(ground, there[["x", "y"]].to_numpy(np.float64), settings.max_fdr)
        for ground, there in zip(each, of_grounds, strict=True)
    ]
    with new_folder(out) as folder:
        write_seeps(folder / "seeps.gpkg", layers)
        write_csv(folder / "seeps.csv", seep_csv(layers))
        write_csv(folder / "slicks.csv", links_csv(layers))
        write_bytes(folder / "seeps.png", png_bytes(seeps_figure(maps), DPI))
    _tell(each, settings, with_flux=bool(conditions))
    if why := explain_none_on([ground.ground for ground in each], places):
        print(f"notice: {known}: {why}", file=sys.stderr)
    else:
        _tell_known(each, of_grounds, settings)
    print(f"wrote {out}")


def _tell(found: list[FoundSeeps], params: SeepsParams, with_flux: bool) -> None:
    """The result in a few lines."""
    for ground in found:
        table = ground.seeps.table
        reported = table[table["q_value"] <= params.max_fdr]
        natural, unit = reported[reported["kind"] == "seep"], ground.ground.unit.replace("px", "pixels")
        names = [each.name for each in ground.ground.passes]
        print(f"{len(names)} passes over one ground, {names[0]} to {names[-1]}, {len(ground.slicks):,} candidates:")
        print(
            f"  reported: {len(natural)} seeps and {len(reported) - len(natural)} platforms; by chance alone "
            f"{reported['expected_false'].max() if len(reported) else 0:.1f} such places are expected; "
            f"{len(table) - len(reported)} more places are not sure enough"
        )
        if len(natural):
            print(
                f"  median of the seeps: recurrence rate {natural['recurrence_rate'].median():.2f}, place within "
                f"{natural['error_radius'].median():.0f} {unit} (95 %)"
            )
        if with_flux and len(natural):
            flux = ground.flux.loc[natural.index, list(FLUXES)].dropna()
            low, high = flux.sum()
            print(
                f"  flux while they flow, of {len(flux)} of them together: {low:,.0f} to {high:,.0f} litres a day"
                if len(flux)
                else "  no flux: wind and current of none of their slicks are known, by scene, or lengths are in pixels"
            )


def _tell_known(found: list[FoundSeeps], known: list[pd.DataFrame], params: SeepsParams) -> None:
    """How many of the known seeps are found, as the pipeline counts them."""
    if scores := score_known(found, known, params):
        right = round(scores["recall"] * scores["known"])
        print(
            f"{right} of {scores['known']} known seeps, of those that at least two passes saw, are among the "
            f"{scores['found']} reported places, matched one to one within {WITHIN:g} pixels"
        )
