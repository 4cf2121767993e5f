"""The results of the benchmark for people: a page of tables and a picture.

`python -m benchmarks.report` makes both anew from benchmarks/results.json, which `make bench` writes, and, where they
are there, benchmarks/scene.json, of whole scenes, benchmarks/growth.json, which `make bench-scale` writes, and
benchmarks/gpu.json of a machine with a GPU. It takes another folder than benchmarks, too.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seepseg.base.command import run_stage
from seepseg.base.errors import InputError
from seepseg.base.files import read_json, write_bytes

FOLDER = Path(__file__).parent
Results = dict[str, Any]
Growth = list[dict[str, Any]]
MEGA = 1_000_000

LABELS = {
    "reference": "reference",
    "same_architecture": "same network, our loop",
    "same_architecture_float32": "same network, our loop, float32",
    "default": "default model",
    "default_float32": "default model, float32",
}
COLOURS = {
    "reference": "#8a8f99",
    "same_architecture": "#0b5cad",
    "same_architecture_float32": "#7fa8d1",
    "default": "#2c9c46",
    "default_float32": "#94cfa1",
}
STAGE_COLOURS = {"ingest": "#0b5cad", "split": "#8a8f99", "class_balance": "#edae49", "train": "#2c9c46"}
PART_COLOURS = {
    "data": "#8a8f99",
    "forward": "#0b5cad",
    "loss": "#d1495b",
    "backward": "#7fa8d1",
    "optimiser": "#edae49",
    "monitoring": "#c9b6e4",
}
DETECTION_PARTS = {
    "input": "cutting and input",
    "network": "networks",
    "sums": "sums and probabilities",
    "candidates": "candidates",
}


@dataclass(frozen=True)
class Target:
    """Something to reach on two CPU cores.

    Attributes:
        name: what is measured.
        subject: of the results; in float32 it is the one with that suffix, where there is one.
        value: finds it in the results of a subject.
        goal: lowest or highest value.
        at_most: whether `goal` is the highest.
        text: writes a value.
    """

    name: str
    subject: str
    value: Callable[[Results, str], float | None]
    goal: float
    text: Callable[[float], str]
    at_most: bool = False

    def met(self, value: float) -> bool:
        """Whether a value reaches the goal."""
        return value <= self.goal if self.at_most else value >= self.goal


def _times(task: str) -> Callable[[Results, str], float | None]:
    return lambda results, name: float(results["subjects"][name][task]["times_reference"]["median"])


def _share(dtype: str | None) -> Callable[[Results, str], float | None]:
    """The share of a type's ceiling that training takes; `None` for that of the subject's own type."""

    def find(results: Results, name: str) -> float | None:
        subject = results["subjects"][name]
        share: float | None = subject["train"]["share_of_ceiling"].get(dtype or subject["dtype"])
        return share

    return find


def _part(part: str) -> Callable[[Results, str], float | None]:
    def find(results: Results, name: str) -> float | None:
        parts = results["step_ms_per_tile"].get(name)
        return parts[part] / sum(parts.values()) if parts else None

    return find


def _factor(value: float) -> str:
    return f"{value:.3g}×"


def _percent(value: float) -> str:
    return f"{value:.1%}"


TARGETS = (
    Target("training, same network", "same_architecture", _times("train"), 1.5, _factor),
    Target("training, default model", "default", _times("train"), 40, _factor),
    Target("training, share of the float32 ceiling", "default", _share("float32"), 0.5, _percent),
    Target("training, share of its own type's ceiling", "default", _share(None), 0.5, _percent),
    Target("loss, share of the step", "default", _part("loss"), 0.1, _percent, at_most=True),
    Target("data, share of the step", "default", _part("data"), 0.05, _percent, at_most=True),
    Target("prediction, default model", "default", _times("predict"), 70, _factor),
)


def main() -> None:
    """Write page and picture of the folder that the command line names, or of this one."""
    write(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)


def write(folder: Path) -> None:
    """Write RESULTS.md and results.png from results.json and, where they are there, the other files.

    Raises:
        InputError: results.json is missing.
    """
    if not (folder / "results.json").is_file():
        raise InputError(f"{folder / 'results.json'} is missing: run `make bench`")
    results, scale, gpu, scene = (
        read_json(path) if (path := folder / name).is_file() else None
        for name in ("results.json", "growth.json", "gpu.json", "scene.json")
    )
    assert results is not None, "it is a file"
    records = scale["growth"] if scale else None
    write_bytes(folder / "RESULTS.md", render(results, records, gpu, scene).encode())
    write_bytes(folder / "results.png", draw(results, records))


def render(
    results: Results, scale: Growth | None = None, gpu: Results | None = None, scene: Results | None = None
) -> str:
    """Write the page.

    Args:
        results: content of results.json.
        scale: growth to many tiles, measured in a run of its own.
        gpu: content of gpu.json; without it there is no such section.
        scene: content of scene.json; likewise.

    Returns:
        Markdown.
    """
    sections = {
        "Targets": _targets(results),
        "Training": _speeds(results, "train"),
        "Prediction": _speeds(results, "predict"),
        "Memory": _memory(results),
        "A training step": _step(results),
        "Detection": _detection(results["detection"]),
        **({"Whole scenes": _scene(scene)} if scene else {}),
        **({"On a GPU": _gpu(gpu)} if gpu else {}),
        "Inference backends": _backends(results),
        "Ingest": _ingest(results),
        "Growth with the number of tiles": _growth(results, scale),
    }
    picture = "![Speed, shares of the ceiling, parts of the step, backends and growth](results.png)"
    parts = ["# Benchmark", _introduction(results), picture]
    return "\n\n".join([*parts, *(f"## {title}\n\n{text}" for title, text in sections.items())]) + "\n"


def _introduction(results: Results) -> str:
    machine, run, ceiling = results["machine"], results["run"], results["ceiling_gflops"]
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    amx = " with AMX in bfloat16" if machine["cpu_has_amx_bf16"] else ""
    products = " and ".join(
        f"{found['median']:.0f} ({found['low']:.0f}–{found['high']:.0f}) GFLOP/s in {dtype}"
        for dtype, found in sorted(ceiling.items(), reverse=True)
    )
    batch = results["subjects"]["reference"]["batch_size"]
    reduced = results["subjects"]["default"]["dtype"]
    lines = [
        f"Written by `make bench` on {machine['cpu']}, {machine['cores']} cores, {machine['cpu_capability']}{amx}"
        f"{gpu}; torch {machine['torch']}, {machine['threads']} threads; {run['data']}, tiles of {run['tile_size']} × "
        f"{run['tile_size']} pixels. All in one run: {run['rounds']} rounds, each of which measures every subject "
        "once, so that a slow minute of the machine hits all alike. Numbers are medians of the rounds, ranges their "
        "lowest and highest.",
        f"**Reference** is the plain loop that this work grew from ([reference.py](reference.py)): U-Net of width 64, "
        f"float32, batches of {batch}, files read one by one. **Same network, our loop**: that network, loss and "
        "optimiser through the train stage's loop. **Default model**: params.yaml as it is.",
        f"**Ceiling** is a square matrix product with the same threads: {products}. FLOPs are those of convolutions, "
        "counted by torch.",
    ]
    if reduced != "float32":
        lines.append(
            f"This machine computes in {reduced} (`train.amp`). The reference is float32, so our loops are also "
            f"measured in float32: what the loop itself gains is there, what the number format adds is not. A share of "
            f"the float32 ceiling can pass 100 % in {reduced}."
        )
    if run["quick"]:
        lines.insert(
            0, "**Quick run: small tiles, small batches, one short round. It shows that everything works, no more.**"
        )
    return "\n\n".join(lines)


def _targets(results: Results) -> str:
    reduced = results["subjects"]["default"]["dtype"] != "float32"
    header = ["", "target", *(["as params.yaml says", "in float32"] if reduced else ["reached"])]
    return _table(header, (_target_row(results, target, reduced) for target in TARGETS))


def _target_row(results: Results, target: Target, reduced: bool) -> list[str]:
    def reached(name: str) -> str:
        value = target.value(results, name) if name in results["subjects"] else None
        if value is None:
            return "–"
        return f"{target.text(value)} {'✓' if target.met(value) else '✗'}"

    names = [target.subject, *([f"{target.subject}_float32"] if reduced else [])]
    goal = f"{'≤' if target.at_most else '≥'} {target.text(target.goal)}"
    return [target.name, goal, *map(reached, names)]


def _speeds(results: Results, task: str) -> str:
    ceilings = sorted(results["ceiling_gflops"], reverse=True)
    header = ["", "type", "weights", "GFLOP a tile", "batch", "tiles/s", "range of batches", "times reference"]
    rows = []
    for name, subject in _in_order(results["subjects"]):
        found = subject[task]
        times = found["times_reference"]
        rows.append(
            [
                LABELS[name],
                subject["dtype"],
                f"{subject['weights']:,}",
                f"{subject['gflop_per_tile'][task]:.2f}",
                str(subject["batch_size"]),
                f"{found['tiles_per_second']['median']:.3g}",
                f"{found['tiles_per_second_of_batches']['low']:.3g}–{found['tiles_per_second_of_batches']['high']:.3g}"
                f" ({found['batches']})",
                f"{times['median']:.3g} ({times['low']:.3g}–{times['high']:.3g})",
                *(f"{found['share_of_ceiling'][dtype]:.1%}" for dtype in ceilings),
            ]
        )
    return _table([*header, *(f"of {dtype} ceiling" for dtype in ceilings)], rows)


def _memory(results: Results) -> str:
    text = (
        "Peak of each subject's own process in MiB: all of it, which counts pages of mapped files too, and without "
        "files (looked at 20 times a second); on a GPU also the device's."
    )
    header = ["", "training", "without files", "prediction", "without files"]
    device = results["machine"]["gpu"] is not None
    rows = []
    for name, subject in _in_order(results["subjects"]):
        cells = [f(subject[task]) for task in ("train", "predict") for f in (_peak, _anonymous)]
        rows.append([LABELS[name], *cells, *([_mib(subject["train"]["device_mib"])] if device else [])])
    return f"{text}\n\n{_table([*header, *(['training, on the GPU'] if device else [])], rows)}"


def _peak(found: dict[str, Any]) -> str:
    return _mib(found["peak_mib"])


def _anonymous(found: dict[str, Any]) -> str:
    return _mib(found["anonymous_mib"])


def _mib(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _step(results: Results) -> str:
    text = (
        "Milliseconds a tile. Data is the wait for the next batch, augmented and normalised; loss includes its "
        "gradient to the logits; optimiser includes clipping and the average of the weights."
    )
    rows = []
    for name, parts in _in_order(results["step_ms_per_tile"]):
        whole = sum(parts.values())
        ordered = [parts[part] for part in PART_COLOURS]
        rows.append([LABELS[name], *(f"{value:.3g} ({value / whole:.1%})" for value in ordered), f"{whole:.3g}"])
    return f"{text}\n\n{_table(['', *PART_COLOURS, 'all'], rows)}"


def _in_order(subjects: dict[str, Any]) -> list[tuple[str, Any]]:
    """Names and what belongs to them in the order of `LABELS`, which a JSON file doesn't keep."""
    return [(name, subjects[name]) for name in LABELS if name in subjects]


