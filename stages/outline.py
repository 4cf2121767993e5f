"""Outline: run the networks over scenes that they never saw, and measure what they outline and what is annotated.

Reads data/packed, data/split.csv and models/networks.safetensors; takes the section outline of params.yaml. Looks at
every view of `seepseg.detection.candidates.find_views`: the training scenes, each through a network that never saw it, which are
called val, and the test scenes through all networks. Writes into data/outlines: labels.npy (int32, numbers of the
outlined slicks of a scene), foreground.npy (float16, probability of any class) and classes.npy (uint8, the network's
most probable class), all with a row per tile in the order of the views; outlined.csv and annotated.csv, the tables of
slicks; curves.csv, precision and recall; and views.json, how many networks looked.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pandas as pd

from seepseg.base.command import run_stage
from seepseg.base.conventions import NODATA
from seepseg.base.device import choose_device, explain_full_memory, make_deterministic
from seepseg.base.files import atomic_path, write_csv, write_json
from seepseg.base.npy_stream import NpyStream
from seepseg.base.params import load_params
from seepseg.data.channels import InputMaker
from seepseg.data.packed import open_packed, read_parts
from seepseg.detection.candidates import (
    ARRAYS,
    FOLDER,
    OutlineParams,
    annotated_outlines,
    average,
    average_classes,
    build_predictors,
    find_slicks,
    find_views,
    slick_table,
)
from seepseg.detection.recurrence import find_recurrence
from seepseg.evaluation.curves import PrHistogram
from seepseg.models.network_file import check_classes, load_networks

NETWORKS = Path("models/networks.safetensors")


def main() -> None:
    """Run the stage."""
    params = load_params(OutlineParams, "outline")
    device = choose_device(params.device, "outline.device")
    make_deterministic(0, params.threads, device)
    packed = open_packed()
    names = packed.class_names
    networks, meta = load_networks(NETWORKS)
    check_classes(NETWORKS, meta.class_names, names, "train")
    make_input = InputMaker(meta.input, packed.manifest)
    predictors = build_predictors(networks, meta.model.head, make_input, params, device)
    views = find_views(packed, len(predictors))
    known = find_recurrence(packed, read_parts(packed), params.origins)
    curves = {view.split: PrHistogram(names) for view in views}
    tables: dict[str, list[pd.DataFrame]] = {"annotated": [], "outlined": []}
    with ExitStack() as stack:
        stack.enter_context(explain_full_memory(device, f"lower outline.batch_size, {params.batch_size} tiles"))
        partials = {name: stack.enter_context(atomic_path(FOLDER / f"{name}.npy")) for name in ARRAYS}
        streams = {name: stack.enter_context(NpyStream.open(partials[name], kind)) for name, kind in ARRAYS.items()}
        workers = stack.enter_context(ThreadPoolExecutor(params.threads))  # the filters that measure use one core each
        for stream in streams.values():
            stream.write_header(sum(len(view.scene.indices) for view in views), packed.targets.shape[1:])
        for number, (split, scene, seen_by) in enumerate(views):
            images = packed.images[scene.indices]
            probs = {network: predictors[network].predict(scene, images) for network in seen_by}
            image = scene.stitch(images)
            target = scene.stitch(packed.targets[scene.indices])
            foreground = average(list(probs.values()))
            classes = average_classes(list(probs.values()), foreground)
            outlined = find_slicks(foreground, params.threshold, params.min_area)
            annotated = annotated_outlines(image, target)
            measure = partial(
                slick_table,
                image,
                target=target,
                annotated=annotated[0],
                probs=probs,
                known=known,
                class_names=names,
            )
            for found, table in zip(tables.values(), workers.map(measure, (annotated, outlined)), strict=True):
                found.append(table.assign(split=split, scene=number))
            curves[split].update(classes, packed.targets[scene.indices], images != NODATA)
            streams["labels"].append(scene.cut(outlined[0]))
            streams["foreground"].append(scene.cut(foreground))
            streams["classes"].append(classes.argmax(axis=1) + 1)
            print(f"{split} {scene.name}: {outlined[1]} outlines, {annotated[1]} annotated slicks", flush=True)
    for which, found in tables.items():
        write_csv(FOLDER / f"{which}.csv", pd.concat(found, ignore_index=True))
    write_csv(
        FOLDER / "curves.csv",
        pd.concat([curve.curve().assign(split=split) for split, curve in curves.items()])[
            ["split", "class", "threshold", "precision", "recall"]
        ],
    )
    write_json(FOLDER / "views.json", {"networks": len(predictors)})


if __name__ == "__main__":
    run_stage(main)
