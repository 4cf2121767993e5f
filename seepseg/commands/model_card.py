"""Model cards: what an exported model is, of what data, how well it does, where it fails, as Markdown for people.

The chapters are those of Mitchell et al. 2019, "Model Cards for Model Reporting", arXiv 1810.03993, under the names
that the template of Hugging Face gives them. What no file of the run tells is said to be unknown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from seepseg.base.radiometry import FULL_AMPLITUDE, Radiometry
from seepseg.base.version import VERSION
from seepseg.commands.run_record import RunRecord
from seepseg.detection.model_file import ModelMeta

SAMPLE = "data/sample"
SCORES = {
    "binary_dice": "Dice, slick or not",
    "macro_dice": "Dice, mean over classes",
    "object_f1": "F1 of slicks",
    "macro_object_f1": "F1 of slicks of the right class, mean over classes",
    "surface_dice_1": "Dice of edges, to 1 pixel",
}
SPLITS = {"test": "test scenes", "oof": "other scenes, out of fold"}


@dataclass(frozen=True)
class Exported:
    """What a card is about.

    Attributes:
        meta: of the model.
        fingerprint: of the model file.
        path: the exported file.
        digest: its SHA-256.
        side: height and width that it is bound to; None if it takes any.
        run: what is known of the run that made the model.
    """

    meta: ModelMeta
    fingerprint: str
    path: Path
    digest: str
    side: int | None
    run: RunRecord


def model_card(exported: Exported) -> str:
    """Write the card, as Markdown."""
    chapters = {
        f"seepseg {exported.fingerprint}: slicks in SAR images": _summary(exported),
        "Model details": _details(exported),
        "Uses": _uses(exported),
        "What this file leaves out": _left_out(exported),
        "Training data": _data(exported),
        "Splits": _splits(exported.run),
        "Evaluation": _evaluation(exported),
        "Limits": _limits(exported),
        "How to cite": _citation(exported),
    }
    head = "---\nlibrary_name: onnx\npipeline_tag: image-segmentation\ntags: [sar, remote-sensing, oil-slick]\n---\n"
    parts = [
        f"{'#' if not number else '##'} {title}\n\n{text}" for number, (title, text) in enumerate(chapters.items())
    ]
    return "\n".join([head, *[f"{part}\n" for part in parts]])


def _summary(exported: Exported) -> str:
    networks = exported.meta.networks
    return (
        f"{networks.networks} networks in one ONNX graph, which give each pixel of a SAR image a probability of "
        f"background and of {len(networks.class_names)} classes of dark slicks on the sea: "
        f"{', '.join(networks.class_names)}."
    )


def _details(exported: Exported) -> str:
    networks = exported.meta.networks
    kind = networks.model.network
    size = "any height and width" if exported.side is None else f"{exported.side} × {exported.side} pixels"
    numbers = ", ".join(f"{name} {getattr(kind, name)}" for name in ("width", "depth"))
    return _list(
        f"**File**: {exported.path.name}, SHA-256 {exported.digest}",
        f"**Made of**: model file {exported.fingerprint} (SHA-256, its first 12 digits), by seepseg {VERSION}",
        f"**Networks**: {networks.networks} × {networks.model.name} ({numbers}), head {networks.model.head}; the mean "
        "of their log odds of any class, times their shares of each class",
        f"**Input** `image`: float32 (N, 1, H, W), {size}; packed numbers, 0 where there is no data. Mean and standard "
        "deviation of each tile are normalised inside",
        f"**Output** `probs`: float32 (N, {len(networks.class_names) + 1}, H, W), background first; they add up to 1",
        f"**Packed numbers**: {_packing(networks.radiometry, networks.scaling)}",
        "**Licence**: not stated in the files of the run",
    )


def _packing(radiometry: Radiometry, scaling: list[float]) -> str:
    if scaling:
        return f"from {scaling[0]:g} to {scaling[1]:g} in the units of the images, as 1 to 65535"
    match radiometry.quantity:
        case "sigma0" | "gamma0" | "beta0":
            return f"the root of linear {radiometry.quantity}, times {65535 / FULL_AMPLITUDE:g}, rounded"
        case "amplitude":
            return "amplitude as it is recorded (DN), uncalibrated"
        case "unknown":
            return "whole numbers as the images had them; what they measure is not recorded"


def _uses(exported: Exported) -> str:
    return _list(
        f"Proposes what may be slicks in images like those of its training: {_radiometry(exported.meta)}.",
        "Not for images of another kind without a check against annotated scenes, and not for land.",
        "No proof of oil: calm water, rain cells, algae and grease ice look alike. It tells neither volume nor origin.",
    )


def _radiometry(meta: ModelMeta) -> str:
    known, unknown = meta.networks.radiometry, "unknown"
    noise = {True: "removed", False: "not removed", None: f"removed or not: {unknown}"}[known.noise_removed]
    return (
        f"{known.quantity if known.quantity != unknown else 'quantity unknown'}, polarisation "
        f"{known.polarisation or unknown}, pixel spacing "
        f"{f'{known.spacing:.1f} m' if known.spacing else unknown}, thermal noise {noise}"
    )


def _left_out(exported: Exported) -> str:
    proposal = exported.meta.proposal
    lines = [
        "the **slick classifier**, which accepts or rejects whole candidates and gives them their class",
        "**post-processing**: a candidate is connected pixels with a probability of any class of "
        f"{proposal.threshold:g} or more, at least {proposal.min_area} of them, also across tiles",
    ]
    if proposal.tta > 1:
        lines.append(f"**test-time augmentation**: {proposal.tta} passes over each pixel, shifted and mirrored")
    if proposal.norm_prior_tiles:
        lines.append("**batch-norm adaptation** to each scene")
    if exported.meta.classifiers.recurrence:
        lines.append("**other passes** over the same ground, which tell the slick classifier of classes, too")
    return "A whole model does more than this file, which is its networks in one pass:\n\n" + _list(*lines)


def _data(exported: Exported) -> str:
    networks, run = exported.meta.networks, exported.run
    lines = [f"**Images**: {_radiometry(exported.meta)}", f"**Tiles**: up to {networks.tile_size} pixels a side"]
    if found := run.metrics.get("ingest"):
        lines.append(
            f"**Size**: {found['tiles']} tiles of {found['scenes']} scenes; slicks on "
            f"{found['foreground_fraction']:.2%} of the pixels with data, no data on {found['nodata_fraction']:.2%}"
        )
    else:
        lines.append("**Size**: unknown")
    lines.append(f"**Source**: {_source(run.params)}")
    lines.append(f"**Fingerprint** of the data: {networks.data_fingerprint}")
    return _list(*lines)


def _source(params: Mapping[str, Any]) -> str:
    """Where the data came from, as far as parameters say it; no folder of anyone's machine."""
    root = str(params.get("data", {}).get("root", ""))
    if root == "data/tiles":  # cut by the stage tile
        root = str(params.get("scenes", {}).get("root", ""))
    if not root:
        return "unknown"
    if PurePath(root).is_relative_to(SAMPLE):
        return "the **synthetic sample** of the repository: good for trying things, not for real scenes"
    return f"a folder named {PurePath(root).name}; who annotated it, and how, is not stated in the files of the run"


