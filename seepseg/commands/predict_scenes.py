"""Many scenes: which are to be done, the tasks for them, and one file of all slicks at the end."""

import errno
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seepseg.base.errors import InputError
from seepseg.base.files import fingerprint
from seepseg.base.version import VERSION
from seepseg.commands.distribution import SCHEDULER_VARIABLE, run_tasks
from seepseg.commands.merge_scenes import lacks_candidates, merge_scenes
from seepseg.commands.options import PredictOptions
from seepseg.commands.predict_scene import KEPT, RECORD, SLICKS, SceneTask, predict_scene, read_model, read_record
from seepseg.commands.predict_tiles import are_tiles, predict_tiles
from seepseg.detection.model_file import Model
from seepseg.detection.proposal import DetectParams
from seepseg.geo.land import find_layer
from seepseg.geo.params import ScenesParams
from seepseg.geo.scene_search import find_scenes, scene_name
from seepseg.geo.slick_files import NAMES
from seepseg.io.raw_data import DataParams
from seepseg.passes.params import PassesParams

WRITTEN = {f"{name}{suffix}" for name in NAMES for suffix in (".gpkg", ".geojson", ".qml")}


def predict(options: PredictOptions) -> None:
    """Find the slicks of scenes, each a task, and then put all into one file.

    Raises:
        InputError: something of what was given can't be used; or some scenes can't, when all others are done.
    """
    data, detect = options.section(DataParams, "data"), options.section(DetectParams, "detect")
    if are_tiles(options.scenes, data.name_pattern):
        _refuse_for_tiles(options)
        passes = options.section(PassesParams, "passes")
        predict_tiles(options.scenes, options.out, options.model, data, detect, passes, options.fast)
        return
    model = read_model(options.model, options.fast)
    tasks = _tasks(options, detect)
    to_do = [task for task in tasks if not _is_finished(task, model, options.overwrite)]
    _check_others(options.out, to_do, model, tasks[0].settings)
    (options.out / "scenes").mkdir(parents=True, exist_ok=True)
    finished = len(tasks) - len(to_do)
    if finished:
        print(f"{finished} of {len(tasks)} scenes are finished already", flush=True)
    failed = _run(to_do, options) if to_do else {}
    # What there is of scenes that failed now is of an earlier run, perhaps by another model.
    every = _finished_folders(options.out)
    folders = [folder for folder in every if folder.name not in failed]
    some = f"{len(failed)} of {len(tasks)} scenes can't be used, the others are done"
    file = "are left out of the file of all slicks" if folders else "stay as they were"
    earlier = f", results of earlier runs {file}" if len(folders) < len(every) else ""
    reasons = "\n".join(f"  {name}: {message}" for name, message in sorted(failed.items()))
    told = f"{some if len(failed) < len(tasks) else 'no scene can be used'}{earlier}:\n{reasons}"
    try:
        if folders:
            merge_scenes(options.out, folders, model, detect.threads, options.format)
    except Exception:
        if failed:
            print(f"error: {told}", file=sys.stderr)
        raise
    if failed:
        raise InputError(told)


def _refuse_for_tiles(options: PredictOptions) -> None:
    asked = {
        "--land": options.land,
        "--rasters": options.rasters,
        "--workers": options.workers,
        "--scheduler": options.scheduler,
    }
    if wrong := [name for name, value in asked.items() if value]:
        raise InputError(
            f"{options.scenes} holds tiles without a place on earth (data.name_pattern), for which {', '.join(wrong)} "
            "can't be used"
        )


def _tasks(options: PredictOptions, detect: DetectParams) -> list[SceneTask]:
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out}: expected a folder or a name that is free, found a file; name another one")
    if options.land:
        find_layer(options.land)
    scenes = options.section(ScenesParams, "scenes")
    elsewhere = options.workers or options.scheduler or os.environ.get(SCHEDULER_VARIABLE)
    settings = {
        "model_fingerprint": fingerprint(options.model),
        "software_version": VERSION,
        "fast": options.fast,
        "amp": detect.amp,
        "land": fingerprint(options.land) if options.land else None,
        "polarisation": scenes.polarisation,
        "scale": scenes.scale,
    }
    return [
        SceneTask(
            scene=path.absolute(),
            folder=(options.out / "scenes" / scene_name(path)).absolute(),
            model=options.model.absolute(),
            land=options.land and options.land.absolute(),
            scenes=scenes,
            detect=detect,
            fast=options.fast,
            rasters=options.rasters,
            settings=settings,
            watched=_is_watched() and not elsewhere,
        )
        for path in _find(options)
    ]