def _detection(found: dict[str, Any]) -> str:
    text = (
        f"A scene of {found['tiles']:,} tiles through {found['networks']} networks with {found['tta']} passes each "
        f"(`detect.tta`) and batch-norm adaptation, up to its candidates: {_speed(found['tiles_per_second'])}."
    )
    if "ms_per_tile" not in found:  # of an older run
        return text
    parts = found["ms_per_tile"]
    whole = sum(parts.values())
    header = ["", *DETECTION_PARTS.values(), "all"]
    row = ["milliseconds a tile", *(f"{parts[part]:.3g} ({parts[part] / whole:.1%})" for part in DETECTION_PARTS)]
    return (
        f"{text} With one network and one pass: {_speed(found['tiles_per_second_single'])}.\n\n"
        f"{_table(header, [[*row, f'{whole:.3g}']])}"
    )


def _scene(found: Results) -> str:
    plain = found["plain"]["mpx_per_second"]["median"]
    text = (
        f"`seepseg predict` from a GeoTIFF of {found['pixels'] / MEGA:.3g} million pixels to its GeoPackage, "
        f"{found['threads']} threads; medians of rounds, and their range. The plain way is the first network alone on "
        "windows of 256 pixels one by one, a softmax, and polygons of the whole mask."
    )
    names = {"default": "default", "fast": "`--fast`: first network, one pass", "plain": "the plain way, first network"}
    rows = [
        [
            label,
            "{median:.3g} ({low:.3g}–{high:.3g})".format(**found[name]["mpx_per_second"]),
            _factor(found[name]["mpx_per_second"]["median"] / plain),
            _percent(found[name]["share_of_networks"]["median"]) if name != "plain" else "–",
            _mib(found[name]["peak_mib"]["median"]),
            f"{found[name]['slicks']['median']:,.0f}",
        ]
        for name, label in names.items()
    ]
    header = ["", "million pixels/s", "of the plain way", "share of the networks", "peak memory, MiB", "slicks"]
    grown = [
        [
            f"{each['pixels'] / MEGA:.3g}",
            each["seen"],
            f"{each['mpx_per_second']:.3g}",
            _mib(each["peak_mib"]),
            f"{each['slicks']:,}",
        ]
        for each in found["growth"]
    ]
    growth = _table(["million pixels, `--fast`", "with data", "million pixels/s", "peak memory, MiB", "slicks"], grown)
    return f"{text}\n\n{_table(header, rows)}\n\nGrowth with the size of the scene, one run each:\n\n{growth}"


