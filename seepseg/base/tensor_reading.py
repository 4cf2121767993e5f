"""Read the files that `seepseg.base.tensor_file` writes, from whomever they are.

Nothing of a file is believed before it is checked: of which kind and version it is, the description, then name, shape
and type of every tensor, and only then numbers are read.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from seepseg.base.errors import InputError
from seepseg.base.tensor_file import KEY, Kind

SHOWN = 3  # of the tensors that don't fit


# By the names that safetensors gives them.
TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}

T = TypeVar("T")
Module = TypeVar("Module", bound=nn.Module)


class TensorFile:
    """A file that is open for reading.

    Attributes:
        path: of it.
        kind: that it is of.
        description: what it says of itself, not checked yet.
    """

    def __init__(self, path: Path, kind: Kind, description: Any, file: Any) -> None:
        self.path = path
        self.kind = kind
        self.description = description
        self._file = file

    def parse(self, block: type[T]) -> T:
        """Check the description.

        Args:
            block: a `seepseg.base.params.param_block`.

        Raises:
            InputError: it is no such block.
        """
        try:
            return TypeAdapter(block).validate_json(json.dumps(self.description), strict=True)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = ".".join(map(str, fault["loc"])) or "metadata"
            raise self.refusal(f"{where} is not as expected: {fault['msg']}") from None

    def read_module(self, build: Callable[[], Module]) -> Module:
        """Build a module and give it the tensors, on the CPU in evaluation mode.

        Args:
            build: makes it, and is called where tensors have a shape but no memory.

        Raises:
            InputError: the tensors are not those of the module, or hold numbers that are not finite.
        """
        try:
            with torch.device("meta"):
                module = build()
        except (RuntimeError, TypeError, OverflowError) as error:  # torch's answers to sizes beyond all bounds
            raise self.refusal(f"describes what can't be built: {str(error).splitlines()[0]}") from None
        expected = {name: _described(tensor.dtype, tensor.shape) for name, tensor in module.state_dict().items()}
        found = {name: self._described(name) for name in self._file.keys()}  # noqa: SIM118 - it is no dict
        faults = [
            f"{name}: expected {expected.get(name, 'no such tensor')}, found {found.get(name, 'none')}"
            for name in sorted(expected.keys() | found.keys())
            if expected.get(name) != found.get(name)
        ]
        if faults:
            more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
            raise self.refusal(f"the weights don't fit the model; {'; '.join(faults[:SHOWN])}{more}")
        tensors = {name: self._file.get_tensor(name) for name in found}
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise self.refusal(f"{name}: expected finite numbers, found NaN or infinity")
        module.to_empty(device="cpu")
        module.load_state_dict(tensors)
        return module.eval()

    def check_count(self, what: str, count: int) -> None:
        """Refuse more modules than there are tensors, before so many are built.

        Raises:
            InputError: there are more.
        """
        tensors = len(self._file.keys())
        if count > tensors:
            raise self.refusal(f"expected {count} {what}, found {tensors} tensors")

    def refusal(self, fault: str) -> InputError:
        """What to raise about the file."""
        return InputError(f"{self.path}: {fault}; {self.kind.remedy}")

    def _described(self, name: str) -> str:
        part = self._file.get_slice(name)
        return _described(TYPES.get(part.get_dtype(), part.get_dtype()), part.get_shape())


@contextmanager
def open_tensors(path: Path, kind: Kind) -> Iterator[TensorFile]:
    """Open a file.

    Args:
        path: as written by `write_tensors`.
        kind: that is expected.

    Raises:
        InputError: the file is missing, damaged, or of another program, kind or version.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: {kind.remedy}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            yield TensorFile(path, kind, _description(path, kind, file.metadata() or {}), file)
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path}: expected a safetensors file, found another or a damaged one ({error}); {kind.remedy}"
        ) from None


def _description(path: Path, kind: Kind, metadata: dict[str, str]) -> Any:
    """The description, kind and version first, as another version may have other keys."""
    text = metadata.get(KEY)
    if text is None:
        raise InputError(
            f"{path}: expected {kind.name} of this program, found no '{KEY}' in its metadata; {kind.remedy}"
        )
    try:
        document = json.loads(text)
        found = document["kind"], document["version"]
        description = document["description"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f"{path}: expected metadata with kind, version and description, found {text[:80]!r}; {kind.remedy}"
        ) from None
    if found != (kind.name, kind.version):
        raise InputError(
            f"{path}: expected {kind.name}, version {kind.version}, found {found[0]}, version {found[1]}; {kind.remedy}"
        )
    return description


def _described(dtype: object, shape: Any) -> str:
    return f"{str(dtype).removeprefix('torch.')} {tuple(shape)}"
