"""Decide: fit the rule that makes named slicks of outlines, on training scenes through networks that never saw them.

Reads data/outlines, models/networks.safetensors and models/namers.safetensors; takes the sections decide and outline of
params.yaml. Writes models/decision.json, the rule, for people, and models/model.safetensors, networks, namers and rule
in one file, which evaluate and every later prediction use.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import pandas as pd
from annotated_types import Ge, Le
from seepseg.base.command import run_stage

from seepseg.base.files import write_json
from seepseg.base.params import load_params, param_block
from seepseg.detection.candidates import OutlineParams, read_slicks
from seepseg.detection.classifier import SLICK, load_namers
from seepseg.detection.model_file import Model, save_model
from seepseg.detection.postprocessing import DecisionRule, Keep, Naming, fit_rule, judge_outlines
from seepseg.models.network_file import check_classes, load_networks

NETWORKS = Path("models/networks.safetensors")
NAMERS = Path("models/namers.safetensors")
MODEL = Path("models/model.safetensors")
RULE = Path("models/decision.json")


@param_block
class DecideParams:
    """Section `decide`; params.yaml says what each key does."""

    keep: Keep
    naming: Naming
    class_power: Annotated[float, Ge(0), Le(1)]


def main() -> None:
    """Run the stage."""
    params, outline = load_params(DecideParams, "decide"), load_params(OutlineParams, "outline")
    annotated, outlined = _unseen(read_slicks("annotated")), _unseen(read_slicks("outlined"))
    networks, networks_meta = load_networks(NETWORKS)
    namers, meta = load_namers(NAMERS)
    check_classes(NAMERS, meta.class_names, networks_meta.class_names, "name")
    start = DecisionRule(
        looks=outline.looks,
        adapt_tiles=outline.adapt_tiles,
        threshold=outline.threshold,
        outline_area=outline.min_area,
        min_area=outline.min_area,
        keep=params.keep,
        object_cut=0.0,
        pixel_cut=0.0,
        mean_area=1.0,
        peak=0.0,
        naming=params.naming,
        class_weights=[1.0] * len(meta.class_names),
    )
    judged = judge_outlines(outlined, namers if start.needs_namers else None)
    rule = fit_rule(judged, annotated.drop_duplicates(SLICK), start, outline.object_iou, params.class_power)
    save_model(MODEL, Model(networks, networks_meta, namers, rule), meta)
    write_json(RULE, asdict(rule))
    what = (
        f"cuts of {rule.object_cut} for objects and {rule.pixel_cut} for pixels"
        if rule.keep == "judged"
        else f"a peak of {rule.peak} and {rule.min_area} pixels at least"
    )
    print(f"of {len(judged.table)} outlines at {rule.threshold}, those stay that pass {what}")


def _unseen(table: pd.DataFrame) -> pd.DataFrame:
    """The slicks of training scenes, through networks that never saw them."""
    return table[table["split"] == "val"].drop(columns="split")


if __name__ == "__main__":
    run_stage(main)