def _gpu(found: Results) -> str:
    text = (
        f"One {found['gpu']}, torch {found['torch']}, bfloat16; medians of blocks of steps, and their range. *Busy* is "
        "the share of a step in which a kernel runs; the ceiling is a matrix product of "
        f"{found['ceiling_gflops'] / 1000:.0f} TFLOP/s. Steps are CUDA graphs where nothing else is said."
    )
    header = ["", "ms a step", "crops/s", "kernels a step", "busy", "share of the ceiling"]
    rows = [
        [
            name,
            f"{step['step_ms']['median']:.2f} ({step['step_ms']['low']:.2f}–{step['step_ms']['high']:.2f})",
            f"{step['crops_per_second']['median']:,.0f}",
            f"{step['kernels']}",
            _percent(step["busy"]),
            _percent(step["share_of_ceiling"]),
        ]
        for name, step in sorted(found["steps"].items(), key=lambda item: item[1]["crops_per_second"]["median"])
    ]
    return f"{text}\n\n{_table(header, rows)}\n\n{_detection(found['detection'])}"


def _speed(speed: dict[str, float]) -> str:
    return f"**{speed['median']:.3g} tiles/s** ({speed['low']:.3g}–{speed['high']:.3g})"


def _backends(results: Results) -> str:
    text = (
        "The default network on the CPU, normalised tiles in, logits out. `torch, as trained` is what the others are "
        "compared with; `eager` and `compile` are those of `detect.backend`."
    )
    header = ["", "tiles/s", "range", "times eager", "seconds to the first batch", "difference of logits", "of probs"]
    rows = []
    for name, found in results["backends"].items():
        if isinstance(found, str):
            rows.append([name, found, *[""] * (len(header) - 2)])
            continue
        rows.append(
            [
                name,
                f"{found['tiles_per_second']:.3g}",
                f"{found['lowest']:.3g}–{found['highest']:.3g}",
                f"{found['times_eager']:.3g}",
                f"{found['seconds_to_first_batch']:.2g}",
                f"{found['logit_difference']:.6f}",
                f"{found['probability_difference']:.6f}",
            ]
        )
    return f"{text}\n\n{_table(header, rows)}"