def _find(options: PredictOptions) -> list[Path]:
    """Scenes, without what was written by this command if OUT lies among them."""
    found, out = find_scenes(options.scenes), options.out.resolve()
    if any(path.resolve().parent == out / "scenes" for path in found.scenes):
        raise InputError(
            f"{options.out}: expected a folder for results, found scenes in scenes/ in it; name another one"
        )
    inputs = [path for path in found.scenes if out / "scenes" not in path.resolve().parents]
    passed_over = [path for path in found.passed_over if not _is_result(path.resolve(), out)]
    if passed_over:
        names = ", ".join(path.name for path in passed_over[:3]) + (", ..." if len(passed_over) > 3 else "")
        print(f"notice: {len(passed_over)} files are no scenes: {names}", file=sys.stderr)
    if not inputs:
        raise InputError(f"{options.scenes}: expected scenes, found only results in OUT")
    return inputs


def _is_result(path: Path, out: Path) -> bool:
    return out / "scenes" in path.parents or (path.parent == out and path.name in WRITTEN)


def _is_finished(task: SceneTask, model: Model, overwrite: bool) -> bool:
    """Whether a scene was done already, as it would be done now.

    Raises:
        InputError: its folder holds something else.
    """
    record = read_record(task.folder)
    if record is None:
        if task.folder.exists():
            raise InputError(
                f"{task.folder}: expected results of a scene or nothing, found no {RECORD} in it; remove it"
            )
        return False
    is_whole = (task.folder / SLICKS).is_file() and (record["rasters"] or not task.rasters)
    is_old = record["settings"] == task.settings and lacks_candidates(task.folder, model)
    return is_whole and not overwrite and record["source"] == task.source and not is_old


def _check_others(out: Path, to_do: list[SceneTask], model: Model, settings: dict[str, Any]) -> None:
    """Refuse to put together what was found by different models, options or versions.

    Raises:
        InputError: a scene in OUT, that is not done again now, was found otherwise.
    """
    again = {task.name for task in to_do}
    for folder in _finished_folders(out):
        if folder.name in again:
            continue
        recorded = (read_record(folder) or {})["settings"]
        differing = [
            f"{name} {recorded.get(name)} (now {value})"
            for name, value in settings.items()
            if recorded.get(name) != value
        ]
        if lacks_candidates(folder, model):
            differing.append(f"no {KEPT} (now there is)")
        if differing:
            raise InputError(
                f"{folder} holds results of other settings: {', '.join(differing)}; name another folder than OUT, or "
                "do all scenes that are in it again, with --overwrite"
            )


def _finished_folders(out: Path) -> list[Path]:
    """Folders of finished scenes, in the order of their names."""
    records = (out / "scenes").glob(f"[!.]*/{RECORD}")
    return sorted(record.parent for record in records if record.with_name(SLICKS).is_file())


def _run(tasks: list[SceneTask], options: PredictOptions) -> dict[str, str]:
    """Do the tasks, and tell of each as it ends; gives the scenes that failed, and why."""
    failed: dict[str, str] = {}
    with tqdm(total=len(tasks), desc="scenes", unit="scene", disable=not _is_watched()) as bar:
        for task, outcome in run_tasks(predict_scene, tasks, options.workers, options.scheduler):
            bar.update()
            if isinstance(outcome, Exception):
                failed[task.name] = _explain(outcome, options.out)
                continue
            for warning in outcome["warnings"]:
                bar.write(f"warning: {task.name}: {warning}", file=sys.stderr)
            on_land = f", {outcome['not_slicks']} on land" if outcome["not_slicks"] else ""
            found = f"{outcome['slicks']} slick{'s' * (outcome['slicks'] != 1)}"
            bar.write(f"{task.name}: {found}{on_land}, {outcome['seconds']} s")
            sys.stdout.flush()
    return failed


def _is_watched() -> bool:
    """Whether somebody looks on, for whom there are progress bars."""
    return sys.stderr.isatty()


def _explain(error: Exception, out: Path) -> str:
    """Why a scene failed, in one line.

    Raises:
        OSError: the disk is full, so that no other scene would do better.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise OSError(error.errno, f"{os.strerror(error.errno)}, finished scenes stay", str(out)) from error
    if not isinstance(error, InputError | OSError):
        traceback.print_exception(error)  # a defect of the program
    return " ".join(str(error).split()) or type(error).__name__
