"""What the files of a run say of the model that it made, as far as they can be told to belong to it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from seepseg.base.errors import InputError
from seepseg.base.files import read_json

LOCK = "dvc.lock"
MODEL = "models/model.safetensors"
METRICS = ("ingest", "split", "evaluate")  # stages, whose names their files bear


@dataclass(frozen=True)
class RunRecord:
    """What is known of the run that made a model; empty where nothing is.

    Attributes:
        params: sections of parameters, as the stages took them.
        metrics: by stage.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


def read_run(root: Path, model: Path) -> RunRecord:
    """Read what the last run of the pipeline in a folder says of a model.

    That it is of this model is known by DVC's lock, which holds the hash of the model that was evaluated; that a file
    of metrics is of this run, by its own hash there.

    Args:
        root: folder of the pipeline.
        model: the model file, from wherever it is.

    Raises:
        InputError: the lock can't be read.
    """
    stages = _read_lock(root / LOCK)
    if _md5(model) != _hash(stages, "evaluate", "deps", MODEL):
        return RunRecord()
    params: dict[str, Any] = {}
    for stage in stages.values():
        params |= stage.get("params", {}).get("params.yaml", {})
    names = {stage: f"metrics/{stage}.json" for stage in METRICS}
    metrics = {
        stage: read_json(root / name)[stage] if stage != "evaluate" else read_json(root / name)
        for stage, name in names.items()
        if _md5(root / name) == _hash(stages, stage, "outs", name)
    }
    return RunRecord(params, metrics)


def _read_lock(path: Path) -> dict[str, Any]:
    try:
        lock = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(lock, dict) or not isinstance(lock.get("stages"), dict):
        raise InputError(f"{path}: expected what DVC writes, with stages; write it anew with `dvc repro`")
    stages: dict[str, Any] = lock["stages"]
    return stages


def _hash(stages: Mapping[str, Any], stage: str, side: str, name: str) -> str | None:
    """The MD5 that the lock has of a file on one side of a stage."""
    files = stages.get(stage, {}).get(side, [])
    return next((each.get("md5") for each in files if each.get("path") == name), None)


def _md5(path: Path) -> str:
    """The MD5 of a file, as DVC takes it; empty without the file, which is no hash."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except FileNotFoundError:
        return ""