def _splits(run: RunRecord) -> str:
    found, params = run.metrics.get("split"), run.params.get("split", {})
    if not found:
        return "Unknown."
    how = {"scene": "by scene: no scene is in two splits", "tile": "at random by tile: scores are too high"}
    rows = [["split", "scenes", "tiles", "share of slick"]] + [
        [name, str(found["scenes"][name]), str(found["tiles"][name]), f"{found['foreground_share'][name] or 0:.2%}"]
        for name in ("train", "val", "test")
    ]
    leakage = found["leakage"]["test"]
    return (
        f"Tiles were divided {how.get(params.get('by', ''), 'in a way that is unknown')}. Of the test tiles "
        f"{leakage or 0:.0%} share an edge with a training tile. The networks validate on different folds of what is "
        "not tested; `val` is the first of them.\n\n" + _table(rows)
    )


def _evaluation(exported: Exported) -> str:
    found = exported.run.metrics.get("evaluate")
    if not found:
        return "Unknown: the folder of the export holds no evaluation of this model file."
    splits = {name: title for name, title in SPLITS.items() if name in found}
    rows = [["score", *splits.values()]]
    rows += [[title, *(_score(found[split], name) for split in splits)] for name, title in SCORES.items()]
    rows += [
        [f"Dice, {name}", *(_number(found[split]["dice"].get(name)) for split in splits)]
        for name in exported.meta.networks.class_names
    ]
    return (
        "Of the **whole model**, with all that this file leaves out, on scenes that it was not trained on; in brackets "
        "95 % intervals from a bootstrap over scenes, which one scene has not. – stands for a class that does not "
        "occur.\n\n" + _table(rows)
    )


def _score(scores: Mapping[str, Any], name: str) -> str:
    low, high = scores.get(f"{name}_low"), scores.get(f"{name}_high")
    between = f" ({_number(low)}–{_number(high)})" if low is not None and high is not None else ""
    return _number(scores.get(name)) + between


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _limits(exported: Exported) -> str:
    lines = [
        "A tile is normalised by its own mean and deviation: land or ice in it changes what is found beside it.",
        "What lies at the edge of a tile is cut; let tiles overlap.",
        "Images with another pixel spacing show slicks in another size than those of training.",
    ]
    scores = exported.run.metrics.get("evaluate", {})
    absent = sorted({name for split in scores.values() for name, value in split["dice"].items() if value is None})
    if absent:
        lines.append(f"Without a score, as they do not occur among the evaluated scenes: {', '.join(absent)}.")
    return _list(*lines)


def _citation(exported: Exported) -> str:
    return (
        "Name the software with its version, model and data by their fingerprints, and whoever made the data:\n\n"
        f"> seepseg {VERSION}, model {exported.fingerprint}, trained on data "
        f"{exported.meta.networks.data_fingerprint[:12]}."
    )


def _list(*lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(rows: list[list[str]]) -> str:
    return "\n".join(_table_lines(rows))


def _table_lines(rows: list[list[str]]) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield f"| {' | '.join(row)} |"
        if not number:
            yield "| --- " * len(row) + "|"
