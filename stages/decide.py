"""Decide: fit the rule that makes named slicks of probabilities, on the validation split.

Reads data/packed, data/split.csv, models/model.safetensors and models/namer.safetensors; takes the section decide of
params.yaml. Writes models/decision.json, which evaluate and every later prediction use.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, Le

from seepseg.decision import Naming, fit_rule
from seepseg.device import DeviceName, amp_dtype, choose_device, explain_full_memory, make_deterministic
from seepseg.errors import run_stage
from seepseg.files import write_json
from seepseg.inference import Flips
from seepseg.packed import class_pixels, open_packed, read_split
from seepseg.params import load_params, param_block
from seepseg.predictor import load_predictor
from seepseg.scenes import find_scenes

RULE = Path("models/decision.json")


@param_block
class DecideParams:
    """Section `decide`; params.yaml says what each key does."""

    batch_size: Annotated[int, Ge(1)]
    threads: Annotated[int, Ge(1)]
    device: DeviceName
    amp: bool
    flips: Flips
    naming: Naming
    object_iou: Annotated[float, Gt(0), Le(1)]


def main() -> None:
    """Run the stage."""
    params = load_params(DecideParams, "decide")
    device = choose_device(params.device, "decide.device")
    make_deterministic(0, params.threads, device)
    packed = open_packed()
    splits = read_split(packed)
    by_properties = params.naming == "properties"
    predictor = load_predictor(packed, device, with_namer=by_properties, backend="eager", key="decide.device")
    scenes = find_scenes(packed.manifest, splits["val"], packed.images.shape[1:])
    with explain_full_memory(device, f"lower decide.batch_size, {params.batch_size} tiles"):
        dtype = amp_dtype(device, params.amp)
        probs = [predictor.predict(scene, params.batch_size, dtype, params.flips) for scene in scenes]
    rule = fit_rule(
        probs,
        [scene.stitch(packed.targets[scene.indices]) for scene in scenes],
        predictor.namer,
        class_pixels(packed.manifest.iloc[splits["train"]]).sum(axis=0)[1:],
        flips=params.flips,
        naming=params.naming,
        min_iou=params.object_iou,
    )
    write_json(RULE, asdict(rule))
    print(
        f"slicks of at least {rule.min_area} pixels with a probability of {rule.low} and one of {rule.high}; "
        f"vote to the power of {rule.vote_weight}"
    )


if __name__ == "__main__":
    run_stage(main)
