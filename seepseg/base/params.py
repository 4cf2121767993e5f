"""Load one section of params.yaml into a checked, frozen dataclass."""

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform, get_type_hints

import pydantic.dataclasses
import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from seepseg.base.errors import InputError

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def param_block(cls: type[T]) -> type[T]:
    """Make a class a frozen, keyword-only dataclass whose annotations are checked when it is made.

    A text below a field says what it means; `tools.params_file` writes it into params.yaml.

    Types are taken at their word (a bool is no int, a string no number) and unknown keys are refused. Ranges and
    choices come from the annotations: `Annotated[int, Ge(1)]`, `Literal["a", "b"]`, other parameter blocks.
    """
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    block: type[T] = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, slots=True, config=config)(cls)  # type: ignore[assignment]
    return block


def load_params(kind: type[T], section: str, path: Path) -> T:
    """Read and check one section of a parameter file.

    Args:
        kind: a `param_block` whose fields are the section's keys; a key that has a default may be missing.
        section: the top-level key of the file.
        path: the YAML file.

    Returns:
        An instance of `kind`.

    Raises:
        InputError: the file can't be read, or a key is unknown, missing, of a wrong type or out of range;
            every fault is named, one line each, with the file, the key, the value and what is allowed.
    """
    document = _read_yaml(path)
    if section not in document:
        raise InputError(f"{path}: section '{section}' is missing; found are {', '.join(map(str, document))}")
    try:
        # Through JSON, because in strict mode pydantic takes a mapping for a dataclass only from there.
        block = TypeAdapter(kind).validate_json(json.dumps(document[section], default=str), strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # Where items of a list are wrong, pydantic also calls the list too short.
        within = {fault["loc"][:-1] for fault in found if fault["loc"]}
        faults = [_describe(fault, kind, section) for fault in found if fault["loc"] not in within]
        raise InputError("\n".join(f"{path}: {fault}" for fault in faults)) from None
    if swallowed := list(_truth_as_number(document[section], block, section)):
        raise InputError("\n".join(f"{path}: {fault}" for fault in swallowed))
    return block


def _truth_as_number(found: dict[str, Any], block: Any, key: str) -> Iterator[str]:
    """Faults that pydantic lets pass: where the choice is among numbers, it takes true for 1."""
    for name, value in found.items():
        taken = getattr(block, name)
        if isinstance(value, bool) and not isinstance(taken, bool):
            yield f"{key}.{name}: expected a number, found {json.dumps(value)}"
        elif isinstance(value, dict) and is_dataclass(taken):
            yield from _truth_as_number(value, taken, f"{key}.{name}")


class _Yaml(yaml.SafeLoader):
    """Takes 3e-05 for a number, as YAML 1.2 and DVC do, which writes it so; PyYAML alone wants a dot in it."""


_Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Yaml)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run this from the folder that holds it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected sections, each a block of keys, found {document!r}")
    return document


def _describe(fault: ErrorDetails, kind: type, section: str) -> str:
    """One line for one fault: the key, the value found, what is allowed."""
    key = ".".join([section, *map(str, fault["loc"])])
    found = json.dumps(fault["input"])
    match fault["type"]:
        case "unexpected_keyword_argument":
            known = _known_keys(kind, fault["loc"][:-1])
            return f"unknown key {_with_nearest(key, [key[: key.rfind('.') + 1] + name for name in known])}"
        case "missing":
            return f"{key} is missing"
        case "literal_error":
            allowed = fault["ctx"]["expected"]
            near = difflib.get_close_matches(
                str(fault["input"]), allowed.replace("'", "").replace(" or ", ", ").split(", "), 1
            )
            return f"{key}: expected {allowed}, found {found}" + (f"; did you mean '{near[0]}'?" if near else "")
        case "too_short" | "too_long":
            bound = "at least {min_length}" if fault["type"] == "too_short" else "at most {max_length}"
            return f"{key}: expected {bound.format(**fault['ctx'])} items, found {found}"
        case _:
            expected = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
            expected = expected.replace("an object", "a block of keys")
            if isinstance(fault["input"], dict):  # a check across the keys of a block names what it found itself
                return f"{key}: expected {expected}"
            return f"{key}: expected {expected}, found {found}"


def _known_keys(kind: type, loc: tuple[int | str, ...]) -> list[str]:
    """The field names of the block at `loc` below `kind`."""
    for step in loc:
        kind = get_type_hints(kind)[str(step)]
    return list(get_type_hints(kind))


def _with_nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"'{name}'" + (f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}")
