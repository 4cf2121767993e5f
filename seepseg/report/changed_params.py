"""Which parameters of a run differ from the defaults."""

from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

DEFAULTS = "defaults.yaml"  # beside this module; `make params` writes it


class ChangedParam(NamedTuple):
    """A parameter that differs: its dotted key, its value, and the default; None where there is no such."""

    key: str
    value: Any
    default: Any


def read_defaults() -> dict[str, Any]:
    """The parameters as they are delivered, by section."""
    text = resources.files("seepseg.report").joinpath(DEFAULTS).read_text(encoding="utf-8")
    defaults: dict[str, Any] = yaml.safe_load(text)
    return defaults


def changed_params(path: Path, defaults: dict[str, Any]) -> list[ChangedParam]:
    """Compare a parameter file with the defaults; keys that it lacks have theirs.

    Args:
        path: of the file, which other stages have read.
        defaults: see `read_defaults`.
    """
    found, known = flatten(yaml.safe_load(path.read_text(encoding="utf-8"))), flatten(defaults)
    return [
        ChangedParam(key, value, known.get(key))
        for key, value in found.items()
        if _number(value) != _number(known.get(key))
    ]


def flatten(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of nested dictionaries by dotted key; a list is a value, and so is a dictionary without keys."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat


def _number(value: Any) -> Any:
    """PyYAML takes 3e-05 for text, as DVC writes it."""
    if isinstance(value, str):
        with suppress(ValueError):
            return float(value)
    return value