def _ingest(results: Results) -> str:
    found = results["ingest"]
    text = f"{found['tiles']:,} tiles, {found['mib']:.0f} MiB, in the page cache; target: at least 1/3 of a plain read."
    rows = [
        [label, *(f"{found[f'{name}_{which}']:.3g}" for which in ("median", "low", "high"))]
        for label, name in (
            ("plain read, seconds", "plain_read_seconds"),
            ("plain copy, seconds", "plain_copy_seconds"),
            ("ingest, seconds", "ingest_seconds"),
            ("speed of ingest, share of the plain read's", "share_of_plain_read"),
            ("speed of ingest, share of the plain copy's", "share_of_plain_copy"),
        )
    ]
    return f"{text}\n\n{_table(['', 'median', 'lowest', 'highest'], rows)}"


def _growth(results: Results, scale: Growth | None) -> str:
    text = (
        "Seconds per 1,000 tiles, and in brackets the peak of memory without files in MiB. Each stage is a process of "
        "its own, whose start is included; train is one epoch of a tiny network, to show the way of the data to it."
    )
    parts = [text, _growth_table(results["growth"])]
    if scale is not None:
        parts += ["By `make bench-scale`, in a run of its own:", _growth_table(scale)]
    return "\n\n".join(parts)


def _growth_table(records: Growth) -> str:
    sizes = sorted({record["tiles"] for record in records})
    found = {(record["stage"], record["tiles"]): record for record in records}
    rows = [[stage, *(_seconds_and_memory(found[stage, size]) for size in sizes)] for stage in STAGE_COLOURS]
    return _table(["", *(f"{size:,} tiles" for size in sizes)], rows)


