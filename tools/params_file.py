"""Write params.yaml anew from the parameter blocks, ``make params``: every key with its default and its comment.

Defaults and comments stand beside the fields of the blocks; see `seepseg.base.params.param_block`.
"""

import ast
import inspect
import itertools
import json
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from seepseg.data.channels import InputParams
from seepseg.detection.proposal import DetectParams
from seepseg.evaluation.params import EvaluateParams
from seepseg.geo.params import ScenesParams
from seepseg.io.raw_data import DataParams
from seepseg.losses import LossParams
from seepseg.models import ModelParams
from seepseg.passes.params import PassesParams, SeepsParams
from seepseg.report.params import ReportParams
from seepseg.training.augmentation import AugmentParams
from seepseg.training.recipe import TrainParams
from seepseg.training.sampling import SamplingParams
from stages.class_balance import ClassBalanceParams
from stages.classify import ClassifyParams
from stages.plot import PlotParams
from stages.sample import SampleParams
from stages.split import SplitParams

PARAMS = Path(__file__).parents[1] / "params.yaml"
DEFAULTS = PARAMS.parent / "seepseg/report/defaults.yaml"
SECTIONS: dict[str, type] = {
    "sample": SampleParams,
    "scenes": ScenesParams,
    "data": DataParams,
    "split": SplitParams,
    "class_balance": ClassBalanceParams,
    "input": InputParams,
    "model": ModelParams,
    "loss": LossParams,
    "sampling": SamplingParams,
    "augment": AugmentParams,
    "train": TrainParams,
    "detect": DetectParams,
    "passes": PassesParams,
    "classify": ClassifyParams,
    "evaluate": EvaluateParams,
    "seeps": SeepsParams,
    "plot": PlotParams,
    "report": ReportParams,
}
WIDTH = 120
COLUMN = 34  # of comments


def main() -> None:
    """Write the file, and, for the page of a run, the defaults by themselves."""
    PARAMS.write_text(params_text(), encoding="utf-8")
    DEFAULTS.write_text(defaults_text(), encoding="utf-8")


def params_text() -> str:
    """The content of params.yaml as it is delivered."""
    lines = [
        "# Every parameter of the pipeline. Change one for a single experiment with",
        "#   dvc exp run -S loss.name=dicebce",
        "# A key that is unknown, of a wrong type or out of range ends its stage at once, naming what is allowed.",
    ]
    for name, block in SECTIONS.items():
        lines += ["", *_comment(_summary(block), 0), f"{name}:", *_block(block(), 2)]
    return "\n".join(lines) + "\n"


def defaults_text() -> str:
    """The values of params.yaml alone."""
    head = "# The defaults of params.yaml, written by `make params`.\n"
    return head + str(yaml.safe_dump(yaml.safe_load(params_text()), sort_keys=False, width=WIDTH))


def _block(block: Any, indent: int) -> Iterator[str]:
    docs = field_docs(type(block))
    for field in fields(block):
        value, margin = getattr(block, field.name), " " * indent
        if is_dataclass(value) and not isinstance(value, type):
            yield from _comment(_summary(type(value)), indent)
            yield f"{margin}{field.name}:"
            yield from _block(value, indent + 2)
            continue
        entry = f"{margin}{field.name}: {_value(value)}"
        doc = " ".join(docs.get(field.name, "").split())
        if not doc:
            yield entry
        elif len(entry) + 2 > COLUMN:  # the comment goes above
            yield from _comment(doc, indent)
            yield entry
        else:
            first, *more = textwrap.wrap(doc, WIDTH - COLUMN - 2)
            yield f"{entry.ljust(COLUMN)}# {first}"
            yield from (f"{' ' * COLUMN}# {line}" for line in more)


def _comment(text: str, indent: int) -> list[str]:
    return [f"{' ' * indent}# {line}" for line in textwrap.wrap(text, WIDTH - indent - 2)]


def _summary(block: type) -> str:
    """The first paragraph of a block's docstring."""
    return " ".join((inspect.getdoc(block) or "").split("\n\n")[0].split())


def field_docs(block: type) -> dict[str, str]:
    """The text below each field of a block, or of a block that it extends."""
    docs: dict[str, str] = {}
    for base in reversed(block.__mro__):
        try:
            source = textwrap.dedent(inspect.getsource(base))
        except (OSError, TypeError):  # built in, or made of a registry
            continue
        body = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)).body
        for field, text in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                docs[ast.unparse(field.target)] = str(text.value.value)
    return docs


def _value(value: Any) -> str:
    """A value as YAML on one line; JSON is YAML, but for how people write it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"'{key}': {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return value if value.replace("_", "").replace("/", "").isalnum() else "'" + value.replace("'", "''") + "'"
    if isinstance(value, float) and value and abs(value) < 0.01:
        digits, _, exponent = f"{value:e}".partition("e")
        return f"{float(digits)}e{int(exponent)}"
    return json.dumps(value)


if __name__ == "__main__":
    main()