def _seconds_and_memory(record: dict[str, Any]) -> str:
    return f"{record['seconds_per_1000_tiles']:.3g} ({_mib(record['anonymous_mib'])})"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(results: Results, scale: Growth | None = None) -> bytes:
    """Draw speeds, shares of the ceiling, parts of a step, backends and growth.

    Args:
        results: content of results.json.
        scale: growth to many tiles, drawn instead of that in `results`.

    Returns:
        A PNG, without anything that changes from run to run but the numbers.
    """
    figure = Figure(figsize=(11, 9.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    ((training, prediction), (share, step), (backends, growth)) = figure.subplots(3, 2)
    _bars_of_speed(training, results, "train", "Training, tiles per second")
    _bars_of_speed(prediction, results, "predict", "Prediction, tiles per second")
    _bars_of_share(share, results)
    _bars_of_parts(step, results)
    _bars_of_backends(backends, results)
    _lines_of_growth(growth, results["growth"] if scale is None else scale)
    png = BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _bars_of_speed(axes: Axes, results: Results, task: str, title: str) -> None:
    names = [name for name, _ in _in_order(results["subjects"])]
    found = [results["subjects"][name][task] for name in names]
    speeds = [each["tiles_per_second"] for each in found]
    middle = [speed["median"] for speed in speeds]
    errors = [
        [speed["median"] - speed["low"] for speed in speeds],
        [speed["high"] - speed["median"] for speed in speeds],
    ]
    bars = axes.barh(range(len(names)), middle, xerr=errors, color=[COLOURS[name] for name in names], capsize=3)
    texts = [f" {each['times_reference']['median']:.3g}×" for each in found]
    axes.bar_label(bars, texts, padding=4)
    axes.set_xscale("log")
    axes.set_xlim(min(middle) / 2, max(middle) * 4)
    _finish_bars(axes, [LABELS[name] for name in names], title)


def _bars_of_share(axes: Axes, results: Results) -> None:
    names = [name for name, _ in _in_order(results["subjects"])]
    height = 0.38
    for offset, task in ((-height / 2, "train"), (height / 2, "predict")):
        shares = [
            100 * results["subjects"][name][task]["share_of_ceiling"][results["subjects"][name]["dtype"]]
            for name in names
        ]
        places = [place + offset for place in range(len(names))]
        alpha = 1.0 if task == "train" else 0.55
        bars = axes.barh(places, shares, height, color=[COLOURS[name] for name in names], alpha=alpha)
        axes.bar_label(bars, [f" {share:.0f} % {task}" for share in shares], fontsize=8)
    axes.margins(x=0.25)
    _finish_bars(axes, [LABELS[name] for name in names], "Percent of the matrix product in the same type")


def _bars_of_parts(axes: Axes, results: Results) -> None:
    steps = dict(_in_order(results["step_ms_per_tile"]))
    left = [0.0] * len(steps)
    for part, colour in PART_COLOURS.items():
        shares = [100 * parts[part] / sum(parts.values()) for parts in steps.values()]
        axes.barh(range(len(steps)), shares, left=left, color=colour, label=part)
        left = [start + share for start, share in zip(left, shares, strict=True)]
    axes.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.1), frameon=False, fontsize=8)
    _finish_bars(axes, [LABELS[name] for name in steps], "Percent of a training step")


def _bars_of_backends(axes: Axes, results: Results) -> None:
    measured = {name: found for name, found in results["backends"].items() if isinstance(found, dict)}
    bars = axes.barh(range(len(measured)), [found["tiles_per_second"] for found in measured.values()], color="#0b5cad")
    axes.bar_label(bars, fmt=" %.3g", fontsize=8)
    axes.margins(x=0.15)
    _finish_bars(axes, list(measured), "Inference backends, tiles per second")


def _lines_of_growth(axes: Axes, records: Growth) -> None:
    for stage, colour in STAGE_COLOURS.items():
        mine = sorted(
            (record["tiles"], record["seconds_per_1000_tiles"]) for record in records if record["stage"] == stage
        )
        axes.plot(*zip(*mine, strict=True), marker="o", markersize=4, color=colour, label=stage)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("tiles")
    axes.legend(frameon=False, fontsize=8)
    _finish(axes, "Seconds per 1,000 tiles")


def _finish_bars(axes: Axes, names: Sequence[str], title: str) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    _finish(axes, title)


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    run_stage(main)
